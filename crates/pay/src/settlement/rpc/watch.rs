//! From sent to told: receipts, replacements, what others did, and when there is nothing more to hope for.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use loopd_kernel::Kernel;
use loopd_store::View;
use loopd_types::{Result, SECOND_US, Uuid};
use tokio::time::Instant;

use super::node::{Head, Node, Receipt};
use super::witness::is_over;
use super::{Decision, Progress, Relay, Step, Unsigned, fees, proof};
use crate::evm::abi::{Act, Call};
use crate::evm::{Chain as _, Fault};
use crate::settlement::store::transactions::{self, Transaction};
use crate::settlement::{Settlement, State, reason, store};

/// How long one watch goes on before its settlement is left to the next.
const LONGEST: Duration = Duration::from_secs(60);
/// Between two looks for a receipt, at least.
const SHORTEST: Duration = Duration::from_millis(5);
/// Until the next one.
const LATER: Duration = Duration::from_secs(5);
/// Between two looks at what does not change with every block.
const RARELY: Duration = Duration::from_secs(2);

impl Relay {
    /// Watches until the chain has told.
    pub(super) async fn watch(&self, kernel: &Arc<Kernel>, node: &Node, settlement: &Settlement) -> Result<Step> {
        let (started, mut rare) = (Instant::now(), Instant::now() + RARELY);
        loop {
            let id = settlement.id;
            let signed = kernel.db.read(View::System, move |reader| transactions::of(reader, id)).await?;
            for one in &signed {
                match node.receipt(one.hash).await {
                    Ok(Some(receipt)) => {
                        if let Some(step) = self.mined(kernel, node, settlement, &signed, (one, &receipt)).await? {
                            return Ok(step);
                        }
                    }
                    Ok(None) => {}
                    Err(fault) => {
                        tracing::debug!(settlement = %id, %fault, "no receipt could be had");
                        break;
                    }
                }
            }
            if Instant::now() >= rare {
                rare = Instant::now() + RARELY;
                if let Some(step) = self.look_around(kernel, node, settlement, &signed).await? {
                    return Ok(step);
                }
            }
            if started.elapsed() > LONGEST {
                return Ok(Step::Stop(Progress::Later(LATER)));
            }
            // Asks the more often the younger it is, and so adds at most a tenth to what the chain takes.
            tokio::time::sleep((started.elapsed() / 10).clamp(SHORTEST, self.gas.poll)).await;
        }
    }

    /// One of ours is in a block. `None` while it is not deep enough, or what the node tells does not fit together.
    async fn mined(
        &self,
        kernel: &Arc<Kernel>,
        node: &Node,
        settlement: &Settlement,
        signed: &[Transaction],
        (one, receipt): (&Transaction, &Receipt),
    ) -> Result<Option<Step>> {
        if !self.witness(node).is_deep(receipt.block).await {
            return Ok(None);
        }
        self.failpoint.at("mined");
        let step = if receipt.succeeded {
            if !proof::has_moved(settlement, &receipt.logs) {
                tracing::warn!(settlement = %settlement.id, hash = %one.hash, "a node says success and shows no transfer");
                return Ok(None);
            }
            self.concluded(kernel, settlement.id, Decision::Settled(one.hash)).await?
        } else if self.witness(node).may_be_used(settlement).await {
            // It changed nothing, because somebody was faster with the same authorization.
            self.search(kernel, node, settlement).await?
        } else if signed.iter().any(|other| (other.relayer, other.nonce) != (one.relayer, one.nonce)) {
            // One with another nonce may still be mined.
            return Ok(None);
        } else {
            self.concluded(kernel, settlement.id, Decision::Failed(reason::REVERTED.into())).await?
        };
        if let Step::Stop(Progress::Concluded) = step {
            self.close(kernel, settlement, one, Some(one.hash)).await?;
            return Ok(Some(step));
        }
        Ok(None)
    }

    /// What is looked at less often: what others did, whether time is over, whether ours is stuck.
    async fn look_around(
        &self,
        kernel: &Arc<Kernel>,
        node: &Node,
        settlement: &Settlement,
        signed: &[Transaction],
    ) -> Result<Option<Step>> {
        let Ok(head) = node.head().await else { return Ok(None) };
        let is_used = self.witness(node).is_used(settlement).await;
        match is_used {
            Ok(true) => {
                return match self.search(kernel, node, settlement).await? {
                    step @ Step::Stop(Progress::Concluded) => Ok(Some(step)),
                    _ => Ok(None),
                };
            }
            Ok(false) if is_over(settlement, head) => {
                // From now on the contract refuses whatever was sent.
                return self.concluded(kernel, settlement.id, Decision::Failed(reason::EXPIRED.into())).await.map(Some);
            }
            _ => {}
        }
        let Some(newest) = signed.last() else {
            self.mark(kernel, settlement.id, State::Recorded).await?;
            return Ok(Some(Step::Next));
        };
        let Ok(mined) = node.mined(newest.relayer).await else { return Ok(None) };
        if mined > newest.nonce {
            return self.overtaken(kernel, node, settlement, newest, is_used).await;
        }
        self.unblock(kernel, node, newest, mined).await?;
        let age = kernel.now().0 - newest.created_at.0;
        let stuck = i64::try_from(self.gas.stuck_after.as_micros()).unwrap_or(i64::MAX);
        if age >= stuck
            && let Ok(act) = self.act(node, settlement).await
            && self
                .replace(kernel, node, newest, head, Instead { settlement: Some(settlement.id), act, gas: newest.gas })
                .await?
        {
            return Ok(None);
        }
        // A node may have forgotten it; one that has it says so, and nothing changes.
        if node.send(&newest.raw).await.is_ok() {
            self.mark(kernel, settlement.id, State::Sent).await?;
        }
        Ok(None)
    }

    /// The wallet's nonce was used by a transaction that is none of ours.
    async fn overtaken(
        &self,
        kernel: &Arc<Kernel>,
        node: &Node,
        settlement: &Settlement,
        newest: &Transaction,
        is_used: Result<bool, Fault>,
    ) -> Result<Option<Step>> {
        let id = settlement.id;
        let signed = kernel.db.read(View::System, move |reader| transactions::of(reader, id)).await?;
        for one in &signed {
            // The block may have come since the receipts were asked for.
            if !matches!(node.receipt(one.hash).await, Ok(None)) {
                return Ok(None);
            }
        }
        // Some nodes count a block before they can tell what is in it.
        let is_old = kernel.now().0 - newest.created_at.0 > 10 * SECOND_US;
        if !is_old || is_used != Ok(false) {
            return Ok(None);
        }
        tracing::warn!(settlement = %id, relayer = %newest.relayer, nonce = newest.nonce, "a nonce was used by somebody else");
        self.close(kernel, settlement, newest, None).await?;
        self.mark(kernel, id, State::Recorded).await?;
        Ok(Some(Step::Next))
    }

    /// Sees to what stands before a transaction in its wallet's line: sent again, and where nothing waits any more, filled.
    async fn unblock(&self, kernel: &Arc<Kernel>, node: &Node, newest: &Transaction, mined: u64) -> Result<()> {
        let (chain, relayer, nonce) = (node.0.id(), newest.relayer, newest.nonce);
        let before = kernel
            .db
            .read(View::System, move |reader| transactions::between(reader, chain, relayer, mined, nonce))
            .await?;
        for nonce in mined..nonce {
            let Ok(head) = node.head().await else { return Ok(()) };
            let Some(one) = before.iter().rfind(|one| one.nonce == nonce) else {
                let hole = Transaction { nonce, settlement: None, ..newest.clone() };
                self.replace(kernel, node, &hole, head, fill(&hole)).await?;
                continue;
            };
            let is_over = match one.settlement {
                // What was in a block and is no longer in any stands in nobody's way once it is sent again.
                _ if one.was_mined => false,
                None => false,
                Some(id) => store::get(kernel, id).await?.state.is_concluded(),
            };
            if is_over {
                self.replace(kernel, node, one, head, fill(one)).await?;
            } else {
                let _ = node.send(&one.raw).await;
            }
        }
        Ok(())
    }

    /// Signs, writes down and sends one with the same nonce and a higher fee. Whether there is one within the operator's limit.
    async fn replace(
        &self,
        kernel: &Arc<Kernel>,
        node: &Node,
        before: &Transaction,
        head: Head,
        instead: Instead,
    ) -> Result<bool> {
        let Some(place) = self.wallets.iter().position(|wallet| wallet.address == before.relayer) else {
            return Ok(false);
        };
        let Ok(market) = node.market(head).await else { return Ok(false) };
        let Some(fees) = fees::raise(before.fees, market, self.gas.max_fee) else { return Ok(false) };
        let (chain, now, wallets, before) = (node.0.id(), kernel.now(), self.wallets.clone(), before.clone());
        let signed = kernel.db.write(View::System, move |tx| {
            // Only in place of the one that is known: of two nodes one replaces.
            let known = transactions::between(tx, chain, before.relayer, before.nonce, before.nonce + 1)?;
            if known.last().is_some_and(|known| known.hash != before.hash) {
                return Ok(None);
            }
            let Instead { settlement, act, gas } = instead.clone();
            let unsigned = Unsigned { chain, nonce: before.nonce, fees, gas, act };
            let signed = unsigned.sign(&wallets[place]);
            if let Some(id) = settlement {
                let mut settlement = store::lock_id(tx, id)?;
                if settlement.state.is_concluded() {
                    return Ok(None);
                }
                settlement.tx_hash = Some(signed.hash);
                let state = settlement.state;
                store::update(tx, state, &settlement, Some(now.plus(crate::settlement::LEASE_US)))?;
            }
            transactions::insert(tx, settlement, before.relayer, &unsigned, &signed, now)?;
            Ok(Some(signed))
        });
        let Some(signed) = signed.await? else { return Ok(false) };
        self.failpoint.at("replaced");
        if let Err(fault) = node.send(&signed.raw).await {
            tracing::info!(hash = %signed.hash, %fault, "a replacement was not taken at once");
        }
        Ok(true)
    }

    /// Looks in the chain's logs for who used the authorization, and concludes by what is found.
    pub(super) async fn search(&self, kernel: &Arc<Kernel>, node: &Node, settlement: &Settlement) -> Result<Step> {
        match self.witness(node).found(settlement).await {
            Ok(Some(decision)) => self.concluded(kernel, settlement.id, decision).await,
            Ok(None) | Err(_) => {
                // It may have moved: from here on nobody calls it failed without a proof.
                if settlement.state == State::Recorded {
                    self.mark(kernel, settlement.id, State::Sending).await?;
                    self.mark(kernel, settlement.id, State::Unknown).await?;
                }
                Ok(Step::Stop(Progress::Later(LATER)))
            }
        }
    }

    async fn close(
        &self,
        kernel: &Arc<Kernel>,
        settlement: &Settlement,
        one: &Transaction,
        mined: Option<B256>,
    ) -> Result<()> {
        let (chain, relayer, nonce) = (settlement.key.chain, one.relayer, one.nonce);
        let close = move |tx: &mut loopd_store::Tx<'_>| transactions::close_nonce(tx, chain, relayer, nonce, mined);
        kernel.db.write(View::System, close).await
    }
}

/// What stands in for a transaction, under its nonce.
#[derive(Clone)]
struct Instead {
    /// `None` for one that only fills the nonce.
    settlement: Option<Uuid>,
    act: Act,
    gas: u64,
}

/// What fills a nonce: the wallet sends itself nothing.
fn fill(one: &Transaction) -> Instead {
    let act = Call { to: one.relayer, data: Default::default() }.into();
    Instead { settlement: None, act, gas: 21_000 }
}
