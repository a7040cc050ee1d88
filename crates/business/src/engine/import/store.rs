//! The tables of imports: what was asked for and how far it is, and the rows in chunks.

use loopd_kernel::listing::{self, ColumnKind as Shown, Listing};
use loopd_kernel::retention::Rule;
use loopd_store::ddl::{ColumnDef, ColumnKind, ForeignKeyDef, OnDelete, TableDef};
use loopd_store::{Reader, Row, StoreError, Tx, Value, dialect, params};
use loopd_types::{CompanyId, DAY_US, Result, Timestamp, Uuid};
use serde_json::Value as Json;

use super::{File, Way};

const IMPORTS: &str = "imports";
const CHUNKS: &str = "import_chunks";

pub fn tables() -> Vec<TableDef> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let (required, optional) = (ColumnDef::required, ColumnDef::optional);
    let imports = TableDef {
        name: IMPORTS.into(),
        columns: vec![
            required("company_id", ColumnKind::Int),
            required("id", ColumnKind::Uuid),
            required("module", ColumnKind::Text),
            required("resource", ColumnKind::Text),
            // queued, running, done, failed
            required("state", ColumnKind::Text),
            required("mode", ColumnKind::Text),
            required("dry_run", ColumnKind::Bool),
            // the file's columns, and the field of each or null
            required("columns", ColumnKind::Json),
            required("targets", ColumnKind::Json),
            required("total", ColumnKind::Int),
            required("done", ColumnKind::Int),
            required("created", ColumnKind::Int),
            required("updated", ColumnKind::Int),
            required("refused", ColumnKind::Int),
            optional("last_error", ColumnKind::Text),
            optional("workspace_id", ColumnKind::Uuid),
            required("created_by", ColumnKind::Uuid),
            required("created_at", ColumnKind::Int),
            optional("finished_at", ColumnKind::Int),
        ],
        primary_key: names(&["company_id", "id"]),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
    };
    let chunks = TableDef {
        name: CHUNKS.into(),
        columns: vec![
            required("company_id", ColumnKind::Int),
            required("import_id", ColumnKind::Uuid),
            required("position", ColumnKind::Int),
            // lists of cells; empty once they are done
            required("cells", ColumnKind::Json),
            required("is_done", ColumnKind::Bool),
            // [{"row", "cells", "errors": [{"field", "code", "message"}]}]
            required("refusals", ColumnKind::Json),
        ],
        primary_key: names(&["company_id", "import_id", "position"]),
        foreign_keys: vec![ForeignKeyDef {
            columns: names(&["company_id", "import_id"]),
            table: IMPORTS.into(),
            references: names(&["company_id", "id"]),
            on_delete: OnDelete::Cascade,
        }],
        indexes: Vec::new(),
    };
    vec![imports, chunks]
}

/// Columns of a table of imports with lists of rows that somebody sent.
pub fn lists_of_rows(table: &str) -> &'static [&'static str] {
    if table == CHUNKS { &["cells", "refusals"] } else { &[] }
}

/// Imports that ended a while ago: first the rows that they refused, then they themselves.
pub const RETENTION: [Rule; 2] = [
    Rule {
        name: "rows of imports",
        table: CHUNKS,
        key: "company_id, import_id, position",
        is_over: "EXISTS (SELECT 1 FROM imports i WHERE i.company_id = import_chunks.company_id AND i.id = import_chunks.import_id \
                  AND i.state IN ('done', 'failed') AND i.finished_at < $1)",
        keep_us: |settings| settings.import_days * DAY_US,
    },
    Rule {
        name: "imports",
        table: IMPORTS,
        key: "company_id, id",
        is_over: "state IN ('done', 'failed') AND finished_at < $1",
        keep_us: |settings| settings.import_days * DAY_US,
    },
];

/// Imports as the API shows them; newest first.
pub const COLUMNS: Listing =
    Listing { from: "imports i", columns: &SHOWN, company: Some("i.company_id"), id: "i.id", order: "i.id DESC" };
const SHOWN: [listing::Column; 16] = [
    listing::column("id", "i.id", Shown::Uuid),
    listing::column("company", "i.company_id", Shown::Company),
    listing::column("module", "i.module", Shown::Text),
    listing::column("resource", "i.resource", Shown::Text),
    listing::column("state", "i.state", Shown::Text),
    listing::column("mode", "i.mode", Shown::Text),
    listing::column("dry_run", "i.dry_run", Shown::Bool),
    listing::column("total", "i.total", Shown::Int),
    listing::column("done", "i.done", Shown::Int),
    listing::column("created", "i.created", Shown::Int),
    listing::column("updated", "i.updated", Shown::Int),
    listing::column("refused", "i.refused", Shown::Int),
    listing::column("last_error", "i.last_error", Shown::Text).nullable(),
    listing::column("created_by", "i.created_by", Shown::Uuid),
    listing::column("created_at", "i.created_at", Shown::Time),
    listing::column("finished_at", "i.finished_at", Shown::Time).nullable(),
];

/// One import, as its work needs it.
#[derive(Clone, Debug)]
pub struct Import {
    pub id: Uuid,
    /// `module/resource`
    pub path: String,
    pub state: String,
    pub way: Way,
    pub is_dry_run: bool,
    pub columns: Vec<String>,
    pub targets: Vec<Option<String>>,
    pub total: i64,
    pub done: i64,
    pub workspace: Option<Uuid>,
    pub created_by: Uuid,
}

/// What became of a chunk.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub rows: i64,
    pub created: i64,
    pub updated: i64,
    pub refusals: Vec<Json>,
}

pub fn insert(tx: &mut Tx<'_>, company: CompanyId, import: &Import, file: &File, now: Timestamp) -> Result<()> {
    let (module, resource) = import.path.split_once('/').unwrap_or_default();
    tx.execute(
        "INSERT INTO imports (company_id, id, module, resource, state, mode, dry_run, columns, targets, total, done, created, updated, \
         refused, workspace_id, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, 0, $11, $12, $13)",
        &params![
            company,
            import.id,
            module,
            resource,
            import.state.as_str(),
            import.way.as_str(),
            import.is_dry_run,
            Json::from(import.columns.clone()),
            Json::from(import.targets.clone()),
            import.total,
            import.workspace,
            import.created_by,
            now
        ],
    )?;
    for (position, cells) in file.pieces()?.enumerate() {
        // Not pushed: what waits to travel with others is held in memory.
        tx.execute(
            "INSERT INTO import_chunks (company_id, import_id, position, cells, is_done, refusals) VALUES ($1, $2, $3, $4, $5, $6)",
            &params![company, import.id, position as i64, Value::Json(cells?), false, Value::Json("[]".into())],
        )?;
    }
    Ok(())
}

pub fn find(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<Import>> {
    Ok(reader.first(
        "SELECT id, module, resource, state, mode, dry_run, columns, targets, total, done, workspace_id, created_by FROM imports \
         WHERE company_id = $1 AND id = $2",
        &params![company, id],
        read,
    )?)
}

fn read(row: &Row<'_>) -> Result<Import, StoreError> {
    Ok(Import {
        id: row.uuid(0)?,
        path: format!("{}/{}", row.text(1)?, row.text(2)?),
        state: row.text(3)?.to_owned(),
        way: Way::parse(row.text(4)?).unwrap_or(Way::Create),
        is_dry_run: row.bool(5)?,
        columns: serde_json::from_str(row.json(6)?).unwrap_or_default(),
        targets: serde_json::from_str(row.json(7)?).unwrap_or_default(),
        total: row.i64(8)?,
        done: row.i64(9)?,
        workspace: row.opt_uuid(10)?,
        created_by: row.uuid(11)?,
    })
}

/// The first chunk that is not done, locked: its place and its rows.
pub fn next_chunk(tx: &mut Tx<'_>, company: CompanyId, import: Uuid) -> Result<Option<(i64, Vec<Vec<Json>>)>> {
    let sql = format!(
        "SELECT position, cells FROM import_chunks WHERE company_id = $1 AND import_id = $2 AND NOT is_done \
         ORDER BY position LIMIT 1{}",
        dialect::for_update(tx.engine())
    );
    Ok(tx.first(&sql, &params![company, import], |row| {
        Ok((row.i64(0)?, serde_json::from_str(row.json(1)?).unwrap_or_default()))
    })?)
}

/// Writes what became of a chunk. Its rows are no longer needed: those that were refused stand among the refusals.
pub fn settle(tx: &mut Tx<'_>, company: CompanyId, import: Uuid, position: i64, outcome: &Outcome) -> Result<()> {
    tx.push(
        "UPDATE import_chunks SET is_done = $4, cells = $5, refusals = $6 WHERE company_id = $1 AND import_id = $2 AND position = $3",
        params![
            company,
            import,
            position,
            true,
            Value::Json("[]".into()),
            Json::from(outcome.refusals.clone())
        ],
    )?;
    tx.push(
        "UPDATE imports SET state = 'running', done = done + $3, created = created + $4, updated = updated + $5, refused = refused + $6 \
         WHERE company_id = $1 AND id = $2",
        params![
            company,
            import,
            outcome.rows,
            outcome.created,
            outcome.updated,
            outcome.refusals.len() as i64
        ],
    )?;
    Ok(())
}

/// `done`, or `failed` with the reason.
pub fn finish(
    tx: &mut Tx<'_>,
    company: CompanyId,
    import: Uuid,
    state: &str,
    error: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    tx.push(
        "UPDATE imports SET state = $3, last_error = $4, finished_at = $5 WHERE company_id = $1 AND id = $2",
        params![company, import, state, error, now],
    )?;
    Ok(())
}

/// The refused rows of one chunk from `position` on, and where the next one is.
pub fn errors(
    reader: &mut Reader<'_>,
    company: CompanyId,
    import: Uuid,
    position: i64,
) -> Result<Option<(i64, Vec<Json>)>> {
    Ok(reader.first(
        "SELECT position, refusals FROM import_chunks WHERE company_id = $1 AND import_id = $2 AND position >= $3 ORDER BY position LIMIT 1",
        &params![company, import, position],
        |row| Ok((row.i64(0)? + 1, serde_json::from_str(row.json(1)?).unwrap_or_default())),
    )?)
}
