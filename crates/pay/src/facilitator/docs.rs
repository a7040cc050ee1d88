//! The shapes of the facilitator's API, as its description shows them.

use loopd_web::{Schema as _, schema};
use serde_json::{Value, json};

fn version() -> Value {
    json!({"type": "integer", "enum": [1, 2]})
}

fn address() -> Value {
    schema::pattern("^0x[0-9a-fA-F]{40}$").example("0x857b06519E91e3A54538791bDbb0E22373e36b66")
}

/// `/verify` and `/settle` take the same body.
pub(super) fn body() -> Value {
    let payload = schema::free_object().describe(
        "Version 1: {x402Version, scheme, network, payload}. Version 2: {x402Version, accepted, payload, resource?}. The payload is \
         {signature, authorization} (EIP-3009) or, in version 2, {signature, permit2Authorization}.",
    );
    let requirements = schema::free_object().describe(
        "One element of `accepts`: {scheme, network, maxAmountRequired (version 1) or amount (version 2), asset, payTo, maxTimeoutSeconds, extra {name, version}}.",
    );
    schema::object([("x402Version", version()), ("paymentPayload", payload), ("paymentRequirements", requirements)])
        .required(["paymentPayload", "paymentRequirements"])
        .example(json!({
            "x402Version": 1,
            "paymentPayload": {"x402Version": 1, "scheme": "exact", "network": "base", "payload": {
                "signature": format!("0x{}", "2d".repeat(65)),
                "authorization": {
                    "from": "0x857b06519E91e3A54538791bDbb0E22373e36b66", "to": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
                    "value": "10000", "validAfter": "1740672089", "validBefore": "1740672154", "nonce": format!("0x{}", "f3".repeat(32)),
                },
            }},
            "paymentRequirements": {
                "scheme": "exact", "network": "base", "maxAmountRequired": "10000", "resource": "https://api.example.com/premium",
                "description": "", "mimeType": "", "payTo": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C", "maxTimeoutSeconds": 60,
                "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "extra": {"name": "USD Coin", "version": "2"},
            },
        }))
}

pub(super) fn verdict() -> Value {
    schema::object([
        ("isValid", schema::boolean()),
        ("invalidReason", schema::string().describe("Why not; docs/x402.md lists them.")),
        ("invalidMessage", schema::string().describe("What exactly is wrong, for people.")),
        ("payer", address()),
    ])
    .required(["isValid"])
}

pub(super) fn settled() -> Value {
    schema::object([
        ("success", schema::boolean()),
        ("errorReason", schema::string().describe("Why not. `settlement_pending`: not yet.")),
        ("errorMessage", schema::string().describe("What exactly is wrong, for people.")),
        ("transaction", schema::string().describe("Its hash; empty without one.")),
        ("network", schema::string()),
        ("payer", address()),
        ("amount", schema::string().describe("What was moved, in the token's smallest unit; version 2.")),
    ])
    .required(["success", "transaction", "network"])
}

pub(super) fn supported() -> Value {
    let kind = schema::object([
        ("x402Version", version()),
        ("scheme", schema::constant("exact")),
        ("network", schema::string().example("eip155:8453")),
    ])
    .required(["x402Version", "scheme", "network"]);
    let signers = schema::object([("eip155:*", schema::array(address()))]);
    schema::object([
        ("kinds", schema::array(kind)),
        ("extensions", schema::array(schema::string())),
        ("signers", signers.describe("Addresses that transactions are sent from, by family of networks.")),
    ])
    .required(["kinds", "extensions", "signers"])
}

pub(super) fn resources() -> Value {
    let item = schema::object([
        ("resource", schema::string()),
        ("type", schema::constant("http")),
        ("x402Version", version()),
        ("accepts", schema::array(schema::free_object())),
        ("lastUpdated", schema::integer().describe("Unix seconds.")),
        ("metadata", schema::free_object().describe("Title, description and category, where the seller gave them.")),
    ])
    .required(["resource", "type", "x402Version", "accepts", "lastUpdated"]);
    let pagination = ["limit", "offset", "total"].map(|name| (name, schema::integer()));
    schema::object([
        ("x402Version", version()),
        ("items", schema::array(item)),
        ("pagination", schema::object(pagination).required(["limit", "offset", "total"])),
    ])
    .required(["x402Version", "items", "pagination"])
}
