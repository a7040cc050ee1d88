//! A file's row: made when its content is durable, deleted before its content goes.

use loopd_store::{Reader, Row, StoreError, Tx, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::{File, MAX_NAME, Purpose, Received, charge, ledger, sweep};
use crate::access::Tenant;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit, event};

/// The company's own files as the API shows them; newest first. Those of records are shown by their records.
pub const LISTING: Listing = Listing {
    from: "(SELECT * FROM files WHERE purpose = 'library') f",
    columns: &COLUMNS,
    company: Some("f.company_id"),
    id: "f.id",
    order: "f.id DESC",
};
const COLUMNS: [Column; 9] = [
    column("id", "f.id", ColumnKind::Uuid),
    column("company", "f.company_id", ColumnKind::Company),
    searched("name", "f.name"),
    column("content_type", "f.content_type", ColumnKind::Text),
    column("size_bytes", "f.size_bytes", ColumnKind::Int),
    column("sha256", "f.sha256", ColumnKind::Text),
    column("created_by", "f.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "f.created_at", ColumnKind::Time),
    column("updated_at", "f.updated_at", ColumnKind::Time),
];

const SELECT: &str = "SELECT company_id, id, name, content_type, size_bytes, sha256, purpose, created_by, created_at, blob_key FROM files \
     WHERE company_id = $1 AND id = $2";

/// A row to be made.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub id: Uuid,
    /// Made harmless by [`keep`]: no path, no control characters.
    pub name: String,
    pub purpose: Purpose,
    /// When it goes by itself.
    pub expires_at: Option<Timestamp>,
}

/// Makes received content a file, and counts it towards the company's storage unless the installation made it.
///
/// # Errors
/// 403 `storage_quota_exceeded`; 503.
pub fn keep(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, new: &NewFile, received: &Received) -> Result<()> {
    let (company, size) = (tenant.company, i64::try_from(received.size_bytes).map_err(Problem::internal)?);
    ledger::settle(tx, company, &received.blob_key)?;
    if new.purpose.counts() {
        charge(tx, company, size)?;
    }
    let name = harmless_name(&new.name);
    tx.push(
        "INSERT INTO files (company_id, id, name, content_type, size_bytes, sha256, blob_key, purpose, created_by, created_at, updated_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)",
        params![
            company,
            new.id,
            name.as_str(),
            received.content_type.as_str(),
            size,
            received.sha256.as_str(),
            received.blob_key.as_str(),
            new.purpose.as_str(),
            tenant.actor.user,
            kernel.now(),
            new.expires_at
        ],
    )?;
    if new.purpose == Purpose::Library {
        let payload = json!({"id": new.id.to_string(), "name": name, "content_type": received.content_type, "size_bytes": size,
            "sha256": received.sha256});
        written(tx, kernel, tenant, ("create", "core.file.created"), new.id, &name, payload)?;
    }
    Ok(())
}

/// A file's last name: what follows the last slash of either kind, without what no name may hold.
pub(crate) fn harmless_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or("");
    let clean: String = last.chars().filter(|letter| !letter.is_control() && !is_turning(*letter)).collect();
    let mut clean = clean.trim().trim_start_matches('.').trim().to_owned();
    while clean.len() > MAX_NAME {
        clean.pop();
    }
    if clean.is_empty() { "file".to_owned() } else { clean }
}

/// Marks that turn the direction of writing: `exe.gpj` must not look like `jpg.exe`.
fn is_turning(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// The file, whatever it is for.
///
/// # Errors
/// The database's.
pub fn find(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<File>, StoreError> {
    reader.first(SELECT, &params![company, id], file_of)
}

/// A file of the company's own shelf.
///
/// # Errors
/// 404: there is none, or it belongs to something else.
pub fn open_library(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<File> {
    find(reader, company, id)?.filter(|file| file.purpose == Purpose::Library).ok_or_else(Problem::not_found)
}

fn file_of(row: &Row<'_>) -> Result<File, StoreError> {
    Ok(File {
        company: CompanyId(row.i64(0)?),
        id: row.uuid(1)?,
        name: row.text(2)?.to_owned(),
        content_type: row.text(3)?.to_owned(),
        size_bytes: u64::try_from(row.i64(4)?).unwrap_or(0),
        sha256: row.text(5)?.to_owned(),
        purpose: Purpose::parse(row.text(6)?).unwrap_or(Purpose::Attachment),
        created_by: row.opt_uuid(7)?,
        created_at: row.time(8)?,
        blob_key: row.text(9)?.to_owned(),
    })
}

/// Gives a file of the shelf another name.
///
/// # Errors
/// 404.
pub fn rename(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, name: &str) -> Result<()> {
    let old = open_library(tx, tenant.company, id)?;
    let name = harmless_name(name);
    tx.push(
        "UPDATE files SET name = $3, updated_at = $4 WHERE company_id = $1 AND id = $2",
        params![tenant.company, id, name.as_str(), kernel.now()],
    )?;
    let entry = audit::Entry {
        action: "update",
        module: "core",
        resource: "files",
        target: &id.to_string(),
        label: &name,
        changes: Some(json!({"name": [old.name, name]}).to_string()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    let payload = json!({"id": id.to_string(), "name": name});
    event::emit(tx, kernel, tenant, "core.file.updated", &format!("core/files/{id}"), payload.to_string())
}

/// Deletes a file of the shelf.
///
/// # Errors
/// 404; 409 `file_attached` while records have it.
pub fn remove_from_library(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let file = open_library(tx, tenant.company, id)?;
    let records = tx.one(
        "SELECT COUNT(*) FROM file_attachments WHERE company_id = $1 AND file_id = $2",
        &params![tenant.company, id],
        |row| row.i64(0),
    )?;
    if records > 0 {
        let words = "Records have this file attached. Detach it there first.";
        return Err(Problem::conflict("file_attached", words).with_extra("attachments", records));
    }
    remove(tx, kernel, tenant.company, id)?;
    written(
        tx,
        kernel,
        tenant,
        ("delete", "core.file.deleted"),
        id,
        &file.name,
        json!({"id": id.to_string(), "name": file.name}),
    )
}

/// Deletes a file's row and thumbnails; the content follows when that is durable. False when there is no such file.
///
/// # Errors
/// The database's; a file that records have attached cannot be removed.
pub fn remove(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) -> Result<bool> {
    let sql = format!("{SELECT}{}", dialect::for_update(tx.engine()));
    let Some(file) = tx.first(&sql, &params![company, id], file_of)? else { return Ok(false) };
    let now = kernel.now();
    let thumbnails = tx.query(
        "SELECT blob_key FROM file_thumbnails WHERE company_id = $1 AND file_id = $2",
        &params![company, id],
        |row| Ok(row.opt_text(0)?.map(str::to_owned)),
    )?;
    for key in thumbnails.iter().flatten() {
        ledger::abandon(tx, company, key, now)?;
    }
    tx.push("DELETE FROM file_thumbnails WHERE company_id = $1 AND file_id = $2", params![company, id])?;
    tx.execute("DELETE FROM files WHERE company_id = $1 AND id = $2", &params![company, id])?;
    ledger::abandon(tx, company, &file.blob_key, now)?;
    if file.purpose.counts() {
        charge(tx, company, -i64::try_from(file.size_bytes).unwrap_or(i64::MAX))?;
    }
    sweep::soon(tx, kernel, company)?;
    Ok(true)
}

/// Bytes that the company's files take.
///
/// # Errors
/// The database's.
pub fn used_bytes(reader: &mut Reader<'_>, company: CompanyId) -> Result<i64, StoreError> {
    let sql = "SELECT used_bytes FROM file_accounts WHERE company_id = $1";
    Ok(reader.first(sql, &params![company], |row| row.i64(0))?.unwrap_or(0))
}

pub(super) fn add_used(tx: &mut Tx<'_>, company: CompanyId, bytes: i64) -> Result<i64, StoreError> {
    tx.one(
        "INSERT INTO file_accounts (company_id, used_bytes) VALUES ($1, $2) \
         ON CONFLICT (company_id) DO UPDATE SET used_bytes = file_accounts.used_bytes + $2 RETURNING used_bytes",
        &params![company, bytes],
        |row| row.i64(0),
    )
}

/// Makes contents those of rows that are written already, and counts them; whether there is room for so much was the operator's to
/// ask, who brings a whole company in.
///
/// # Errors
/// 503 when the sweep has given one up already.
pub(crate) fn settle_arrived<'r>(
    tx: &mut Tx<'_>,
    company: CompanyId,
    contents: impl Iterator<Item = &'r Received>,
) -> Result<()> {
    let mut bytes = 0;
    for content in contents {
        ledger::settle(tx, company, &content.blob_key)?;
        bytes += i64::try_from(content.size_bytes).map_err(Problem::internal)?;
    }
    add_used(tx, company, bytes)?;
    Ok(())
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    (action, kind): (&str, &str),
    id: Uuid,
    name: &str,
    payload: serde_json::Value,
) -> Result<()> {
    let target = id.to_string();
    let entry = audit::Entry { action, module: "core", resource: "files", target: &target, label: name, changes: None };
    audit::record(tx, kernel, tenant, entry)?;
    event::emit(tx, kernel, tenant, kind, &format!("core/files/{id}"), payload.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_harmless() {
        for (given, kept) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.pdf", "a.pdf"),
            ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            (".htaccess", "htaccess"),
            ("  ", "file"),
            ("Ü é.txt", "Ü é.txt"),
        ] {
            assert_eq!(harmless_name(given), kept);
        }
        assert!(harmless_name(&"é".repeat(400)).len() <= MAX_NAME);
    }
}
