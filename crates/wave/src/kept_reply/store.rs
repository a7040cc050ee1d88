//! Kept replies in the database.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Row, StoreError, Tx, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};
use serde_json::json;

use crate::PRODUCT;

/// A kept reply.
#[derive(Clone, Debug)]
pub struct KeptReply {
    pub id: Uuid,
    /// Whose alone it is; `None`: it is everybody's.
    pub owner_id: Option<Uuid>,
    pub created_by: Option<Uuid>,
    pub shortcut: String,
    pub title: String,
    pub text: String,
    /// A file of the company's library that goes along.
    pub file_id: Option<Uuid>,
    pub used_count: i64,
    pub used_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub version: i64,
}

const SELECT: &str = "SELECT id, owner_id, created_by, shortcut, title, text, file_id, used_count, used_at, created_at, version \
     FROM wave_kept_replies WHERE company_id = $1 AND (owner_id IS NULL OR owner_id = $2)";

fn read(row: &Row<'_>) -> Result<KeptReply, StoreError> {
    Ok(KeptReply {
        id: row.uuid(0)?,
        owner_id: row.opt_uuid(1)?,
        created_by: row.opt_uuid(2)?,
        shortcut: row.text(3)?.to_owned(),
        title: row.text(4)?.to_owned(),
        text: row.text(5)?.to_owned(),
        file_id: row.opt_uuid(6)?,
        used_count: row.i64(7)?,
        used_at: row.opt_time(8)?,
        created_at: row.time(9)?,
        version: row.i64(10)?,
    })
}

/// Kept replies of one person, and shared ones of one company.
const MOST: i64 = 500;
const MOST_READ: i64 = 2 * MOST;

/// The caller's own and everybody's, by shortcut; of two that are called the same, the caller's own first.
pub fn list(reader: &mut Reader<'_>, tenant: &Tenant) -> Result<Vec<KeptReply>, StoreError> {
    let sql = format!("{SELECT} ORDER BY shortcut, CASE WHEN owner_id IS NULL THEN 1 ELSE 0 END, id LIMIT {MOST_READ}");
    reader.query(&sql, &params![tenant.company, tenant.actor.user], read)
}

/// One of those that the caller may use.
///
/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, tenant: &Tenant, id: Uuid) -> Result<KeptReply> {
    let sql = format!("{SELECT} AND id = $3");
    reader.first(&sql, &params![tenant.company, tenant.actor.user, id], read)?.ok_or_else(Problem::not_found)
}

/// Refuses a shortcut that another reply of the same owner has. Held until the transaction ends: two at once cannot both pass.
///
/// # Errors
/// 409 `shortcut_taken`.
fn require_free(tx: &mut Tx<'_>, tenant: &Tenant, reply: &KeptReply) -> Result<()> {
    tx.lock(&format!("wave_kept_replies:{}", tenant.company.0))?;
    let taken = match reply.owner_id {
        Some(owner) => tx.first(
            "SELECT 1 FROM wave_kept_replies WHERE company_id = $1 AND owner_id = $2 AND shortcut = $3 AND id <> $4",
            &params![tenant.company, owner, reply.shortcut.as_str(), reply.id],
            |row| row.i64(0),
        )?,
        None => tx.first(
            "SELECT 1 FROM wave_kept_replies WHERE company_id = $1 AND owner_id IS NULL AND shortcut = $2 AND id <> $3",
            &params![tenant.company, reply.shortcut.as_str(), reply.id],
            |row| row.i64(0),
        )?,
    };
    if taken.is_none() {
        return Ok(());
    }
    Err(Problem::conflict("shortcut_taken", format!("There is a kept reply /{} already.", reply.shortcut)))
}

/// Keeps a new reply.
///
/// # Errors
/// 409 `shortcut_taken`, `too_many_replies`.
pub fn insert(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, reply: &KeptReply) -> Result<()> {
    require_free(tx, tenant, reply)?;
    let known = match reply.owner_id {
        Some(owner) => tx.one(
            "SELECT count(*) FROM wave_kept_replies WHERE company_id = $1 AND owner_id = $2",
            &params![tenant.company, owner],
            |row| row.i64(0),
        )?,
        None => tx.one(
            "SELECT count(*) FROM wave_kept_replies WHERE company_id = $1 AND owner_id IS NULL",
            &params![tenant.company],
            |row| row.i64(0),
        )?,
    };
    if known >= MOST {
        return Err(Problem::conflict("too_many_replies", format!("There are {MOST} already; delete one first.")));
    }
    tx.execute(
        "INSERT INTO wave_kept_replies (company_id, id, owner_id, created_by, shortcut, title, text, file_id, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        &params![
            tenant.company,
            reply.id,
            reply.owner_id,
            reply.created_by,
            reply.shortcut.as_str(),
            reply.title.as_str(),
            reply.text.as_str(),
            reply.file_id,
            kernel.now()
        ],
    )?;
    written(tx, kernel, tenant, reply, "create")
}

/// Keeps what changed of a reply.
///
/// # Errors
/// 409 `shortcut_taken`.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, reply: &KeptReply) -> Result<()> {
    require_free(tx, tenant, reply)?;
    tx.execute(
        "UPDATE wave_kept_replies SET shortcut = $3, title = $4, text = $5, file_id = $6, updated_at = $7, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![
            tenant.company,
            reply.id,
            reply.shortcut.as_str(),
            reply.title.as_str(),
            reply.text.as_str(),
            reply.file_id,
            kernel.now()
        ],
    )?;
    written(tx, kernel, tenant, reply, "update")
}

/// # Errors
/// The database's.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, reply: &KeptReply) -> Result<()> {
    tx.execute("DELETE FROM wave_kept_replies WHERE company_id = $1 AND id = $2", &params![tenant.company, reply.id])?;
    written(tx, kernel, tenant, reply, "delete")
}

/// Notes that a reply was used.
///
/// # Errors
/// The database's.
pub fn used(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid, now: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_kept_replies SET used_count = used_count + 1, used_at = $3 WHERE company_id = $1 AND id = $2",
        params![tenant.company, id, now],
    )
}

fn written(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, reply: &KeptReply, action: &str) -> Result<()> {
    let target = reply.id.to_string();
    // What somebody keeps for themselves is told by its id alone.
    let label = if reply.owner_id.is_none() { reply.shortcut.as_str() } else { "" };
    let entry =
        audit::Entry { action, module: PRODUCT, resource: "kept-replies", target: &target, label, changes: None };
    audit::record(tx, kernel, tenant, entry)?;
    let data = match reply.owner_id {
        None => super::http::row(reply, None),
        Some(_) => json!({"id": target, "shared": false}),
    };
    let act = match action {
        "create" => "created",
        "update" => "updated",
        _ => "deleted",
    };
    let subject = format!("{PRODUCT}/kept-replies/{}", reply.id);
    crate::event::emit(tx, kernel, tenant, &format!("{PRODUCT}.kept-replies.{act}"), &subject, data, None)
}
