//! What a payment must hold by itself: no chain is asked here. The order is that of the reference facilitator, so that a payment with
//! two faults is refused for the same one.

use alloy_primitives::U256;
use loopd_types::Timestamp;

use super::reason::{Reason, Refusal};
use super::{Authorization, Payment, Permit, Requirement, Version};
use crate::evm::abi::PROXY;

/// A payment that ends sooner will have ended when its transaction is in a block.
pub(super) const GRACE_SECONDS: u64 = 6;

/// What is known before the signature is looked at.
pub(super) fn check_network(payment: &Payment, requirement: &Requirement) -> Result<(), Refusal> {
    if payment.chain != requirement.chain {
        let words = format!("the payment is for eip155:{}, not eip155:{}", payment.chain, requirement.chain);
        return Err(Refusal::new(Reason::Network, words));
    }
    Ok(())
}

/// What an authorization says, once it is known to be the payer's.
pub(super) fn check_authorization(
    it: &Authorization,
    version: Version,
    requirement: &Requirement,
    now: Timestamp,
) -> Result<(), Refusal> {
    let recipient = it.to == requirement.pay_to;
    demand(recipient, Reason::Recipient, || format!("it pays {}, not {}", it.to, requirement.pay_to))?;
    check_times((it.valid_after, Reason::NotYetValid), (it.valid_before, Reason::Expired), now)?;
    let reason = match version {
        Version::V1 => Reason::Value,
        Version::V2 => Reason::ValueMismatch,
    };
    demand(it.value == requirement.amount, reason, || format!("it moves {}, not {}", it.value, requirement.amount))
}

/// What a permit says. It is judged before its signature, as the reference does.
pub(super) fn check_permit(it: &Permit, requirement: &Requirement, now: Timestamp) -> Result<(), Refusal> {
    demand(it.spender == PROXY, Reason::PermitSpender, || format!("the spender is {}, not {PROXY}", it.spender))?;
    let recipient = it.to == requirement.pay_to;
    demand(recipient, Reason::PermitRecipient, || format!("it pays {}, not {}", it.to, requirement.pay_to))?;
    check_times((it.valid_after, Reason::PermitNotYetValid), (it.deadline, Reason::PermitExpired), now)?;
    let amount = it.amount == requirement.amount;
    demand(amount, Reason::PermitAmount, || format!("it moves {}, not {}", it.amount, requirement.amount))?;
    let token = it.token == requirement.asset;
    demand(token, Reason::PermitToken, || format!("it moves the token {}, not {}", it.token, requirement.asset))
}

/// The end first, as the reference does.
fn check_times(
    (after, not_yet): (U256, Reason),
    (before, expired): (U256, Reason),
    now: Timestamp,
) -> Result<(), Refusal> {
    let now = u64::try_from(now.seconds()).unwrap_or(0);
    let in_time = before >= U256::from(now.saturating_add(GRACE_SECONDS));
    demand(in_time, expired, || {
        format!("it ends at {before}; it is {now} now, and a block needs {GRACE_SECONDS} seconds")
    })?;
    demand(after <= U256::from(now), not_yet, || format!("it begins at {after}; it is {now} now"))
}

fn demand(holds: bool, reason: Reason, words: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::new(reason, words())) }
}
