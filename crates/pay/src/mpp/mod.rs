//! MPP: the HTTP authentication scheme `Payment`, with the method `evm` and the intent `charge`, beside x402 on the same challenge.
//!
//! A challenge is not stored: its id is an HMAC over all that it says, under a key of the project's own. The buyer signs the transfer with
//! a nonce that is a hash of id and realm, so that a payment is for one challenge, and the token takes it once. What is read here becomes
//! the same [`Payment`](crate::x402::Payment) that x402 brings, and goes the same way.
//!
//! Sources: draft-httpauth-payment-00 and draft-evm-charge-00 (tempoxyz/mpp-specs, August 2026); `mppx` 0.11.0 is the client that tests use.

mod challenge;
mod credential;
mod problem;
mod terms;

pub use challenge::{Challenge, Charge, Key};
pub use credential::{Credential, is_credential};
pub use problem::{Problem, Trouble};
pub use terms::{Terms, schema};

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loopd_types::Timestamp;
use serde_json::{Value as Json, json};

use crate::wire::iso;

/// The only method that is offered.
pub const METHOD: &str = "evm";
/// The only intent.
pub const INTENT: &str = "charge";

/// JSON as challenges, credentials and receipts carry it: RFC 8785, for members in their order, in base64url without padding. The values
/// are strings and small integers, which serde_json writes as that form does.
fn encode(members: &BTreeMap<&str, Json>) -> String {
    URL_SAFE_NO_PAD.encode(json!(members).to_string())
}

/// The value of `Payment-Receipt`: the transaction that paid this challenge.
pub fn receipt(challenge: &Challenge, chain: u64, transaction: &str, settled_at: Timestamp) -> String {
    let mut members = BTreeMap::from([
        ("chainId", json!(chain)),
        ("challengeId", json!(challenge.id)),
        ("method", json!(METHOD)),
        ("reference", json!(transaction)),
        ("status", json!("success")),
        ("timestamp", json!(iso(settled_at))),
    ]);
    if let Some(id) = challenge.external_id() {
        members.insert("externalId", json!(id));
    }
    encode(&members)
}
