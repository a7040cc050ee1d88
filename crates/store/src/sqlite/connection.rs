//! Opening SQLite connections and limiting how long they work.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{failure, function, statement};
use crate::{Config, StoreError};

/// How long a connection waits for another process that holds the write lock (`loopd user create` beside a server).
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes. A log that grew longer, because a long read would not let it begin anew, is cut to this when it does.
const LOG_MOST: u64 = 64 * 1024 * 1024;
/// The progress handler is asked after this many virtual-machine steps: some 100 µs, cheap against the work itself.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// A connection with a time limit.
pub struct Guarded {
    pub connection: Connection,
    limit: Arc<Limit>,
}

impl Guarded {
    /// Statements fail with `Timeout` once `time` from now has passed; `None` lifts the limit.
    pub fn limit(&self, time: Option<Duration>) {
        let until = time.map_or(NEVER, |time| (self.limit.epoch.elapsed() + time).as_micros() as u64);
        self.limit.until_us.store(until, Ordering::Relaxed);
    }
}

struct Limit {
    epoch: Instant,
    until_us: AtomicU64,
}

const NEVER: u64 = u64::MAX;

fn guard(mut connection: Connection) -> Result<Guarded, StoreError> {
    // Without the stability guarantee SQLite re-prepares a statement at every new value of a marker that it compared while it looked
    // whether a partial index applies: every list and insert would be parsed again at every call (measured: a third of a list's time).
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failure::from)?;
    function::register(&connection).map_err(failure::from)?;
    let limit = Arc::new(Limit { epoch: Instant::now(), until_us: AtomicU64::new(NEVER) });
    let seen = Arc::clone(&limit);
    connection
        .progress_handler(
            STEPS_BETWEEN_LOOKS,
            Some(move || {
                let until = seen.until_us.load(Ordering::Relaxed);
                until != NEVER && seen.epoch.elapsed().as_micros() as u64 > until
            }),
        )
        .map_err(failure::from)?;
    Ok(Guarded { connection, limit })
}

/// Opens the connection that writes, making the file if need be. `frames` is told how long the log is after each commit.
pub fn open_writer(path: &Path, config: &Config, frames: Arc<AtomicU64>) -> Result<Guarded, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failure::from)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failure::from)?;
    connection.set_prepared_statement_cache_capacity(statement::CACHED_STATEMENTS);
    // Not mmap_size: it turned a race in the log into structural damage for somebody (dependencies.md 2.3).
    // temp_store: savepoints keep the pages they may have to restore in memory, not in a temporary file.
    let pragmas = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{}; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {LOG_MOST};
         PRAGMA trusted_schema = OFF;",
        config.writer_cache_kib
    );
    connection.execute_batch(&pragmas).map_err(failure::from)?;
    if let Some(pages) = config.max_pages {
        connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).map_err(failure::from)?;
    }
    connection
        .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            frames.store(pages.unsigned_abs().into(), Ordering::Relaxed);
            Ok(())
        }))
        .map_err(failure::from)?;
    guard(connection)
}

/// Opens a connection that cannot write.
pub fn open_reader(path: &Path, config: &Config) -> Result<Guarded, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failure::from)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failure::from)?;
    connection.set_prepared_statement_cache_capacity(statement::CACHED_STATEMENTS);
    let pragmas = format!(
        "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -{};",
        config.reader_cache_kib
    );
    connection.execute_batch(&pragmas).map_err(failure::from)?;
    guard(connection)
}
