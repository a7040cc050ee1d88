//! Our verifier beside the reference's, on a chain with Circle's own token.

#[path = "../settlement/chain.rs"]
mod chain;
mod differential;
mod lesser;
mod payments;
mod rpc;
