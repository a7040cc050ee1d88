//! A company as one archive that can be read without Loopd, out of either database and into either.
//!
//! A gzipped tar of `README.txt`, `users.ndjson`, `tables/<name>.ndjson` (one JSON object a row, in the order of the table's key, tables
//! after those that they link to), `files/<sha256>` (what files hold, each content once) and, last, `manifest.json` with the size, count
//! and digest of everything before it. The same rows give the same bytes on either engine: nothing in an archive tells when, where or
//! from which database it was written.
//!
//! Which tables take part follows from the schema ([`schema`]): whatever has a `company_id`, unless it is named as left out. Secrets stay:
//! people are matched by their email address where the company arrives and set a new password there, keys are made anew.

mod archive;
mod check;
mod contents;
mod course;
mod export;
mod import;
pub mod incoming;
pub mod ordered;
mod people;
mod pipe;
mod row;
mod rows;
mod schema;
mod work;

use std::sync::Arc;
use std::time::Duration;

use loopd_store::ddl::{ColumnKind, TableDef};
use loopd_types::{Problem, Result};
use serde::{Deserialize, Serialize};

use crate::Kernel;
use crate::job::{Job, Runner};

pub use archive::Source;
pub use check::check;
pub use export::{Lost, To, export};
pub use import::{Imported, Settle, import, rehearse};
pub use pipe::pipe;

const FORMAT: &str = "loopd-company";
/// Raised when an older Loopd could no longer read what is written.
const VERSION: u32 = 2;

const MANIFEST: &str = "manifest.json";
const README: &str = "README.txt";
const USERS: &str = "users.ndjson";
const COMPANY: &str = "company_id";

/// What an archive says of itself; its last member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// `loopd-company`
    pub format: String,
    pub version: u32,
    /// The version of Loopd that wrote it.
    pub loopd: String,
    /// The number of the newest migration that Loopd knew.
    pub schema: u32,
    pub company: Company,
    /// Everything else in the archive, in its order.
    pub members: Vec<Member>,
    /// What the company had and the archive has not.
    pub left_out: Vec<LeftOut>,
}

/// What an archive holds, in figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    pub rows: u64,
    pub tables: u64,
    /// Different contents of files.
    pub contents: u64,
    pub content_bytes: u64,
}

impl Manifest {
    pub fn sum(&self) -> Sum {
        let contents = || self.members.iter().filter(|member| contents::digest_of(&member.name).is_some());
        Sum {
            rows: self.members.iter().filter_map(|member| member.rows).sum(),
            tables: self.members.iter().filter(|member| member.table.is_some()).count() as u64,
            contents: contents().count() as u64,
            content_bytes: contents().map(|member| member.size_bytes).sum(),
        }
    }
}

/// The company as it was where it came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Company {
    pub id: String,
    pub number: i64,
    pub code: String,
    pub name: String,
    pub slug: String,
}

/// One file of the archive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    pub size_bytes: u64,
    /// Of its content, in hex.
    pub sha256: String,
    /// Lines, where it is NDJSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The table whose rows it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
}

/// One column of a table in the archive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

/// What a column holds, and how it stands in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Uuid,
    Text,
    /// A whole number: a count, money in minor units, or a moment in microseconds since 1970 UTC.
    Integer,
    Boolean,
    Json,
    /// In base64.
    Bytes,
}

impl From<ColumnKind> for Kind {
    fn from(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Uuid => Kind::Uuid,
            ColumnKind::Text => Kind::Text,
            ColumnKind::Int => Kind::Integer,
            ColumnKind::Bool => Kind::Boolean,
            ColumnKind::Json => Kind::Json,
            ColumnKind::Bytes => Kind::Bytes,
        }
    }
}

/// Something that stayed behind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeftOut {
    pub what: String,
    pub why: String,
}

/// How far a transfer is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Step {
    /// What is being done: `write`, `check`, `store` or `read`.
    pub phase: &'static str,
    /// The table or file in work.
    pub at: String,
    /// Rows of it so far.
    pub rows: u64,
    /// Tables that are done, and of how many; 0 while that is not known.
    pub done: u64,
    pub of: u64,
    /// Rows of the tables that are done, and of all; 0 while that is not known.
    pub all_rows: u64,
    pub of_rows: u64,
    /// Bytes of files so far, and of all.
    pub bytes: u64,
    pub of_bytes: u64,
}

impl Step {
    /// Counts bytes; whether it is time to tell.
    fn pass(&mut self, bytes: usize) -> bool {
        let before = self.bytes / STEP_BYTES;
        self.bytes += bytes as u64;
        self.bytes / STEP_BYTES > before
    }
}

/// Hears of every table and file, of every 10 000 rows and of every MiB; an error of its stops the transfer, with nothing left behind.
pub type Watcher = Arc<dyn Fn(&Step) -> Result<()> + Send + Sync>;

/// Rows between two steps.
const STEP_ROWS: u64 = 10_000;
/// Bytes between two steps.
const STEP_BYTES: u64 = 1024 * 1024;

/// The jobs that make archives and bring them in; `tables` are those of resources and modules.
pub fn register(runner: &mut Runner, tables: Vec<TableDef>) {
    let tables = Arc::new(tables);
    long(runner, ordered::JOB, &tables, |kernel, tables, job| async move { work::work(&kernel, &tables, &job).await });
    long(runner, incoming::JOB, &tables, |kernel, tables, job| async move {
        incoming::work::work(&kernel, &tables, &job).await
    });
}

/// How long one archive may take.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

fn long<F, R>(runner: &mut Runner, kind: &str, tables: &Arc<Vec<TableDef>>, work: F)
where
    F: Fn(Arc<Kernel>, Arc<Vec<TableDef>>, Job) -> R + Send + Sync + 'static,
    R: Future<Output = Result<()>> + Send + 'static,
{
    let tables = tables.clone();
    runner.register_long(kind, LONGEST, Arc::new(move |kernel, job| Box::pin(work(kernel, tables.clone(), job))));
}

/// Removes archives that were kept long enough, and gives up exports and imports whose job is no more; how many.
///
/// # Errors
/// 503; what is left is found again.
pub async fn sweep(kernel: &Arc<Kernel>) -> Result<u64> {
    Ok(work::sweep(kernel).await? + incoming::work::sweep(kernel).await?)
}

/// The refusal of an archive that is not whole, not ours or not for this installation.
fn refused(words: impl std::fmt::Display) -> Problem {
    Problem::invalid("archive_invalid", format!("This archive cannot be imported: {words}."))
}

fn not_written(error: impl std::fmt::Display) -> Problem {
    Problem::unavailable(format!("the archive cannot be written: {error}"))
}
