//! What a verification costs a core: a facilitator's body is read and judged, against a chain that answers at once; beside it the bare
//! recovery of the same signature. Prints nanoseconds, one line each; `bench/x402.py` compares them with the reference's.

use std::hint::black_box;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, U256, address};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use loopd_pay::evm::{Chain, Deployment, Domain, Fault, Networks, abi};
use loopd_pay::facilitator;
use loopd_pay::x402::{self, Authorization, Method, Payment, Version};
use loopd_types::Timestamp;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, SecretKey};
use serde_json::json;

const USDC: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
const SELLER: Address = address!("209693Bc6afc0C5328bA36FaF03C514EF312287C");
const NOW: u64 = 1_782_122_400;
/// Bodies that take turns.
const BODIES: u64 = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);

/// A chain on which every transfer would succeed.
struct Willing(Domain);

#[async_trait]
impl Chain for Willing {
    fn id(&self) -> u64 {
        8453
    }
    async fn domain(&self, _: Address) -> Result<Domain, Fault> {
        Ok(self.0.clone())
    }
    async fn balance(&self, _: Address, _: Address) -> Result<U256, Fault> {
        Ok(U256::MAX)
    }
    async fn is_authorization_used(&self, _: Address, _: Address, _: B256) -> Result<bool, Fault> {
        Ok(false)
    }
    async fn is_permit_used(&self, _: Address, _: U256) -> Result<bool, Fault> {
        Ok(false)
    }
    async fn permit2_allowance(&self, _: Address, _: Address) -> Result<U256, Fault> {
        Ok(U256::MAX)
    }
    async fn has_code(&self, _: Address) -> Result<bool, Fault> {
        Ok(false)
    }
    async fn accepts(&self, _: Address, _: B256, _: &Bytes, _: Option<&Deployment>) -> Result<bool, Fault> {
        Ok(false)
    }
    async fn simulate(&self, _: Address, _: &Payment, _: Option<&Deployment>) -> Result<(), Fault> {
        Ok(())
    }
}

/// A request as the reference's client sends it, and what its signature is recovered from.
fn request(number: u64, domain: &Domain) -> (Vec<u8>, Message, RecoverableSignature) {
    let key = SecretKey::from_secret_bytes([7; 32]).expect("a key");
    let from = Address::from_raw_public_key(&PublicKey::from_secret_key(&key).serialize_uncompressed()[1..]);
    let authorization = Authorization {
        from,
        to: SELLER,
        value: U256::from(10_000),
        valid_after: U256::from(NOW - 600),
        valid_before: U256::from(NOW + 60),
        nonce: B256::from(U256::from(number)),
    };
    let method = Method::Authorization(authorization.clone());
    let payment = Payment { version: Version::V2, chain: 8453, method, signature: Bytes::new() };
    let message = Message::from_digest(abi::digest(&payment, domain).0);
    let signature = RecoverableSignature::sign_ecdsa_recoverable(message, &key);
    let (parity, compact) = signature.serialize_compact();
    let written: Bytes = [&compact[..], &[27 + parity.to_u8()]].concat().into();
    let requirements = json!({
        "scheme": "exact", "network": "eip155:8453", "amount": "10000", "asset": USDC.to_string(), "payTo": SELLER.to_string(),
        "maxTimeoutSeconds": 60, "extra": {"name": "USD Coin", "version": "2"},
    });
    let body = json!({
        "x402Version": 2,
        "paymentPayload": {"x402Version": 2, "resource": {"url": "https://seller.example/paid"}, "accepted": requirements, "payload": {
            "signature": written.to_string(),
            "authorization": {
                "from": from.to_string(), "to": SELLER.to_string(), "value": "10000", "validAfter": (NOW - 600).to_string(),
                "validBefore": (NOW + 60).to_string(), "nonce": authorization.nonce.to_string(),
            },
        }},
        "paymentRequirements": requirements,
    });
    let signature = RecoverableSignature::from_compact(&compact, RecoveryId::from_u8_masked(parity.to_u8()));
    (body.to_string().into_bytes(), message, signature.expect("as it was written"))
}

/// The median of some rounds, in nanoseconds.
fn measured(mut work: impl FnMut(usize)) -> u128 {
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let (began, mut done) = (Instant::now(), 0u32);
            while began.elapsed() < ROUND {
                for at in 0..BODIES as usize {
                    work(at);
                }
                done += BODIES as u32;
            }
            (began.elapsed() / done).as_nanos()
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

fn main() {
    // `cargo test` runs benches too, to see that they run; it wants no figures.
    if std::env::args().any(|word| word == "--test" || word == "--list") {
        return;
    }
    let domain = Domain::of("USD Coin", "2", 8453, USDC);
    let (chain, networks) = (Willing(domain.clone()), Networks::known());
    let now = Timestamp(NOW as i64 * loopd_types::SECOND_US);
    let requests: Vec<_> = (0..BODIES).map(|number| request(number, &domain)).collect();
    let verify = measured(|at| {
        let (payment, requirement) =
            facilitator::read(black_box(&requests[at].0), &networks).expect("a request").read.expect("a payment");
        let verified = x402::verify(&chain, &payment, &requirement, now).now_or_never().expect("at once");
        black_box(verified.expect("good"));
    });
    let recovery = measured(|at| {
        let (_, message, signature) = &requests[at];
        black_box(black_box(signature).recover_ecdsa(*message).expect("a key"));
    });
    println!("verify {verify}\nrecovery {recovery}");
}
