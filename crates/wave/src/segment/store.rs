//! Segments in the database.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Row, StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

use super::Conditions;
use crate::PRODUCT;

/// A segment.
#[derive(Clone, Debug)]
pub struct Segment {
    pub id: Uuid,
    pub name: String,
    pub filter: Conditions,
    pub created_by: Option<Uuid>,
    pub created_at: Timestamp,
    pub version: i64,
}

const SELECT: &str =
    "SELECT id, name, filter, created_by, created_at, version FROM wave_segments WHERE company_id = $1";
/// Segments of one company.
const MOST: i64 = 200;

fn read(row: &Row<'_>) -> Result<Segment, StoreError> {
    let broken = |_| StoreError::Other("a segment's row holds conditions that nobody knows".into());
    Ok(Segment {
        id: row.uuid(0)?,
        name: row.text(1)?.to_owned(),
        // Unlike a view of chats: conditions that are not understood must not become everybody.
        filter: serde_json::from_str(row.json(2)?).map_err(broken)?,
        created_by: row.opt_uuid(3)?,
        created_at: row.time(4)?,
        version: row.i64(5)?,
    })
}

/// All of them, by name.
pub fn list(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Segment>, StoreError> {
    reader.query(&format!("{SELECT} ORDER BY name, id LIMIT {MOST}"), &params![company], read)
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Segment> {
    let sql = format!("{SELECT} AND id = $2");
    reader.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// Keeps a new segment.
///
/// # Errors
/// 409 `too_many_segments`.
pub fn insert(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, segment: &Segment) -> Result<()> {
    let sql = "SELECT count(*) FROM wave_segments WHERE company_id = $1";
    if tx.one(sql, &params![tenant.company], |row| row.i64(0))? >= MOST {
        return Err(Problem::conflict("too_many_segments", format!("There are {MOST} already; delete one first.")));
    }
    let filter = serde_json::to_string(&segment.filter).map_err(Problem::internal)?;
    tx.execute(
        "INSERT INTO wave_segments (company_id, id, name, filter, created_by, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
        &params![
            tenant.company,
            segment.id,
            segment.name.as_str(),
            Value::Json(filter),
            segment.created_by,
            kernel.now()
        ],
    )?;
    written(tx, kernel, tenant, segment, "create")
}

/// Keeps what changed of a segment.
///
/// # Errors
/// The database's.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, segment: &Segment) -> Result<()> {
    let filter = serde_json::to_string(&segment.filter).map_err(Problem::internal)?;
    tx.execute(
        "UPDATE wave_segments SET name = $3, filter = $4, updated_at = $5, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, segment.id, segment.name.as_str(), Value::Json(filter), kernel.now()],
    )?;
    written(tx, kernel, tenant, segment, "update")
}

/// # Errors
/// The database's.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, segment: &Segment) -> Result<()> {
    tx.execute("DELETE FROM wave_segments WHERE company_id = $1 AND id = $2", &params![tenant.company, segment.id])?;
    written(tx, kernel, tenant, segment, "delete")
}

fn written(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, segment: &Segment, action: &str) -> Result<()> {
    let target = segment.id.to_string();
    let label = segment.name.as_str();
    let entry = audit::Entry { action, module: PRODUCT, resource: "segments", target: &target, label, changes: None };
    audit::record(tx, kernel, tenant, entry)?;
    let act = match action {
        "create" => "created",
        "update" => "updated",
        _ => "deleted",
    };
    let (subject, data) = (format!("{PRODUCT}/segments/{target}"), super::http::row(segment, None));
    crate::event::emit(tx, kernel, tenant, &format!("{PRODUCT}.segments.{act}"), &subject, data, None)
}
