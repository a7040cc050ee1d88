//! [`Db`]: the handle that everybody holds.

use std::path::Path;

use loopd_types::Problem;

use crate::{Config, Engine, Reader, Stats, StoreError, Tx, View};

/// A cheap handle to the database; clones share everything.
#[derive(Clone)]
pub struct Db {
    engine: Engine,
}

impl Db {
    /// Opens the database; does not migrate.
    pub async fn open(config: &Config) -> Result<Db, StoreError> {
        Ok(Db { engine: config.engine()? })
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// A short read by key or page. Each statement sees the newest committed state.
    ///
    /// SQLite: runs on the calling thread, because a hop to another one would cost more than the read.
    pub async fn read<T, F>(&self, view: View, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&mut Reader<'_>) -> Result<T, Problem> + Send + 'static,
    {
        let _ = (view, work);
        Err(Problem::unavailable("not built yet"))
    }

    /// An unbounded read (exports, reports): one snapshot for all its statements, under a time limit.
    pub async fn read_long<T, F>(&self, view: View, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&mut Reader<'_>) -> Result<T, Problem> + Send + 'static,
    {
        self.read(view, work).await
    }

    /// A write transaction: `Ok` is answered after the commit is durable, `Err` after everything was rolled back.
    ///
    /// Runs to its end even if the caller goes away. `work` may run again after a serialization failure or a connection
    /// lost before COMMIT, so it must be repeatable.
    pub async fn write<T, F>(&self, view: View, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Problem> + Send + 'static,
    {
        let _ = (view, work);
        Err(Problem::unavailable("not built yet"))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// SQLite: copies the database to `to` while it is in use.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let _ = to;
        Ok(())
    }

    /// The figures behind `/metrics`.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
