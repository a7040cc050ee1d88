//! [`Queue`]: the bounded line of jobs between async callers and the database threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::StoreError;
use crate::job::Job;

/// First come, first served; any number of threads take from it.
pub struct Queue {
    line: Mutex<Line>,
    ready: Condvar,
    room: Semaphore,
}

struct Line {
    jobs: VecDeque<Job>,
    open: bool,
}

/// What [`Queue::pop`] found.
pub enum Popped {
    Job(Job),
    /// Nothing came within the time given.
    Idle,
    /// Closed and empty.
    Closed,
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self {
            line: Mutex::new(Line { jobs: VecDeque::new(), open: true }),
            ready: Condvar::new(),
            room: Semaphore::new(limit),
        }
    }

    /// Puts a job in line; waits up to `limit` for room. `false` when there was none or the queue is closed.
    pub async fn push(&self, job: Job, limit: Duration) -> bool {
        let permit = match self.room.try_acquire() {
            Ok(permit) => permit,
            Err(_) => match tokio::time::timeout(limit, self.room.acquire()).await {
                Ok(Ok(permit)) => permit,
                _ => return false,
            },
        };
        permit.forget();
        {
            let mut line = self.line();
            if !line.open {
                return false;
            }
            line.jobs.push_back(job);
        }
        self.ready.notify_one();
        true
    }

    /// The next job whose caller still waits.
    pub fn pop(&self, idle: Duration) -> Popped {
        let mut line = self.line();
        loop {
            if let Some(job) = self.take(&mut line) {
                return Popped::Job(job);
            }
            if !line.open {
                return Popped::Closed;
            }
            let (guard, waited) = self.ready.wait_timeout(line, idle).unwrap_or_else(PoisonError::into_inner);
            line = guard;
            if waited.timed_out() && line.jobs.is_empty() && line.open {
                return Popped::Idle;
            }
        }
    }

    /// The next job, if one waits.
    pub fn try_pop(&self) -> Option<Job> {
        self.take(&mut self.line())
    }

    fn take(&self, line: &mut Line) -> Option<Job> {
        while let Some(job) = line.jobs.pop_front() {
            self.room.add_permits(1);
            if job.start() {
                return Some(job);
            }
        }
        None
    }

    /// No new jobs; those in line are still run.
    pub fn close(&self) {
        self.line().open = false;
        self.ready.notify_all();
    }

    pub fn len(&self) -> usize {
        self.line().jobs.len()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a database thread.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| StoreError::Unavailable(format!("no thread for the database: {error}")))
}
