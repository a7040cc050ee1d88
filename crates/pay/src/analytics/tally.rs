//! Refusals, counted in memory and written every few seconds: nobody fills the disk by showing bad payments.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::Address;
use loopd_kernel::Kernel;
use loopd_store::View;
use loopd_types::{CompanyId, Result, Timestamp, Uuid};
use tokio::sync::watch;

use super::store;
use crate::Pay;
use crate::mandate::rules::day_of;

/// How often what was counted is written.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// Kinds that are told apart between two writings; what goes beyond is counted under [`OTHERS`].
const MOST: usize = 10_000;
/// Characters of a reason: an engine's may quote a contract.
const REASON_MOST: usize = 80;
const OTHERS: &str = "other";

/// Whose refusal it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Whose {
    Project(CompanyId, Uuid),
    /// Of the project that is paid there, if one is: asked when what was counted is written, not on a request's path.
    Payee(Address),
}

/// What is counted apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Kind {
    pub whose: Whose,
    /// The UTC day, counted from 1970-01-01.
    pub day: i64,
    pub stage: &'static str,
    pub reason: String,
}

/// What was refused since it was last written.
#[derive(Default)]
pub struct Tally(Mutex<HashMap<Kind, i64>>);

impl Tally {
    /// Counts one refusal of `stage`: `verify` and `settle` of a redemption, `facilitator_verify` and `facilitator_settle`, and `pay` of a
    /// buyer's call.
    pub fn note(&self, whose: Whose, stage: &'static str, reason: &str, now: Timestamp) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = counts.len() >= MOST;
        let reason: String = reason.chars().take(REASON_MOST).collect();
        let kind = Kind { whose, day: day_of(now), stage, reason };
        match counts.get_mut(&kind) {
            Some(count) => *count += 1,
            None if is_full => *counts.entry(Kind { reason: OTHERS.to_owned(), ..kind }).or_default() += 1,
            None => drop(counts.insert(kind, 1)),
        }
    }

    fn take(&self) -> HashMap<Kind, i64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts again what could not be written.
    fn put_back(&self, counted: Vec<(Kind, i64)>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in counted {
            *counts.entry(kind).or_default() += count;
        }
    }

    /// Writes what was counted. What cannot be written stays counted.
    ///
    /// # Errors
    /// The database's.
    pub async fn write(&self, kernel: &Kernel) -> Result<()> {
        let counted: Vec<(Kind, i64)> = self.take().into_iter().collect();
        if counted.is_empty() {
            return Ok(());
        }
        let shared = Arc::new(counted);
        let rows = shared.clone();
        let written = kernel.db.write(View::System, move |tx| Ok(store::add(tx, &rows)?)).await;
        if written.is_err() {
            self.put_back(shared.to_vec());
        }
        written
    }
}

/// Writes what is counted until `stop`, and once more then.
pub async fn keep(pay: Arc<Pay>, kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    loop {
        let is_over = *stop.borrow();
        if let Err(problem) = pay.refusals.write(&kernel).await {
            tracing::warn!(cause = problem.cause(), "refused payments could not be counted");
        }
        if is_over {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(WRITE_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}
