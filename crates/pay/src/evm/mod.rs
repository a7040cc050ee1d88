//! What is known of EVM chains: their names, their tokens, and how to ask them.

pub mod abi;
pub mod chain;
pub mod network;
pub mod rpc;
mod script;

pub use alloy_primitives::Address;

pub use abi::{Deployment, Domain};
pub use chain::{Chain, Fault};
pub use network::{Network, Networks, Token};
pub use rpc::Rpc;

/// The address of a private key; `None` when the bytes are no key of secp256k1.
pub fn address_of_key(key: &[u8]) -> Option<alloy_primitives::Address> {
    let key = secp256k1::SecretKey::from_secret_bytes(key.try_into().ok()?).ok()?;
    let public = secp256k1::PublicKey::from_secret_key(&key).serialize_uncompressed();
    Some(alloy_primitives::Address::from_raw_public_key(&public[1..]))
}
