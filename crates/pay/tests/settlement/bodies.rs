//! Bodies of `/facilitator/verify` and `/facilitator/settle` made of bytes that somebody else chose: the bytes as they are, or a payment
//! that is good but for what the bytes change in it. The fuzz targets (`fuzz/`) and the property tests read the same bytes alike.

use alloy_primitives::{Address, B256, Bytes, U256, address, hex};
use loopd_pay::evm::{Domain, abi};
use loopd_pay::keys;
use loopd_pay::x402::{Authorization, Method, Payment, Version};
use secp256k1::SecretKey;
use serde_json::{Value, json};

/// When the payments are made; both doors' clocks stand here.
pub const NOW: u64 = 1_782_122_400;
const CHAIN: u64 = 8453;
const USDC: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
const SELLER: Address = address!("209693Bc6afc0C5328bA36FaF03C514EF312287C");
/// Changes to one body.
const EDITS: usize = 6;

/// What careless and hostile clients put where something else belongs.
const ODD: [&str; 24] = [
    "null",
    "true",
    "[]",
    "{}",
    "0",
    "-1",
    "1.5",
    "1e400",
    "18446744073709551616",
    "\"\"",
    "\"0\"",
    "\"-1\"",
    "\"01\"",
    "\"1e3\"",
    "\"0x\"",
    "\"0x0\"",
    "\"0xzz\"",
    "\"115792089237316195423570985008687907853269984665640564039457584007913129639936\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"eip155:8453\"",
    "\"base-sepolia\"",
    "\"0x0000000000000000000000000000000000000000\"",
    "[[[[[[[[[[]]]]]]]]]]",
];

/// Bytes, read from the front; nothing but zeros when they are used up.
struct Taken<'a>(&'a [u8]);

impl<'a> Taken<'a> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    fn some(&mut self) -> &'a [u8] {
        let length = self.byte().min(self.0.len());
        let (head, rest) = self.0.split_at(length);
        self.0 = rest;
        head
    }
}

/// The body that these bytes stand for.
pub fn body(bytes: &[u8]) -> Vec<u8> {
    let mut taken = Taken(bytes);
    let how = taken.byte();
    if how % 4 == 0 {
        return taken.0.to_vec();
    }
    let mut body = signed(if how % 4 == 1 { Version::V1 } else { Version::V2 }, &mut taken);
    for _ in 0..EDITS {
        if taken.0.is_empty() {
            break;
        }
        edit(&mut body, &mut taken);
    }
    let mut written = body.to_string().into_bytes();
    // One in four is cut off, or goes on.
    match taken.byte() % 8 {
        1 => written.truncate(taken.byte() * written.len() / 256),
        2 => written.extend_from_slice(taken.0),
        _ => {}
    }
    written
}

/// What a buyer shows in a header, in place of the whole body.
pub fn payment(bytes: &[u8]) -> Vec<u8> {
    let body = body(bytes);
    match serde_json::from_slice::<Value>(&body) {
        Ok(mut whole) if whole["paymentPayload"].is_object() => whole["paymentPayload"].take().to_string().into_bytes(),
        _ => body,
    }
}

/// A payment whose signature is good, of what the bytes say: who pays, how much, from when to when, under which nonce.
fn signed(version: Version, taken: &mut Taken<'_>) -> Value {
    let key = SecretKey::from_secret_bytes([taken.byte() as u8 % 4 + 1; 32]).expect("a key");
    let price = [10_000, 0, 1, u64::MAX, 1_000_000_000, 1_000_000_001][taken.byte() % 6];
    let window = [(600, 60), (0, 60), (600, 0), (600, 6), (600, 1 << 40)][taken.byte() % 5];
    let authorization = Authorization {
        from: keys::address_of(&key),
        to: SELLER,
        value: U256::from(price),
        valid_after: U256::from(NOW - window.0),
        valid_before: U256::from(NOW + window.1),
        nonce: B256::repeat_byte(taken.byte() as u8),
    };
    let method = Method::Authorization(authorization.clone());
    let mut payment = Payment { version, chain: CHAIN, method, signature: Bytes::new() };
    payment.signature = keys::sign(&key, abi::digest(&payment, &Domain::of("USD Coin", "2", CHAIN, USDC)));
    let (network, amount) = match version {
        Version::V1 => ("base", "maxAmountRequired"),
        Version::V2 => ("eip155:8453", "amount"),
    };
    let mut requirements = json!({
        "scheme": "exact", "network": network, "asset": USDC.to_string(), "payTo": SELLER.to_string(), "maxTimeoutSeconds": 60,
        "resource": "https://seller.example/paid", "description": "", "mimeType": "", "extra": {"name": "USD Coin", "version": "2"},
    });
    requirements[amount] = json!(price.to_string());
    let inner = json!({"signature": payment.signature.to_string(), "authorization": {
        "from": authorization.from.to_string(), "to": SELLER.to_string(), "value": price.to_string(),
        "validAfter": authorization.valid_after.to_string(), "validBefore": authorization.valid_before.to_string(),
        "nonce": hex::encode_prefixed(authorization.nonce),
    }});
    let payload = match version {
        Version::V1 => json!({"x402Version": 1, "scheme": "exact", "network": network, "payload": inner}),
        Version::V2 => {
            json!({"x402Version": 2, "resource": {"url": "https://seller.example/paid"}, "accepted": requirements, "payload": inner})
        }
    };
    json!({"x402Version": version.number(), "paymentPayload": payload, "paymentRequirements": requirements})
}

/// Changes one place.
fn edit(body: &mut Value, taken: &mut Taken<'_>) {
    let mut all = Vec::new();
    places(body, String::new(), &mut all);
    let pointer = all[taken.byte() % all.len()].clone();
    let how = taken.byte();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let elsewhere = || body.pointer(&all[how / 6 % all.len()]).cloned().unwrap_or_default();
    let value = match how % 6 {
        0 => serde_json::from_str(ODD[taken.byte() % ODD.len()]).unwrap_or(Value::Null),
        1 => json!(text(taken.some())),
        // what stands there, with something behind it
        2 => match body.pointer(&pointer).and_then(Value::as_str) {
            Some(before) => json!(format!("{before}{}", text(taken.some()))),
            None => json!(taken.byte()),
        },
        3 => elsewhere(),
        4 => serde_json::from_slice(taken.some()).unwrap_or(Value::Null),
        // leaves it out
        _ => {
            if let Some((parent, name)) = pointer.rsplit_once('/')
                && let Some(Value::Object(members)) = body.pointer_mut(parent)
            {
                members.shift_remove(name);
            }
            return;
        }
    };
    if let Some(place) = body.pointer_mut(&pointer) {
        *place = value;
    }
}

/// Every place of a value, as pointers, its own first.
fn places(value: &Value, pointer: String, all: &mut Vec<String>) {
    if let Value::Object(members) = value {
        for (name, member) in members {
            places(member, format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), all);
        }
    }
    all.push(pointer);
}
