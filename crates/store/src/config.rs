//! [`Config`]: where the data is and how hard it may be worked. Every figure has a default that fits one small machine.

use std::path::PathBuf;
use std::time::Duration;

use crate::StoreError;

/// Which of the two databases stands behind a [`crate::Db`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// How to reach the database and within which limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// `sqlite:///absolute/loop.db`, `sqlite://relative/loop.db`, or `postgres://user@host/database?sslmode=…`.
    pub url: String,
    /// PostgreSQL: connections, one thread each. Ignored on SQLite.
    pub pool_size: usize,
    /// How long a call may wait for the writer (SQLite) or a connection (PostgreSQL) before it is refused with 503.
    pub acquire_timeout: Duration,
    /// How many calls may wait at once; one more is refused after `acquire_timeout`.
    pub queue_limit: usize,
    /// A short read (`Db::read`) is interrupted after this.
    pub read_timeout: Duration,
    /// A long read (`Db::read_long`) is interrupted after this.
    pub long_read_timeout: Duration,
    /// PostgreSQL: one statement of a write; SQLite: one whole write closure, because it holds everybody up.
    pub write_timeout: Duration,
    /// PostgreSQL: time allowed for making a connection, TLS included.
    pub connect_timeout: Duration,
    /// How often a write is run again after a serialization failure, a deadlock or a connection lost before COMMIT.
    pub retries: u32,
    /// PostgreSQL: prepared statements kept per connection; all are dropped when one more comes.
    pub statement_cache: usize,
    /// SQLite: most write closures that share one commit (one fsync).
    pub batch_jobs: usize,
    /// SQLite: a batch takes no further closures once it is this old.
    pub batch_time: Duration,
    /// SQLite: page cache of the writer in KiB; filled as needed, so an idle process does not pay for it.
    pub writer_cache_kib: u32,
    /// SQLite: page cache of each reader connection in KiB; there is one for each thread that reads.
    pub reader_cache_kib: u32,
    /// SQLite: threads (each with a connection) that serve `Db::read_long`.
    pub long_readers: usize,
    /// SQLite: the log is folded into the database file once it holds this many pages of 4 KiB.
    pub checkpoint_pages: u32,
    /// SQLite: most pages the file may have (`PRAGMA max_page_count`); a quota, and how tests fill a disk.
    pub max_pages: Option<u32>,
}

impl Config {
    /// The defaults for a database address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool_size: 16,
            acquire_timeout: Duration::from_secs(5),
            queue_limit: 4_096,
            read_timeout: Duration::from_secs(2),
            long_read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            retries: 8,
            statement_cache: 512,
            batch_jobs: 256,
            batch_time: Duration::from_millis(5),
            writer_cache_kib: 64 * 1024,
            reader_cache_kib: 8 * 1024,
            long_readers: 2,
            checkpoint_pages: 4_000,
            max_pages: None,
        }
    }

    /// The engine that the address names.
    ///
    /// # Errors
    /// `StoreError::Other` in words when the scheme is neither `sqlite` nor `postgres`/`postgresql`.
    pub fn engine(&self) -> Result<Engine, StoreError> {
        match self.url.split_once("://").map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Engine::Sqlite),
            Some("postgres" | "postgresql") => Ok(Engine::Postgres),
            _ => Err(StoreError::Other(
                "the database address must begin with sqlite:// or postgres:// (for example sqlite://data/loop.db)"
                    .into(),
            )),
        }
    }

    /// SQLite: the file behind the address; `None` on PostgreSQL.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let path = self.url.strip_prefix("sqlite://")?;
        Some(PathBuf::from(path.split_once('?').map_or(path, |(path, _)| path)))
    }
}
