//! Sessions: sign-in with lock-out, rotation of refresh tokens, sign-out, change of password.

use std::sync::Arc;

use loopd_store::{Tx, View, params};
use loopd_types::{CompanyId, Kind, MINUTE_US, Problem, Result, SECOND_US, Timestamp, Uuid, hex, sha256_hex};
use serde_json::Value;

use super::{devices, recovery, rules};
use crate::access::{Actor, Caller, Origin};
use crate::input::Input;
use crate::limit::Rate;
use crate::token::not_valid;
use crate::two_factor::{self, Challenge};
use crate::{Kernel, audit, oidc};

/// An access token with the refresh token that renews it.
#[derive(Clone, Debug)]
pub struct TokenPair {
    pub session: Uuid,
    pub access: String,
    pub refresh: String,
    /// Seconds until `access` ends.
    pub expires_in: i64,
}

/// Who signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub user_id: Uuid,
    /// The one company that the session is good for, if it is limited.
    pub confined_to: Option<CompanyId>,
    pub tokens: TokenPair,
}

/// Failures within [`FAILURE_WINDOW_US`] after which email and address together are locked out.
const FAILURES_ALLOWED: i64 = 10;
const FAILURE_WINDOW_US: i64 = 15 * MINUTE_US;
const LOCK_US: i64 = 15 * MINUTE_US;
/// Living sessions of one user; signing in once more ends the one that was used longest ago. All of them are in the cache.
const MOST_SESSIONS: i64 = 100;

struct Found {
    id: Uuid,
    password_hash: String,
    is_active: bool,
}

/// A person whose email and password were right; [`Checked::open`] gives the session.
#[derive(Clone, Debug)]
pub struct Checked {
    user_id: Uuid,
    email: String,
}

/// Checks email and password.
///
/// # Errors
/// 400 for missing fields; 401 `no_active_account`, one text for unknown email, wrong password and inactive user, in the same time;
/// 429 `throttled` while locked out.
pub async fn sign_in(kernel: &Arc<Kernel>, body: Value, origin: &Origin) -> Result<Checked> {
    let mut input = Input::new(body, false)?;
    let email = input.required_text("email", 254).map(|text| text.to_lowercase());
    let password = input.required_secret("password", 1024);
    input.finish()?;
    let (Some(email), Some(password)) = (email, password) else {
        return Err(Problem::internal("a checked sign-in lacks a field"));
    };
    limit_email(kernel, &email).await?;
    let subject = lock_subject(&email, origin);
    let (wanted, asked) = (email.clone(), subject.clone());
    let (found, locked_until) = kernel
        .db
        .read(View::System, move |reader| {
            let found = reader.first(
                "SELECT id, password_hash, is_active FROM users WHERE email = $1",
                &params![&wanted],
                |row| Ok(Found { id: row.uuid(0)?, password_hash: row.text(1)?.to_owned(), is_active: row.bool(2)? }),
            )?;
            let locked = reader.first(
                "SELECT locked_until FROM login_failures WHERE subject = $1",
                &params![&asked],
                |row| row.opt_time(0),
            )?;
            Ok((found, locked.flatten()))
        })
        .await?;
    if let Some(until) = locked_until.filter(|until| *until > kernel.now()) {
        return Err(locked(until, kernel.now()));
    }
    let stored = found.as_ref().map(|user| user.password_hash.clone());
    let matches = kernel.passwords.verify(password, stored).await?;
    if let Some(user) = found.filter(|user| matches && user.is_active) {
        return Ok(Checked { user_id: user.id, email });
    }
    let shared = kernel.clone();
    match kernel.db.write(View::System, move |tx| note_failure(tx, &shared, &subject)).await? {
        Some(until) => Err(locked(until, kernel.now())),
        None => Err(no_active_account()),
    }
}

fn lock_subject(email: &str, origin: &Origin) -> String {
    sha256_hex(format!("{email}|{}", origin.network()).as_bytes())
}

/// 5 a minute and email, whatever the address (spec/loop.md 5.11): guessing one person's password from many places.
///
/// # Errors
/// 429 `throttled`.
pub(crate) async fn limit_email(kernel: &Kernel, email: &str) -> Result<()> {
    const RATE: Rate = Rate::per_minute("auth-email", 5);
    kernel.limits.hit(RATE, &sha256_hex(email.as_bytes()), kernel.now()).await.require().map(drop)
}

/// By what a session is opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// `password`, `password+totp`, `passkey`, …
    pub method: String,
    /// Whether two factors were shown.
    pub second_factor: bool,
    /// The one company that the session is good for, because only that company's own provider vouched for it.
    pub confined_to: Option<CompanyId>,
    /// The provider of identity that the person came by.
    pub provider: Option<Uuid>,
}

impl Opening {
    pub fn by_password() -> Self {
        Self { method: "password".to_owned(), second_factor: false, confined_to: None, provider: None }
    }

    /// With a second factor, named as `method` names them.
    pub(crate) fn and(self, second: &str) -> Self {
        Self { method: format!("{}+{second}", self.method), second_factor: true, ..self }
    }
}

impl Checked {
    /// Opens the session of somebody without a second factor: forgets the failures, notes the time, writes the audit row. Whoever has
    /// one is challenged first ([`Checked::second_factor`]).
    ///
    /// # Errors
    /// 503 when a second factor was enabled since it was asked for.
    pub fn open(&self, tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin) -> Result<SignedIn> {
        forgive(tx, &lock_subject(&self.email, origin))?;
        start(tx, kernel, self.user_id, origin, &Opening::by_password())
    }

    /// The challenge that this person must answer before a session is opened; `None` without a second factor. Enforced again when the
    /// session is opened.
    ///
    /// # Errors
    /// 503 from the database.
    pub async fn second_factor(&self, kernel: &Arc<Kernel>, origin: &Origin) -> Result<Option<Challenge>> {
        let user = self.user_id;
        let standing = kernel.db.read(View::System, move |reader| two_factor::standing(reader, user)).await?;
        if !standing.is_enabled() {
            return Ok(None);
        }
        let subject = lock_subject(&self.email, origin);
        kernel.db.write(View::System, move |tx| forgive(tx, &subject)).await?;
        Challenge::make(kernel, user, &Opening::by_password(), &standing).await.map(Some)
    }
}

/// Opens a session for a person who has proved who they are, notes the time and writes the audit row. The one door to a session but
/// for registration, so that nobody comes in with one factor who has two.
///
/// # Errors
/// 401 `no_active_account`, `oidc_not_valid` when the provider was switched off meanwhile; 503 when the person has a second factor that
/// was not shown.
pub fn start(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, origin: &Origin, opening: &Opening) -> Result<SignedIn> {
    let sql = "SELECT email, is_active, two_factor_since FROM users WHERE id = $1";
    let found = tx.first(sql, &params![user], |row| Ok((row.text(0)?.to_owned(), row.bool(1)?, row.opt_time(2)?)))?;
    let Some((email, _, two_factor_since)) = found.filter(|(_, is_active, _)| *is_active) else {
        return Err(no_active_account());
    };
    if two_factor_since.is_some() && !opening.second_factor {
        return Err(Problem::unavailable("two-factor was enabled while this sign-in was under way"));
    }
    if let Some(provider) = opening.provider {
        oidc::require_enabled(tx, provider)?;
    }
    tx.push("UPDATE users SET last_login_at = $2 WHERE id = $1", params![user, kernel.now()])?;
    let actor = Actor { user: Some(user), credential: None, origin: Some(origin.clone()), reason: None };
    let target = user.to_string();
    let changes = serde_json::json!({"method": [null, opening.method]}).to_string();
    let entry = audit::Entry {
        action: "login",
        module: "core",
        resource: "users",
        target: &target,
        label: &email,
        changes: Some(changes),
    };
    kernel.audit_installation(tx, &actor, entry)?;
    let tokens = open_by(tx, kernel, user, origin, opening)?;
    Ok(SignedIn { user_id: user, confined_to: opening.confined_to, tokens })
}

fn no_active_account() -> Problem {
    Problem::unauthenticated("no_active_account", "No active account found with the given credentials.")
}

/// Whether a stored hash is one that some password can match; people who only come by single sign-on have none.
pub(crate) fn is_usable(password_hash: &str) -> bool {
    password_hash.starts_with('$')
}

/// Counts a try against `subject` before it is looked at.
///
/// # Errors
/// 429 `throttled` while locked out, and from the try on that was one too many.
pub(crate) fn charge(tx: &mut Tx<'_>, kernel: &Kernel, subject: &str) -> Result<()> {
    let locked_until =
        tx.first("SELECT locked_until FROM login_failures WHERE subject = $1", &params![subject], |row| {
            row.opt_time(0)
        })?;
    if let Some(until) = locked_until.flatten().filter(|until| *until > kernel.now()) {
        return Err(locked(until, kernel.now()));
    }
    // The lock must be kept, so this transaction cannot be the one that refuses: the next try is.
    note_failure(tx, kernel, subject).map(drop)
}

/// Forgets the tries against `subject`: the last was right.
pub(crate) fn forgive(tx: &mut Tx<'_>, subject: &str) -> Result<()> {
    Ok(tx.push("DELETE FROM login_failures WHERE subject = $1", params![subject])?)
}

/// Ends every session of a person.
pub(crate) fn end_all(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, reason: &str) -> Result<()> {
    tx.push(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = $3 WHERE user_id = $1 AND revoked_at IS NULL",
        params![user, kernel.now(), reason],
    )?;
    kernel.forget_user(tx, user);
    Ok(())
}

pub(crate) fn locked(until: Timestamp, now: Timestamp) -> Problem {
    let seconds = ((until.micros() - now.micros() + SECOND_US - 1) / SECOND_US).max(1);
    Problem::new(
        Kind::TooMany,
        "throttled",
        format!("Too many failed attempts. Expected available in {seconds} seconds."),
    )
    .with_header("Retry-After", seconds.to_string())
}

/// Counts a failure; gives the end of the lock when this one was one too many.
fn note_failure(tx: &mut Tx<'_>, kernel: &Kernel, subject: &str) -> Result<Option<Timestamp>> {
    let now = kernel.now();
    let failures = tx.one(
        "INSERT INTO login_failures (subject, failures, window_started_at) VALUES ($1, 1, $2) \
         ON CONFLICT (subject) DO UPDATE SET \
         failures = CASE WHEN login_failures.window_started_at < $3 THEN 1 ELSE login_failures.failures + 1 END, \
         window_started_at = CASE WHEN login_failures.window_started_at < $3 THEN $2 ELSE login_failures.window_started_at END, \
         locked_until = NULL RETURNING failures",
        &params![subject, now, now.plus(-FAILURE_WINDOW_US)],
        |row| row.i64(0),
    )?;
    if failures <= FAILURES_ALLOWED {
        return Ok(None);
    }
    let until = now.plus(LOCK_US);
    tx.push("UPDATE login_failures SET locked_until = $2 WHERE subject = $1", params![subject, until])?;
    Ok(Some(until))
}

/// Opens a session for a user in this transaction.
pub(crate) fn open(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, origin: &Origin) -> Result<TokenPair> {
    open_by(tx, kernel, user, origin, &Opening::by_password())
}

fn open_by(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, origin: &Origin, opening: &Opening) -> Result<TokenPair> {
    let (session, now, jti) = (kernel.new_id(), kernel.now(), new_jti(kernel));
    let life = kernel.settings.refresh_ttl_us;
    // Both engines need a LIMIT before an OFFSET; this one is never reached.
    let surplus = format!(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = 'too many sessions' WHERE id IN (SELECT id FROM sessions \
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY last_used_at DESC, id DESC LIMIT 1000000 OFFSET {})",
        MOST_SESSIONS - 1
    );
    tx.push(&surplus, params![user, now])?;
    devices::tell_of_new(tx, kernel, user, origin)?;
    tx.push(
        "INSERT INTO sessions (id, user_id, refresh_jti, app_id, address, user_agent, created_at, last_used_at, expires_at, method, second_factor_at, confined_company_id, provider_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11, $12)",
        params![
            session,
            user,
            &jti,
            origin.app_id.as_deref().unwrap_or(""),
            origin.address.to_string(),
            origin.user_agent.as_deref().unwrap_or(""),
            now,
            now.plus(life),
            &opening.method,
            opening.second_factor.then_some(now),
            opening.confined_to,
            opening.provider
        ],
    )?;
    kernel.forget_user(tx, user);
    pair(kernel, user, session, &jti, now)
}

fn pair(kernel: &Kernel, user: Uuid, session: Uuid, jti: &str, now: Timestamp) -> Result<TokenPair> {
    let settings = &kernel.settings;
    Ok(TokenPair {
        session,
        access: kernel.tokens.sign("access", user, session, &new_jti(kernel), now, settings.access_ttl_us)?,
        refresh: kernel.tokens.sign("refresh", user, session, jti, now, settings.refresh_ttl_us)?,
        expires_in: settings.access_ttl_us / SECOND_US,
    })
}

/// 32 hex digits, as simplejwt's.
pub(super) fn new_jti(kernel: &Kernel) -> String {
    let mut bytes = [0u8; 16];
    kernel.rng.fill(&mut bytes);
    hex(&bytes)
}

/// Exchanges a refresh token for a new pair. The old one is dead at once; showing it again ends the whole session.
///
/// Runs in the caller's transaction so that an `Idempotency-Key` makes the exchange repeatable.
///
/// # Errors
/// 401 `token_not_valid`, `user_inactive`. After a refusal the caller runs [`punish_reuse`], because this transaction is rolled back.
pub fn refresh(tx: &mut Tx<'_>, kernel: &Kernel, token: &str) -> Result<SignedIn> {
    let now = kernel.now();
    let verified = kernel.tokens.verify_refresh(token, now)?;
    let session = tx.first(
        "SELECT s.refresh_jti, s.revoked_at, s.expires_at, u.is_active FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1",
        &params![verified.session_id],
        |row| Ok((row.text(0)?.to_owned(), row.opt_time(1)?, row.time(2)?, row.bool(3)?)),
    )?;
    let Some((current, revoked_at, expires_at, is_active)) = session else {
        return Err(not_valid("Session has ended"));
    };
    if !is_active {
        return Err(Problem::unauthenticated("user_inactive", "User is inactive."));
    }
    if revoked_at.is_some() || expires_at <= now {
        return Err(not_valid("Token is blacklisted"));
    }
    let next = new_jti(kernel);
    let rotated = if current == verified.jti {
        // Two exchanges at once: the second finds another jti.
        tx.execute(
            "UPDATE sessions SET refresh_jti = $3, last_used_at = $4, expires_at = $5 WHERE id = $1 AND refresh_jti = $2 AND revoked_at IS NULL",
            &params![verified.session_id, &verified.jti, &next, now, now.plus(kernel.settings.refresh_ttl_us)],
        )?
    } else {
        0
    };
    if rotated == 0 {
        return Err(not_valid("Token is blacklisted"));
    }
    kernel.forget_user(tx, verified.user_id);
    let tokens = pair(kernel, verified.user_id, verified.session_id, &next, now)?;
    Ok(SignedIn { user_id: verified.user_id, confined_to: None, tokens })
}

/// Ends the session of a refresh token that was used before: somebody has a copy. Tokens that are none of ours change nothing.
pub async fn punish_reuse(kernel: &Arc<Kernel>, token: &str) -> Result<()> {
    let Ok(verified) = kernel.tokens.verify_refresh(token, kernel.now()) else { return Ok(()) };
    let shared = kernel.clone();
    kernel
        .db
        .write(View::System, move |tx| {
            let ended = tx.execute(
                "UPDATE sessions SET revoked_at = $3, revoke_reason = 'refresh token reuse' WHERE id = $1 AND refresh_jti <> $2 AND revoked_at IS NULL",
                &params![verified.session_id, &verified.jti, shared.now()],
            )?;
            if ended > 0 {
                tracing::warn!(user = %verified.user_id, "a refresh token was used twice; its session is ended");
                shared.forget_user(tx, verified.user_id);
            }
            Ok(())
        })
        .await
}

/// Ends one session.
pub(super) fn end(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, session: Uuid, reason: &str) -> Result<()> {
    tx.push(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = $3 WHERE id = $1 AND revoked_at IS NULL",
        params![session, kernel.now(), reason],
    )?;
    kernel.forget_user(tx, user);
    Ok(())
}

/// Ends the session behind a refresh token; unknown and ended ones are fine, so that signing out can be repeated.
///
/// # Errors
/// 401 `token_not_valid` when the token is none of ours.
pub fn logout(tx: &mut Tx<'_>, kernel: &Kernel, refresh: &str) -> Result<()> {
    let verified = kernel.tokens.verify_refresh(refresh, kernel.now())?;
    end(tx, kernel, verified.user_id, verified.session_id, "logout")
}

/// Ends the caller's own session (sign-out without the refresh token at hand).
pub fn logout_caller(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller) -> Result<()> {
    match (&caller.auth, caller.user()) {
        (crate::access::Auth::Session(session), Some(user)) => end(tx, kernel, user.id, *session, "logout"),
        _ => Ok(()),
    }
}

/// Sets a new password after checking the old one; every other session ends.
///
/// # Errors
/// 400 when the old password is wrong or the new one is weak.
pub async fn change_password(kernel: &Arc<Kernel>, caller: &Caller, body: Value) -> Result<ChangedPassword> {
    let user = caller.require_user()?.clone();
    let mut input = Input::new(body, false)?;
    let old = input.required_secret("old_password", 1024);
    let new = input.required_secret("new_password", 1024);
    if let Some(new) = &new {
        for (code, message) in rules::check_password(new, &user.email, &user.username) {
            input.refuse("new_password", code, message);
        }
    }
    input.finish()?;
    let (Some(old), Some(new)) = (old, new) else {
        return Err(Problem::internal("a checked change of password lacks a field"));
    };
    let id = user.id;
    let stored = kernel
        .db
        .read(View::System, move |reader| {
            Ok(reader.first("SELECT password_hash FROM users WHERE id = $1", &params![id], |row| {
                Ok(row.text(0)?.to_owned())
            })?)
        })
        .await?;
    if !kernel.passwords.verify(old, stored).await? {
        return Err(Problem::field("old_password", "invalid", "The old password is not right."));
    }
    Ok(ChangedPassword { user: id, hash: kernel.passwords.hash(new).await? })
}

/// A new password that was checked and hashed; [`ChangedPassword::apply`] stores it.
#[derive(Clone, Debug)]
pub struct ChangedPassword {
    user: Uuid,
    hash: String,
}

impl ChangedPassword {
    /// Stores the new hash and ends every session but the caller's own.
    pub fn apply(&self, tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller) -> Result<()> {
        let now = kernel.now();
        let keep = match caller.auth {
            crate::access::Auth::Session(session) => session,
            _ => Uuid::nil(),
        };
        tx.push(
            "UPDATE users SET password_hash = $2, updated_at = $3, version = version + 1 WHERE id = $1",
            params![self.user, &self.hash, now],
        )?;
        tx.push(
            "UPDATE sessions SET revoked_at = $3, revoke_reason = 'password change' WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL",
            params![self.user, keep, now],
        )?;
        two_factor::forget_challenges(tx, self.user)?;
        kernel.forget_user(tx, self.user);
        let target = self.user.to_string();
        let entry = audit::Entry {
            action: "password-change",
            module: "core",
            resource: "users",
            target: &target,
            label: "",
            changes: None,
        };
        kernel.audit_installation(tx, &caller.actor(), entry)?;
        recovery::tell_changed(tx, kernel, self.user)
    }
}
