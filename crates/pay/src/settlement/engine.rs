//! [`Engine`]: what moves the money.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use loopd_kernel::Kernel;
use loopd_store::Tx;
use loopd_types::{Result, Timestamp};

use super::Settlement;

/// Moves money, and knows what became of it.
pub trait Engine: Send + Sync {
    /// As it stands in the records.
    fn name(&self) -> &'static str;

    /// Moves the money in the transaction that records the settlement, for an engine that lives in our own database; `None` for
    /// every other, which is asked to [`carry`](Engine::carry) once the record is durable.
    ///
    /// # Errors
    /// The database's.
    fn within(&self, tx: &mut Tx<'_>, settlement: &Settlement, now: Timestamp) -> Result<Option<Decision>> {
        let _ = (tx, settlement, now);
        Ok(None)
    }

    /// Carries a recorded settlement as far as it goes. Two may do so at once, here or on two nodes, and it may end anywhere: whatever
    /// is sent is durable before, and what is sent again changes nothing.
    fn carry<'a>(&'a self, kernel: &'a Arc<Kernel>, settlement: Settlement) -> Carrying<'a>;

    /// Looks again at a concluded settlement, while what was found may still go away; asked of settlements that were concluded with a
    /// time for it ([`conclude`](super::conclude)). [`Progress::Concluded`]: there is no more to look for.
    fn look_back<'a>(&'a self, kernel: &'a Arc<Kernel>, settlement: Settlement) -> Carrying<'a> {
        let _ = (kernel, settlement);
        Box::pin(async { Ok(Progress::Concluded) })
    }
}

/// What [`Engine::carry`] gives.
pub type Carrying<'a> = Pin<Box<dyn Future<Output = Result<Progress>> + Send + 'a>>;

/// How far a settlement was carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    Concluded,
    /// Nothing more can be done before so long.
    Later(Duration),
}

/// What became of a settlement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Moved, by this transaction.
    Settled(B256),
    /// Not moved, and nothing that was sent can still move it; x402's reason.
    Failed(Cow<'static, str>),
}
