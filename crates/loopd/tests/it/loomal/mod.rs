//! Loomal: `/v0`, DID documents, and `/api/v1/loomal/`.

mod buying;
mod endpoints;
mod keys;
mod managing;
mod payments;
pub mod stage;
