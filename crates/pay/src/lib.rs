//! Loomal: machine payments. Its paths (`/v0/…`, `/facilitator/…`) speak their own error dialects (`web::Surface`).

pub mod evm;
pub mod settlement;
pub mod x402;

use loopd_web::Operation;

/// The operations of this surface; none yet, so that every path of it is an honest 404 in its dialect.
pub fn operations() -> Vec<Operation> {
    Vec::new()
}
