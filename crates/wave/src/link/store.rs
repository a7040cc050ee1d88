//! Links in the database.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Row, StoreError, Tx, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::{How, Owner};
use crate::PRODUCT;

/// A link.
#[derive(Clone, Debug)]
pub struct Link {
    pub id: Uuid,
    pub owner_kind: String,
    pub owner_id: Uuid,
    /// `booking/customers`
    pub resource: String,
    pub record: Uuid,
    pub how: String,
    pub created_by: Option<Uuid>,
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT id, owner_kind, owner_id, resource, record_id, how, created_by, created_at FROM wave_links WHERE company_id = $1";
/// The code of a refusal to link more.
pub const TOO_MANY: &str = "too_many_links";
/// Links of one thing.
const MOST: i64 = 100;

fn read(row: &Row<'_>) -> Result<Link, StoreError> {
    Ok(Link {
        id: row.uuid(0)?,
        owner_kind: row.text(1)?.to_owned(),
        owner_id: row.uuid(2)?,
        resource: row.text(3)?.to_owned(),
        record: row.uuid(4)?,
        how: row.text(5)?.to_owned(),
        created_by: row.opt_uuid(6)?,
        created_at: row.time(7)?,
    })
}

/// The links of a contact, a chat or a ticket, oldest first.
pub fn of_owner(reader: &mut Reader<'_>, company: CompanyId, owner: &Owner) -> Result<Vec<Link>, StoreError> {
    let sql = format!("{SELECT} AND owner_kind = $2 AND owner_id = $3 ORDER BY created_at, id LIMIT {MOST}");
    reader.query(&sql, &params![company, owner.kind, owner.id], read)
}

/// The links of a record, oldest first.
pub fn of_record(
    reader: &mut Reader<'_>,
    company: CompanyId,
    resource: &str,
    record: Uuid,
) -> Result<Vec<Link>, StoreError> {
    let sql = format!("{SELECT} AND resource = $2 AND record_id = $3 ORDER BY created_at, id LIMIT {MOST}");
    reader.query(&sql, &params![company, resource, record], read)
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, owner: &Owner, id: Uuid) -> Result<Link> {
    let sql = format!("{SELECT} AND owner_kind = $2 AND owner_id = $3 AND id = $4");
    reader.first(&sql, &params![company, owner.kind, owner.id, id], read)?.ok_or_else(Problem::not_found)
}

/// Links; `false` when they are linked already.
///
/// # Errors
/// 409 `too_many_links`.
pub fn add(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    owner: &Owner,
    resource: &str,
    record: Uuid,
    how: How,
) -> Result<bool> {
    let company = tenant.company;
    let known = of_owner(tx, company, owner)?;
    if known.iter().any(|link| link.resource == resource && link.record == record) {
        return Ok(false);
    }
    if known.len() >= usize::try_from(MOST).unwrap_or(usize::MAX) {
        return Err(Problem::conflict(TOO_MANY, format!("There are {MOST} links already.")));
    }
    let made = tx.execute(
        "INSERT INTO wave_links (company_id, id, owner_kind, owner_id, resource, record_id, how, created_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (company_id, owner_kind, owner_id, resource, record_id) DO NOTHING",
        &params![
            company,
            kernel.new_id(),
            owner.kind,
            owner.id,
            resource,
            record,
            how.as_str(),
            tenant.actor.user,
            kernel.now()
        ],
    )?;
    if made == 1 {
        noted(tx, kernel, tenant, owner, "link", resource, record)?;
    }
    Ok(made == 1)
}

/// Takes a link away.
///
/// # Errors
/// The database's.
pub fn remove(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, owner: &Owner, link: &Link) -> Result<()> {
    tx.execute("DELETE FROM wave_links WHERE company_id = $1 AND id = $2", &params![tenant.company, link.id])?;
    noted(tx, kernel, tenant, owner, "unlink", &link.resource, link.record)
}

/// Moves the links of a contact that goes on in another.
///
/// # Errors
/// The database's.
pub fn moved(tx: &mut Tx<'_>, company: CompanyId, from: Uuid, to: Uuid) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM wave_links WHERE company_id = $1 AND owner_kind = 'contact' AND owner_id = $2 AND EXISTS \
         (SELECT 1 FROM wave_links o WHERE o.company_id = $1 AND o.owner_kind = 'contact' AND o.owner_id = $3 \
         AND o.resource = wave_links.resource AND o.record_id = wave_links.record_id)",
        &params![company, from, to],
    )?;
    tx.execute(
        "UPDATE wave_links SET owner_id = $3 WHERE company_id = $1 AND owner_kind = 'contact' AND owner_id = $2",
        &params![company, from, to],
    )?;
    Ok(())
}

fn noted(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    owner: &Owner,
    action: &str,
    resource: &str,
    record: Uuid,
) -> Result<()> {
    let (target, plural) = (owner.id.to_string(), format!("{}s", owner.kind));
    let told = json!({"resource": resource, "id": record.to_string()});
    let changes = Some(json!({"record": [null, told]}).to_string());
    let entry = audit::Entry { action, module: PRODUCT, resource: &plural, target: &target, label: "", changes };
    audit::record(tx, kernel, tenant, entry)?;
    let act = if action == "link" { "linked" } else { "unlinked" };
    let kind = format!("{PRODUCT}.{plural}.{act}");
    let data = json!({"id": target, "record": told});
    crate::event::emit(tx, kernel, tenant, &kind, &format!("{PRODUCT}/{plural}/{target}"), data, None)
}
