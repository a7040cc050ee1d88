//! Counter rows of a company: human numbers, and counts that a list can show without scanning.

use loopd_store::{Reader, StoreError, Tally, Tx};
use loopd_types::CompanyId;

/// The next number of a series, from 1. Gaps appear only when a transaction is rolled back before it gave the number out: never.
pub fn next(tx: &mut Tx<'_>, company: CompanyId, name: &str) -> Result<i64, StoreError> {
    Ok(tx.count(company.0, name, Tally { value: 1, ..Tally::default() })?.value)
}

/// The next number of a series whose new row is one more living row.
pub fn next_live(tx: &mut Tx<'_>, company: CompanyId, name: &str) -> Result<i64, StoreError> {
    Ok(tx.count(company.0, name, Tally { value: 1, live: 1, deleted: 0 })?.value)
}

/// Lets a series go on from `value` at least, and holds its row.
pub fn raise(tx: &mut Tx<'_>, company: CompanyId, name: &str, value: i64) -> Result<(), StoreError> {
    let last = tx.count(company.0, name, Tally::default())?.value;
    tx.count(company.0, name, Tally { value: (value - last).max(0), ..Tally::default() })?;
    Ok(())
}

/// Lets a series go on from `to` again if `from` is still the last number it gave out.
pub fn lower(tx: &mut Tx<'_>, company: CompanyId, name: &str, from: i64, to: i64) -> Result<(), StoreError> {
    let last = tx.count(company.0, name, Tally::default())?.value;
    if last == from {
        tx.count(company.0, name, Tally { value: to - from, ..Tally::default() })?;
    }
    Ok(())
}

/// The last number that a series gave out; 0 when it never did.
pub fn last(reader: &mut Reader<'_>, company: CompanyId, name: &str) -> Result<i64, StoreError> {
    Ok(reader.tally(company.0, name)?.value)
}

/// Moves `live` and `deleted` by these amounts: a delete is (-1, 1), a restore (1, -1).
pub fn shift(tx: &mut Tx<'_>, company: CompanyId, name: &str, live: i64, deleted: i64) -> Result<(), StoreError> {
    tx.shift(company.0, name, Tally { value: 0, live, deleted })
}

/// Living and deleted rows of a series; zeros when nothing was ever made.
pub fn counts(reader: &mut Reader<'_>, company: CompanyId, name: &str) -> Result<(i64, i64), StoreError> {
    let Tally { live, deleted, .. } = reader.tally(company.0, name)?;
    Ok((live, deleted))
}
