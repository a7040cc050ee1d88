//! x402: how a buyer's signed promise is written, in both versions of the protocol, and what it must hold to be one.

pub mod header;
pub mod payment;
pub mod reason;
mod rules;
mod signature;
pub mod translate;
pub mod verify;
pub mod wire;

pub use payment::{Authorization, Method, Payment, Permit, Requirement, Version};
pub use reason::{Reason, Refusal};
pub use verify::{Verified, verify};
