//! The connection threads: each takes jobs from one line and runs them on a connection of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use loopd_types::{Kind, Problem};

use super::address::Address;
use super::session::{CommitFailure, Session};
use crate::job::{self, Job, Mode};
use crate::queue::{Popped, Queue};
use crate::reader::{Connection, Reader};
use crate::stats::Counters;
use crate::{Config, StoreError, Tx};

/// How long a thread waits before it looks whether the pool was closed.
const IDLE: Duration = Duration::from_secs(60);
/// First pause after transactions got in each other's way; doubles.
const CONFLICT_PAUSE: Duration = Duration::from_millis(2);
/// First pause after a lost connection or a failed attempt to make one; doubles.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One connection thread.
pub struct Worker {
    pub address: Address,
    pub config: Config,
    pub queue: Arc<Queue>,
    pub counters: Arc<Counters>,
    /// Its place among the threads; spreads the pauses, so that two that collided do not collide again.
    pub place: usize,
    pub session: Option<Session>,
    /// The last attempt to connect failed: jobs are refused after one more, not kept waiting.
    pub is_down: bool,
}

/// How one run of a job ended.
enum Run {
    Over(Result<(), Problem>),
    Again(StoreError, Duration),
}

impl Worker {
    /// Runs until the queue is closed and empty.
    pub fn run(mut self) {
        loop {
            match self.queue.pop(IDLE) {
                Popped::Job(job) => {
                    self.counters.busy.add(1);
                    // A panic of ours costs this job its answer and this thread its connection, not the thread.
                    if catch_unwind(AssertUnwindSafe(|| self.serve(job))).is_err() {
                        self.drop_session();
                    }
                    self.counters.busy.sub(1);
                }
                Popped::Idle => {}
                Popped::Closed => break,
            }
        }
        self.drop_session();
    }

    fn serve(&mut self, mut job: Job) {
        let mut tries = 0;
        let tries_allowed = if self.is_down { 0 } else { self.config.retries };
        loop {
            match self.run_once(&mut job) {
                Run::Over(fate) => return job.answer(fate),
                Run::Again(error, _) if tries >= tries_allowed => {
                    self.counters.failures.add(1);
                    tracing::warn!(%error, tries, "a database call was given up");
                    return job.answer(Err(error.into()));
                }
                Run::Again(_, first) => {
                    let pause = first.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
                    sleep(pause + pause.mul_f64(self.place as f64 / self.config.pool_size.max(1) as f64));
                    tries += 1;
                    self.counters.retries.add(1);
                }
            }
        }
    }

    fn run_once(&mut self, job: &mut Job) -> Run {
        let mut session = match self.session() {
            Ok(session) => session,
            Err(error) => return Run::Again(error, CONNECT_PAUSE),
        };
        let run = match job.mode {
            Mode::Read => self.read(&mut session, job),
            Mode::ReadLong | Mode::ReadUnlimited => self.read_long(&mut session, job),
            Mode::Write | Mode::WriteUnlimited => self.write(&mut session, job),
        };
        if session.is_lost() {
            self.counters.connections.sub(1);
        } else {
            self.session = Some(session);
        }
        run
    }

    /// The thread's connection, made if there is none.
    fn session(&mut self) -> Result<Session, StoreError> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        let made = Session::connect(&self.address, self.config.write_timeout, self.config.statement_cache);
        self.is_down = made.is_err();
        if made.is_ok() {
            self.counters.connections.add(1);
        }
        made
    }

    fn drop_session(&mut self) {
        if let Some(session) = self.session.take() {
            session.close();
            self.counters.connections.sub(1);
        }
    }

    fn read(&self, session: &mut Session, job: &mut Job) -> Run {
        session.begin_reads(&job.view, self.config.read_timeout);
        let (finished, failure) = run(session, job, false);
        session.end_reads();
        self.counters.reads.add(1);
        self.settle_read(session, finished, failure)
    }

    fn read_long(&self, session: &mut Session, job: &mut Job) -> Run {
        let limit = (job.mode == Mode::ReadLong).then_some(self.config.long_read_timeout);
        session.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY", &job.view, limit);
        let (finished, failure) = run(session, job, true);
        session.rollback();
        self.counters.reads.add(1);
        self.settle_read(session, finished, failure)
    }

    fn settle_read(&self, session: &mut Session, finished: bool, failure: Option<StoreError>) -> Run {
        match failure {
            None => Run::Over(Ok(())),
            Some(StoreError::Serialization) => {
                session.forget_statements();
                Run::Again(StoreError::Serialization, CONFLICT_PAUSE)
            }
            Some(failure @ StoreError::Unavailable(_)) => Run::Again(failure, CONNECT_PAUSE),
            Some(failure) if !finished && job::overrides(&failure) => {
                self.counters.failures.add(1);
                Run::Over(Err(failure.into()))
            }
            Some(_) => Run::Over(Ok(())),
        }
    }

    fn write(&self, session: &mut Session, job: &mut Job) -> Run {
        let limit = (job.mode == Mode::Write).then_some(self.config.write_timeout);
        session.begin("ISOLATION LEVEL READ COMMITTED", &job.view, limit);
        let mut tx = Tx { reader: Reader::new(Connection::Postgres(session), true), hooks: Vec::new() };
        let wanted = job.run(&mut tx);
        let (mut failure, hooks) = (tx.reader.failure.take(), tx.hooks);
        if wanted && failure.is_none() {
            match session.commit() {
                Ok(()) => {
                    self.counters.commits.add(1);
                    self.counters.writes.add(1);
                    job::run_hooks(hooks);
                    return Run::Over(Ok(()));
                }
                Err(CommitFailure::RolledBack(error)) => failure = Some(error),
                Err(CommitFailure::Unknown(error)) => {
                    self.counters.failures.add(1);
                    tracing::error!(%error, "the connection went away during COMMIT: the outcome is not known");
                    return Run::Over(Err(unknown_outcome(&error)));
                }
            }
        }
        session.rollback();
        self.counters.rollbacks.add(1);
        if matches!(failure, Some(StoreError::Full(_))) {
            self.counters.refusing.set(1);
        }
        match failure {
            Some(StoreError::Serialization) => {
                session.forget_statements();
                Run::Again(StoreError::Serialization, CONFLICT_PAUSE)
            }
            // Lost before COMMIT was sent: the server has rolled back, so it is safe to run again.
            Some(failure @ StoreError::Unavailable(_)) if session.is_lost() => Run::Again(failure, CONNECT_PAUSE),
            Some(failure) if wanted || job::overrides(&failure) => {
                self.counters.failures.add(u64::from(job::overrides(&failure)));
                Run::Over(Err(failure.into()))
            }
            _ => Run::Over(Ok(())),
        }
    }
}

/// Neither "done" nor "nothing was changed" would be true.
fn unknown_outcome(error: &StoreError) -> Problem {
    Problem::new(
        Kind::Unavailable,
        "unavailable",
        "The database went away while the change was being saved: it may or may not have been made. \
         Look, or repeat the call with the same Idempotency-Key.",
    )
    .with_header("Retry-After", "1")
    .with_cause(format!("the outcome of a commit is not known: {error}"))
}

/// Runs a job that only reads; whether it finished, and what failed.
fn run(session: &mut Session, job: &mut Job, in_transaction: bool) -> (bool, Option<StoreError>) {
    let mut tx = Tx { reader: Reader::new(Connection::Postgres(session), in_transaction), hooks: Vec::new() };
    let finished = job.run(&mut tx);
    (finished, tx.reader.failure.take())
}
