//! `Idempotency-Key`: the same request gets the same answer, and never a second effect.
//!
//! The remembered answer is written in the transaction that has the effect, so there is no moment in which one exists without
//! the other. A concurrent repeat waits for that transaction (SQLite: writes are serial; Postgres: the unique row blocks), then
//! finds the answer. Work with effects outside the database claims the key first, under a lease.

use loopd_store::{Tx, Value, View, params};
use loopd_types::{Kind, MINUTE_US, Problem, Result, Timestamp};

use crate::Kernel;

/// Which request this is.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose keys these are: a company, a user, or a class of anonymous callers.
    pub scope: String,
    pub key: String,
    /// SHA-256 over method, path, query and body.
    pub fingerprint: String,
}

/// An answer as it was given: status and whatever the web layer wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remembered {
    pub status: u16,
    pub answer: Vec<u8>,
}

/// A claim that this request holds. Whoever takes the key over writes another moment into the row, so that a request which
/// comes back after its lease neither answers for its successor nor gives the successor's key away.
#[derive(Clone, Debug)]
pub struct Held {
    claim: Claim,
    since: Timestamp,
}

/// What became of a claim.
#[derive(Clone, Debug)]
pub enum Begun {
    /// Go on; [`finish_in_tx`] or [`release`] need this.
    Held(Held),
    /// The answer of the first time.
    Known(Remembered),
}

/// How long work with outside effects may run before another may take the key over.
const LEASE_US: i64 = 5 * MINUTE_US;

/// Opens `claim` in this transaction: held, or the answer of the first time.
///
/// # Errors
/// 409 `idempotency_conflict` when the key was used for another request, or the first one still runs.
pub fn begin_in_tx(tx: &mut Tx<'_>, kernel: &Kernel, claim: &Claim) -> Result<Begun> {
    let now = kernel.now();
    let held = || Ok(Begun::Held(Held { claim: claim.clone(), since: now }));
    let inserted = tx.execute(
        "INSERT INTO idempotency_keys (scope, idempotency_key, fingerprint, created_at, expires_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (scope, idempotency_key) DO NOTHING",
        &params![&claim.scope, &claim.key, &claim.fingerprint, now, now.plus(kernel.settings.idempotency_ttl_us)],
    )?;
    if inserted == 1 {
        return held();
    }
    let found = tx.first(
        "SELECT fingerprint, status, answer, lease_until, expires_at FROM idempotency_keys WHERE scope = $1 AND idempotency_key = $2",
        &params![&claim.scope, &claim.key],
        |row| Ok((row.text(0)?.to_owned(), row.opt_i64(1)?, row.opt_bytes(2)?.map(<[u8]>::to_vec), row.opt_time(3)?, row.time(4)?)),
    )?;
    let Some((fingerprint, status, answer, lease_until, expires_at)) = found else {
        // Deleted between the two statements by the clean-up: the client's repeat will find a free key.
        return Err(Problem::unavailable("an idempotency key vanished while it was read"));
    };
    if expires_at <= now {
        take_over(tx, kernel, claim, expires_at, now)?;
        return held();
    }
    if fingerprint != claim.fingerprint {
        return Err(Problem::conflict(
            "idempotency_conflict",
            "This Idempotency-Key was already used for a different request.",
        ));
    }
    match (status, answer) {
        (Some(status), Some(sealed)) => {
            let answer = kernel.vault.open(&context(claim), &sealed)?;
            Ok(Begun::Known(Remembered { status: u16::try_from(status).unwrap_or(500), answer }))
        }
        _ if lease_until.is_some_and(|until| until > now) => Err(still_running()),
        // The lease ran out without an answer: the first attempt died, this one takes over.
        _ => {
            take_over(tx, kernel, claim, expires_at, now)?;
            held()
        }
    }
}

fn still_running() -> Problem {
    Problem::new(Kind::Conflict, "idempotency_conflict", "A request with this Idempotency-Key is still running.")
        .with_header("Retry-After", "1")
}

/// Makes a key that is over this request's own. On Postgres two may have read it as over; the second waits for the first one's
/// row here, finds another expiry in it, and must not do the work too.
fn take_over(tx: &mut Tx<'_>, kernel: &Kernel, claim: &Claim, seen_expiry: Timestamp, now: Timestamp) -> Result<()> {
    let taken = tx.execute(
        "UPDATE idempotency_keys SET fingerprint = $3, status = NULL, answer = NULL, lease_until = NULL, created_at = $4, expires_at = $5 \
         WHERE scope = $1 AND idempotency_key = $2 AND expires_at = $6 AND (lease_until IS NULL OR lease_until <= $4)",
        &params![&claim.scope, &claim.key, &claim.fingerprint, now, now.plus(kernel.settings.idempotency_ttl_us), seen_expiry],
    )?;
    if taken == 1 { Ok(()) } else { Err(still_running()) }
}

/// Remembers the answer, in the transaction that had the effect. A holder whose key was taken over meanwhile remembers nothing: what
/// it did is recorded as it happened, but the key answers for its successor.
pub fn finish_in_tx(tx: &mut Tx<'_>, kernel: &Kernel, held: &Held, answer: &Remembered) -> Result<()> {
    let claim = &held.claim;
    let sealed = kernel.vault.seal(kernel.rng.as_ref(), &context(claim), &answer.answer)?;
    tx.push(
        "UPDATE idempotency_keys SET status = $3, answer = $4, lease_until = NULL \
         WHERE scope = $1 AND idempotency_key = $2 AND created_at = $5 AND answer IS NULL",
        params![&claim.scope, &claim.key, i64::from(answer.status), Value::Bytes(sealed), held.since],
    )?;
    Ok(())
}

/// Claims the key before work with outside effects: held under a lease, or the answer of the first time. Durable when it returns.
///
/// # Errors
/// As [`begin_in_tx`].
pub async fn claim(kernel: &std::sync::Arc<Kernel>, claim: &Claim) -> Result<Begun> {
    let (shared, claim) = (kernel.clone(), claim.clone());
    kernel
        .db
        .write(View::System, move |tx| {
            let begun = begin_in_tx(tx, &shared, &claim)?;
            if matches!(begun, Begun::Held(_)) {
                tx.push(
                    "UPDATE idempotency_keys SET lease_until = $3 WHERE scope = $1 AND idempotency_key = $2",
                    params![&claim.scope, &claim.key, shared.now().plus(LEASE_US)],
                )?;
            }
            Ok(begun)
        })
        .await
}

/// Gives the key back after a failure that had no effect, so that the client may try again.
pub async fn release(kernel: &Kernel, held: &Held) -> Result<()> {
    let Held { claim, since } = held.clone();
    kernel
        .db
        .write(View::System, move |tx| {
            tx.execute(
                "DELETE FROM idempotency_keys WHERE scope = $1 AND idempotency_key = $2 AND created_at = $3 AND answer IS NULL",
                &params![&claim.scope, &claim.key, since],
            )?;
            Ok(())
        })
        .await
}

fn context(claim: &Claim) -> String {
    format!("idempotency:{}:{}", claim.scope, claim.key)
}
