//! The engine with own gas wallets: signs transactions, sends them to a node, and watches until the chain has told what became of them.
//!
//! A transaction and its hash are in the database before any node sees it, so whoever takes up a settlement sends the same bytes again,
//! which changes nothing. The token's contract takes an authorization once, whatever is sent: money moves at most once by construction,
//! and what this engine must get right is to say so. Nothing that was sent is called failed before the chain has refused it, its time is
//! over on the chain, or something else is known to have used its nonce.

mod begin;
mod fees;
mod look_back;
mod node;
mod proof;
mod transaction;
mod watch;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use loopd_kernel::Kernel;
use loopd_types::{Result, Uuid};
use tokio::time::Instant;

pub(super) use self::node::Node;
pub use self::transaction::{Fees, Signed, Unsigned, Wallet};
pub(super) use self::witness::{Witness, is_over};
use super::engine::{Carrying, Decision, Engine, Progress};
use super::{Settlement, State, conclude, reason, store};
use crate::evm::{Chain as _, Rpc};
use crate::settings::{Failpoint, Gas};

/// The engine's name in the records.
pub const NAME: &str = "rpc";

/// Sends by own wallets.
pub struct Relay {
    nodes: Vec<Node>,
    wallets: Arc<[Wallet]>,
    gas: Gas,
    failpoint: Failpoint,
}

/// What one step came to.
enum Step {
    /// Look at the row again, and go on.
    Next,
    Stop(Progress),
}

impl Relay {
    /// An engine over these nodes.
    ///
    /// # Errors
    /// In words, when a key is none.
    pub fn new(nodes: &[Arc<Rpc>], settings: &crate::Settings) -> Result<Self, String> {
        let wallet = |key| Wallet::new(key).ok_or_else(|| "LOOP_EVM_PRIVATE_KEY: a key is none".to_owned());
        let wallets = settings.keys.iter().map(wallet).collect::<Result<Vec<_>, _>>()?;
        let nodes = nodes.iter().cloned().map(Node).collect();
        Ok(Self { nodes, wallets: wallets.into(), gas: settings.gas.clone(), failpoint: settings.failpoint.clone() })
    }

    /// The addresses that pay for gas, and must have some.
    pub fn wallets(&self) -> impl Iterator<Item = Address> + '_ {
        self.wallets.iter().map(|wallet| wallet.address)
    }

    fn node(&self, chain: u64) -> Option<&Node> {
        self.nodes.iter().find(|node| node.0.id() == chain)
    }

    async fn carry_on(&self, kernel: &Arc<Kernel>, id: Uuid) -> Result<Progress> {
        let since = Instant::now();
        loop {
            let settlement = store::get(kernel, id).await?;
            let Some(node) = self.node(settlement.key.chain) else {
                return self.without_node(kernel, &settlement).await;
            };
            let step = match settlement.state {
                State::Settled | State::Failed => return Ok(Progress::Concluded),
                State::Recorded => self.begin(kernel, node, &settlement, since).await?,
                State::Sending => self.send(kernel, node, &settlement).await?,
                State::Sent | State::Unknown => self.watch(kernel, node, &settlement).await?,
            };
            if let Step::Stop(progress) = step {
                return Ok(progress);
            }
        }
    }

    fn witness<'a>(&self, node: &'a Node) -> Witness<'a> {
        Witness { node, confirmations: self.gas.confirmations }
    }

    async fn without_node(&self, kernel: &Arc<Kernel>, settlement: &Settlement) -> Result<Progress> {
        if settlement.state == State::Recorded {
            conclude(kernel, settlement.id, Decision::Failed(reason::NETWORK.into()), None).await?;
            return Ok(Progress::Concluded);
        }
        // Its node was taken out of the settings while it was under way.
        Ok(Progress::Later(Duration::from_secs(60)))
    }

    async fn concluded(&self, kernel: &Arc<Kernel>, id: Uuid, decision: Decision) -> Result<Step> {
        self.failpoint.at("decided");
        conclude(kernel, id, decision, Some(look_back::FIRST)).await?;
        self.failpoint.at("concluded");
        Ok(Step::Stop(Progress::Concluded))
    }
}

impl Engine for Relay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn carry<'a>(&'a self, kernel: &'a Arc<Kernel>, settlement: Settlement) -> Carrying<'a> {
        Box::pin(async move {
            self.failpoint.at("recorded");
            self.carry_on(kernel, settlement.id).await
        })
    }

    fn look_back<'a>(&'a self, kernel: &'a Arc<Kernel>, settlement: Settlement) -> Carrying<'a> {
        Box::pin(self.look_again(kernel, settlement))
    }
}
