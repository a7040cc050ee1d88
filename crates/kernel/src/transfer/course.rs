//! How far a transfer is that nobody watches, told to its row now and then, and whether anybody still wants it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loopd_types::{Problem, Result};

use super::{Step, Watcher};

/// How often the row tells how far it is, and the worker hears that it was cancelled or taken over.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Course {
    phase: Mutex<&'static str>,
    rows: AtomicU64,
    of_rows: AtomicU64,
    bytes: AtomicU64,
    of_bytes: AtomicU64,
    is_over: AtomicBool,
}

/// What a row says of it.
pub struct Figures {
    pub phase: &'static str,
    pub rows: i64,
    pub of_rows: i64,
    pub bytes: i64,
    pub of_bytes: i64,
}

impl Course {
    /// Hears every step, and refuses to go on with `over` once nobody wants it any more.
    pub fn watcher(self: &Arc<Self>, over: fn() -> Problem) -> Watcher {
        let course = self.clone();
        Arc::new(move |step: &Step| {
            *course.phase.lock().unwrap_or_else(PoisonError::into_inner) = step.phase;
            course.rows.store(step.all_rows + step.rows, Ordering::Relaxed);
            course.of_rows.store(step.of_rows, Ordering::Relaxed);
            course.bytes.store(step.bytes, Ordering::Relaxed);
            course.of_bytes.store(step.of_bytes, Ordering::Relaxed);
            if course.is_over.load(Ordering::Relaxed) { Err(over()) } else { Ok(()) }
        })
    }

    pub fn figures(&self) -> Figures {
        let count = |number: &AtomicU64| i64::try_from(number.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        Figures {
            phase: *self.phase.lock().unwrap_or_else(PoisonError::into_inner),
            rows: count(&self.rows),
            of_rows: count(&self.of_rows),
            bytes: count(&self.bytes),
            of_bytes: count(&self.of_bytes),
        }
    }

    /// Works, and has `tell` write down how far it is meanwhile; that answers whether it is still this worker's.
    pub async fn told_meanwhile<T, F>(&self, work: impl Future<Output = T>, tell: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<bool>>,
    {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(TELL_EVERY) => match tell().await {
                    Ok(true) => {}
                    Ok(false) => self.is_over.store(true, Ordering::Relaxed),
                    Err(problem) => tracing::warn!(cause = problem.cause(), "how far a transfer is could not be written"),
                },
            }
        }
    }
}
