//! What an erasure did: numbers by table, never names. Written as it goes on, read later by the operator.

use loopd_store::{Tx, Value, dialect, params};
use loopd_types::{Problem, Result, Uuid};
use serde::{Deserialize, Serialize};

use crate::listing::{Column, ColumnKind, Listing, column};

/// What became of the rows of one table.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    pub table: String,
    /// Rows that are gone.
    pub erased: u64,
    /// Rows that stay without the person.
    pub pseudonymised: u64,
    /// Rows that stay and tell of the person by their id.
    pub kept: u64,
    /// Why rows stay.
    pub ground: String,
}

/// Erasures as the API shows them; newest first.
pub const LISTING: Listing =
    Listing { from: "erasures e", columns: &COLUMNS, company: Some("e.company_id"), id: "e.id", order: "e.id DESC" };
const COLUMNS: [Column; 10] = [
    column("id", "e.id", ColumnKind::Uuid),
    column("company", "e.company_id", ColumnKind::Company).nullable(),
    column("kind", "e.kind", ColumnKind::Text),
    column("subject", "e.subject", ColumnKind::Uuid).nullable(),
    column("asked_through", "e.asked_through", ColumnKind::Text),
    column("asked_by", "e.asked_by", ColumnKind::Uuid).nullable(),
    column("state", "e.state", ColumnKind::Text),
    column("report", "e.report", ColumnKind::Json),
    column("created_at", "e.created_at", ColumnKind::Time),
    column("finished_at", "e.finished_at", ColumnKind::Time).nullable(),
];

/// Adds to a table's line; a table of which there is nothing to tell has none.
pub(super) fn add(lines: &mut Vec<Line>, table: &str, ground: &str, change: impl FnOnce(&mut Line)) {
    let at = lines.iter().position(|line| line.table == table).unwrap_or_else(|| {
        lines.push(Line { table: table.to_owned(), ..Line::default() });
        lines.len() - 1
    });
    change(&mut lines[at]);
    let line = &mut lines[at];
    if line.pseudonymised + line.kept > 0 {
        ground.clone_into(&mut line.ground);
    }
    lines.retain(|line| line.erased + line.pseudonymised + line.kept > 0);
}

/// Lets one process at a time go on with an erasure, until the end of the transaction.
pub(super) fn lock(tx: &mut Tx<'_>, erasure: Uuid) -> Result<()> {
    let sql = format!("SELECT 1 FROM erasures WHERE id = $1{}", dialect::for_update(tx.engine()));
    Ok(tx.one(&sql, &params![erasure], |_| Ok(()))?)
}

/// Changes what was found and done so far: the report and what was gone through, as `change` leaves them. Gives what `change` gives; others
/// wait for this transaction.
pub(super) fn update<P, T>(
    tx: &mut Tx<'_>,
    erasure: Uuid,
    change: impl FnOnce(&mut Vec<Line>, &mut P) -> Result<T>,
) -> Result<T>
where
    P: Serialize + for<'d> Deserialize<'d>,
{
    let sql = format!("SELECT report, progress FROM erasures WHERE id = $1{}", dialect::for_update(tx.engine()));
    let (report, progress) =
        tx.one(&sql, &params![erasure], |row| Ok((row.json(0)?.to_owned(), row.json(1)?.to_owned())))?;
    let mut report = serde_json::from_str(&report).map_err(Problem::internal)?;
    let mut progress = serde_json::from_str(&progress).map_err(Problem::internal)?;
    let given = change(&mut report, &mut progress)?;
    let report = serde_json::to_string(&report).map_err(Problem::internal)?;
    let progress = serde_json::to_string(&progress).map_err(Problem::internal)?;
    tx.execute(
        "UPDATE erasures SET report = $2, progress = $3 WHERE id = $1",
        &params![erasure, Value::Json(report), Value::Json(progress)],
    )?;
    Ok(given)
}
