//! Saved views in the database.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Row, StoreError, Tx, Value, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::Wanted;
use crate::PRODUCT;

/// A saved view.
#[derive(Clone, Debug)]
pub struct SavedView {
    pub id: Uuid,
    /// Whose alone it is; `None`: it is shared.
    pub owner_id: Option<Uuid>,
    pub created_by: Option<Uuid>,
    pub name: String,
    pub filter: Wanted,
    pub created_at: Timestamp,
    pub version: i64,
}

const SELECT: &str = "SELECT id, owner_id, created_by, name, filter, created_at, version FROM wave_saved_views \
     WHERE company_id = $1 AND (owner_id IS NULL OR owner_id = $2)";

fn read(row: &Row<'_>) -> Result<SavedView, StoreError> {
    Ok(SavedView {
        id: row.uuid(0)?,
        owner_id: row.opt_uuid(1)?,
        created_by: row.opt_uuid(2)?,
        name: row.text(3)?.to_owned(),
        // What a later version wrote narrows nothing.
        filter: serde_json::from_str(row.json(4)?).unwrap_or_default(),
        created_at: row.time(5)?,
        version: row.i64(6)?,
    })
}

/// The caller's own and those that are shared, by name.
pub fn list(reader: &mut Reader<'_>, tenant: &Tenant) -> Result<Vec<SavedView>, StoreError> {
    let sql = format!("{SELECT} ORDER BY name, id LIMIT {MOST_READ}");
    reader.query(&sql, &params![tenant.company, tenant.actor.user], read)
}

/// One of those that the caller may see.
///
/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, tenant: &Tenant, id: Uuid) -> Result<SavedView> {
    let sql = format!("{SELECT} AND id = $3");
    reader.first(&sql, &params![tenant.company, tenant.actor.user, id], read)?.ok_or_else(Problem::not_found)
}

/// Views of one person, and shared ones of one company; more help nobody to find anything.
const MOST: i64 = 100;
const MOST_READ: i64 = 2 * MOST;

/// Keeps a new view.
///
/// # Errors
/// 409 `too_many_views`.
pub fn insert(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, view: &SavedView) -> Result<()> {
    let known = match view.owner_id {
        Some(owner) => tx.one(
            "SELECT count(*) FROM wave_saved_views WHERE company_id = $1 AND owner_id = $2",
            &params![tenant.company, owner],
            |row| row.i64(0),
        )?,
        None => tx.one(
            "SELECT count(*) FROM wave_saved_views WHERE company_id = $1 AND owner_id IS NULL",
            &params![tenant.company],
            |row| row.i64(0),
        )?,
    };
    if known >= MOST {
        return Err(Problem::conflict("too_many_views", format!("There are {MOST} views already; delete one first.")));
    }
    tx.execute(
        "INSERT INTO wave_saved_views (company_id, id, owner_id, created_by, name, filter, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        &params![
            tenant.company,
            view.id,
            view.owner_id,
            view.created_by,
            view.name.as_str(),
            Value::Json(filter(view)?),
            kernel.now()
        ],
    )?;
    written(tx, kernel, tenant, view, "create")
}

/// Keeps what changed of a view.
///
/// # Errors
/// The database's.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, view: &SavedView) -> Result<()> {
    tx.execute(
        "UPDATE wave_saved_views SET name = $3, filter = $4, updated_at = $5, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, view.id, view.name.as_str(), Value::Json(filter(view)?), kernel.now()],
    )?;
    written(tx, kernel, tenant, view, "update")
}

/// # Errors
/// The database's.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, view: &SavedView) -> Result<()> {
    tx.execute("DELETE FROM wave_saved_views WHERE company_id = $1 AND id = $2", &params![tenant.company, view.id])?;
    written(tx, kernel, tenant, view, "delete")
}

fn filter(view: &SavedView) -> Result<String> {
    serde_json::to_string(&view.filter).map_err(Problem::internal)
}

fn written(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, view: &SavedView, action: &str) -> Result<()> {
    let target = view.id.to_string();
    let entry = audit::Entry {
        action,
        module: PRODUCT,
        resource: "saved-views",
        target: &target,
        label: &view.name,
        changes: None,
    };
    audit::record(tx, kernel, tenant, entry)?;
    // What somebody keeps for themselves is told by its id alone.
    let data = match view.owner_id {
        None => super::http::row(view),
        Some(_) => json!({"id": view.id.to_string(), "shared": false}),
    };
    let subject = format!("{PRODUCT}/saved-views/{}", view.id);
    let act = match action {
        "create" => "created",
        "update" => "updated",
        _ => "deleted",
    };
    crate::event::emit(tx, kernel, tenant, &format!("{PRODUCT}.saved-views.{act}"), &subject, data, None)
}
