//! Payments as buyers make them, on the wire.

use alloy_primitives::{Address, B256, Bytes, U256, address, hex};
use loopd_pay::evm::Domain;
use loopd_pay::evm::abi;
use loopd_pay::x402::{Authorization, Method, Payment, Version};
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, PublicKey, SecretKey};
use serde_json::{Value, json};

pub use crate::chain::{CHAIN, USDC};
pub const SELLER: Address = address!("209693Bc6afc0C5328bA36FaF03C514EF312287C");

/// A buyer's key.
#[derive(Clone, Copy)]
pub struct Key(SecretKey);

impl Key {
    pub fn new(number: u8) -> Self {
        Self(SecretKey::from_secret_bytes([number; 32]).expect("a key"))
    }

    pub fn address(&self) -> Address {
        Address::from_raw_public_key(&PublicKey::from_secret_key(&self.0).serialize_uncompressed()[1..])
    }

    pub fn sign(&self, digest: B256) -> Bytes {
        let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest.0), &self.0);
        let (parity, compact) = signature.serialize_compact();
        [&compact[..], &[27 + parity.to_u8()]].concat().into()
    }
}

/// What a buyer promises, before it is signed.
#[derive(Clone)]
pub struct Promise {
    pub version: Version,
    pub authorization: Authorization,
    pub domain: (String, String),
    pub asset: Address,
}

impl Promise {
    pub fn new(version: Version, from: Address, amount: u64, now: u64, nonce: B256) -> Self {
        let authorization = Authorization {
            from,
            to: SELLER,
            value: U256::from(amount),
            valid_after: U256::from(now - 600),
            valid_before: U256::from(now + 600),
            nonce,
        };
        Self { version, authorization, domain: ("USD Coin".to_owned(), "2".to_owned()), asset: USDC }
    }

    pub fn signed(&self, key: &Key) -> Payment {
        let mut payment = Payment {
            version: self.version,
            chain: CHAIN,
            method: Method::Authorization(self.authorization.clone()),
            signature: Bytes::new(),
        };
        let (name, version) = &self.domain;
        payment.signature = key.sign(abi::digest(&payment, &Domain::of(name, version, CHAIN, self.asset)));
        payment
    }
}

pub fn network(version: Version) -> &'static str {
    match version {
        Version::V1 => "base",
        Version::V2 => "eip155:8453",
    }
}

/// What a seller asks for an authorization like this.
pub fn requirements(promise: &Promise) -> Value {
    let (name, version) = &promise.domain;
    let mut json = json!({
        "scheme": "exact", "network": network(promise.version), "asset": promise.asset.to_string(),
        "payTo": promise.authorization.to.to_string(), "maxTimeoutSeconds": 60, "extra": {"name": name, "version": version},
    });
    let price = json!(promise.authorization.value.to_string());
    match promise.version {
        Version::V1 => {
            json["maxAmountRequired"] = price;
            json["resource"] = json!("https://seller.example/paid");
            json["description"] = json!("");
            json["mimeType"] = json!("");
        }
        Version::V2 => json["amount"] = price,
    }
    json
}

/// What a buyer sends.
pub fn payload(payment: &Payment, requirements: &Value) -> Value {
    let Method::Authorization(it) = &payment.method else { panic!("an authorization") };
    let inner = json!({
        "signature": payment.signature.to_string(),
        "authorization": {
            "from": it.from.to_string(), "to": it.to.to_string(), "value": it.value.to_string(),
            "validAfter": it.valid_after.to_string(), "validBefore": it.valid_before.to_string(),
            "nonce": hex::encode_prefixed(it.nonce),
        },
    });
    match payment.version {
        Version::V1 => {
            json!({"x402Version": 1, "scheme": "exact", "network": network(payment.version), "payload": inner})
        }
        Version::V2 => json!({
            "x402Version": 2, "resource": {"url": "https://seller.example/paid"}, "accepted": requirements, "payload": inner,
        }),
    }
}
