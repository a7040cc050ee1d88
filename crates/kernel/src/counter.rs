//! Counter rows: human numbers, and counts that a list can show without scanning.
//!
//! One row a company and name. On PostgreSQL the row that an UPDATE changes is the lock; on SQLite the one writer is.

use loopd_store::{Engine, Reader, StoreError, Tx, params};
use loopd_types::CompanyId;

const READ: &str = "SELECT value FROM counters WHERE company_id = $1 AND name = $2";
const ADD: &str = "UPDATE counters SET value = value + 1, live = live + $3 WHERE company_id = $1 AND name = $2";
/// What a create learns: the number it got.
const BUMP: &str =
    "UPDATE counters SET value = value + 1, live = live + $3 WHERE company_id = $1 AND name = $2 RETURNING value";
const FIRST: &str = "INSERT INTO counters (company_id, name, value, live, deleted) VALUES ($1, $2, 1, $3, 0) \
     ON CONFLICT (company_id, name) DO UPDATE SET value = counters.value + 1, live = counters.live + $3 RETURNING value";
const MOVE: &str = "UPDATE counters SET live = live + $3, deleted = deleted + $4 WHERE company_id = $1 AND name = $2";

/// The next number of a series, from 1. Gaps appear only when a transaction is rolled back before it gave the number out: never.
pub fn next(tx: &mut Tx<'_>, company: CompanyId, name: &str) -> Result<i64, StoreError> {
    bump(tx, company, name, 0)
}

/// The next number of a series whose new row is one more living row.
pub fn next_live(tx: &mut Tx<'_>, company: CompanyId, name: &str) -> Result<i64, StoreError> {
    bump(tx, company, name, 1)
}

fn bump(tx: &mut Tx<'_>, company: CompanyId, name: &str, live: i64) -> Result<i64, StoreError> {
    let params = params![company, name, live];
    let bumped = match tx.engine() {
        // One writer: nobody comes between the two, which together cost half of a RETURNING.
        Engine::Sqlite => {
            let value = tx.first(READ, &params[..2], |row| row.i64(0))?;
            if value.is_some() {
                tx.push(ADD, params.to_vec())?;
            }
            value.map(|value| value + 1)
        }
        Engine::Postgres => tx.first(BUMP, &params, |row| row.i64(0))?,
    };
    match bumped {
        Some(value) => Ok(value),
        None => tx.one(FIRST, &params, |row| row.i64(0)),
    }
}

/// Moves `live` and `deleted` by these amounts: a delete is (-1, 1), a restore (1, -1).
pub fn shift(tx: &mut Tx<'_>, company: CompanyId, name: &str, live: i64, deleted: i64) -> Result<(), StoreError> {
    tx.push(MOVE, params![company, name, live, deleted])
}

/// Living and deleted rows of a series; zeros when nothing was ever made.
pub fn counts(reader: &mut Reader<'_>, company: CompanyId, name: &str) -> Result<(i64, i64), StoreError> {
    let found = reader.first(
        "SELECT live, deleted FROM counters WHERE company_id = $1 AND name = $2",
        &params![company, name],
        |row| Ok((row.i64(0)?, row.i64(1)?)),
    )?;
    Ok(found.unwrap_or((0, 0)))
}
