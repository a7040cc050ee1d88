//! How many challenges and redemptions a second, on the sandbox ledger: server and load in one process, over HTTP on loopback, on SQLite,
//! every redemption durable before it is answered.
//!
//!     cargo bench -p loopd --bench redeem            # 20,000 payments, 64 connections

#[expect(dead_code, reason = "another bench needs the rest")]
mod load;

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loopd_kernel::account::{self, Registration};
use loopd_kernel::{Kernel, Origin, Tenant};
use loopd_pay::evm::abi::{self, Domain};
use loopd_pay::keys::{self, address_of};
use loopd_pay::project::{self, New, Purpose};
use loopd_pay::x402::{Authorization, Method, Payment, Version};
use loopd_store::View;
use loopd_types::CompanyId;
use secp256k1::SecretKey;
use serde_json::{Value, json};

use load::{Pace, drive, report};

const PAYMENTS: usize = 20_000;
const CONNECTIONS: usize = 64;
/// Each pays with an account of its own, a thousandth of a dollar a time.
const BUYERS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let server = load::serve(&[]).await;
    let (kernel, address) = (&server.kernel, server.address.as_str());
    let (key, wallet) = project(kernel).await;
    let bearer = format!("Bearer {key}");
    let request =
        |path: &str, body: &Value| load::post(path, address, &[("Authorization", &bearer)], &body.to_string());

    let asked = json!({"amount": "0.001", "network": "base", "resource": "https://api.example.com/weather"});
    let challenges = vec![request("/v0/payments/challenge", &asked); PAYMENTS];
    report("challenge", &drive(address, challenges, CONNECTIONS, Pace::Full, "\"accepts\"").await);
    let seconds = kernel.now().seconds().unsigned_abs();
    let redemptions: Vec<Vec<u8>> = (0..PAYMENTS)
        .map(|number| {
            let mut body = asked.clone();
            body["paymentHeader"] = json!(payment(number, wallet, seconds));
            request("/v0/payments/redeem", &body)
        })
        .collect();
    report("redeem", &drive(address, redemptions, CONNECTIONS, Pace::Full, "\"ok\":true").await);
}

async fn project(kernel: &Arc<Kernel>) -> (String, Address) {
    let body = json!({"email": "a@example.com", "username": "a", "password": "strongpass123", "company_name": "A"});
    let registration = Registration::parse(kernel, body).await.expect("a registration");
    let origin = Origin {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        request_id: "bench".into(),
        app_id: None,
        user_agent: None,
        impersonator: None,
    };
    let shared = kernel.clone();
    let write =
        kernel.db.write(View::System, move |tx| account::register(tx, &shared, &registration, &origin).map(drop));
    write.await.expect("a company");
    let access = kernel.company_access(CompanyId(1)).await.expect("the database").expect("the company");
    let tenant = Tenant::system(access, "bench");
    let (shared, new) = (kernel.clone(), New { name: None, purpose: Purpose::Seller, scopes: None });
    let made = kernel.db.write(View::System, move |tx| project::store::create(tx, &shared, &tenant, &new)).await;
    let made = made.expect("a project");
    (made.raw_key, made.project.wallet_address.parse().expect("an address"))
}

fn payment(number: usize, to: Address, seconds: u64) -> String {
    let mut secret = [1u8; 32];
    secret[..8].copy_from_slice(&(number % BUYERS + 1).to_be_bytes());
    let key = SecretKey::from_secret_bytes(secret).expect("a key");
    let authorization = Authorization {
        from: address_of(&key),
        to,
        value: U256::from(1_000),
        valid_after: U256::from(seconds - 600),
        valid_before: U256::from(seconds + 3_600),
        nonce: B256::from(U256::from(number + 1)),
    };
    let mut payment = Payment {
        version: Version::V1,
        chain: 8453,
        method: Method::Authorization(authorization.clone()),
        signature: Vec::new().into(),
    };
    let usdc = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913".parse().expect("an address");
    let digest = abi::digest(&payment, &Domain::of("USD Coin", "2", 8453, usdc));
    payment.signature = keys::sign(&key, digest);
    let whole = json!({"x402Version": 1, "scheme": "exact", "network": "base", "payload": {
        "signature": payment.signature.to_string(),
        "authorization": {
            "from": authorization.from.to_string(), "to": to.to_string(), "value": "1000",
            "validAfter": authorization.valid_after.to_string(), "validBefore": authorization.valid_before.to_string(),
            "nonce": authorization.nonce.to_string(),
        },
    }});
    STANDARD.encode(whole.to_string())
}
