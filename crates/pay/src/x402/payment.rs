//! [`Payment`] and [`Requirement`]: what a buyer signed and what a seller asks, whichever version of x402 brought them.

use alloy_primitives::{Address, B256, Bytes, U256};

/// A version of x402.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    pub const fn number(self) -> u8 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// What a seller asks, decoded and known to make sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// EIP-155 chain id: 8453 is Base.
    pub chain: u64,
    /// The token's contract.
    pub asset: Address,
    pub pay_to: Address,
    /// In the token's smallest unit.
    pub amount: U256,
    pub max_timeout_seconds: u64,
    /// The token's EIP-712 name and version, as the seller told them in `extra`.
    pub domain: Option<(String, String)>,
}

/// What a buyer sent, decoded. Nothing of it is believed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    pub version: Version,
    pub chain: u64,
    pub method: Method,
    /// 65 bytes of an account's own key, or whatever a wallet contract takes (ERC-1271, ERC-6492).
    pub signature: Bytes,
}

/// How the token is moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Method {
    /// EIP-3009 `transferWithAuthorization` of the token itself.
    Authorization(Authorization),
    /// Uniswap's Permit2 by x402's exact proxy.
    Permit(Permit),
}

/// EIP-3009 `TransferWithAuthorization`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authorization {
    pub from: Address,
    pub to: Address,
    pub value: U256,
    /// Unix seconds; usable after it.
    pub valid_after: U256,
    /// Unix seconds; usable before it.
    pub valid_before: U256,
    pub nonce: B256,
}

/// Permit2 `PermitWitnessTransferFrom` with x402's witness (specs/schemes/exact/scheme_exact_evm.md).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    pub from: Address,
    pub token: Address,
    pub amount: U256,
    pub spender: Address,
    pub nonce: U256,
    /// Unix seconds.
    pub deadline: U256,
    /// Where the witness sends the money.
    pub to: Address,
    /// Unix seconds.
    pub valid_after: U256,
}

impl Payment {
    pub fn payer(&self) -> Address {
        match &self.method {
            Method::Authorization(it) => it.from,
            Method::Permit(it) => it.from,
        }
    }

    /// What, with chain, asset and payer, can be used once.
    pub fn nonce(&self) -> B256 {
        match &self.method {
            Method::Authorization(it) => it.nonce,
            Method::Permit(it) => it.nonce.into(),
        }
    }

    /// What is moved, in the token's smallest unit.
    pub fn value(&self) -> U256 {
        match &self.method {
            Method::Authorization(it) => it.value,
            Method::Permit(it) => it.amount,
        }
    }
}
