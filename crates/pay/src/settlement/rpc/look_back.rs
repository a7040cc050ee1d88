//! After the end: blocks may be replaced by others that do not hold what was found in them, however deep it was believed to be. What is
//! gone is sent again, the same bytes, so that its hash and everything that was said of it become true again.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_store::View;
use loopd_types::Result;

use super::node::{Head, Node};
use super::{Decision, Progress, Relay, is_over, proof};
use crate::settlement::store::transactions;
use crate::settlement::{Settlement, State, reopen};

/// Until the first look.
pub const FIRST: Duration = Duration::from_secs(5);
/// While what was settled is gone.
const SOON: Duration = Duration::from_secs(2);
/// Blocks after which nothing is looked for any more.
const FINAL: u64 = 64;
/// The same where no block is known.
const LONGEST: Duration = Duration::from_secs(900);

impl Relay {
    /// Looks whether the chain still says what it said when the settlement was concluded.
    pub(super) async fn look_again(&self, kernel: &Arc<Kernel>, settlement: Settlement) -> Result<Progress> {
        let Some(node) = self.node(settlement.key.chain) else { return Ok(Progress::Concluded) };
        // The older it is, the less often.
        let since = settlement.concluded_at.map_or(0, |at| kernel.now().0.saturating_sub(at.0));
        let age = Duration::from_micros(since.unsigned_abs()).max(FIRST);
        let Ok(head) = node.head().await else { return Ok(Progress::Later(age)) };
        match settlement.state {
            State::Settled => self.is_still_settled(kernel, node, &settlement, head, age).await,
            State::Failed if age < LONGEST => {
                if let Ok(Some(Decision::Settled(hash))) = self.witness(node).found(&settlement).await {
                    tracing::warn!(settlement = %settlement.id, %hash, "what had failed was settled after all");
                    reopen(kernel, settlement.id).await?;
                    return Ok(Progress::Later(Duration::ZERO));
                }
                Ok(Progress::Later(age))
            }
            _ => Ok(Progress::Concluded),
        }
    }

    async fn is_still_settled(
        &self,
        kernel: &Arc<Kernel>,
        node: &Node,
        settlement: &Settlement,
        head: Head,
        age: Duration,
    ) -> Result<Progress> {
        let Some(hash) = settlement.tx_hash else { return Ok(Progress::Concluded) };
        match node.receipt(hash).await {
            Err(_) => return Ok(Progress::Later(age)),
            Ok(Some(receipt)) if receipt.succeeded && proof::has_moved(settlement, &receipt.logs) => {
                let is_final = head.number >= receipt.block.saturating_add(FINAL);
                return Ok(if is_final { Progress::Concluded } else { Progress::Later(age) });
            }
            Ok(_) => {}
        }
        let (id, witness) = (settlement.id, self.witness(node));
        match witness.found(settlement).await {
            Err(_) => return Ok(Progress::Later(SOON)),
            Ok(Some(Decision::Settled(other))) => {
                tracing::warn!(settlement = %id, %hash, %other, "settled now by another transaction than the one that was told");
                return Ok(Progress::Concluded);
            }
            Ok(Some(Decision::Failed(_))) => return Ok(undone(settlement)),
            Ok(None) if is_over(settlement, head) && witness.is_used(settlement).await == Ok(false) => {
                return Ok(undone(settlement));
            }
            Ok(None) => {}
        }
        tracing::warn!(settlement = %id, %hash, "the chain has lost a settled payment; it is sent again");
        let signed = kernel.db.read(View::System, move |reader| transactions::all_of(reader, id)).await?;
        for one in &signed {
            if let Err(fault) = node.send(&one.raw).await {
                tracing::info!(hash = %one.hash, %fault, "a transaction was not taken again at once");
            }
        }
        Ok(Progress::Later(SOON))
    }
}

/// It was told to be settled, receipt and all, and never will be: people must know.
fn undone(settlement: &Settlement) -> Progress {
    let (id, payer, nonce) = (settlement.id, settlement.key.payer, settlement.key.nonce);
    tracing::error!(settlement = %id, %payer, %nonce, "the chain has undone a settled payment, and it cannot be made again; LOOP_EVM_CONFIRMATIONS is too low for this chain");
    Progress::Concluded
}
