//! Attachments: files at a record. Who may see the record sees them; who may change it attaches and detaches. The record itself is
//! the business of whoever calls.

use loopd_store::{Reader, Tx, Value, dialect, params};
use loopd_types::{Problem, Result, Uuid};
use serde_json::json;

use super::{File, Purpose, keep};
use crate::access::Tenant;
use crate::listing::{Column, ColumnKind, Conditions, Listing, column, searched};
use crate::{Kernel, audit, event};

/// Files that one record may have.
pub const MOST: i64 = 200;

/// A record that can have files.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    pub module: &'a str,
    pub resource: &'a str,
    pub id: Uuid,
    /// How people name it.
    pub label: &'a str,
    /// `<module>/<resource>/<id>` of its events.
    pub subject: &'a str,
    /// `<module>.<singular>`: what its events begin with.
    pub event: &'a str,
}

/// A record's attachments as the API shows them; newest first.
pub const LISTING: Listing = Listing {
    from: "(SELECT a.company_id, a.id, a.file_id, a.module, a.resource, a.record_id, a.created_by, a.created_at, f.name, f.content_type, \
        f.size_bytes, f.sha256 FROM file_attachments a JOIN files f ON f.company_id = a.company_id AND f.id = a.file_id) a",
    columns: &COLUMNS,
    company: Some("a.company_id"),
    id: "a.id",
    order: "a.id DESC",
};
const COLUMNS: [Column; 9] = [
    column("id", "a.id", ColumnKind::Uuid),
    column("company", "a.company_id", ColumnKind::Company),
    column("file", "a.file_id", ColumnKind::Uuid),
    searched("name", "a.name"),
    column("content_type", "a.content_type", ColumnKind::Text),
    column("size_bytes", "a.size_bytes", ColumnKind::Int),
    column("sha256", "a.sha256", ColumnKind::Text),
    column("created_by", "a.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "a.created_at", ColumnKind::Time),
];

/// The condition that an attachment is this record's.
pub fn of_record(module: &str, resource: &str, record: Uuid) -> Conditions {
    let values = [Value::from(module), Value::from(resource), Value::from(record)];
    Conditions::default().and("a.module = {} AND a.resource = {} AND a.record_id = {}", values)
}

/// Attaches a file to a record, and gives the attachment's id.
///
/// # Errors
/// 400 under `file` when the caller has no such file; 409 `already_attached`, `too_many_attachments`.
pub fn attach(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, record: &Record<'_>, file: Uuid) -> Result<Uuid> {
    let company = tenant.company;
    let found = keep::find(tx, company, file)?.filter(|file| may_attach(tenant, file));
    let found = found.ok_or_else(|| {
        Problem::field("file", "does_not_exist", format!("Invalid pk \"{file}\" - object does not exist."))
    })?;
    tx.lock(&format!("attachments:{}:{}", company.0, record.id))?;
    let count = "SELECT COUNT(*) FROM file_attachments WHERE company_id = $1 AND module = $2 AND resource = $3 AND record_id = $4";
    if tx.one(count, &params![company, record.module, record.resource, record.id], |row| row.i64(0))? >= MOST {
        return Err(Problem::conflict("too_many_attachments", "A record can have no more files than this."));
    }
    let id = kernel.new_id();
    let made = tx.execute(
        "INSERT INTO file_attachments (company_id, id, file_id, module, resource, record_id, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (company_id, module, resource, record_id, file_id) DO NOTHING",
        &params![company, id, file, record.module, record.resource, record.id, tenant.actor.user, kernel.now()],
    )?;
    if made == 0 {
        return Err(Problem::conflict("already_attached", "The record has this file already."));
    }
    tx.push(
        "UPDATE files SET expires_at = NULL WHERE company_id = $1 AND id = $2 AND purpose = 'attachment'",
        params![company, file],
    )?;
    note(tx, kernel, tenant, record, "attach", "attached", id, &found)?;
    Ok(id)
}

/// Files of the shelf may be attached by who sees them, and what was uploaded to be attached by who uploaded it.
fn may_attach(tenant: &Tenant, file: &File) -> bool {
    match file.purpose {
        Purpose::Library => tenant.may("core.files.view"),
        Purpose::Attachment => file.created_by.is_some() && file.created_by == tenant.actor.user,
        Purpose::Export | Purpose::Import | Purpose::Bill => false,
    }
}

/// Takes a file from a record. One that was uploaded for it alone is deleted.
///
/// # Errors
/// 404.
pub fn detach(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, record: &Record<'_>, id: Uuid) -> Result<()> {
    let file = find(tx, tenant, record, id)?;
    let company = tenant.company;
    tx.execute("DELETE FROM file_attachments WHERE company_id = $1 AND id = $2", &params![company, id])?;
    note(tx, kernel, tenant, record, "detach", "detached", id, &file)?;
    if file.purpose != Purpose::Attachment {
        return Ok(());
    }
    let sql = format!("SELECT 1 FROM files WHERE company_id = $1 AND id = $2{}", dialect::for_update(tx.engine()));
    tx.first(&sql, &params![company, file.id], |_| Ok(()))?;
    let others = "SELECT 1 FROM file_attachments WHERE company_id = $1 AND file_id = $2 LIMIT 1";
    if tx.first(others, &params![company, file.id], |_| Ok(()))?.is_none() {
        keep::remove(tx, kernel, company, file.id)?;
    }
    Ok(())
}

/// The file behind a record's attachment.
///
/// # Errors
/// 404.
pub fn find(reader: &mut Reader<'_>, tenant: &Tenant, record: &Record<'_>, id: Uuid) -> Result<File> {
    let sql = "SELECT file_id FROM file_attachments WHERE company_id = $1 AND id = $2 AND module = $3 AND resource = $4 AND record_id = $5";
    let params = params![tenant.company, id, record.module, record.resource, record.id];
    let file = reader.first(sql, &params, |row| row.uuid(0))?.ok_or_else(Problem::not_found)?;
    keep::find(reader, tenant.company, file)?.ok_or_else(Problem::not_found)
}

#[expect(clippy::too_many_arguments, reason = "two call sites; a struct would only rename the arguments")]
fn note(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    record: &Record<'_>,
    action: &str,
    past: &str,
    id: Uuid,
    file: &File,
) -> Result<()> {
    let target = record.id.to_string();
    let (file_id, nothing) = (json!({"id": file.id.to_string(), "name": file.name}), serde_json::Value::Null);
    let changes = if action == "attach" {
        json!({"attachments": [nothing, file_id]})
    } else {
        json!({"attachments": [file_id, nothing]})
    };
    let entry = audit::Entry {
        action,
        module: record.module,
        resource: record.resource,
        target: &target,
        label: record.label,
        changes: Some(changes.to_string()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    let payload = json!({"id": target, "attachment": id.to_string(), "file": file.id.to_string(), "name": file.name,
        "content_type": file.content_type, "size_bytes": file.size_bytes});
    let kind = format!("{}.file-{past}", record.event);
    event::emit(tx, kernel, tenant, &kind, record.subject, payload.to_string())
}
