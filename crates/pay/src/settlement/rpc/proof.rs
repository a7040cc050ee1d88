//! What the chain's logs prove: that an authorization moved the money that it promised, to whom it promised.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolEvent as _, sol};

use super::node::{Log, number};
use crate::evm::abi::{self, Act, PROXY};
use crate::settlement::Settlement;
use crate::x402::Method;

sol! {
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);
    event Transfer(address indexed from, address indexed to, uint256 value);
}

/// Which logs of the token tell that the authorization of a settlement was used.
pub fn used(settlement: &Settlement) -> Vec<B256> {
    vec![AuthorizationUsed::SIGNATURE_HASH, word(settlement.key.payer), settlement.key.nonce]
}

/// Which tell that it was canceled.
pub fn canceled(settlement: &Settlement) -> Vec<B256> {
    vec![AuthorizationCanceled::SIGNATURE_HASH, word(settlement.key.payer), settlement.key.nonce]
}

/// Which logs of the token tell of money from its payer to its payee, whatever for.
pub fn transfers(settlement: &Settlement) -> Vec<B256> {
    vec![Transfer::SIGNATURE_HASH, word(settlement.key.payer), word(settlement.pay_to)]
}

/// Whether a transaction, in which as much went the same way, brought the settlement's permit; `None` when that cannot be told, because
/// a contract stands between.
pub fn is_its_permit(settlement: &Settlement, act: &Act) -> Option<bool> {
    match act.to {
        Some(PROXY) => {
            let (owner, nonce) = abi::permit_brought(&act.data)?;
            Some(owner == settlement.key.payer && B256::from(nonce) == settlement.key.nonce)
        }
        // The token itself knows nothing of permits.
        Some(to) if to == settlement.key.asset => Some(false),
        _ => None,
    }
}

/// Whether these logs, all of one transaction and in order, hold the settlement's transfer. The token tells of the nonce and of the
/// transfer one right after the other; a transfer elsewhere in the transaction may be somebody else's.
pub fn has_moved(settlement: &Settlement, logs: &[Log]) -> bool {
    let transfer = transfers(settlement);
    let is_transfer = |log: &Log| {
        log.address == settlement.key.asset && log.topics == transfer && number(&log.data) == Some(settlement.amount)
    };
    match settlement.payment.method {
        Method::Authorization(_) => {
            let used = used(settlement);
            let is_used = |log: &Log| log.address == settlement.key.asset && log.topics == used;
            logs.windows(2).any(|pair| is_used(&pair[0]) && is_transfer(&pair[1]))
        }
        Method::Permit(_) => logs.iter().any(is_transfer),
    }
}

fn word(address: Address) -> B256 {
    address.into_word()
}
