//! [`Chain`]: what must be asked before a payment is believed, of a node or of a ledger of our own.

use std::fmt;

use alloy_primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;

use super::abi::{Deployment, Domain};
use crate::x402::Payment;

/// Where money is, as far as reading goes. Every answer is that of the newest block, and may be old when it arrives.
#[async_trait]
pub trait Chain: Send + Sync {
    /// EIP-155 chain id.
    fn id(&self) -> u64;

    /// How a token signs; proves that there is a token. Implementations remember it.
    ///
    /// # Errors
    /// [`Fault::Reverted`] when the address is no token that signs.
    async fn domain(&self, token: Address) -> Result<Domain, Fault>;

    /// In the token's smallest unit.
    async fn balance(&self, token: Address, owner: Address) -> Result<U256, Fault>;

    /// Whether an EIP-3009 nonce was used or canceled.
    async fn is_authorization_used(&self, token: Address, authorizer: Address, nonce: B256) -> Result<bool, Fault>;

    /// Whether a nonce of Permit2 was used or invalidated.
    async fn is_permit_used(&self, owner: Address, nonce: U256) -> Result<bool, Fault>;

    /// What `owner` lets Permit2 take of a token.
    async fn permit2_allowance(&self, token: Address, owner: Address) -> Result<U256, Fault>;

    /// Whether a contract stands at an address: a wallet contract, or a key that delegated itself to one (EIP-7702).
    async fn has_code(&self, address: Address) -> Result<bool, Fault>;

    /// Whether a wallet contract accepts a signature (ERC-1271); one that reverts or answers anything else says no. With a
    /// deployment, the wallet is made first, for this question only (ERC-6492).
    async fn accepts(
        &self,
        wallet: Address,
        digest: B256,
        signature: &Bytes,
        deployment: Option<&Deployment>,
    ) -> Result<bool, Fault>;

    /// Whether wallets made by this factory are paid for when they are settled: everybody can write a factory, and the gas is ours.
    fn allows_factory(&self, _factory: Address) -> bool {
        false
    }

    /// Tries the transfer without making it, after making the payer's wallet if it must be made first.
    ///
    /// # Errors
    /// [`Fault::Reverted`] when it would fail, with the contract's words.
    async fn simulate(&self, asset: Address, payment: &Payment, deployment: Option<&Deployment>) -> Result<(), Fault>;
}

/// Why a chain gave no answer, or not the one that was hoped for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No answer, or none in time, or a refusal to answer: nothing is known.
    Unreachable(String),
    /// An answer that cannot be true: of another chain, of the wrong shape. Nothing of it is used.
    Lying(String),
    /// The contract refused, with its reason if it gave one in words.
    Reverted(Option<String>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unreachable(words) => write!(f, "the chain does not answer: {words}"),
            Fault::Lying(words) => write!(f, "the chain's answer makes no sense: {words}"),
            Fault::Reverted(Some(reason)) => write!(f, "the contract refuses: {reason}"),
            Fault::Reverted(None) => f.write_str("the contract refuses without a reason"),
        }
    }
}

impl std::error::Error for Fault {}
