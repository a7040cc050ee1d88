//! Who is told, in this process, that a company's log has grown. Only a hint: whoever is told reads the log, and looks by themselves now
//! and then, because other nodes write to it too.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use loopd_types::CompanyId;
use tokio::sync::Notify;

/// The bell of this process.
#[derive(Default)]
pub struct Signals {
    /// Companies whose log has grown since the deliveries' pump looked.
    grown: Mutex<HashSet<CompanyId>>,
    pump: Notify,
    /// Readers of one company's log.
    readers: Mutex<HashMap<CompanyId, Arc<Notify>>>,
}

impl Signals {
    /// Called after a commit that wrote events of `company`.
    pub(crate) fn rise(&self, company: CompanyId) {
        if let Some(reader) = lock(&self.readers).get(&company) {
            reader.notify_one();
        }
        if lock(&self.grown).insert(company) {
            self.pump.notify_one();
        }
    }

    /// The bell of one company's log, until [`Signals::mute`].
    pub(crate) fn bell(&self, company: CompanyId) -> Arc<Notify> {
        lock(&self.readers).entry(company).or_default().clone()
    }

    pub(crate) fn mute(&self, company: CompanyId) {
        lock(&self.readers).remove(&company);
    }

    /// Companies whose log has grown since the last call.
    pub(crate) fn take_grown(&self) -> HashSet<CompanyId> {
        std::mem::take(&mut *lock(&self.grown))
    }

    /// Waits until some log has grown.
    pub(crate) async fn grown(&self) {
        self.pump.notified().await;
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
