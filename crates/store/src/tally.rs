//! Counter rows: human numbers, and counts that a list can show without scanning. One row a company and name.
//!
//! On PostgreSQL the row that an UPDATE changes is the lock; on SQLite the one writer is, which keeps the rows of a batch in memory.
//! Nobody else may write the table `counters`.

use crate::reader::Connection;
use crate::{Reader, Row, StoreError, Tx, params};

/// What a counter row holds, or by how much it moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// The number given out last.
    pub value: i64,
    /// Living rows.
    pub live: i64,
    /// Rows in the bin.
    pub deleted: i64,
}

pub(crate) const SELECT: &str = "SELECT value, live, deleted FROM counters WHERE company_id = $1 AND name = $2";
pub(crate) const UPSERT: &str = "INSERT INTO counters (company_id, name, value, live, deleted) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (company_id, name) DO UPDATE SET value = excluded.value, live = excluded.live, deleted = excluded.deleted";
const ADD: &str = "UPDATE counters SET value = value + $3, live = live + $4, deleted = deleted + $5 \
     WHERE company_id = $1 AND name = $2 RETURNING value, live, deleted";
const FIRST: &str = "INSERT INTO counters (company_id, name, value, live, deleted) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (company_id, name) DO UPDATE SET value = counters.value + excluded.value, \
     live = counters.live + excluded.live, deleted = counters.deleted + excluded.deleted RETURNING value, live, deleted";
const MOVE: &str = "UPDATE counters SET value = value + $3, live = live + $4, deleted = deleted + $5 \
     WHERE company_id = $1 AND name = $2";

impl Tally {
    pub(crate) fn plus(self, by: Tally) -> Tally {
        Tally { value: self.value + by.value, live: self.live + by.live, deleted: self.deleted + by.deleted }
    }

    pub(crate) fn read(row: &Row<'_>) -> Result<Tally, StoreError> {
        Ok(Tally { value: row.i64(0)?, live: row.i64(1)?, deleted: row.i64(2)? })
    }
}

impl Reader<'_> {
    /// A counter as this transaction sees it; zeros when nothing was ever counted.
    ///
    /// # Errors
    /// As any read.
    pub fn tally(&mut self, company: i64, name: &str) -> Result<Tally, StoreError> {
        if let Connection::Sqlite(session) = &self.connection
            && let Some(tallies) = session.tallies()
        {
            let session = *session;
            self.check()?;
            let read = tallies.read(session, company, name);
            return self.noted(read);
        }
        Ok(self.first(SELECT, &params![company, name], Tally::read)?.unwrap_or_default())
    }
}

impl Tx<'_> {
    /// Adds to a counter, made at the first time, and returns the sum. Numbers have gaps only when a transaction is rolled back
    /// before it gave one out: never.
    ///
    /// # Errors
    /// As any statement.
    pub fn count(&mut self, company: i64, name: &str, by: Tally) -> Result<Tally, StoreError> {
        if let Connection::Sqlite(session) = &self.reader.connection
            && let Some(tallies) = session.tallies()
        {
            let session = *session;
            self.check()?;
            let sum = tallies.add(session, company, name, by);
            return self.reader.noted(sum);
        }
        let moved = params![company, name, by.value, by.live, by.deleted];
        match self.first(ADD, &moved, Tally::read)? {
            Some(sum) => Ok(sum),
            None => self.one(FIRST, &moved, Tally::read),
        }
    }

    /// As [`Tx::count`] for a counter that is there, where the sum is not needed.
    ///
    /// # Errors
    /// As any statement.
    pub fn shift(&mut self, company: i64, name: &str, by: Tally) -> Result<(), StoreError> {
        match &self.reader.connection {
            Connection::Sqlite(_) => self.count(company, name, by).map(|_| ()),
            Connection::Postgres(_) => self.push(MOVE, params![company, name, by.value, by.live, by.deleted]),
        }
    }
}
