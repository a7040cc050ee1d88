//! Reading: inline on the calling thread for short reads, two threads for long ones.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use loopd_types::Problem;

use super::connection::{self, Guarded};
use super::failure;
use crate::job::{self, Job, Mode};
use crate::queue::{Popped, Queue};
use crate::reader::{Connection, Reader};
use crate::stats::Counters;
use crate::{Config, StoreError, Tx};

/// What a reader connection is opened from; its address tells one `Db` from another.
pub struct Source {
    pub path: PathBuf,
    pub config: Config,
    pub counters: Arc<Counters>,
}

struct Entry {
    source: Weak<Source>,
    guarded: Guarded,
}

thread_local! {
    /// This thread's connections, one for each `Db` it has read from; nearly always one.
    static CONNECTIONS: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// Runs a short read on the calling thread.
pub fn inline<T>(source: &Arc<Source>, work: impl Fn(&mut Reader<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
    let mut made = None;
    run(source, &mut |reader| {
        made = Some(work(reader)?);
        Ok(())
    })?;
    made.ok_or_else(|| Problem::internal("a read was answered before it ran"))
}

fn run(source: &Arc<Source>, work: &mut dyn FnMut(&mut Reader<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
    let entry = match borrow(source) {
        Some(entry) => entry,
        None => {
            let guarded = connection::open_reader(&source.path, &source.config)?;
            Entry { source: Arc::downgrade(source), guarded }
        }
    };
    entry.guarded.limit(Some(source.config.read_timeout));
    let mut reader = Reader::new(Connection::Sqlite(&entry.guarded.connection), false);
    let answer = job::guarded(|| work(&mut reader));
    let failure = reader.failure.take();
    source.counters.reads.add(1);
    let answer = settle(answer, failure.as_ref(), &source.counters);
    // A connection in trouble with its file is not kept: the next read opens another.
    if !matches!(failure, Some(StoreError::Unavailable(_))) {
        CONNECTIONS.with_borrow_mut(|entries| entries.push(entry));
    }
    answer
}

/// Takes this thread's connection out of its place, so that a read inside a read gets another one.
fn borrow(source: &Arc<Source>) -> Option<Entry> {
    CONNECTIONS.with_borrow_mut(|entries| {
        let found = entries.iter().position(|entry| std::ptr::eq(entry.source.as_ptr(), Arc::as_ptr(source)));
        if found.is_none() {
            // A new acquaintance: a good moment to close the connections of databases that are gone.
            entries.retain(|entry| entry.source.strong_count() > 0);
        }
        found.map(|at| entries.swap_remove(at))
    })
}

/// What the caller is told: the closure's outcome, unless the database itself failed.
fn settle(answer: Result<(), Problem>, failure: Option<&StoreError>, counters: &Counters) -> Result<(), Problem> {
    match failure {
        Some(failure) if job::overrides(failure) => {
            counters.failures.add(1);
            if answer.is_ok() { answer } else { Err(failure.clone().into()) }
        }
        _ => answer,
    }
}

/// A thread of the long readers; runs until the queue is closed and empty.
pub fn run_long(source: &Source, queue: &Queue) {
    let mut connection: Option<Guarded> = None;
    loop {
        match queue.pop(Duration::from_secs(60)) {
            Popped::Job(job) => {
                source.counters.busy.add(1);
                if catch_unwind(AssertUnwindSafe(|| long(source, &mut connection, job))).is_err() {
                    connection = None;
                }
                source.counters.busy.sub(1);
            }
            // A resting connection gives its memory back.
            Popped::Idle => connection = None,
            Popped::Closed => return,
        }
    }
}

fn long(source: &Source, slot: &mut Option<Guarded>, mut job: Job) {
    let guarded = match slot.take().map_or_else(|| connection::open_reader(&source.path, &source.config), Ok) {
        Ok(guarded) => guarded,
        Err(error) => return job.answer(Err(error.into())),
    };
    guarded.limit((job.mode != Mode::ReadUnlimited).then_some(source.config.long_read_timeout));
    // BEGIN alone takes no snapshot; the first SELECT does, and all others then see the same state.
    if let Err(error) = guarded.connection.execute_batch("BEGIN").map_err(failure::from) {
        return job.answer(Err(error.into()));
    }
    let mut tx = Tx { reader: Reader::new(Connection::Sqlite(&guarded.connection), false), hooks: Vec::new() };
    let finished = job.run(&mut tx);
    let failure = tx.reader.failure.take();
    source.counters.reads.add(1);
    guarded.limit(None);
    let ended = guarded.connection.execute_batch("ROLLBACK").is_ok();
    if ended && !matches!(failure, Some(StoreError::Unavailable(_))) {
        *slot = Some(guarded);
    }
    match failure {
        Some(failure) if !finished && job::overrides(&failure) => {
            source.counters.failures.add(1);
            job.answer(Err(failure.into()));
        }
        _ => job.answer(Ok(())),
    }
}
