//! Webhooks: a company's events, posted to addresses of its choice.
//!
//! | step | file | what makes it sure |
//! | --- | --- | --- |
//! | an event is written | `event.rs` | in the transaction that causes it |
//! | events become deliveries | `hand_over.rs` | rows, and how far it came, in one transaction |
//! | a node takes an endpoint's lane | `dispatch.rs` | a lease on the lane's row |
//! | a delivery is attempted | `lane.rs`, `attempt.rs` | pending until an outcome is written |
//! | the outcome is written | `record.rs` | attempt, delivery and endpoint in one transaction, many together |
//!
//! Whatever dies between two steps is taken up again from the rows, so an event is delivered at least once; a repeat has the same
//! id and the same body. The lane, not the delivery, is what nodes claim: one node at a time works for an endpoint, which makes its
//! concurrency and order simple to keep, and saves a write for each delivery.

mod attempt;
pub mod delivery;
pub mod dispatch;
pub mod endpoint;
mod hand_over;
mod lane;
mod record;
pub mod replay;
mod retention;
pub mod signature;
mod verdict;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use loopd_types::{CompanyId, Uuid};
use tokio::sync::Notify;

pub use attempt::ping;
pub use signature::{Scheme, Schemes, Signing, sign};

use crate::event::signal::lock;
use crate::job::Runner;

/// Wakes what works for an endpoint in this process. Only hints: whoever misses one finds the row a second later.
#[derive(Default)]
pub(crate) struct Bells {
    dispatch: Notify,
    lanes: Mutex<HashMap<(CompanyId, Uuid), Arc<Notify>>>,
    /// Companies that have an endpoint, as far as this process knows.
    listening: Mutex<HashSet<CompanyId>>,
}

impl Bells {
    /// There is something to do for this endpoint.
    pub fn ring(&self, company: CompanyId, endpoint: Uuid) {
        match lock(&self.lanes).get(&(company, endpoint)) {
            Some(lane) => lane.notify_one(),
            None => self.dispatch.notify_one(),
        }
    }

    pub fn listens(&self, company: CompanyId) {
        lock(&self.listening).insert(company);
    }
}

/// Registers the jobs of webhooks and of the event log.
pub fn register(runner: &mut Runner) {
    replay::register(runner);
    retention::register(runner);
}
