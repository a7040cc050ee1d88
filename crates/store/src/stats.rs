//! [`Stats`]: the figures behind `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// A reading of the counters since the process started; gauges are as of now.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Calls that wait for the writer or a connection (gauge).
    pub queued: u64,
    /// Jobs being run: connections in use, or the writer and long readers at work (gauge).
    pub busy: u64,
    /// Connections open, those of inline readers not counted (gauge).
    pub connections: u64,
    /// Transactions committed; on SQLite one counts for a whole batch.
    pub commits: u64,
    /// Write closures that were committed.
    pub writes: u64,
    /// Write closures that were rolled back because they refused.
    pub rollbacks: u64,
    /// Closures in the latest batch (SQLite).
    pub batch_jobs: u64,
    /// Reads answered, short and long.
    pub reads: u64,
    /// Runs repeated after a serialization failure or a lost connection (PostgreSQL).
    pub retries: u64,
    /// Calls refused because waiting took too long.
    pub wait_timeouts: u64,
    /// Failures of the database itself: full, unreachable, time limit.
    pub failures: u64,
    /// 1 after a write was not kept for want of room or for trouble with the file, until [`crate::Db::keeps_writes`] finds it well (gauge).
    pub refusing: u64,
}

/// Where the threads count.
#[derive(Default)]
pub struct Counters {
    pub busy: Count,
    pub connections: Count,
    pub commits: Count,
    pub writes: Count,
    pub rollbacks: Count,
    pub batch_jobs: Count,
    pub reads: Count,
    pub retries: Count,
    pub wait_timeouts: Count,
    pub failures: Count,
    pub refusing: Count,
}

impl Counters {
    pub fn snapshot(&self, queued: usize) -> Stats {
        Stats {
            queued: queued as u64,
            busy: self.busy.get(),
            connections: self.connections.get(),
            commits: self.commits.get(),
            writes: self.writes.get(),
            rollbacks: self.rollbacks.get(),
            batch_jobs: self.batch_jobs.get(),
            reads: self.reads.get(),
            retries: self.retries.get(),
            wait_timeouts: self.wait_timeouts.get(),
            failures: self.failures.get(),
            refusing: self.refusing.get(),
        }
    }
}

/// One figure; exact order between figures does not matter.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
    pub fn sub(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }
    pub fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
