//! What these tests stand in: projects with keys, buyers with wallets, and a seller on a port of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy_primitives::{Address, B256, Bytes, U256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loopd_pay::evm::abi::{self, Domain};
use loopd_pay::keys::{self, address_of};
use loopd_pay::x402::{Authorization, Method, Payment, Version};
use loopd_testkit::{Answer, Client, json};
use loopd_types::Clock as _;
use secp256k1::SecretKey;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Actor, World};

/// Asserts that `actual` is `expected`, where "[any]" stands for whatever is there.
#[track_caller]
pub fn same(actual: &Value, expected: &Value) {
    if let Some(difference) = loopd_testkit::find_difference(actual, expected) {
        panic!("{difference}\nin {actual:#}");
    }
}

/// A project, by its key.
pub struct Project {
    pub client: Client,
    pub id: String,
}

impl World {
    /// A platform key of the actor's company.
    pub async fn platform(&self, owner: &Actor) -> Client {
        let made =
            owner.post("/api/v1/loomal/platform-keys/").json(&json!({"name": "Console"})).await.expect_status(201);
        self.client().with_token(&made.text_at("/key"))
    }

    /// A project of the actor's company with these scopes.
    pub async fn project(&self, owner: &Actor, purpose: &str) -> Project {
        let platform = self.platform(owner).await;
        let body = json!({"purpose": purpose, "name": "Weather"});
        let made = platform.post("/v0/platform/identities").json(&body).await.expect_status(201);
        let key = made.text_at("/rawKey");
        Project { client: self.client().with_token(&key), id: made.text_at("/identityId") }
    }
}

/// A buyer's own account.
pub struct Wallet(SecretKey);

/// What a test changes of an otherwise good payment.
#[derive(Default)]
pub struct Twist {
    pub value: Option<u64>,
    pub to: Option<Address>,
    /// Seconds from now.
    pub valid_before: Option<i64>,
    pub spoils_signature: bool,
    pub version: Option<Version>,
}

impl Wallet {
    pub fn number(number: u8) -> Self {
        Self(SecretKey::from_secret_bytes([number; 32]).expect("a key"))
    }

    pub fn address(&self) -> Address {
        address_of(&self.0)
    }

    /// What this account promises, signed for the USDC of Base.
    pub fn sign(&self, version: Version, authorization: Authorization, asset: Address) -> Payment {
        let method = Method::Authorization(authorization);
        let mut payment = Payment { version, chain: 8453, method, signature: Vec::new().into() };
        payment.signature = keys::sign(&self.0, abi::digest(&payment, &Domain::of("USD Coin", "2", 8453, asset)));
        payment
    }

    /// The header that pays a challenge.
    pub fn pay(&self, world: &World, challenge: &Value, nonce: u8) -> String {
        self.pay_with(world, challenge, nonce, Twist::default())
    }

    pub fn pay_with(&self, world: &World, challenge: &Value, nonce: u8, twist: Twist) -> String {
        let asked = &challenge["accepts"][0];
        let text = |name: &str| asked[name].as_str().unwrap_or_else(|| panic!("no {name} in {asked}"));
        let now = world.clock.now().seconds();
        let value = twist.value.unwrap_or_else(|| text("maxAmountRequired").parse().expect("an amount"));
        let authorization = Authorization {
            from: self.address(),
            to: twist.to.unwrap_or_else(|| text("payTo").parse().expect("an address")),
            value: U256::from(value),
            valid_after: U256::from((now - 600).unsigned_abs()),
            valid_before: U256::from((now + twist.valid_before.unwrap_or(60)).unsigned_abs()),
            nonce: B256::repeat_byte(nonce),
        };
        let version = twist.version.unwrap_or(Version::V1);
        let mut payment = self.sign(version, authorization.clone(), text("asset").parse().expect("an address"));
        if twist.spoils_signature {
            payment.signature = spoiled(&payment);
        }
        let payload = json!({
            "signature": payment.signature.to_string(),
            "authorization": {
                "from": authorization.from.to_string(), "to": authorization.to.to_string(), "value": value.to_string(),
                "validAfter": authorization.valid_after.to_string(), "validBefore": authorization.valid_before.to_string(),
                "nonce": authorization.nonce.to_string(),
            },
        });
        let whole = match version {
            Version::V1 => json!({"x402Version": 1, "scheme": "exact", "network": "base", "payload": payload}),
            Version::V2 => {
                let accepted = json!({"scheme": "exact", "network": "eip155:8453", "amount": value.to_string()});
                json!({"x402Version": 2, "accepted": accepted, "payload": payload})
            }
        };
        STANDARD.encode(whole.to_string())
    }
}

/// The signature with one bit turned.
pub fn spoiled(payment: &Payment) -> Bytes {
    let mut signature = payment.signature.to_vec();
    signature[40] ^= 1;
    signature.into()
}

impl Project {
    pub async fn challenge(&self, amount: &str, resource: &str) -> Value {
        let body = json!({"amount": amount, "network": "base", "resource": resource, "description": resource});
        self.client.post("/v0/payments/challenge").json(&body).await.expect_status(200).json()
    }

    /// As the paywalls call it: without the description.
    pub async fn redeem(&self, header: &str, amount: &str, resource: &str) -> Answer {
        let body = json!({"paymentHeader": header, "amount": amount, "network": "base", "resource": resource});
        self.client.post("/v0/payments/redeem").json(&body).await
    }

    /// A whole sale; the redemption's answer.
    pub async fn sell(&self, world: &World, buyer: &Wallet, amount: &str, resource: &str, nonce: u8) -> Value {
        let challenge = self.challenge(amount, resource).await;
        let redeemed =
            self.redeem(&buyer.pay(world, &challenge, nonce), amount, resource).await.expect_status(200).json();
        assert_eq!(redeemed["ok"], true, "{redeemed}");
        redeemed
    }
}

/// How a seller answers a payment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// Takes the money and answers 500.
    TakesAndFails,
    /// Does not take the money, and answers 402 again.
    Refuses,
    /// Does not take the money, delivers, and tells of a transaction that there is not.
    Lies,
    /// Does not take the money, and sends whoever shows it elsewhere.
    Redirects,
    /// Does not take the money, and answers more than anybody wants to read.
    Floods,
}

/// A seller of weather on a port of its own.
pub struct Seller {
    pub url: String,
    /// Calls with a payment.
    pub paid_calls: Arc<AtomicUsize>,
}

impl Seller {
    pub async fn open(project: &Project, price: &'static str, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/weather", listener.local_addr().expect("an address"));
        let shop = Arc::new(Shop {
            client: project.client.clone(),
            url: url.clone(),
            price,
            manner,
            paid_calls: Arc::default(),
        });
        let paid_calls = shop.paid_calls.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shop.clone()));
            }
        });
        Self { url, paid_calls }
    }
}

struct Shop {
    client: Client,
    url: String,
    price: &'static str,
    manner: Manner,
    paid_calls: Arc<AtomicUsize>,
}

/// What a seller says of a transaction that nobody sent.
fn invented() -> String {
    let told = json!({"success": true, "transaction": format!("0x{}", "ab".repeat(32)), "network": "base"});
    STANDARD.encode(told.to_string())
}

async fn serve(mut stream: TcpStream, shop: Arc<Shop>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let payment = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        ["x-payment", "payment-signature"]
            .contains(&name.to_ascii_lowercase().as_str())
            .then(|| value.trim().to_owned())
    });
    let target = head.split(' ').nth(1).unwrap_or_default();
    let mut asked = json!({"amount": shop.price, "network": "base", "resource": shop.url});
    let (status, headers, body) = match payment {
        None => {
            let challenge = shop.client.post("/v0/payments/challenge").json(&asked).await.expect_status(200).json();
            (402, String::new(), challenge)
        }
        Some(header) => {
            shop.paid_calls.fetch_add(1, Ordering::Relaxed);
            asked["paymentHeader"] = json!(header);
            match shop.manner {
                Manner::Refuses => (402, String::new(), json!({"x402Version": 1, "error": "not today", "accepts": []})),
                Manner::Redirects => (307, "Location: http://169.254.169.254/\r\n".to_owned(), json!({})),
                Manner::Floods => (200, String::new(), json!({"sky": "grey".repeat(1 << 20)})),
                Manner::Lies => (200, format!("X-Payment-Response: {}\r\n", invented()), json!({"sky": "grey"})),
                manner => {
                    let redeemed = shop.client.post("/v0/payments/redeem").json(&asked).await.expect_status(200).json();
                    let told =
                        format!("X-Payment-Response: {}\r\n", redeemed["paymentResponse"].as_str().unwrap_or(""));
                    match manner {
                        Manner::TakesAndFails => (500, String::new(), json!({"error": "the oven is on fire"})),
                        _ if redeemed["ok"] == true => (200, told, json!({"sky": "sunny", "asked": target})),
                        _ => (402, String::new(), redeemed["requirement"].clone()),
                    }
                }
            }
        }
    };
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
