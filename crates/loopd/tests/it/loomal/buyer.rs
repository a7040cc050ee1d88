//! [`Buyer`]: a key that pays a facilitator's client, in both versions of x402.

use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use loopd_pay::evm::{Domain, abi};
use loopd_pay::keys;
use loopd_pay::x402::{Authorization, Method, Payment, Version};
use loopd_testkit::json;
use secp256k1::{PublicKey, SecretKey};
use serde_json::Value;

pub const USDC: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
pub const SELLER: Address = address!("209693Bc6afc0C5328bA36FaF03C514EF312287C");
const CHAIN: u64 = 8453;

pub struct Buyer(SecretKey);

/// A payment of 10000 (a cent) to [`SELLER`], as it is changed before it is signed.
#[derive(Clone)]
pub struct Promise {
    pub version: Version,
    pub to: Address,
    pub value: u64,
    pub valid_after: u64,
    pub valid_before: u64,
    pub nonce: u64,
}

impl Promise {
    /// Good from ten minutes before `seconds` to a minute after; `nonce` tells it from others.
    pub fn new(version: Version, seconds: i64, nonce: u64) -> Self {
        let now = seconds.unsigned_abs();
        Self { version, to: SELLER, value: 10_000, valid_after: now - 600, valid_before: now + 60, nonce }
    }

    /// What a seller asks for this.
    pub fn requirements(&self) -> Value {
        let mut json = json!({
            "scheme": "exact", "network": self.network(), "asset": USDC.to_string(), "payTo": self.to.to_string(),
            "maxTimeoutSeconds": 60, "extra": {"name": "USD Coin", "version": "2"},
        });
        match self.version {
            Version::V1 => {
                json["maxAmountRequired"] = json!(self.value.to_string());
                json["resource"] = json!("https://seller.example/paid");
                json["description"] = json!("");
                json["mimeType"] = json!("");
            }
            Version::V2 => json["amount"] = json!(self.value.to_string()),
        }
        json
    }

    pub fn network(&self) -> &'static str {
        match self.version {
            Version::V1 => "base",
            Version::V2 => "eip155:8453",
        }
    }
}

impl Buyer {
    pub fn new(number: u8) -> Self {
        Self(SecretKey::from_secret_bytes([number; 32]).expect("a key"))
    }

    pub fn address(&self) -> Address {
        Address::from_raw_public_key(&PublicKey::from_secret_key(&self.0).serialize_uncompressed()[1..])
    }

    pub fn sign(&self, promise: &Promise) -> Payment {
        let authorization = Authorization {
            from: self.address(),
            to: promise.to,
            value: U256::from(promise.value),
            valid_after: U256::from(promise.valid_after),
            valid_before: U256::from(promise.valid_before),
            nonce: keccak256(promise.nonce.to_be_bytes()),
        };
        let method = Method::Authorization(authorization);
        let mut payment = Payment { version: promise.version, chain: CHAIN, method, signature: Bytes::new() };
        let digest: B256 = abi::digest(&payment, &Domain::of("USD Coin", "2", CHAIN, USDC));
        payment.signature = keys::sign(&self.0, digest);
        payment
    }

    /// What goes into `X-PAYMENT` or `PAYMENT-SIGNATURE`, before it is made base64.
    pub fn payload(&self, promise: &Promise) -> Value {
        let payment = self.sign(promise);
        let Method::Authorization(it) = &payment.method else { unreachable!() };
        let inner = json!({
            "signature": payment.signature.to_string(),
            "authorization": {
                "from": it.from.to_string(), "to": it.to.to_string(), "value": it.value.to_string(),
                "validAfter": it.valid_after.to_string(), "validBefore": it.valid_before.to_string(),
                "nonce": it.nonce.to_string(),
            },
        });
        match promise.version {
            Version::V1 => json!({"x402Version": 1, "scheme": "exact", "network": "base", "payload": inner}),
            Version::V2 => json!({"x402Version": 2, "accepted": promise.requirements(), "payload": inner}),
        }
    }

    /// The body of `/verify` and `/settle`.
    pub fn body(&self, promise: &Promise) -> Value {
        json!({
            "x402Version": promise.version.number(),
            "paymentPayload": self.payload(promise),
            "paymentRequirements": promise.requirements(),
        })
    }
}
