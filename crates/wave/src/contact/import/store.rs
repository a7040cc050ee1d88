//! Imports in the database: what was asked for and how far it is, and the rows in chunks.

use loopd_kernel::listing::{Column, ColumnKind, Listing, column};
use loopd_store::{Reader, Row, StoreError, Tx, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::Value as Json;

use super::CHUNK_ROWS;
use super::rules::File;

/// Imports as people see them.
pub const LISTING: Listing = Listing {
    from: "wave_contact_imports i",
    columns: &COLUMNS,
    company: Some("i.company_id"),
    id: "i.id",
    order: "i.company_id, i.id DESC",
};
const COLUMNS: [Column; 14] = [
    column("id", "i.id", ColumnKind::Uuid),
    column("company", "i.company_id", ColumnKind::Company),
    column("state", "i.state", ColumnKind::Text),
    column("dry_run", "i.is_dry_run", ColumnKind::Bool),
    column("total", "i.total", ColumnKind::Int),
    column("done", "i.done", ColumnKind::Int),
    column("created", "i.created", ColumnKind::Int),
    column("updated", "i.updated", ColumnKind::Int),
    column("unchanged", "i.unchanged", ColumnKind::Int),
    column("refused", "i.refused", ColumnKind::Int),
    column("last_error", "i.last_error", ColumnKind::Text).nullable(),
    column("created_by", "i.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "i.created_at", ColumnKind::Time),
    column("finished_at", "i.finished_at", ColumnKind::Time).nullable(),
];

/// An import.
#[derive(Clone, Debug)]
pub struct Import {
    pub id: Uuid,
    /// `queued`, `done`, `failed`.
    pub state: String,
    pub is_dry_run: bool,
    pub columns: Vec<String>,
    pub targets: Vec<Option<String>>,
    pub total: i64,
    pub done: i64,
    pub created_by: Option<Uuid>,
}

/// What became of a chunk.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub rows: i64,
    pub created: i64,
    pub updated: i64,
    pub unchanged: i64,
    /// `{"row", "cells", "errors": [{"field", "code", "message"}]}`
    pub refusals: Vec<Json>,
}

/// Keeps an import and its rows.
///
/// # Errors
/// The database's.
pub fn insert(tx: &mut Tx<'_>, company: CompanyId, import: &Import, file: &File, now: Timestamp) -> Result<()> {
    let json = |value: Json| Value::Json(value.to_string());
    tx.execute(
        "INSERT INTO wave_contact_imports (company_id, id, state, is_dry_run, columns, targets, total, created_by, created_at) \
         VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $8)",
        &params![
            company,
            import.id,
            import.is_dry_run,
            json(Json::from(import.columns.clone())),
            json(Json::from(import.targets.clone())),
            import.total,
            import.created_by,
            now
        ],
    )?;
    for (position, rows) in (0_i64..).zip(file.rows.chunks(CHUNK_ROWS)) {
        let cells = serde_json::to_string(rows).map_err(Problem::internal)?;
        tx.push(
            "INSERT INTO wave_contact_import_chunks (company_id, import_id, position, cells, is_done, refusals) \
             VALUES ($1, $2, $3, $4, FALSE, $5)",
            params![company, import.id, position, Value::Json(cells), Value::Json("[]".into())],
        )?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Import, StoreError> {
    let broken = |_| StoreError::Other("an import's row holds what no import is".into());
    Ok(Import {
        id: row.uuid(0)?,
        state: row.text(1)?.to_owned(),
        is_dry_run: row.bool(2)?,
        columns: serde_json::from_str(row.json(3)?).map_err(broken)?,
        targets: serde_json::from_str(row.json(4)?).map_err(broken)?,
        total: row.i64(5)?,
        done: row.i64(6)?,
        created_by: row.opt_uuid(7)?,
    })
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Import> {
    let sql = "SELECT id, state, is_dry_run, columns, targets, total, done, created_by FROM wave_contact_imports \
         WHERE company_id = $1 AND id = $2";
    reader.first(sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// As [`get`], held until the transaction ends.
///
/// # Errors
/// 404.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Import> {
    let sql = format!(
        "SELECT id, state, is_dry_run, columns, targets, total, done, created_by FROM wave_contact_imports \
         WHERE company_id = $1 AND id = $2{}",
        dialect::for_update(tx.engine())
    );
    tx.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// Rows of cells, and the place of their chunk.
pub type Chunk = (i64, Vec<Vec<String>>);

/// The rows that are next.
pub fn next_chunk(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<Chunk>, StoreError> {
    let sql = "SELECT position, cells FROM wave_contact_import_chunks WHERE company_id = $1 AND import_id = $2 AND NOT is_done \
         ORDER BY position LIMIT 1";
    reader.first(sql, &params![company, id], |row| {
        let broken = |_| StoreError::Other("an import's chunk holds what no rows are".into());
        Ok((row.i64(0)?, serde_json::from_str(row.json(1)?).map_err(broken)?))
    })
}

/// Notes what became of a chunk; its rows go, but for those that were refused.
///
/// # Errors
/// The database's.
pub fn settle(
    tx: &mut Tx<'_>,
    company: CompanyId,
    id: Uuid,
    position: i64,
    outcome: &Outcome,
) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_contact_import_chunks SET is_done = TRUE, cells = $4, refusals = $5 \
         WHERE company_id = $1 AND import_id = $2 AND position = $3",
        params![
            company,
            id,
            position,
            Value::Json("[]".into()),
            Value::Json(Json::from(outcome.refusals.clone()).to_string())
        ],
    )?;
    let refused = i64::try_from(outcome.refusals.len()).unwrap_or(i64::MAX);
    tx.push(
        "UPDATE wave_contact_imports SET done = done + $3, created = created + $4, updated = updated + $5, unchanged = unchanged + $6, \
         refused = refused + $7 WHERE company_id = $1 AND id = $2",
        params![company, id, outcome.rows, outcome.created, outcome.updated, outcome.unchanged, refused],
    )
}

/// Ends an import.
///
/// # Errors
/// The database's.
pub fn finish(
    tx: &mut Tx<'_>,
    company: CompanyId,
    id: Uuid,
    state: &str,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_contact_imports SET state = $3, last_error = $4, finished_at = $5 WHERE company_id = $1 AND id = $2",
        params![company, id, state, error, now],
    )
}

/// The rows that were refused, in their order; the first so many.
pub fn refusals(reader: &mut Reader<'_>, company: CompanyId, id: Uuid, most: usize) -> Result<Vec<Json>, StoreError> {
    let sql = "SELECT refusals FROM wave_contact_import_chunks WHERE company_id = $1 AND import_id = $2 AND is_done ORDER BY position";
    let mut all: Vec<Json> = Vec::new();
    reader.each(sql, &params![company, id], |row| {
        if all.len() < most {
            let of_chunk: Vec<Json> = serde_json::from_str(row.json(0)?).unwrap_or_default();
            all.extend(of_chunk);
        }
        Ok(())
    })?;
    all.truncate(most);
    Ok(all)
}
