//! The one writer: group commit.
//!
//! Waiting closures run one after another in one transaction and share its one fsync. Nobody is answered before it, refusals
//! included: a closure may have refused because of what an earlier one in the same batch wrote, and that is true only once it is
//! durable.
//!
//! A closure that refuses before it wrote anything, as nearly all do, leaves nothing to undo. When one refuses *after* it wrote,
//! the transaction is rolled back and its closures run once more, now each in a savepoint of its own. A savepoint for everybody
//! at once would cost each write a copy of every page that it touches (measured: a quarter of the writer's time).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loopd_types::Problem;

use super::connection::{self, Guarded};
use super::failure;
use super::folder::{self, Folder, PASSIVE, State};
use super::session::Batch;
use crate::job::{self, Job, Mode};
use crate::queue::{Popped, Queue};
use crate::reader::{Connection, Hook, Reader};
use crate::stats::Counters;
use crate::{Config, StoreError, Tx};

/// After this much quiet the log is folded into the database file and cut to nothing.
const IDLE: Duration = Duration::from_millis(500);

pub struct Writer {
    path: PathBuf,
    config: Config,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    folder: Folder,
    /// Where answers are given; `None` outside of one.
    runtime: Option<tokio::runtime::Handle>,
    /// `None` after trouble; opened again for the next batch.
    connection: Option<Guarded>,
    /// Pages in the log, as of the last commit.
    log_pages: Arc<AtomicU64>,
    /// Whether something was committed since the whole log was last folded in.
    dirty: bool,
    /// Length of the log at which it is folded in next.
    checkpoint_at: u64,
}

/// A closure that ran, waiting for the fate of its batch.
struct Ran {
    job: Job,
    hooks: Vec<Hook>,
    kept: bool,
    /// Said instead of the closure's own outcome.
    refusal: Option<Problem>,
}

/// How one closure left the transaction.
enum Left {
    /// Its work, or nothing, is in the transaction.
    Sound(Ran),
    /// It was alone and has been answered; the transaction is gone.
    Alone,
    /// It refused after it wrote, with no savepoint around it.
    Spoiled(Job),
    /// The transaction is gone, and with it the work of everybody in it.
    Lost(Ran, StoreError),
}

impl Writer {
    /// Opens the database file, so that a bad path is refused before anything else starts.
    pub fn open(
        path: PathBuf,
        config: Config,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
        folder: Folder,
    ) -> Result<Self, StoreError> {
        let log_pages = Arc::new(AtomicU64::new(0));
        let connection = Some(connection::open_writer(&path, &config, Arc::clone(&log_pages))?);
        let checkpoint_at = config.checkpoint_pages.into();
        let runtime = tokio::runtime::Handle::try_current().ok();
        Ok(Self { checkpoint_at, path, config, queue, counters, folder, runtime, connection, log_pages, dirty: true })
    }

    /// Runs until the queue is closed and empty.
    pub fn run(mut self) {
        loop {
            match self.queue.pop(IDLE) {
                Popped::Job(job) => {
                    self.counters.busy.set(1);
                    // A panic of ours costs this batch its answers and the connection, not the writer.
                    if catch_unwind(AssertUnwindSafe(|| self.batch(job))).is_err() {
                        self.connection = None;
                    }
                    self.counters.busy.set(0);
                    self.fold_when_long();
                }
                Popped::Idle if self.dirty => self.checkpoint(),
                Popped::Idle => {}
                Popped::Closed => break,
            }
        }
    }

    fn batch(&mut self, first: Job) {
        if self.connection.is_none() {
            match connection::open_writer(&self.path, &self.config, Arc::clone(&self.log_pages)) {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => return self.refuse(vec![Ran::unrun(first)], &error),
            }
        }
        match self.transact(self.connection.as_ref().expect("opened above"), first) {
            Ended::Committed(ran) => {
                self.dirty = true;
                self.counters.commits.add(1);
                self.counters.batch_jobs.set(ran.len() as u64);
                self.answer(ran);
            }
            Ended::Alone => {}
            Ended::Failed(ran, error) => self.refuse(ran, &error),
        }
    }

    /// Runs `first` and whoever comes while it runs in one transaction.
    fn transact(&self, guarded: &Guarded, first: Job) -> Ended {
        if let Err(error) = command(guarded, "BEGIN IMMEDIATE") {
            return Ended::Failed(vec![Ran::unrun(first)], error);
        }
        let batch = Batch::new(&guarded.connection);
        let begun = Instant::now();
        let mut ran: Vec<Ran> = Vec::new();
        let mut careful = false;
        let mut waiting = VecDeque::from([first]);
        loop {
            let more = ran.len() < self.config.batch_jobs && begun.elapsed() < self.config.batch_time;
            let next = waiting.pop_front().or_else(|| if more { self.queue.try_pop() } else { None });
            let Some(job) = next else { break };
            match self.run_one(guarded, &batch, job, careful, !ran.is_empty()) {
                Left::Sound(one) => ran.push(one),
                Left::Alone => return Ended::Alone,
                Left::Spoiled(job) => {
                    rollback(guarded);
                    batch.tallies.forget();
                    let everybody: Vec<Ran> = ran.drain(..).chain([Ran::unrun(job)]).collect();
                    if let Err(error) = command(guarded, "BEGIN IMMEDIATE") {
                        return Ended::Failed(everybody, error);
                    }
                    careful = true;
                    waiting.extend(everybody.into_iter().map(|one| one.job));
                }
                Left::Lost(one, error) => {
                    ran.push(one);
                    ran.extend(waiting.into_iter().map(Ran::unrun));
                    return Ended::Failed(ran, error);
                }
            }
        }
        match batch.tallies.write(&guarded.connection).and_then(|()| command(guarded, "COMMIT")) {
            Ok(()) => Ended::Committed(ran),
            Err(error) => {
                rollback(guarded);
                Ended::Failed(ran, error)
            }
        }
    }

    /// Runs one closure in the open transaction, in a savepoint when `careful` or when it may change what is not counted (tables).
    /// `others` says whether somebody else's work is in the transaction.
    fn run_one(&self, guarded: &Guarded, batch: &Batch<'_>, mut job: Job, careful: bool, others: bool) -> Left {
        let (config, counters) = (&self.config, &self.counters);
        let savepoint = careful || (others && job.mode == Mode::WriteUnlimited);
        if savepoint && let Err(error) = command(guarded, "SAVEPOINT job") {
            rollback(guarded);
            return Left::Lost(Ran::unrun(job), error);
        }
        let (changes, counted) = (guarded.connection.total_changes(), batch.tallies.mark());
        guarded.limit((job.mode != Mode::WriteUnlimited).then_some(config.write_timeout));
        let reader = Reader::new(Connection::Sqlite(batch), true);
        let mut tx = Tx { reader, hooks: Vec::new() };
        let wanted = job.run(&mut tx);
        let (failure, hooks) = (tx.reader.failure.take(), tx.hooks);
        guarded.limit(None);
        // SQLite drops the whole transaction by itself on a full disk, an I/O error or an interrupted write.
        if guarded.connection.is_autocommit() {
            let error = failure.unwrap_or_else(|| StoreError::Other("the transaction was ended from inside".into()));
            return Left::Lost(Ran::unrun(job), error);
        }
        let kept = wanted && failure.is_none();
        if kept {
            let released = if savepoint { command(guarded, "RELEASE job") } else { Ok(()) };
            return match released {
                Ok(()) => Left::Sound(Ran { job, hooks, kept, refusal: None }),
                Err(error) => {
                    rollback(guarded);
                    Left::Lost(Ran::unrun(job), error)
                }
            };
        }
        counters.rollbacks.add(1);
        batch.tallies.back(counted);
        let refusal = failure.filter(|failure| wanted || job::overrides(failure)).map(Problem::from);
        if !savepoint {
            if guarded.connection.total_changes() == changes && job.mode != Mode::WriteUnlimited {
                return Left::Sound(Ran { job, hooks: Vec::new(), kept, refusal });
            }
            if others {
                return Left::Spoiled(job);
            }
            rollback(guarded);
            job.answer(refusal.map_or(Ok(()), Err));
            return Left::Alone;
        }
        match command(guarded, "ROLLBACK TO job").and_then(|()| command(guarded, "RELEASE job")) {
            Ok(()) => Left::Sound(Ran { job, hooks: Vec::new(), kept, refusal }),
            Err(error) => {
                rollback(guarded);
                Left::Lost(Ran::unrun(job), error)
            }
        }
    }

    /// The batch is durable.
    fn answer(&self, ran: Vec<Ran>) {
        self.counters.writes.add(ran.iter().filter(|one| one.kept).count() as u64);
        let answers = Answers(ran);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move { drop(answers) });
        }
    }

    /// Nothing of the batch was written: everybody hears so. After trouble with the file the connection is made anew.
    fn refuse(&mut self, ran: Vec<Ran>, error: &StoreError) {
        self.counters.failures.add(1);
        tracing::error!(%error, jobs = ran.len(), "a batch of writes was not committed");
        if !matches!(error, StoreError::Timeout(_)) {
            self.counters.refusing.set(1);
        }
        if !matches!(error, StoreError::Full(_) | StoreError::Timeout(_)) {
            self.connection = None;
        }
        for one in ran {
            one.job.answer(Err(Problem::unavailable(error)));
        }
    }

    /// A long log is folded beside us first; when that is done, we fold the rest, so that the log can begin anew.
    fn fold_when_long(&mut self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        match self.folder.state() {
            State::Resting if pages >= self.checkpoint_at => self.folder.ask(),
            State::Resting | State::Busy => {}
            State::Done => {
                self.folder.rest();
                self.checkpoint();
            }
        }
    }

    /// Folds the log into the file, waiting for nobody. The log's file keeps its length: written over, it needs one wait of the disk at a
    /// commit where one that grows needs a second for its length (measured: 115 µs for 302).
    fn checkpoint(&mut self) {
        let Some(guarded) = &self.connection else { return };
        let connection = &guarded.connection;
        let _ = connection.busy_timeout(Duration::ZERO);
        let answer = folder::pass(connection, PASSIVE);
        let _ = connection.busy_timeout(connection::BUSY_TIMEOUT);
        let step = u64::from(self.config.checkpoint_pages);
        match answer {
            Ok((0, pages, folded)) if pages == folded => {
                self.log_pages.store(0, Ordering::Relaxed);
                self.checkpoint_at = step;
                self.dirty = false;
            }
            // A reader holds an older state: try again when the log has grown by as much again, or in the next pause.
            Ok(_) => self.checkpoint_at = self.log_pages.load(Ordering::Relaxed) + step,
            Err(error) => {
                self.checkpoint_at = self.log_pages.load(Ordering::Relaxed) + step;
                tracing::warn!(%error, "the log could not be folded into the database file");
            }
        }
    }
}

/// How a transaction ended.
enum Ended {
    Committed(Vec<Ran>),
    /// Its only closure has been answered.
    Alone,
    /// Nothing was written.
    Failed(Vec<Ran>, StoreError),
}

/// Hooks and then answers that are due; dropping them gives them, so that none is lost with a runtime that shuts down.
///
/// Given from within the callers' runtime: each from this thread would wake a worker that then takes the processor from us, once for
/// every caller (measured on one core: a tenth of the time, and two of three switches between threads).
struct Answers(Vec<Ran>);

impl Drop for Answers {
    fn drop(&mut self) {
        for one in &mut self.0 {
            if one.kept {
                job::run_hooks(std::mem::take(&mut one.hooks));
            }
        }
        for one in self.0.drain(..) {
            one.job.answer(one.refusal.map_or(Ok(()), Err));
        }
    }
}

impl Ran {
    fn unrun(job: Job) -> Self {
        Self { job, hooks: Vec::new(), kept: false, refusal: None }
    }
}

fn command(guarded: &Guarded, sql: &str) -> Result<(), StoreError> {
    let mut statement = guarded.connection.prepare_cached(sql).map_err(failure::from)?;
    statement.raw_execute().map(|_| ()).map_err(failure::from)
}

/// Ends the transaction if there still is one; a failure shows at the next BEGIN.
fn rollback(guarded: &Guarded) {
    if !guarded.connection.is_autocommit()
        && let Err(error) = command(guarded, "ROLLBACK")
    {
        tracing::error!(%error, "ROLLBACK failed");
    }
}
