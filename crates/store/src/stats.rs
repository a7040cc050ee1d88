//! [`Stats`]: the figures behind `/metrics`.

/// A reading of the counters since the process started; gauges are as of now.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Calls that wait for the writer or a connection (gauge).
    pub queued: u64,
    /// Connections or the writer at work (gauge).
    pub busy: u64,
    /// Connections open (gauge).
    pub connections: u64,
    /// Transactions committed; on SQLite one counts for a whole batch.
    pub commits: u64,
    /// Write closures that were committed.
    pub writes: u64,
    /// Write closures that were rolled back because they refused.
    pub rollbacks: u64,
    /// Size of the latest batch (SQLite).
    pub batch_jobs: u64,
    /// Reads answered, short and long.
    pub reads: u64,
    /// Runs repeated after a serialization failure or a lost connection (PostgreSQL).
    pub retries: u64,
    /// Calls refused because waiting took too long.
    pub wait_timeouts: u64,
    /// Failures of the database itself: full, unreachable, time limit.
    pub failures: u64,
}
