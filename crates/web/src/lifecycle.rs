//! [`Lifecycle`]: where a server stands between its start and its end. One value, shared by the accept loop, event streams and
//! `/health/ready`, so that all of them learn of a stop in the same moment.

use std::sync::Arc;

use tokio::sync::watch;

/// Only ever moves forward.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Phase {
    #[default]
    Serving,
    /// Told to stop: connections are still accepted, but `/health/ready` says no, so that balancers look elsewhere.
    Draining,
    /// No new connections; running requests are finished, event streams are ended.
    Ending,
    /// Told again, or out of time: everything is cut.
    Cut,
}

/// The phase that a server is in. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle(Arc<watch::Sender<Phase>>);

impl Lifecycle {
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Moves on to `phase`, unless that is behind already.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|known| {
            let moves = *known < phase;
            if moves {
                *known = phase;
            }
            moves
        });
    }

    /// Waits until `phase` is reached.
    pub fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + 'static {
        let mut watched = self.0.subscribe();
        async move {
            // An error means that the application itself is gone.
            let _ = watched.wait_for(|known| *known >= phase).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_phase_that_is_behind_does_not_come_back() {
        let lifecycle = Lifecycle::default();
        lifecycle.advance(Phase::Ending);
        lifecycle.advance(Phase::Draining);
        assert_eq!(lifecycle.phase(), Phase::Ending);
        lifecycle.reached(Phase::Draining).await;
        lifecycle.reached(Phase::Ending).await;
    }
}
