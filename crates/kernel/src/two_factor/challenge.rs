//! A sign-in between its two factors: the password was right, and a token that lives for minutes stands for that.

use std::sync::Arc;

use loopd_store::{Tx, View, params};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, SECOND_US, Uuid, random_token, sha256_hex};
use serde_json::Value;

use super::{ENTRY, Standing, rules, store, tell};
use crate::access::{Actor, Origin};
use crate::account::{self, Opening, SignedIn};
use crate::input::Input;
use crate::mail::TwoFactorChange;
use crate::{Kernel, audit};

/// How long somebody has to find their telephone.
const LIFE_US: i64 = 10 * MINUTE_US;
/// Codes that may be tried on one challenge, repeats of a lost answer among them.
const ATTEMPTS: i64 = 10;

/// A challenge that was just made: the only moment its token is known.
#[derive(Clone, Debug)]
pub struct Challenge {
    token: String,
    methods: Vec<&'static str>,
}

impl Challenge {
    /// Makes a challenge for somebody whose first factor was right, durable when it returns.
    ///
    /// # Errors
    /// 503 from the database.
    pub async fn make(kernel: &Arc<Kernel>, user: Uuid, first: &Opening, standing: &Standing) -> Result<Self> {
        let token = random_token(kernel.rng.as_ref(), 32);
        let (shared, hash, first) = (kernel.clone(), sha256_hex(token.as_bytes()), first.clone());
        kernel
            .db
            .write(View::System, move |tx| {
                let now = shared.now();
                tx.push(
                    "INSERT INTO sign_in_challenges (hash, user_id, method, created_at, expires_at, confined_company_id, provider_id) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    params![&hash, user, &first.method, now, now.plus(LIFE_US), first.confined_to, first.provider],
                )?;
                Ok(())
            })
            .await?;
        Ok(Self { token, methods: standing.methods() })
    }

    /// The refusal that tells a client how to go on: 401 `mfa_required` with `mfa_token`, `methods` and `expires_in` (seconds).
    pub fn refuse(self) -> Problem {
        Problem::unauthenticated("mfa_required", "Show your second factor to finish signing in.")
            .with_extra("mfa_token", self.token)
            .with_extra("methods", self.methods)
            .with_extra("expires_in", LIFE_US / SECOND_US)
    }
}

/// A challenge and what answers it.
#[derive(Clone, Debug)]
pub struct Answer {
    hash: String,
    code: String,
}

impl Answer {
    /// Reads `mfa_token` and `code` (by time, or a recovery code).
    ///
    /// # Errors
    /// 400 with every complaint.
    pub fn parse(body: Value) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let token = input.required_text("mfa_token", 200);
        let code = input.required_text("code", 64);
        input.finish()?;
        let (Some(token), Some(code)) = (token, code) else {
            return Err(Problem::internal("a checked answer lacks a field"));
        };
        Ok(Self { hash: sha256_hex(token.as_bytes()), code })
    }

    /// Counts the try, durably, before it is looked at.
    ///
    /// # Errors
    /// 401 `mfa_token_not_valid`; 429 `throttled` while codes are locked.
    pub async fn charge(&self, kernel: &Arc<Kernel>) -> Result<()> {
        let (shared, answer) = (kernel.clone(), self.clone());
        kernel
            .db
            .write(View::System, move |tx| {
                let found = tx.first(
                    "UPDATE sign_in_challenges SET attempts = attempts + 1 WHERE hash = $1 AND expires_at > $2 AND attempts < $3 \
                     RETURNING user_id, used_at",
                    &params![&answer.hash, shared.now(), ATTEMPTS],
                    |row| Ok((row.uuid(0)?, row.opt_time(1)?)),
                )?;
                let (user, used_at) = found.ok_or_else(token_not_valid)?;
                // A used one is a repeat whose answer is remembered, or is refused when the session would be opened.
                if used_at.is_none() && rules::as_totp(&answer.code).is_some() {
                    store::charge_totp(tx, &shared, user)?;
                }
                Ok(())
            })
            .await
    }

    /// Uses up challenge and code, and opens the session.
    ///
    /// # Errors
    /// 401 `mfa_token_not_valid`, `mfa_code_not_valid` (wrong, or used before), `no_active_account`.
    pub fn open(&self, tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin) -> Result<SignedIn> {
        let Met { user, first } = use_challenge(tx, kernel, &self.hash)?;
        let second = use_code(tx, kernel, user, &self.code)?.ok_or_else(code_not_valid)?;
        if second == "recovery_code" {
            tell(tx, kernel, user, TwoFactorChange::RecoveryCodeUsed)?;
        }
        account::start(tx, kernel, user, origin, &first.and(second))
    }

    /// Writes down that somebody with the right password showed a wrong code.
    ///
    /// # Errors
    /// 503 from the database.
    pub async fn note_failure(&self, kernel: &Arc<Kernel>, origin: &Origin) -> Result<()> {
        let (shared, hash, origin) = (kernel.clone(), self.hash.clone(), origin.clone());
        kernel
            .db
            .write(View::System, move |tx| {
                let user =
                    tx.first("SELECT user_id FROM sign_in_challenges WHERE hash = $1", &params![&hash], |row| {
                        row.uuid(0)
                    })?;
                let Some(user) = user else { return Ok(()) };
                let (target, email) = (user.to_string(), account::email_of(tx, user)?);
                let actor = Actor { user: Some(user), credential: None, origin: Some(origin.clone()), reason: None };
                let entry = audit::Entry { action: "two-factor-failed", target: &target, label: &email, ..ENTRY };
                Ok(shared.audit_installation(tx, &actor, entry)?)
            })
            .await
    }
}

/// Whose sign-in this challenge (by the digest of its token) is, while it is open.
///
/// # Errors
/// 401 `mfa_token_not_valid`.
pub(crate) fn challenged(tx: &mut Tx<'_>, kernel: &Kernel, hash: &str) -> Result<Uuid> {
    let sql = "SELECT user_id FROM sign_in_challenges WHERE hash = $1 AND used_at IS NULL AND expires_at > $2";
    tx.first(sql, &params![hash, kernel.now()], |row| row.uuid(0))?.ok_or_else(token_not_valid)
}

/// A challenge that was met: whose it was, by what the first factor was shown, and what that was good for.
pub(crate) struct Met {
    pub user: Uuid,
    pub first: Opening,
}

/// Uses up a challenge, and says whose it is and by what the first factor was shown; of two at once one gets it.
///
/// # Errors
/// 401 `mfa_token_not_valid`.
pub(crate) fn use_challenge(tx: &mut Tx<'_>, kernel: &Kernel, hash: &str) -> Result<Met> {
    tx.first(
        "UPDATE sign_in_challenges SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING user_id, method, confined_company_id, \
         provider_id",
        &params![hash, kernel.now()],
        |row| {
            let first = Opening {
                method: row.text(1)?.to_owned(),
                second_factor: false,
                confined_to: row.opt_i64(2)?.map(CompanyId),
                provider: row.opt_uuid(3)?,
            };
            Ok(Met { user: row.uuid(0)?, first })
        },
    )?
    .ok_or_else(token_not_valid)
}

/// Uses up a code of either kind, and says which it was; `None` when it is wrong or was used before.
pub(super) fn use_code(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, code: &str) -> Result<Option<&'static str>> {
    if rules::as_totp(code).is_some() {
        return Ok(store::use_totp(tx, kernel, user, code)?.then_some("totp"));
    }
    match rules::as_recovery_code(code) {
        Some(plain) => Ok(store::use_recovery_code(tx, kernel, user, &plain)?.then_some("recovery_code")),
        None => Ok(None),
    }
}

fn token_not_valid() -> Problem {
    Problem::unauthenticated("mfa_token_not_valid", "This sign-in is over; begin again with your password.")
}

fn code_not_valid() -> Problem {
    Problem::unauthenticated("mfa_code_not_valid", "This code is not right, or was used before.")
}

/// Ends the sign-ins of a person that wait for a second factor: their password is another now.
pub(crate) fn forget(tx: &mut Tx<'_>, user: Uuid) -> Result<()> {
    Ok(tx.push("DELETE FROM sign_in_challenges WHERE user_id = $1", params![user])?)
}
