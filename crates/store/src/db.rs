//! [`Db`]: the handle that everybody holds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loopd_types::Problem;

use crate::job::{Job, Made, Mode, Work};
use crate::postgres::Postgres;
use crate::queue::Queue;
use crate::sqlite::Sqlite;
use crate::stats::Counters;
use crate::{Config, Engine, Reader, Stats, StoreError, Tx, View, migrate};

/// A cheap handle to the database; clones share everything. The threads end when the last clone is gone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    engine: EngineOf,
    acquire_timeout: Duration,
}

enum EngineOf {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Db {
    /// Opens the database, a SQLite file being made if there is none; does not migrate.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be reached or opened, `Other` when the address makes no sense.
    pub async fn open(config: &Config) -> Result<Db, StoreError> {
        let (kind, config_of_thread) = (config.engine()?, config.clone());
        let opened = tokio::task::spawn_blocking(move || match kind {
            Engine::Sqlite => Sqlite::open(&config_of_thread).map(EngineOf::Sqlite),
            Engine::Postgres => Postgres::open(&config_of_thread).map(EngineOf::Postgres),
        });
        let engine = opened.await.map_err(|error| StoreError::Other(error.to_string()))??;
        Ok(Db(Arc::new(Inner { engine, acquire_timeout: config.acquire_timeout })))
    }

    pub fn engine(&self) -> Engine {
        match self.0.engine {
            EngineOf::Sqlite(_) => Engine::Sqlite,
            EngineOf::Postgres(_) => Engine::Postgres,
        }
    }

    /// A short read by key or page. Each statement sees the newest committed state.
    ///
    /// SQLite: runs on the calling thread, because a hop to another one would cost more than the read.
    ///
    /// # Errors
    /// As `work` refuses; 503 when the database cannot answer within `Config::read_timeout`.
    pub async fn read<T, F>(&self, view: View, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&mut Reader<'_>) -> Result<T, Problem> + Send + 'static,
    {
        match &self.0.engine {
            EngineOf::Sqlite(sqlite) => sqlite.read(work),
            EngineOf::Postgres(_) => self.submit(view, Mode::Read, move |tx| work(tx)).await,
        }
    }

    /// An unbounded read (exports, reports): one snapshot for all its statements, under `Config::long_read_timeout`.
    ///
    /// # Errors
    /// As `work` refuses; 503 when the database cannot answer in time.
    pub async fn read_long<T, F>(&self, view: View, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&mut Reader<'_>) -> Result<T, Problem> + Send + 'static,
    {
        self.submit(view, Mode::ReadLong, move |tx| work(tx)).await
    }

    /// One snapshot without a time limit, for what must see all of a company. SQLite has one thread for these, and its log cannot begin
    /// anew meanwhile; PostgreSQL gives one connection away.
    ///
    /// # Errors
    /// As `work` refuses; 503 when the database cannot answer, and on SQLite while another such read runs.
    pub async fn read_unlimited<T, F>(&self, view: View, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&mut Reader<'_>) -> Result<T, Problem> + Send + 'static,
    {
        self.submit(view, Mode::ReadUnlimited, move |tx| work(tx)).await
    }

    /// A write transaction: `Ok` is answered after the commit is durable, `Err` after everything was rolled back.
    ///
    /// Runs to its end even if the caller goes away. `work` may run again after a serialization failure or a connection
    /// lost before COMMIT, so it must be repeatable.
    ///
    /// # Errors
    /// As `work` refuses; 503 when the database is full, away or too slow: nothing was written then.
    pub async fn write<T, F>(&self, view: View, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Problem> + Send + 'static,
    {
        self.submit(view, Mode::Write, work).await
    }

    /// A write without a time limit, for migrations and tables from definitions.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write_unlimited<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, Problem> + Send + 'static,
    {
        self.submit(View::System, Mode::WriteUnlimited, work).await
    }

    async fn submit<T, W>(&self, view: View, mode: Mode, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: Fn(&mut Tx<'_>) -> Result<T, Problem> + Send + 'static,
    {
        let work: Work = Box::new(move |tx| work(tx).map(|made| Box::new(made) as Made));
        let made = self.run(view, mode, work).await?;
        made.downcast()
            .map(|made| *made)
            .map_err(|_| Problem::internal("a job was answered with another one's outcome"))
    }

    async fn run(&self, view: View, mode: Mode, work: Work) -> Result<Made, Problem> {
        let (queue, counters) = self.line(mode);
        let (job, ticket) = Job::new(view, mode, work);
        if !queue.push(job, self.0.acquire_timeout).await {
            counters.wait_timeouts.add(1);
            return Err(Problem::unavailable("the line for the database is full"));
        }
        ticket.wait(self.0.acquire_timeout).await.map_err(|refusal| {
            refusal.unwrap_or_else(|| {
                counters.wait_timeouts.add(1);
                Problem::unavailable("waited too long for the database")
            })
        })
    }

    fn line(&self, mode: Mode) -> (&Queue, &Counters) {
        match &self.0.engine {
            EngineOf::Sqlite(sqlite) => match mode {
                Mode::Read | Mode::ReadLong => (&sqlite.long_reads, &sqlite.counters),
                Mode::ReadUnlimited => (&sqlite.unlimited_reads, &sqlite.counters),
                Mode::Write | Mode::WriteUnlimited => (&sqlite.writes, &sqlite.counters),
            },
            EngineOf::Postgres(postgres) => (&postgres.queue, &postgres.counters),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// `Unavailable` with the cause when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let answer = self.read(View::System, |reader| Ok(reader.one("SELECT 1", &[], |row| row.i64(0))?)).await;
        answer.map(|_| ()).map_err(|problem| StoreError::Unavailable(problem.cause().unwrap_or("no answer").to_owned()))
    }

    /// Whether what is written is kept. Costs nothing while it is; after a write that was not (a full disk), another is tried, which needs
    /// new room and leaves nothing behind. That smaller ones still find room within the file says nothing.
    pub async fn keeps_writes(&self) -> bool {
        let (_, counters) = self.line(Mode::Write);
        if counters.refusing.get() == 0 {
            return true;
        }
        let is_well = self.try_to_write().await.is_ok();
        if is_well {
            counters.refusing.set(0);
        }
        is_well
    }

    /// Writes what needs new room, and leaves nothing behind.
    ///
    /// # Errors
    /// 503 when it is not kept.
    pub async fn try_to_write(&self) -> Result<(), Problem> {
        self.write(View::System, migrate::try_to_write).await
    }

    /// SQLite: copies the database, as it is now, into the new file `to` while it is in use. Check it with
    /// [`crate::check_backup`].
    ///
    /// # Errors
    /// `Other` when `to` is there already, and on PostgreSQL, which has its own tools. Nothing is left at `to` then.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        match &self.0.engine {
            EngineOf::Sqlite(sqlite) => sqlite.backup(to).await,
            EngineOf::Postgres(_) => Err(StoreError::Other(
                "PostgreSQL is backed up with its own tools: pg_dump, or base backups with its log".into(),
            )),
        }
    }

    /// The figures behind `/metrics`.
    pub fn stats(&self) -> Stats {
        match &self.0.engine {
            EngineOf::Sqlite(sqlite) => sqlite.stats(),
            EngineOf::Postgres(postgres) => postgres.stats(),
        }
    }

    /// Takes no more work and waits until what was taken is done. Later calls are refused with 503.
    pub async fn close(&self) {
        let threads = match &self.0.engine {
            EngineOf::Sqlite(sqlite) => sqlite.close(),
            EngineOf::Postgres(postgres) => postgres.close(),
        };
        let _ = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
        })
        .await;
    }
}
