//! A person's own sessions: where they are signed in, and ending that.

use loopd_store::{Reader, Tx, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};
use serde::Serialize;

use crate::access::{Auth, Caller, Origin};
use crate::audit::INSTALLATION;
use crate::mail::{self, Letter, Template};
use crate::{Kernel, audit};

/// A session as its person sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    pub id: String,
    /// What the browser or program called itself; empty when it said nothing.
    pub user_agent: String,
    pub address: String,
    pub app_id: String,
    /// Whether this request came by it.
    pub is_current: bool,
    pub created_at: Timestamp,
    /// When its tokens were renewed last.
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
}

/// The caller's living sessions, the one used last first; at most a hundred, as many as a person can have.
pub fn list(reader: &mut Reader<'_>, kernel: &Kernel, caller: &Caller) -> Result<Vec<Device>> {
    let user = caller.require_user()?.id;
    let current = current(caller);
    Ok(reader.query(
        "SELECT id, user_agent, address, app_id, created_at, last_used_at, expires_at FROM sessions \
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY last_used_at DESC, id DESC",
        &params![user, kernel.now()],
        |row| {
            let id = row.uuid(0)?;
            Ok(Device {
                id: id.to_string(),
                user_agent: row.text(1)?.to_owned(),
                address: row.text(2)?.to_owned(),
                app_id: row.text(3)?.to_owned(),
                is_current: Some(id) == current,
                created_at: row.time(4)?,
                last_used_at: row.time(5)?,
                expires_at: row.time(6)?,
            })
        },
    )?)
}

fn current(caller: &Caller) -> Option<Uuid> {
    match caller.auth {
        Auth::Session(session) => Some(session),
        _ => None,
    }
}

/// Ends one of the caller's sessions.
///
/// # Errors
/// 404 for another person's, and for one that has ended.
pub fn revoke(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, id: Uuid) -> Result<()> {
    let user = caller.require_user()?.id;
    let ended = tx.execute(
        "UPDATE sessions SET revoked_at = $3, revoke_reason = 'revoked by its person' \
         WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3",
        &params![id, user, kernel.now()],
    )?;
    if ended == 0 {
        return Err(Problem::not_found());
    }
    kernel.forget_user(tx, user);
    note(tx, kernel, caller, "revoke", &id.to_string())
}

/// Ends all of the caller's sessions but the one that asks; gives how many.
pub fn revoke_others(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller) -> Result<u64> {
    let user = caller.require_user()?.id;
    let ended = tx.execute(
        "UPDATE sessions SET revoked_at = $3, revoke_reason = 'revoked by its person' \
         WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > $3",
        &params![user, current(caller).unwrap_or(Uuid::nil()), kernel.now()],
    )?;
    kernel.forget_user(tx, user);
    note(tx, kernel, caller, "revoke-others", &user.to_string())?;
    Ok(ended)
}

/// Tells a person of a sign-in from a program that they have not used before; not of their first.
pub(super) fn tell_of_new(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, origin: &Origin) -> Result<()> {
    let agent = origin.user_agent.as_deref().unwrap_or("");
    let (sessions, alike) = tx.one(
        // What an operator uses in the person's name makes it no program of the person's.
        "SELECT count(*), coalesce(sum(CASE WHEN user_agent = $2 THEN 1 ELSE 0 END), 0) FROM sessions \
         WHERE user_id = $1 AND impersonator_id IS NULL",
        &params![user, agent],
        |row| Ok((row.i64(0)?, row.i64(1)?)),
    )?;
    if sessions == 0 || alike > 0 {
        return Ok(());
    }
    let sql = "SELECT email, language FROM users WHERE id = $1";
    let (to, language) = tx.one(sql, &params![user], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?;
    let address = origin.address.to_string();
    let template = Template::NewSignIn { device: agent, address: &address, at: kernel.now() };
    mail::queue(tx, kernel, &Letter { company: INSTALLATION, to: &to, language: &language, template })?;
    Ok(())
}

fn note(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, action: &str, target: &str) -> Result<()> {
    let entry = audit::Entry { action, module: "core", resource: "sessions", target, label: "", changes: None };
    Ok(kernel.audit_installation(tx, &caller.actor(), entry)?)
}
