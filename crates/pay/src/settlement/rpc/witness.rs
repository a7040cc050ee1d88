//! [`Witness`]: what a chain can say of an authorization, whoever sent it.

use alloy_primitives::U256;

use super::node::{Head, Node, number};
use super::{Decision, proof};
use crate::evm::{Chain as _, Fault};
use crate::settlement::{Settlement, reason};
use crate::x402::Method;

/// Seconds on the chain after an authorization's time before it is called over: a block may yet be replaced by one a little earlier.
const GRACE: u64 = 30;
/// Blocks that are searched for what somebody else did. More than an authorization is usually good for.
const LOOK_BACK: u64 = 5_000;

/// A node that is asked, and how deep a block must be for it to be believed.
#[derive(Clone, Copy)]
pub struct Witness<'a> {
    pub node: &'a Node,
    pub confirmations: u64,
}

impl Witness<'_> {
    /// What the chain's logs tell of a settlement; `None` while they tell nothing.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn found(&self, settlement: &Settlement) -> Result<Option<Decision>, Fault> {
        if let Some(hash) = settlement.tx_hash
            && let Some(receipt) = self.node.receipt(hash).await?
            && receipt.succeeded
            && proof::has_moved(settlement, &receipt.logs)
            && self.is_deep(receipt.block).await
        {
            return Ok(Some(Decision::Settled(hash)));
        }
        match settlement.payment.method {
            Method::Authorization(_) => self.found_authorization(settlement).await,
            Method::Permit(_) => self.found_permit(settlement).await,
        }
    }

    /// The token tells which authorization it used.
    async fn found_authorization(&self, settlement: &Settlement) -> Result<Option<Decision>, Fault> {
        let to = self.node.head().await?.number;
        let from = first_block(settlement, to);
        let asset = settlement.key.asset;
        for log in self.node.logs(asset, &proof::used(settlement), from, to).await? {
            let Some(receipt) = self.node.receipt(log.transaction).await? else { continue };
            if !receipt.succeeded || !self.is_deep(receipt.block).await {
                continue;
            }
            return Ok(Some(match proof::has_moved(settlement, &receipt.logs) {
                true => Decision::Settled(receipt.hash),
                // The same nonce moved other money.
                false => Decision::Failed(reason::USED.into()),
            }));
        }
        let canceled = self.node.logs(asset, &proof::canceled(settlement), from, to).await?;
        Ok((!canceled.is_empty()).then(|| Decision::Failed(reason::USED.into())))
    }

    /// Permit2 tells nobody which nonce it took, but the transaction that brought it does.
    async fn found_permit(&self, settlement: &Settlement) -> Result<Option<Decision>, Fault> {
        // Asked before the head is, so that what used it stands in a block that is searched.
        if !self.is_used(settlement).await? {
            return Ok(None);
        }
        let head = self.node.head().await?;
        let mut may_be_hidden = false;
        let from = first_block(settlement, head.number);
        for log in self.node.logs(settlement.key.asset, &proof::transfers(settlement), from, head.number).await? {
            if number(&log.data) != Some(settlement.amount) {
                continue;
            }
            let Some(act) = self.node.transaction(log.transaction).await? else { continue };
            match proof::is_its_permit(settlement, &act) {
                Some(false) => {}
                None => may_be_hidden = true,
                Some(true) => {
                    let Some(receipt) = self.node.receipt(log.transaction).await? else { return Ok(None) };
                    let has_moved = receipt.succeeded && proof::has_moved(settlement, &receipt.logs);
                    let is_proven = has_moved && self.is_deep(receipt.block).await;
                    return Ok(is_proven.then_some(Decision::Settled(receipt.hash)));
                }
            }
        }
        // As much never went this way, and it cannot any more: the nonce was taken back, or moved other money.
        Ok((!may_be_hidden && is_over(settlement, head)).then(|| Decision::Failed(reason::USED.into())))
    }

    /// Whether the authorization was used, for whatever.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn is_used(&self, settlement: &Settlement) -> Result<bool, Fault> {
        let key = &settlement.key;
        match settlement.payment.method {
            Method::Authorization(_) => self.node.0.is_authorization_used(key.asset, key.payer, key.nonce).await,
            Method::Permit(_) => self.node.0.is_permit_used(key.payer, U256::from_be_bytes(key.nonce.0)).await,
        }
    }

    /// The same, and yes while nobody can tell.
    pub async fn may_be_used(&self, settlement: &Settlement) -> bool {
        self.is_used(settlement).await.unwrap_or(true)
    }

    /// Whether a block is deep enough to be believed.
    pub async fn is_deep(&self, block: u64) -> bool {
        // One that is told of has one: itself.
        self.confirmations <= 1
            || self.node.head().await.is_ok_and(|head| head.number + 1 >= block.saturating_add(self.confirmations))
    }
}

/// Where the search for what somebody else did begins.
fn first_block(settlement: &Settlement, to: u64) -> u64 {
    settlement.from_block.unwrap_or(to).min(to).saturating_sub(LOOK_BACK)
}

/// Whether the chain's time is past the authorization's.
pub fn is_over(settlement: &Settlement, head: Head) -> bool {
    let until = match &settlement.payment.method {
        Method::Authorization(it) => it.valid_before,
        Method::Permit(it) => it.deadline,
    };
    U256::from(head.timestamp) > until.saturating_add(U256::from(GRACE))
}
