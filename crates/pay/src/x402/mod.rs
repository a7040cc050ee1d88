//! x402: how a buyer's signed promise is written, in both versions of the protocol, and what it must hold to be one.

pub mod payment;

pub use payment::{Authorization, Method, Payment, Permit, Requirement, Version};
