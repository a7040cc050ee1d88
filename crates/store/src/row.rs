//! [`Row`]: one row of an answer, read by column position without copying text.

use loopd_types::{Timestamp, Uuid};

use crate::{StoreError, Value};

/// One row; columns are counted from 0 in the order of the SELECT.
///
/// Every getter refuses (`StoreError::Other`, naming the column) a NULL unless it is an `opt_` one, and a column of
/// another kind.
pub struct Row<'r>(pub(crate) Inner<'r>);

pub(crate) enum Inner<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl<'r> Row<'r> {
    /// A whole number, also from SUM and COUNT.
    pub fn i64(&self, i: usize) -> Result<i64, StoreError> {
        self.opt_i64(i)?.ok_or_else(|| self.null(i))
    }
    pub fn opt_i64(&self, i: usize) -> Result<Option<i64>, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => crate::sqlite::column::int(row, i),
            Inner::Postgres(row) => crate::postgres::column::int(row, i),
        }
    }
    /// A fraction, for averages and ratios only; money is never one.
    pub fn f64(&self, i: usize) -> Result<f64, StoreError> {
        self.opt_f64(i)?.ok_or_else(|| self.null(i))
    }
    pub fn opt_f64(&self, i: usize) -> Result<Option<f64>, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => crate::sqlite::column::float(row, i),
            Inner::Postgres(row) => crate::postgres::column::float(row, i),
        }
    }
    pub fn bool(&self, i: usize) -> Result<bool, StoreError> {
        self.opt_bool(i)?.ok_or_else(|| self.null(i))
    }
    pub fn opt_bool(&self, i: usize) -> Result<Option<bool>, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => crate::sqlite::column::bool(row, i),
            Inner::Postgres(row) => crate::postgres::column::bool(row, i),
        }
    }
    /// Text, borrowed from the database driver's buffer.
    pub fn text(&self, i: usize) -> Result<&'r str, StoreError> {
        self.opt_text(i)?.ok_or_else(|| self.null(i))
    }
    pub fn opt_text(&self, i: usize) -> Result<Option<&'r str>, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => crate::sqlite::column::text(row, i),
            Inner::Postgres(row) => crate::postgres::column::text(row, i),
        }
    }
    /// JSON text exactly as it was written.
    pub fn json(&self, i: usize) -> Result<&'r str, StoreError> {
        self.opt_json(i)?.ok_or_else(|| self.null(i))
    }
    pub fn opt_json(&self, i: usize) -> Result<Option<&'r str>, StoreError> {
        self.opt_text(i)
    }
    pub fn uuid(&self, i: usize) -> Result<Uuid, StoreError> {
        self.opt_uuid(i)?.ok_or_else(|| self.null(i))
    }
    pub fn opt_uuid(&self, i: usize) -> Result<Option<Uuid>, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => crate::sqlite::column::uuid(row, i),
            Inner::Postgres(row) => crate::postgres::column::uuid(row, i),
        }
    }
    /// A moment, stored as BIGINT microseconds.
    pub fn time(&self, i: usize) -> Result<Timestamp, StoreError> {
        self.i64(i).map(Timestamp)
    }
    pub fn opt_time(&self, i: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.opt_i64(i)?.map(Timestamp))
    }
    pub fn bytes(&self, i: usize) -> Result<&'r [u8], StoreError> {
        self.opt_bytes(i)?.ok_or_else(|| self.null(i))
    }
    pub fn opt_bytes(&self, i: usize) -> Result<Option<&'r [u8]>, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => crate::sqlite::column::bytes(row, i),
            Inner::Postgres(row) => crate::postgres::column::bytes(row, i),
        }
    }
    /// Whatever is there. SQLite keeps fewer kinds: a boolean comes back as `Int`, a UUID and JSON as `Text`.
    pub fn value(&self, i: usize) -> Result<Value, StoreError> {
        match self.0 {
            Inner::Sqlite(row) => crate::sqlite::column::value(row, i),
            Inner::Postgres(row) => crate::postgres::column::value(row, i),
        }
    }
    /// How many columns the row has.
    pub fn width(&self) -> usize {
        match self.0 {
            Inner::Sqlite(row) => row.as_ref().column_count(),
            Inner::Postgres(row) => row.len(),
        }
    }

    fn null(&self, i: usize) -> StoreError {
        let name = match self.0 {
            Inner::Sqlite(row) => row.as_ref().column_name(i).unwrap_or("?").to_owned(),
            Inner::Postgres(row) => row.columns().get(i).map_or("?", |column| column.name()).to_owned(),
        };
        StoreError::Other(format!("column {i} ({name}) is NULL"))
    }
}
