//! Keys in the database: rows of the kernel's credentials.

use loopd_kernel::credential::{self, KeyBounds, Minted, NewKey};
use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};
use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::{Tx, params};
use loopd_types::{Network, Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::LIVE;
use crate::PRODUCT;

/// Keys as people see them; never the hash.
pub const LISTING: Listing = Listing {
    from: "(SELECT c.*, c.disabled_at IS NULL AND c.revoked_at IS NULL AS is_enabled FROM credentials c WHERE c.kind = 'wave') k",
    columns: &COLUMNS,
    company: Some("k.company_id"),
    id: "k.id",
    order: "k.company_id, k.id",
};
const COLUMNS: [Column; 15] = [
    column("id", "k.id", ColumnKind::Uuid),
    column("company", "k.company_id", ColumnKind::Company),
    searched("name", "k.name"),
    searched("prefix", "k.prefix"),
    column("scopes", "k.scopes", ColumnKind::Json),
    column("created_by", "k.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "k.created_at", ColumnKind::Time),
    column("last_used_at", "k.last_used_at", ColumnKind::Time).nullable(),
    column("use_count", "k.use_count", ColumnKind::Int),
    column("enabled", "k.is_enabled", ColumnKind::Bool),
    column("updated_at", "k.updated_at", ColumnKind::Time),
    column("expires_at", "k.expires_at", ColumnKind::Time).nullable(),
    column("allowed_networks", "k.allowed_networks", ColumnKind::Json).nullable(),
    column("rotated_from", "k.rotated_from", ColumnKind::Uuid).nullable(),
    column("revoked_at", "k.revoked_at", ColumnKind::Time).nullable(),
];

/// Makes a key; its secret is given this once.
///
/// # Errors
/// 403 for networks wider than those of the key that makes it.
pub fn create(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    name: &str,
    scopes: &[String],
    bounds: &KeyBounds,
) -> Result<Minted> {
    let new = NewKey {
        kind: &LIVE,
        company: tenant.company,
        name,
        user: None,
        subject: None,
        scopes,
        limits: &bounds.of_new(tenant)?,
        expires_at: bounds.expires_at.flatten(),
        rotated_from: None,
        by: tenant.actor.user,
    };
    let minted = credential::issue(tx, kernel, &new)?;
    written(tx, kernel, tenant, minted.id, name, "create", "created", None)?;
    Ok(minted)
}

/// Revokes a key; the next request with it is refused. Repeating it changes nothing.
///
/// # Errors
/// 404.
pub fn revoke(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let known = find(tx, tenant, id)?;
    if known.is_revoked {
        return Ok(());
    }
    credential::end(tx, kernel, tenant.company, id)?;
    written(tx, kernel, tenant, id, &known.name, "revoke", "revoked", None)
}

/// Makes a successor with the same scopes and bounds; the old secret lives on for `grace` seconds, a day unless said.
///
/// # Errors
/// 404; 409 `key_revoked`, `key_disabled`, `key_expired`, `key_rotated`.
pub fn rotate(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, grace: Option<i64>) -> Result<Minted> {
    let (minted, name) = credential::rotate_of(tx, kernel, tenant, &LIVE, id, grace)?;
    written(tx, kernel, tenant, minted.id, &name, "rotate", "rotated", None)?;
    Ok(minted)
}

/// What is known of a key before it changes.
struct Known {
    expires_at: Option<Timestamp>,
    networks: serde_json::Value,
    name: String,
    scopes: Vec<String>,
    is_enabled: bool,
    is_revoked: bool,
}

fn find(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid) -> Result<Known> {
    let sql = "SELECT name, scopes, disabled_at, revoked_at, expires_at, allowed_networks FROM credentials WHERE company_id = $1 AND id = $2 AND kind = 'wave'";
    tx.first(sql, &params![tenant.company, id], |row| {
        Ok(Known {
            name: row.text(0)?.to_owned(),
            scopes: serde_json::from_str(row.json(1)?).unwrap_or_default(),
            is_enabled: row.opt_time(2)?.is_none(),
            is_revoked: row.opt_time(3)?.is_some(),
            expires_at: row.opt_time(4)?,
            networks: row.opt_json(5)?.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        })
    })?
    .ok_or_else(Problem::not_found)
}

/// What changes of a key; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub name: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub is_enabled: Option<bool>,
    pub bounds: KeyBounds,
}

/// Renames a key, changes what it may, from where and until when, switches it off or on; its next request knows.
///
/// # Errors
/// 403 for networks wider than those of the caller's own key; 404; 409 `key_revoked`.
pub fn change(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, change: &Change) -> Result<()> {
    let known = find(tx, tenant, id)?;
    if known.is_revoked {
        return Err(Problem::conflict("key_revoked", "This key is revoked."));
    }
    let mut changes = serde_json::Map::new();
    if let Some(name) = change.name.as_ref().filter(|name| **name != known.name) {
        credential::rename(tx, kernel, tenant.company, id, name)?;
        changes.insert("name".to_owned(), json!([known.name, name]));
    }
    if let Some(scopes) = change.scopes.as_ref().filter(|scopes| **scopes != known.scopes) {
        credential::set_scopes(tx, kernel, tenant.company, id, scopes)?;
        changes.insert("scopes".to_owned(), json!([known.scopes, scopes]));
    }
    if let Some(is_enabled) = change.is_enabled.filter(|it| *it != known.is_enabled) {
        credential::set_enabled(tx, kernel, tenant.company, id, is_enabled)?;
        changes.insert("enabled".to_owned(), json!([known.is_enabled, is_enabled]));
    }
    let expiry = change.bounds.expires_at.filter(|end| *end != known.expires_at);
    if let Some(end) = expiry {
        changes.insert("expires_at".to_owned(), json!([known.expires_at, end]));
    }
    let networks = change.bounds.networks.clone().filter(|list| told(list.as_deref()) != known.networks);
    if let Some(list) = &networks {
        changes.insert("allowed_networks".to_owned(), json!([known.networks, told(list.as_deref())]));
    }
    if expiry.is_some() || networks.is_some() {
        credential::set_bounds(tx, kernel, tenant, id, &KeyBounds { expires_at: expiry, networks })?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    let name = change.name.as_ref().unwrap_or(&known.name);
    written(tx, kernel, tenant, id, name, "update", "updated", Some(serde_json::Value::Object(changes).to_string()))
}

/// Networks as they are stored and shown.
fn told(networks: Option<&[Network]>) -> serde_json::Value {
    networks.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>()).into()
}

#[expect(clippy::too_many_arguments, reason = "what an audit row and an event say")]
fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    name: &str,
    action: &str,
    event: &str,
    changes: Option<String>,
) -> Result<()> {
    let target = id.to_string();
    let entry = audit::Entry { action, module: PRODUCT, resource: "api-keys", target: &target, label: name, changes };
    audit::record(tx, kernel, tenant, entry)?;
    let kind = format!("{PRODUCT}.api-keys.{event}");
    let subject = format!("{PRODUCT}/api-keys/{id}");
    event::emit(tx, kernel, tenant, &kind, &subject, json!({"id": target, "name": name}).to_string())
}
