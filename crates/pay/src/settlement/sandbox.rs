//! The sandbox: a token in our own database. Its transfer obeys the token contract's rules in the contract's order, and the intent, the
//! transfer and its record are one transaction, so there is nothing that a crash could leave half done.

use std::sync::Arc;

use alloy_primitives::{B256, U256, keccak256};
use loopd_kernel::Kernel;
use loopd_store::Tx;
use loopd_types::{Result, Timestamp};

use super::engine::{Carrying, Decision, Engine, Progress};
pub use super::ledger::Ledger;
use super::store::ledger::{self, Token};
use super::{Key, Settlement, reason};
use crate::x402::Method;

/// The engine's name in the records.
pub const NAME: &str = "sandbox";

/// The first bytes of every transaction hash here, which on no chain will ever be seen: "sandbox".
pub const PREFIX: [u8; 7] = *b"sandbox";

/// Settles in the ledger.
pub struct Sandbox {
    /// What every address begins with.
    pub grant: i64,
}

impl Engine for Sandbox {
    fn name(&self) -> &'static str {
        NAME
    }

    fn within(&self, tx: &mut Tx<'_>, settlement: &Settlement, now: Timestamp) -> Result<Option<Decision>> {
        if let Err(reason) = window(&settlement.payment.method, now) {
            return Ok(Some(Decision::Failed(reason.into())));
        }
        let token = Token { chain: settlement.key.chain, asset: settlement.key.asset, grant: self.grant };
        let (from, to) = (settlement.key.payer, settlement.pay_to);
        // Whoever promises more than there is room for has not got it.
        let has_moved = match i64::try_from(settlement.amount) {
            Ok(value) => ledger::transfer(tx, token, from, to, value, now)?,
            Err(_) => false,
        };
        Ok(Some(match has_moved {
            true => Decision::Settled(transaction_hash(&settlement.key)),
            false => Decision::Failed(reason::INSUFFICIENT_BALANCE.into()),
        }))
    }

    fn carry<'a>(&'a self, _: &'a Arc<Kernel>, _: Settlement) -> Carrying<'a> {
        // All was decided in the transaction that recorded it.
        Box::pin(async { Ok(Progress::Concluded) })
    }
}

/// Whether the contract would take it at `now`.
///
/// # Errors
/// x402's reason.
pub(super) fn window(method: &Method, now: Timestamp) -> Result<(), &'static str> {
    let now = U256::from(now.seconds().unsigned_abs());
    let (too_early, too_late) = match method {
        // FiatTokenV2._requireValidAuthorization: now > validAfter, now < validBefore
        Method::Authorization(it) => (now <= it.valid_after, now >= it.valid_before),
        // x402ExactPermit2Proxy: block.timestamp >= validAfter; Permit2: block.timestamp <= deadline
        Method::Permit(it) => (now < it.valid_after, now > it.deadline),
    };
    match (too_early, too_late) {
        (true, _) => Err(reason::TOO_EARLY),
        (_, true) => Err(reason::EXPIRED),
        _ => Ok(()),
    }
}

/// The hash that stands for the transaction: the same for the same authorization, and plainly no chain's.
fn transaction_hash(key: &Key) -> B256 {
    let text =
        [&key.chain.to_be_bytes()[..], key.asset.as_slice(), key.payer.as_slice(), key.nonce.as_slice()].concat();
    let mut hash = keccak256(text);
    hash[..PREFIX.len()].copy_from_slice(&PREFIX);
    hash
}
