//! What is known of EVM chains: their names, their tokens, and how to ask them.

pub mod abi;
pub mod chain;
pub mod network;
pub mod rpc;
mod script;

pub use abi::{Deployment, Domain};
pub use chain::{Chain, Fault};
pub use network::{Network, Networks, Token};
pub use rpc::Rpc;
