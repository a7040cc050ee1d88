//! Platform keys: they belong to a company, whose owners and administrators make them, and manage its projects.

use loopd_kernel::credential::{self, KeyBounds, Minted, NewKey};
use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};
use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::Tx;
use loopd_types::{Result, Uuid};
use serde_json::json;

use super::{PLATFORM, PRODUCT, store};

/// Platform keys as the API shows them; never the hash.
pub const LISTING: Listing = Listing {
    from: "(SELECT * FROM credentials WHERE kind = 'platform') k",
    columns: &COLUMNS,
    company: Some("k.company_id"),
    id: "k.id",
    order: "k.company_id, k.id",
};
const COLUMNS: [Column; 12] = [
    column("id", "k.id", ColumnKind::Uuid),
    column("company", "k.company_id", ColumnKind::Company),
    searched("name", "k.name"),
    searched("prefix", "k.prefix"),
    column("created_by", "k.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "k.created_at", ColumnKind::Time),
    column("last_used_at", "k.last_used_at", ColumnKind::Time).nullable(),
    column("use_count", "k.use_count", ColumnKind::Int),
    column("expires_at", "k.expires_at", ColumnKind::Time).nullable(),
    column("allowed_networks", "k.allowed_networks", ColumnKind::Json).nullable(),
    column("rotated_from", "k.rotated_from", ColumnKind::Uuid).nullable(),
    column("revoked_at", "k.revoked_at", ColumnKind::Time).nullable(),
];

/// Makes a platform key; its secret is given this once.
///
/// # Errors
/// 403 for networks wider than those of the key that makes it.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, name: &str, bounds: &KeyBounds) -> Result<Minted> {
    let minted = credential::issue(
        tx,
        kernel,
        &NewKey {
            kind: &PLATFORM,
            company: tenant.company,
            name,
            user: None,
            subject: None,
            // What it may is what it is: it manages projects.
            scopes: &[],
            limits: &bounds.of_new(tenant)?,
            expires_at: bounds.expires_at.flatten(),
            rotated_from: None,
            by: tenant.actor.user,
        },
    )?;
    written(tx, kernel, tenant, minted.id, name, "create", "created")?;
    Ok(minted)
}

/// Revokes a platform key; the next request with it is refused. Repeating it changes nothing.
///
/// # Errors
/// 404.
pub fn revoke(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let (name, is_revoked) = store::platform_key(tx, tenant.company, id)?;
    if is_revoked {
        return Ok(());
    }
    credential::end(tx, kernel, tenant.company, id)?;
    written(tx, kernel, tenant, id, &name, "revoke", "revoked")
}

/// Makes a successor with the same bounds; the old secret lives on for `grace` seconds, a day unless said.
///
/// # Errors
/// 404; 409 `key_revoked`, `key_expired`, `key_rotated`.
pub fn rotate(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, grace: Option<i64>) -> Result<Minted> {
    let (minted, name) = credential::rotate_of(tx, kernel, tenant, &PLATFORM, id, grace)?;
    written(tx, kernel, tenant, minted.id, &name, "rotate", "rotated")?;
    Ok(minted)
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
    let entry = audit::Entry {
        action,
        module: PRODUCT,
        resource: "platform-keys",
        target: &target,
        label: name,
        changes: None,
    };
    audit::record(tx, kernel, tenant, entry)?;
    let kind = format!("{PRODUCT}.platform-keys.{event}");
    let subject = format!("{PRODUCT}/platform-keys/{id}");
    event::emit(tx, kernel, tenant, &kind, &subject, json!({"id": target, "name": name}).to_string())
}
