//! How many challenges and redemptions a second, on the sandbox ledger: server and load in one process, over HTTP on loopback, on SQLite,
//! every redemption durable before it is answered.
//!
//!     cargo bench -p loopd --bench redeem            # 20,000 payments, 64 connections

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loopd::app::{self, World};
use loopd::settings::Settings;
use loopd_kernel::account::{self, Registration};
use loopd_kernel::{Kernel, Origin, Tenant};
use loopd_pay::evm::abi::{self, Domain};
use loopd_pay::keys::{self, address_of};
use loopd_pay::project::{self, New, Purpose};
use loopd_pay::x402::{Authorization, Method, Payment, Version};
use loopd_store::View;
use loopd_types::CompanyId;
use secp256k1::SecretKey;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const PAYMENTS: usize = 20_000;
const CONNECTIONS: usize = 64;
/// Each pays with an account of its own, a thousandth of a dollar a time.
const BUYERS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let given: BTreeMap<String, String> = [
        ("LOOP_DATA_DIR", folder.path().display().to_string()),
        ("LOOP_LISTEN", address.clone()),
        ("LOOP_RATE_LIMITS", "off".to_owned()),
        ("LOOP_LOG", "warn".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let settings = Settings::load(None, &given).expect("settings");
    let server = app::build(settings, World::default()).await.expect("a server");
    let kernel = server.kernel.clone();
    tokio::spawn(server.serve(listener, std::future::pending()));
    let (key, wallet) = project(&kernel).await;

    let asked = json!({"amount": "0.001", "network": "base", "resource": "https://api.example.com/weather"});
    let challenges = vec![request("/v0/payments/challenge", &address, &key, &asked.to_string()); PAYMENTS];
    report("challenge", drive(&address, challenges, "\"accepts\"").await);
    let seconds = kernel.now().seconds().unsigned_abs();
    let redemptions: Vec<Vec<u8>> = (0..PAYMENTS)
        .map(|number| {
            let mut body = asked.clone();
            body["paymentHeader"] = json!(payment(number, wallet, seconds));
            request("/v0/payments/redeem", &address, &key, &body.to_string())
        })
        .collect();
    report("redeem", drive(&address, redemptions, "\"ok\":true").await);
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

fn request(path: &str, host: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends every request once, over as many connections; how long each took, sorted, and how long all took.
async fn drive(address: &str, requests: Vec<Vec<u8>>, expected: &'static str) -> (Vec<Duration>, Duration) {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let callers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (requests, next, address) = (requests.clone(), next.clone(), address.to_owned());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("a connection");
                stream.set_nodelay(true).expect("a socket");
                let mut took = Vec::new();
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = Instant::now();
                    stream.write_all(request).await.expect("the request goes out");
                    let answer = read(&mut stream).await;
                    assert!(answer.contains(expected), "{answer}");
                    took.push(sent.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for caller in callers {
        took.extend(caller.await.expect("a caller"));
    }
    let all = began.elapsed();
    took.sort_unstable();
    (took, all)
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::with_capacity(4_096);
    loop {
        assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "the server hung up");
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if length.is_some_and(|length| body.len() >= length) {
                return text.into_owned();
            }
        }
    }
}

fn report(name: &str, (took, all): (Vec<Duration>, Duration)) {
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].as_secs_f64() * 1_000.0;
    println!(
        "{name}: {:.0} a second; p50 {:.1} ms, p99 {:.1} ms ({} calls, {CONNECTIONS} connections)",
        took.len() as f64 / all.as_secs_f64(),
        at(50),
        at(99),
        took.len()
    );
}
