//! Receipts: proof of a payment that anybody can check with the project's public key, without asking anyone.
//!
//! The body is signed as RFC 8785 (JCS) writes it: all its values are strings, null or the integer 1, so sorted names and serde_json's
//! escapes are that form. Source: spec/loomal.md 5.2.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use loopd_types::{Timestamp, hex};
use serde_json::{Value as Json, json};

use crate::wire::iso;

/// What a receipt says.
#[derive(Clone, Debug)]
pub struct Body<'a> {
    pub payment_id: &'a str,
    pub endpoint_id: Option<&'a str>,
    pub identity_id: &'a str,
    pub payer: &'a str,
    pub recipient: &'a str,
    pub amount_micros: i64,
    pub network: &'a str,
    pub tx_hash: &'a str,
    pub at: Timestamp,
}

impl Body<'_> {
    fn fields(&self) -> BTreeMap<&'static str, Json> {
        BTreeMap::from([
            ("version", json!(1)),
            ("paymentInId", json!(self.payment_id)),
            ("endpointId", json!(self.endpoint_id)),
            ("identityId", json!(self.identity_id)),
            ("payerAddress", json!(self.payer)),
            ("recipientAddress", json!(self.recipient)),
            ("amountUsdcRaw", json!(self.amount_micros.to_string())),
            ("network", json!(self.network)),
            ("txHash", json!(self.tx_hash)),
            ("timestamp", json!(iso(self.at))),
        ])
    }
}

/// A receipt as it is stored: `{body, signature, publicKeyHex}`; both envelopes are made of it.
pub fn sign(key: &SigningKey, body: &Body<'_>) -> Json {
    let fields = body.fields();
    let canonical = json!(fields).to_string();
    json!({
        "body": fields,
        "signature": STANDARD.encode(key.sign(canonical.as_bytes()).to_bytes()),
        "publicKeyHex": hex(key.verifying_key().as_bytes()),
    })
}

/// As `redeem` and webhooks give it.
pub fn with_hex(stored: &Json) -> Json {
    json!({"body": stored["body"], "signature": stored["signature"], "publicKeyHex": stored["publicKeyHex"], "alg": "Ed25519"})
}

/// As a payment's own page gives it.
pub fn with_did(stored: &Json, did: &str) -> Json {
    let key =
        stored["publicKeyHex"].as_str().and_then(|text| alloy_primitives::hex::decode(text).ok()).unwrap_or_default();
    json!({"body": stored["body"], "signature": stored["signature"], "publicKey": crate::did::multibase(&key), "did": did})
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, Verifier as _};

    use super::*;

    #[test]
    fn a_receipt_is_signed_in_canonical_form() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let body = Body {
            payment_id: "pi_1",
            endpoint_id: None,
            identity_id: "id-b103b0e752d24018",
            payer: "0xA",
            recipient: "0xB",
            amount_micros: 50_000,
            network: "base",
            tx_hash: "0x1",
            at: Timestamp(1_777_379_696_789_000),
        };
        let receipt = sign(&key, &body);
        let canonical = "{\"amountUsdcRaw\":\"50000\",\"endpointId\":null,\"identityId\":\"id-b103b0e752d24018\",\"network\":\"base\",\
             \"payerAddress\":\"0xA\",\"paymentInId\":\"pi_1\",\"recipientAddress\":\"0xB\",\"timestamp\":\"2026-04-28T12:34:56.789Z\",\
             \"txHash\":\"0x1\",\"version\":1}";
        assert_eq!(receipt["body"].to_string(), canonical);
        let bytes = STANDARD.decode(receipt["signature"].as_str().unwrap()).unwrap();
        key.verifying_key().verify(canonical.as_bytes(), &Signature::from_slice(&bytes).unwrap()).unwrap();
        assert_eq!(with_hex(&receipt)["alg"], "Ed25519");
        assert!(with_did(&receipt, "did:web:x")["publicKey"].as_str().unwrap().starts_with("z6Mk"));
    }
}
