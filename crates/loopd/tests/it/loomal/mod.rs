//! Loomal: `/v0`, DID documents, and `/api/v1/loomal/`.

mod buyer;
mod buying;
mod calling;
mod endpoints;
mod facilitator;
mod figures;
mod invoices;
mod keys;
mod managing;
mod mpp;
mod payments;
pub mod stage;
