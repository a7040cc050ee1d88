//! Switching accounts off and on again, by superusers and the command line, and the list of accounts that they see.

use loopd_store::{Tx, params};
use loopd_types::{Problem, Result, Uuid};

use crate::access::Actor;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit, credential};

/// Accounts as superusers see them; secrets are no columns.
pub const LISTING: Listing = Listing { from: "users u", columns: &COLUMNS, company: None, id: "u.id", order: "u.id" };
const COLUMNS: [Column; 14] = [
    column("id", "u.id", ColumnKind::Uuid),
    searched("email", "u.email"),
    searched("username", "u.username"),
    searched("first_name", "u.first_name"),
    searched("last_name", "u.last_name"),
    column("phone", "u.phone", ColumnKind::Text),
    column("language", "u.language", ColumnKind::Text),
    column("is_active", "u.is_active", ColumnKind::Bool),
    column("is_staff", "u.is_staff", ColumnKind::Bool),
    column("is_superuser", "u.is_superuser", ColumnKind::Bool),
    column("date_joined", "u.joined_at", ColumnKind::Time),
    column("last_login_at", "u.last_login_at", ColumnKind::Time).nullable(),
    column("updated_at", "u.updated_at", ColumnKind::Time),
    column("version", "u.version", ColumnKind::Int),
];

/// Switches an account off: its sessions end and its internal keys are revoked, so that nothing comes back with
/// [`activate`] but the right to sign in. Repeating it changes nothing.
///
/// # Errors
/// 404; 409 `own_account` for the caller's own, `last_superuser` when nobody could undo it.
pub fn deactivate(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid) -> Result<()> {
    // Two superusers who switch each other off at once must not both succeed.
    tx.lock("superusers")?;
    let user = get(tx, id)?;
    if actor.user == Some(id) {
        return Err(Problem::conflict("own_account", "You cannot deactivate your own account."));
    }
    if !user.is_active {
        return Ok(());
    }
    if user.is_superuser && !has_other_superuser(tx, id)? {
        return Err(Problem::conflict("last_superuser", "The last active superuser cannot be deactivated."));
    }
    set_active(tx, kernel, id, false)?;
    tx.push(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = 'account deactivated' WHERE user_id = $1 AND revoked_at IS NULL",
        params![id, kernel.now()],
    )?;
    credential::revoke_all_of(tx, kernel, actor, id)?;
    note(tx, kernel, actor, "deactivate", id, &user.email)
}

/// Lets a deactivated person sign in again. Repeating it changes nothing.
///
/// # Errors
/// 404.
pub fn activate(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid) -> Result<()> {
    let user = get(tx, id)?;
    if user.is_active {
        return Ok(());
    }
    set_active(tx, kernel, id, true)?;
    note(tx, kernel, actor, "activate", id, &user.email)
}

/// Gives somebody another password, already checked and hashed; every session of theirs ends.
///
/// # Errors
/// 404.
pub fn set_password(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid, hash: &str) -> Result<()> {
    let (user, now) = (get(tx, id)?, kernel.now());
    tx.push(
        "UPDATE users SET password_hash = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        params![id, hash, now],
    )?;
    tx.push(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = 'password change' WHERE user_id = $1 AND revoked_at IS NULL",
        params![id, now],
    )?;
    kernel.forget_user(tx, id);
    note(tx, kernel, actor, "password-change", id, &user.email)
}

struct Found {
    email: String,
    is_active: bool,
    is_superuser: bool,
}

fn get(tx: &mut Tx<'_>, id: Uuid) -> Result<Found> {
    tx.first("SELECT email, is_active, is_superuser FROM users WHERE id = $1", &params![id], |row| {
        Ok(Found { email: row.text(0)?.to_owned(), is_active: row.bool(1)?, is_superuser: row.bool(2)? })
    })?
    .ok_or_else(Problem::not_found)
}

fn has_other_superuser(tx: &mut Tx<'_>, id: Uuid) -> Result<bool> {
    let other =
        tx.first("SELECT id FROM users WHERE is_superuser AND is_active AND id <> $1 LIMIT 1", &params![id], |row| {
            row.uuid(0)
        })?;
    Ok(other.is_some())
}

fn set_active(tx: &mut Tx<'_>, kernel: &Kernel, id: Uuid, is_active: bool) -> Result<()> {
    tx.push(
        "UPDATE users SET is_active = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        params![id, is_active, kernel.now()],
    )?;
    kernel.forget_user(tx, id);
    Ok(())
}

fn note(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, action: &str, id: Uuid, email: &str) -> Result<()> {
    let target = id.to_string();
    let entry =
        audit::Entry { action, module: "core", resource: "users", target: &target, label: email, changes: None };
    Ok(kernel.audit_installation(tx, actor, entry)?)
}
