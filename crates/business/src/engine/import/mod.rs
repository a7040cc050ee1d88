//! Records from a file: a list of rows in CSV or JSON, made through the same rules as one call for each.
//!
//! A file is laid aside as it comes, and read from there into chunks, so that it is in memory nowhere ([`mod@file`]). The transaction that
//! takes it in keeps its rows in the database ([`store`]). A chunk is one transaction: its records, its refusals and the word that it
//! is done. So a stop costs nothing, and a repeated job makes no row twice. What is refused is kept with its reasons, to be fetched as
//! a file, put right and sent again.

mod cell;
mod columns;
mod csv;
mod file;
mod json;
mod run;
pub(crate) mod store;

use serde_json::Value as Json;

pub use csv::read_csv;
pub use file::File;
pub use json::read_json;
pub use run::{JOB, begin, register, run};
pub use store::{COLUMNS, RETENTION, errors, lists_of_rows, tables};

/// Rows of one transaction, and the bytes as JSON after which it takes no other.
pub const CHUNK_ROWS: usize = 100;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Length of one row in its file: what one call may send.
const MOST_ROW_BYTES: usize = 1024 * 1024;
/// Rows of one file.
pub const MOST_ROWS: usize = 100_000;
/// Complaints that an answer shows; the file of refused rows has all.
pub const SHOWN_ERRORS: usize = 100;

/// What becomes of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Each makes a record.
    Create,
    /// One whose `external_id` is known changes that record.
    Upsert,
}

impl Way {
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Create => "create",
            Way::Upsert => "upsert",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        [Way::Create, Way::Upsert].into_iter().find(|way| way.as_str() == text)
    }
}

/// How a client wants a file to be read.
#[derive(Clone, Debug)]
pub struct Wish {
    pub way: Way,
    /// Every row is tried and taken back.
    pub is_dry_run: bool,
    /// From columns of the file to fields; null leaves a column out.
    pub mapping: serde_json::Map<String, Json>,
}
