//! Time and chance for tests: both stand still until the test moves them.

use std::sync::Arc;

use loopd_types::{Clock, Ids, ManualClock, Rng, SeededRng, Timestamp};

/// A stopped clock, a seeded generator and the ids made from both.
///
/// Every test begins at the same moment, 2026-06-22T10:00:00Z, a Monday, with the same bytes to come.
#[derive(Clone)]
pub struct Sources {
    pub clock: Arc<ManualClock>,
    pub rng: Arc<SeededRng>,
    pub ids: Arc<Ids>,
}

impl Sources {
    /// `seed` decides the bytes; property tests pass their own.
    pub fn seeded(seed: u64) -> Self {
        let start = Timestamp::parse("2026-06-22T10:00:00Z").expect("a moment in the right form");
        Self {
            clock: Arc::new(ManualClock::at(start)),
            rng: Arc::new(SeededRng::new(seed)),
            ids: Arc::new(Ids::default()),
        }
    }

    /// The clock as the product takes it.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// The generator as the product takes it.
    pub fn rng(&self) -> Arc<dyn Rng> {
        Arc::clone(&self.rng) as Arc<dyn Rng>
    }
}

impl Default for Sources {
    fn default() -> Self {
        Self::seeded(1)
    }
}
