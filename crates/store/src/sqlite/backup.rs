//! Copying a SQLite database while it is in use, and looking at such a copy before it is trusted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{connection, failure};
use crate::migrate::EMBEDDED;
use crate::{Config, StoreError};

/// 1 MiB at a time with a breath in between, so that the server keeps its disk.
const PAGES_PER_STEP: i32 = 256;
const BREATH: Duration = Duration::from_millis(2);

/// Copies the database at `from` into a new file `to`: complete and on the disk, or not there at all.
pub fn copy(from: &Path, to: &Path, config: &Config) -> Result<(), StoreError> {
    if to.exists() {
        return Err(StoreError::Other(format!("{} is there already; a backup never overwrites", to.display())));
    }
    let partial = PathBuf::from(format!("{}.partial", to.display()));
    let copied = fill(from, &partial, config).and_then(|()| {
        let placed = File::open(&partial)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&partial, to))
            .and_then(|()| File::open(folder(to)))
            .and_then(|folder| folder.sync_all());
        placed.map_err(|error| StoreError::Unavailable(format!("{}: {error}", to.display())))
    });
    if copied.is_err() {
        let _ = fs::remove_file(&partial);
    }
    copied
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn fill(from: &Path, partial: &Path, config: &Config) -> Result<(), StoreError> {
    // What an interrupted backup left behind.
    let _ = fs::remove_file(partial);
    let source = connection::open_reader(from, config)?;
    // One snapshot for the whole copy: without it every write of the server would start the copy over.
    source.connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").map_err(failure::from)?;
    let mut target = Connection::open(partial).map_err(failure::from)?;
    target.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;").map_err(failure::from)?;
    let backup = Backup::new(&source.connection, &mut target).map_err(failure::from)?;
    loop {
        match backup.step(PAGES_PER_STEP).map_err(failure::from)? {
            StepResult::Done => return Ok(()),
            _ => sleep(BREATH),
        }
    }
}

/// What a look at a backup found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Number of the newest migration in it.
    pub newest_migration: u32,
    pub size_bytes: u64,
}

/// Looks whether a file can be restored: a whole SQLite database of ours, not newer than this binary.
///
/// # Errors
/// `Other` in words for the operator.
pub fn check(path: &Path) -> Result<Checked, StoreError> {
    let words = |what: String| StoreError::Other(format!("{}: {what}", path.display()));
    let size_bytes = fs::metadata(path).map_err(|error| words(error.to_string()))?.len();
    // immutable: looking must not leave a log beside the file, and its folder may be read-only.
    let uri = format!("file:{}?immutable=1", percent_encoded(path));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).map_err(|error| words(error.to_string()))?;
    let sound: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| words(format!("it is not a whole database: {error}")))?;
    if sound != "ok" {
        return Err(words(format!("it is damaged: {sound}")));
    }
    let newest: u32 = connection
        .query_row("SELECT coalesce(max(number), 0) FROM schema_migrations", [], |row| row.get(0))
        .map_err(|_| words("it is a database, but not one of ours: it has no schema_migrations".into()))?;
    let known = EMBEDDED.last().map_or(0, |last| last.number);
    if newest > known {
        return Err(words(format!(
            "it holds migration {newest:04}, this binary knows up to {known:04}: use the newer one"
        )));
    }
    Ok(Checked { newest_migration: newest, size_bytes })
}

fn percent_encoded(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
