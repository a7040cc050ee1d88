//! From recorded to sent: estimate, sign with a nonce of our own, write down, hand over.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::U256;
use loopd_kernel::Kernel;
use loopd_store::View;
use loopd_types::Result;
use tokio::time::Instant;

use super::node::Node;
use super::{Decision, Fees, Relay, Step, Unsigned, fees};
use crate::evm::abi::{self, Act};
use crate::evm::{Chain as _, Deployment, Fault};
use crate::settlement::store::{self, transactions};
use crate::settlement::{Settlement, State, reason};

/// How long a settlement of which nothing was sent is tried while no node answers.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(500);

/// All that a transaction needs but its nonce.
struct Plan {
    wallet: usize,
    /// What the chain takes next from the wallet.
    mined: u64,
    fees: Fees,
    gas: u64,
    act: Act,
    block: u64,
}

impl Relay {
    /// Signs the settlement's transaction and writes it down.
    pub(super) async fn begin(
        &self,
        kernel: &Arc<Kernel>,
        node: &Node,
        settlement: &Settlement,
        since: Instant,
    ) -> Result<Step> {
        let plan = match self.plan(kernel, node, settlement).await? {
            Ok(Ok(plan)) => plan,
            Ok(Err(decision)) => return self.concluded(kernel, settlement.id, decision).await,
            Err(Fault::Reverted(words)) => return self.refused(kernel, node, settlement, words).await,
            // Nothing was sent, so nothing can have moved: whoever asks again later begins anew.
            Err(fault) if since.elapsed() > PATIENCE || matches!(fault, Fault::Lying(_)) => {
                tracing::warn!(settlement = %settlement.id, %fault, "a payment could not be settled");
                return self.concluded(kernel, settlement.id, Decision::Failed(reason::UNREACHABLE.into())).await;
            }
            Err(_) => {
                tokio::time::sleep(AGAIN).await;
                return Ok(Step::Next);
            }
        };
        self.failpoint.at("estimated");
        let (id, now, wallets) = (settlement.id, kernel.now(), self.wallets.clone());
        let written = kernel.db.write(View::System, move |tx| {
            let mut settlement = store::lock_id(tx, id)?;
            let before = settlement.state;
            // Another node was faster: what it signed is sent.
            if before != State::Recorded {
                return Ok(());
            }
            let (chain, wallet) = (settlement.key.chain, &wallets[plan.wallet]);
            // Last of all, so that nothing which fails before leaves a gap that would stall every later one.
            let nonce = transactions::allocate(tx, chain, wallet.address, plan.mined)?;
            let unsigned = Unsigned { chain, nonce, fees: plan.fees, gas: plan.gas, act: plan.act.clone() };
            let signed = unsigned.sign(wallet);
            transactions::insert(tx, Some(id), wallet.address, &unsigned, &signed, now)?;
            settlement.state = State::Sending;
            settlement.tx_hash = Some(signed.hash);
            settlement.from_block = Some(plan.block);
            store::update(tx, before, &settlement, Some(now.plus(crate::settlement::LEASE_US)))
        });
        written.await?;
        self.failpoint.at("signed");
        Ok(Step::Next)
    }

    /// Hands over what was signed.
    pub(super) async fn send(&self, kernel: &Arc<Kernel>, node: &Node, settlement: &Settlement) -> Result<Step> {
        let id = settlement.id;
        let signed = kernel.db.read(View::System, move |reader| transactions::of(reader, id)).await?;
        let state = match signed.last() {
            // All that was signed is known never to be mined.
            None => State::Recorded,
            Some(newest) => match node.send(&newest.raw).await {
                Ok(hash) if hash == newest.hash => State::Sent,
                Ok(_) => State::Unknown,
                Err(fault) => {
                    tracing::info!(settlement = %id, %fault, "a transaction was not taken at once");
                    if is_known(&fault) { State::Sent } else { State::Unknown }
                }
            },
        };
        self.failpoint.at("sent");
        self.mark(kernel, id, state).await?;
        self.failpoint.at("marked");
        Ok(Step::Next)
    }

    /// Writes how far it is, if nobody has got further.
    pub(super) async fn mark(&self, kernel: &Arc<Kernel>, id: loopd_types::Uuid, state: State) -> Result<()> {
        let now = kernel.now();
        kernel
            .db
            .write(View::System, move |tx| {
                let mut settlement = store::lock_id(tx, id)?;
                let before = settlement.state;
                if before == state || !before.may_become(state) {
                    return Ok(());
                }
                settlement.state = state;
                store::update(tx, before, &settlement, Some(now.plus(crate::settlement::LEASE_US)))
            })
            .await
    }

    /// Chooses a wallet that can pay, and asks what the call takes. Inside: a decision, when it shall not be sent at all.
    async fn plan(
        &self,
        kernel: &Arc<Kernel>,
        node: &Node,
        settlement: &Settlement,
    ) -> Result<Result<Result<Plan, Decision>, Fault>> {
        let (chain, wallets) = (settlement.key.chain, self.wallets.clone());
        let mut order = kernel
            .db
            .read(View::System, move |reader| {
                let waiting = wallets.iter().map(|wallet| transactions::waiting(reader, chain, wallet.address));
                Ok(waiting.collect::<Result<Vec<_>>>()?.into_iter().zip(0..).collect::<Vec<(i64, usize)>>())
            })
            .await?;
        order.sort_unstable();
        Ok(self.ask(node, &order, settlement).await)
    }

    /// What is sent for a settlement as the chain stands: the transfer, with the making of its payer's wallet while that is not there.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) async fn act(&self, node: &Node, settlement: &Settlement) -> Result<Act, Fault> {
        let (asset, payment) = (settlement.key.asset, &settlement.payment);
        match Deployment::of(payment) {
            Some(deployment) if !node.0.has_code(payment.payer()).await? => {
                Ok(abi::deploying_transfer(asset, payment, &deployment))
            }
            _ => Ok(abi::transfer(asset, payment).into()),
        }
    }

    async fn ask(
        &self,
        node: &Node,
        order: &[(i64, usize)],
        settlement: &Settlement,
    ) -> Result<Result<Plan, Decision>, Fault> {
        let failed = |reason: &'static str| Ok(Err(Decision::Failed(reason.into())));
        let act = self.act(node, settlement).await?;
        // It was allowed when it was verified; the operator may have thought better of it since.
        if act.to.is_none() && !Deployment::of(&settlement.payment).is_some_and(|it| node.0.allows_factory(it.factory))
        {
            return failed(reason::FACTORY);
        }
        let first = order.first().map_or(0, |(_, wallet)| *wallet);
        let (head, gas) = tokio::join!(node.head(), node.estimate(self.wallets[first].address, &act));
        let (head, gas) = (head?, gas?);
        let market = node.market(head).await?;
        let gas = fees::gas_for(gas);
        let Some(fees) = fees::offer(market, self.gas.max_fee).filter(|_| gas <= self.gas.limit) else {
            return failed(reason::TOO_EXPENSIVE);
        };
        for (_, wallet) in order {
            let address = self.wallets[*wallet].address;
            let (has, mined) = tokio::join!(node.gas_money(address), node.mined(address));
            if has? >= U256::from(fees.max) * U256::from(gas) {
                return Ok(Ok(Plan { wallet: *wallet, mined: mined?, fees, gas, act, block: head.number }));
            }
            tracing::warn!(chain = settlement.key.chain, %address, "a gas wallet is empty");
        }
        failed(reason::UNFUNDED)
    }

    /// A node says that the transfer would change nothing: perhaps it was made already.
    async fn refused(
        &self,
        kernel: &Arc<Kernel>,
        node: &Node,
        settlement: &Settlement,
        words: Option<String>,
    ) -> Result<Step> {
        if self.nothing_was_sent(kernel, settlement).await? && !self.witness(node).may_be_used(settlement).await {
            tracing::info!(settlement = %settlement.id, words, "a payment would not be settled");
            let why = match node.0.balance(settlement.key.asset, settlement.key.payer).await {
                Ok(has) if has < settlement.amount => reason::INSUFFICIENT_BALANCE,
                _ => reason::SIMULATION_FAILED,
            };
            return self.concluded(kernel, settlement.id, Decision::Failed(why.into())).await;
        }
        self.search(kernel, node, settlement).await
    }

    /// Whether no transaction was ever signed for it.
    async fn nothing_was_sent(&self, kernel: &Arc<Kernel>, settlement: &Settlement) -> Result<bool> {
        let id = settlement.id;
        Ok(kernel.db.read(View::System, move |reader| transactions::of(reader, id)).await?.is_empty())
    }
}

/// Whether a node's refusal says that it has the transaction, or one with its nonce that it would rather keep.
fn is_known(fault: &Fault) -> bool {
    let Fault::Unreachable(words) = fault else { return false };
    let words = words.to_ascii_lowercase();
    ["already known", "already imported", "known transaction", "underpriced"].iter().any(|known| words.contains(known))
}
