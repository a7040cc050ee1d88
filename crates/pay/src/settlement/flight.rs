//! Flights: settlements that this process is carrying now, so that one carries and everybody else waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loopd_types::Uuid;
use tokio::sync::watch;

/// Who is under way, and who waits for them.
#[derive(Clone, Default)]
pub struct Flights(Arc<Mutex<HashMap<Uuid, watch::Sender<()>>>>);

impl Flights {
    /// Begins a flight unless it is under way.
    pub fn begin(&self, id: Uuid) -> Option<Flight> {
        let mut all = self.lock();
        if all.contains_key(&id) {
            return None;
        }
        all.insert(id, watch::Sender::new(()));
        Some(Flight { flights: self.clone(), id })
    }

    /// Resolves when the flight has landed; at once when there is none.
    pub async fn landed(&self, id: Uuid) {
        let waiting = self.lock().get(&id).map(watch::Sender::subscribe);
        if let Some(mut waiting) = waiting {
            // An error says that the sender is gone, which is what is waited for.
            while waiting.changed().await.is_ok() {}
        }
    }

    pub fn is_under_way(&self, id: Uuid) -> bool {
        self.lock().contains_key(&id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A settlement that is being carried; has landed when dropped.
pub struct Flight {
    flights: Flights,
    pub id: Uuid,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.id);
    }
}
