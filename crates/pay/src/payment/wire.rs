//! Payments as clients read them (spec/loomal.md 4.3 to 4.5).

use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::Payment;
use crate::wire::{iso, opt_iso, public_id};
use crate::{receipt, usdc};

pub const PREFIX: &str = "pi_";
pub const ENDPOINT: &str = "se_";

/// A row of the list.
pub fn row(payment: &Payment) -> Json {
    let endpoint = payment.endpoint.as_ref().map(|it| {
        json!({"id": public_id(ENDPOINT, it.id), "urlPattern": it.url_pattern, "priceUsdc": usdc::format(it.price_micros)})
    });
    json!({
        "id": public_id(PREFIX, payment.id),
        "endpointId": payment.endpoint.as_ref().map(|it| public_id(ENDPOINT, it.id)),
        "endpoint": endpoint,
        "network": payment.network,
        "payerAddress": payment.payer,
        "recipientAddress": payment.recipient,
        "amountUsdcRaw": payment.amount_micros.to_string(),
        "txHash": payment.tx_hash,
        "status": payment.status.as_str(),
        "resourceUrl": payment.resource,
        "failureReason": payment.failure_reason,
        "sandbox": payment.is_sandbox,
        "createdAt": iso(payment.created_at),
        "settledAt": opt_iso(payment.settled_at),
    })
}

/// One payment with its receipt. Clients of Python demand an object there: for a payment that is not settled it says so, unsigned.
pub fn one(payment: &Payment, did: &str) -> Json {
    let mut out = row(payment);
    out["authorizationNonce"] = json!(payment.nonce);
    out["signedReceipt"] = match &payment.receipt {
        Some(stored) => receipt::with_did(stored, did),
        None => json!({"body": {}, "signature": "", "publicKey": "", "did": did}),
    };
    out
}

/// A row of the activity feed, coming in.
pub fn incoming(payment: &Payment) -> Json {
    let endpoint =
        payment.endpoint.as_ref().map(|it| json!({"id": public_id(ENDPOINT, it.id), "urlPattern": it.url_pattern}));
    json!({
        "id": public_id(PREFIX, payment.id),
        "direction": "in",
        "network": payment.network,
        "amountUsdcRaw": payment.amount_micros.to_string(),
        "counterparty": payment.payer,
        "resource": payment.resource,
        "txHash": payment.tx_hash,
        "status": payment.status.as_str(),
        "failureReason": payment.failure_reason,
        "createdAt": iso(payment.created_at),
        "endpointId": payment.endpoint.as_ref().map(|it| public_id(ENDPOINT, it.id)),
        "endpoint": endpoint,
    })
}

pub fn row_schema() -> Json {
    let endpoint =
        schema::object([("id", schema::string()), ("urlPattern", schema::string()), ("priceUsdc", schema::string())]);
    let fields = [
        ("id", schema::string()),
        ("endpointId", schema::string().nullable()),
        ("endpoint", endpoint.nullable()),
        ("network", schema::string()),
        ("payerAddress", schema::string()),
        ("recipientAddress", schema::string()),
        ("amountUsdcRaw", schema::pattern("^[0-9]+$").describe("Millionths of a USDC.")),
        ("txHash", schema::string().nullable()),
        ("status", schema::one_of(["settled", "verified", "failed", "unpaid_delivered"])),
        ("resourceUrl", schema::string()),
        ("failureReason", schema::string().nullable()),
        ("sandbox", schema::boolean().describe("Whether no real money moved.")),
        ("createdAt", schema::date_time()),
        ("settledAt", schema::date_time().nullable()),
    ];
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    schema::object(fields.clone()).required(names)
}

pub fn one_schema() -> Json {
    let receipt = schema::object([
        ("body", schema::free_object()),
        ("signature", schema::string()),
        ("publicKey", schema::string()),
        ("did", schema::string()),
    ]);
    let mut out = row_schema();
    out["properties"]["authorizationNonce"] = schema::string();
    out["properties"]["signedReceipt"] = receipt;
    out
}

pub fn activity_schema() -> Json {
    let row = schema::object([
        ("id", schema::string()),
        ("direction", schema::one_of(["in", "out"])),
        ("network", schema::string()),
        ("amountUsdcRaw", schema::string()),
        ("counterparty", schema::string()),
        ("resource", schema::string().nullable()),
        ("txHash", schema::string().nullable()),
        ("status", schema::string()),
        ("failureReason", schema::string().nullable()),
        ("createdAt", schema::date_time()),
    ]);
    schema::object([("activity", schema::array(row)), ("count", schema::integer())]).required(["activity", "count"])
}
