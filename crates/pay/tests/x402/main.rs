//! Our verifier beside the reference's, on a chain with Circle's own token.

mod differential;
mod oracle;
mod payments;
mod rpc;
