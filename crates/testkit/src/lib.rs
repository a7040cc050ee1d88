//! What a test of the whole product needs and the product does not: a database on either engine that goes away, a client
//! with credentials, the curl commands that the portal prints, time that stands still.
//!
//! Tests live in `crates/loopd/tests/`. There an `App` implements [`Boot`], and [`each_engine!`] runs every test twice.
//! Only tests depend on this crate (`crates/loopd/tests/house.rs` holds that).

mod authenticator;
mod client;
mod curl;
mod database;
mod described;
mod engines;
pub mod issuer;
mod json;
mod oracle;
mod passkey;
mod sources;

pub use authenticator::totp;
pub use client::{Answer, Client, Request, Streamed};
pub use curl::{Curl, PRINTED_BASE};
pub use database::Database;
pub use described::{Described, assert_gaps};
pub use engines::{Boot, on_engine};
pub use json::{find_difference, masked};
pub use loopd_store::Engine;
pub use oracle::Oracle;
pub use passkey::Passkey;
pub use serde_json::json;
pub use sources::Sources;
