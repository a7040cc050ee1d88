//! Keys in the database: rows of the kernel's credentials.

use loopd_kernel::credential::{self, Limits, Minted, NewKey};
use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};
use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::{Tx, params};
use loopd_types::{Problem, Result, Uuid};
use serde_json::json;

use super::LIVE;
use crate::PRODUCT;

/// Keys as people see them; never the hash.
pub const LISTING: Listing = Listing {
    from: "(SELECT * FROM credentials WHERE kind = 'wave') k",
    columns: &COLUMNS,
    company: Some("k.company_id"),
    id: "k.id",
    order: "k.company_id, k.id",
};
const COLUMNS: [Column; 10] = [
    column("id", "k.id", ColumnKind::Uuid),
    column("company", "k.company_id", ColumnKind::Company),
    searched("name", "k.name"),
    searched("prefix", "k.prefix"),
    column("scopes", "k.scopes", ColumnKind::Json),
    column("created_by", "k.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "k.created_at", ColumnKind::Time),
    column("last_used_at", "k.last_used_at", ColumnKind::Time).nullable(),
    column("use_count", "k.use_count", ColumnKind::Int),
    column("revoked_at", "k.revoked_at", ColumnKind::Time).nullable(),
];

/// Makes a key; its secret is given this once.
///
/// # Errors
/// 503 from the database.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, name: &str, scopes: &[String]) -> Result<Minted> {
    let new = NewKey {
        kind: &LIVE,
        company: tenant.company,
        name,
        user: None,
        subject: None,
        scopes,
        limits: &Limits::default(),
        expires_at: None,
        rotated_from: None,
        by: tenant.actor.user,
    };
    let minted = credential::issue(tx, kernel, &new)?;
    written(tx, kernel, tenant, minted.id, name, "create", "created")?;
    Ok(minted)
}

/// Revokes a key; the next request with it is refused. Repeating it changes nothing.
///
/// # Errors
/// 404.
pub fn revoke(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let sql = "SELECT name, revoked_at FROM credentials WHERE company_id = $1 AND id = $2 AND kind = 'wave'";
    let read = |row: &loopd_store::Row<'_>| Ok((row.text(0)?.to_owned(), row.opt_time(1)?.is_some()));
    let (name, is_revoked) = tx.first(sql, &params![tenant.company, id], read)?.ok_or_else(Problem::not_found)?;
    if is_revoked {
        return Ok(());
    }
    credential::end(tx, kernel, tenant.company, id)?;
    written(tx, kernel, tenant, id, &name, "revoke", "revoked")
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    name: &str,
    action: &str,
    event: &str,
) -> Result<()> {
    let target = id.to_string();
    let entry =
        audit::Entry { action, module: PRODUCT, resource: "api-keys", target: &target, label: name, changes: None };
    audit::record(tx, kernel, tenant, entry)?;
    let kind = format!("{PRODUCT}.api-keys.{event}");
    let subject = format!("{PRODUCT}/api-keys/{id}");
    event::emit(tx, kernel, tenant, &kind, &subject, json!({"id": target, "name": name}).to_string())
}
