//! What is written: what a seller asks, and what became of a payment.

use alloy_primitives::{Address, U256};
use serde_json::{Map, Value, json};

use super::SCHEME;
use crate::evm::Network;
use crate::x402::{Requirement, Version};

/// A requirement, and the words that go with it.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    pub requirement: &'a Requirement,
    /// That of the requirement's chain.
    pub network: &'a Network,
    /// What is sold: an address, or any other name.
    pub resource: &'a str,
    pub description: &'a str,
    /// Empty when it is not known.
    pub mime_type: &'a str,
}

impl Offer<'_> {
    /// One element of `accepts`; `None` in version 1 for a chain that has no name in it.
    pub fn render(&self, version: Version) -> Option<Value> {
        let requirement = self.requirement;
        let mut accepts = Map::new();
        accepts.insert("scheme".to_owned(), json!(SCHEME));
        accepts.insert("network".to_owned(), json!(self.network.written(version)?));
        let amount = requirement.amount.to_string();
        match version {
            Version::V1 => {
                accepts.insert("maxAmountRequired".to_owned(), json!(amount));
                accepts.insert("resource".to_owned(), json!(self.resource));
                accepts.insert("description".to_owned(), json!(self.description));
                accepts.insert("mimeType".to_owned(), json!(self.mime_type));
            }
            Version::V2 => drop(accepts.insert("amount".to_owned(), json!(amount))),
        }
        accepts.insert("payTo".to_owned(), json!(requirement.pay_to.to_string()));
        accepts.insert("maxTimeoutSeconds".to_owned(), json!(requirement.max_timeout_seconds));
        accepts.insert("asset".to_owned(), json!(requirement.asset.to_string()));
        if let Some((name, version)) = &requirement.domain {
            accepts.insert("extra".to_owned(), json!({"name": name, "version": version}));
        }
        Some(Value::Object(accepts))
    }
}

/// What a seller answers who wants to be paid: the body in version 1, the header `PAYMENT-REQUIRED` in version 2.
/// Offers on chains without a name in version 1 are left out of it.
pub fn payment_required(version: Version, offers: &[Offer], error: Option<&str>) -> Value {
    let mut body = Map::new();
    body.insert("x402Version".to_owned(), json!(version.number()));
    if let Some(error) = error {
        body.insert("error".to_owned(), json!(error));
    }
    if let (Version::V2, Some(first)) = (version, offers.first()) {
        let mut resource = Map::new();
        resource.insert("url".to_owned(), json!(first.resource));
        for (name, text) in [("description", first.description), ("mimeType", first.mime_type)] {
            if !text.is_empty() {
                resource.insert(name.to_owned(), json!(text));
            }
        }
        body.insert("resource".to_owned(), Value::Object(resource));
    }
    let accepts: Vec<_> = offers.iter().filter_map(|offer| offer.render(version)).collect();
    body.insert("accepts".to_owned(), json!(accepts));
    Value::Object(body)
}

/// What became of a payment: `/settle`'s answer, and what [`Version::response_header`] holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// Why it failed; `None` for a payment that was made.
    pub error_reason: Option<String>,
    /// The transaction, `0x` and 64 digits; empty when there is none.
    pub transaction: String,
    /// As this version writes it.
    pub network: String,
    pub payer: Option<Address>,
    /// What was moved, in the token's smallest unit; told in version 2.
    pub amount: Option<U256>,
}

impl Response {
    pub fn render(&self, version: Version) -> Value {
        let mut body = Map::new();
        body.insert("success".to_owned(), json!(self.error_reason.is_none()));
        if let Some(reason) = &self.error_reason {
            body.insert("errorReason".to_owned(), json!(reason));
        }
        body.insert("transaction".to_owned(), json!(self.transaction));
        body.insert("network".to_owned(), json!(self.network));
        if let Some(payer) = self.payer {
            body.insert("payer".to_owned(), json!(payer.to_string()));
        }
        if let (Version::V2, Some(amount)) = (version, self.amount) {
            body.insert("amount".to_owned(), json!(amount.to_string()));
        }
        Value::Object(body)
    }
}
