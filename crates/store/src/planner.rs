//! What SQLite's planner is told about the size of tables, so that it uses the indexes.
//!
//! Untold, it takes it that about ten rows have the same `company_id`, and goes through all rows of a company by the key of a
//! WITHOUT ROWID table rather than take an index and look each row up: through a million audit rows for the four of one record. The
//! figures here are a model and not a measurement (`ANALYZE` would take long on a large file and make plans depend on the day it
//! ran): large companies, and values that become rarer with every further column. The same schema gives the same plans everywhere.
//! <https://sqlite.org/fileformat2.html#the_sqlite_stat1_table>

use std::collections::BTreeMap;

use crate::{Engine, StoreError, Tx, params};

/// Rows of a table.
const ROWS: u64 = 1_000_000;
/// Rows of one company.
const OF_COMPANY: u64 = ROWS / 10;
/// Rows with the same value in the first column of an index that does not begin with the company: a person's sessions.
const OF_FIRST: u64 = 100;
/// How many times rarer a value is with each further column.
const RARER: u64 = 20;
/// Of the rows, how many an index with a condition has.
const OF_PARTIAL: u64 = 2;

const INDEXES: &str = "SELECT t.name, CASE WHEN w.wr AND i.origin = 'pk' THEN t.name ELSE i.name END, i.\"unique\", i.partial, k.name \
     FROM sqlite_schema t JOIN pragma_table_list(t.name) w ON w.schema = 'main' \
     JOIN pragma_index_list(t.name) i JOIN pragma_index_xinfo(i.name) k ON k.key \
     WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY t.name, i.name, k.seqno";

struct Index {
    is_unique: bool,
    is_partial: bool,
    columns: Vec<String>,
}

/// Writes the figures of every index where they are not there yet. Called after migrations and after tables are made from
/// definitions. Does nothing on PostgreSQL, which measures by itself.
///
/// # Errors
/// The database's.
pub fn ensure(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    if tx.engine() != Engine::Sqlite {
        return Ok(());
    }
    let wanted = wanted(tx)?;
    let has_figures = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1')";
    if tx.one(has_figures, &[], |row| row.bool(0))? {
        let there = tx.query("SELECT tbl, idx, stat FROM sqlite_stat1 WHERE idx IS NOT NULL", &[], |row| {
            Ok(((row.text(0)?.to_owned(), row.text(1)?.to_owned()), row.text(2)?.to_owned()))
        })?;
        if there.into_iter().collect::<BTreeMap<_, _>>() == wanted {
            return Ok(());
        }
    }
    // Makes the table where there is none; it measures nothing.
    tx.batch("ANALYZE sqlite_schema; DELETE FROM sqlite_stat1;")?;
    for ((table, index), figures) in &wanted {
        tx.execute("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ($1, $2, $3)", &params![table, index, figures])?;
    }
    // This connection reads them now, all others at the next statement, because the schema has another version.
    tx.batch("ANALYZE sqlite_schema; CREATE TABLE planner_told (version INTEGER); DROP TABLE planner_told;")
}

/// Table, index (a key that is the table is called as the table) and its figures.
fn wanted(tx: &mut Tx<'_>) -> Result<BTreeMap<(String, String), String>, StoreError> {
    let mut indexes: BTreeMap<(String, String), Index> = BTreeMap::new();
    tx.each(INDEXES, &[], |row| {
        let name = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
        let (is_unique, is_partial) = (row.i64(2)? != 0, row.i64(3)? != 0);
        let index = indexes.entry(name).or_insert(Index { is_unique, is_partial, columns: Vec::new() });
        // An expression has no name.
        index.columns.push(row.opt_text(4)?.unwrap_or_default().to_owned());
        Ok(())
    })?;
    Ok(indexes.into_iter().map(|(name, index)| (name, figures(&index))).collect())
}

/// `1000000 100000 1`: rows in the index, then rows with the same value in the first column, in the first two, …
fn figures(index: &Index) -> String {
    let share = if index.is_partial { OF_PARTIAL } else { 1 };
    let mut words = vec![(ROWS / share).to_string()];
    let mut same = ROWS;
    for (place, column) in index.columns.iter().enumerate() {
        same = match place {
            0 if column == "company_id" => OF_COMPANY / share,
            0 => OF_FIRST,
            _ => (same / RARER).max(1),
        };
        let is_last = place + 1 == index.columns.len();
        words.push(if is_last && index.is_unique { 1 } else { same }.to_string());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_rarer_with_every_column_and_alone_at_the_end_of_a_key() {
        let index = |is_unique, is_partial, columns: &[&str]| {
            figures(&Index { is_unique, is_partial, columns: columns.iter().map(|&name| name.to_owned()).collect() })
        };
        assert_eq!(index(true, false, &["company_id", "id"]), "1000000 100000 1");
        assert_eq!(index(false, false, &["company_id", "chat_id", "sent_at", "id"]), "1000000 100000 5000 250 12");
        assert_eq!(index(false, true, &["company_id", "staff"]), "500000 50000 2500");
        assert_eq!(index(true, false, &["email"]), "1000000 1");
        assert_eq!(index(false, false, &["user_id"]), "1000000 100");
    }
}
