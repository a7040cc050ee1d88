//! A chain of the test's own: anvil with Circle's token on it (`tests/x402/oracle.mjs`), buyers with keys, and wallets with gas.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_sol_types::{SolCall as _, sol};
use loopd_pay::evm::abi::{self, Call};
use loopd_pay::evm::{Chain as _, Domain, Rpc};
use loopd_pay::keys;
use loopd_pay::settlement::{Order, Purpose};
use loopd_pay::x402::{Authorization, Method, Payment, Requirement, Version};
use loopd_types::Secret;
use secp256k1::SecretKey;
use serde_json::{Value, json};

/// USDC on Base.
pub const USDC: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");

sol! {
    function mint(address to, uint256 amount) external;
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes signature) external;
    struct CancelAuthorization {
        address authorizer;
        bytes32 nonce;
    }
}

pub const CHAIN: u64 = 8453;

/// Ends when dropped: its input ends.
pub struct TestChain {
    pub url: String,
    pub rpc: Rpc,
    speech: Mutex<(Option<ChildStdin>, BufReader<ChildStdout>)>,
    process: Child,
}

impl TestChain {
    /// `None` where the programs are not installed; scripts/with-services.sh installs them.
    pub fn start() -> Option<Self> {
        let Ok(folder) = std::env::var("LOOPD_TEST_X402") else {
            let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!is_ci, "LOOPD_TEST_X402 is not set: run scripts/test.sh, which fetches the chain");
            eprintln!("skipped: no chain here; scripts/with-services.sh brings it");
            return None;
        };
        let mut process = Command::new("node")
            .arg("oracle.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a first line");
        let first: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the chain says {line:?}"));
        let url = first["url"].as_str().expect("where the node is").to_owned();
        let rpc = Rpc::new(CHAIN, &url, Duration::from_secs(20), Vec::new()).expect("a node on this machine");
        Some(Self { url, rpc, speech: Mutex::new((input, output)), process })
    }

    /// A transaction of the token's owner, mined when this returns.
    pub fn send(&self, call: Call) {
        let mut speech = self.speech.lock().expect("no test panicked here");
        let question = json!({"id": 1, "send": {"to": call.to.to_string(), "data": call.data.to_string()}});
        writeln!(speech.0.as_mut().expect("open"), "{question}").expect("the chain listens");
        let mut line = String::new();
        speech.1.read_line(&mut line).expect("the chain answers");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(answer["ok"], true, "{answer}");
    }

    pub fn mint(&self, to: Address, micros: u64) {
        let data = mintCall { to, amount: U256::from(micros) }.abi_encode();
        self.send(Call { to: USDC, data: data.into() });
    }

    pub async fn balance(&self, of: Address) -> u64 {
        self.rpc.balance(USDC, of).await.expect("the chain answers").to()
    }

    /// Transactions of an address that are in blocks.
    pub async fn mined(&self, of: Address) -> u64 {
        let count: String = self.ask("eth_getTransactionCount", json!([of.to_string(), "latest"])).await;
        u64::from_str_radix(count.trim_start_matches("0x"), 16).expect("a number")
    }

    pub async fn ask<T: for<'a> serde::Deserialize<'a>>(&self, method: &str, params: Value) -> T {
        self.rpc.ask(method, params).await.unwrap_or_else(|fault| panic!("{method}: {fault}"))
    }
}

impl Drop for TestChain {
    fn drop(&mut self) {
        if let Ok(mut speech) = self.speech.lock() {
            speech.0 = None;
        }
        let _ = self.process.wait();
    }
}

/// The keys of anvil's second and third account, which have ether.
pub fn wallets() -> Vec<Secret<Vec<u8>>> {
    [
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    ]
    .map(|key| Secret::new(alloy_primitives::hex::decode(key).expect("hexadecimal")))
    .to_vec()
}

/// Somebody with a key.
pub struct Buyer {
    key: SecretKey,
    pub address: Address,
}

impl Buyer {
    pub fn new(number: u8) -> Self {
        let key = SecretKey::from_secret_bytes([number; 32]).expect("a key");
        let address = Address::from_raw_public_key(&key.public_key().serialize_uncompressed()[1..]);
        Self { key, address }
    }

    /// A payment that a token takes within this minute.
    pub fn pays(&self, to: Address, micros: u64, nonce: u64) -> Order {
        let now = now();
        let authorization = Authorization {
            from: self.address,
            to,
            value: U256::from(micros),
            valid_after: U256::from(now - 600),
            valid_before: U256::from(now + 60),
            nonce: B256::from(U256::from(nonce)),
        };
        let method = Method::Authorization(authorization);
        let mut payment = Payment { version: Version::V1, chain: CHAIN, method, signature: Bytes::new() };
        payment.signature = self.sign(abi::digest(&payment, &domain()));
        let requirement = Requirement {
            chain: CHAIN,
            asset: USDC,
            pay_to: to,
            amount: U256::from(micros),
            max_timeout_seconds: 60,
            domain: Some(("USD Coin".to_owned(), "2".to_owned())),
        };
        Order { payment, requirement, purpose: Purpose::Facilitator { company: None, project: None } }
    }

    /// Takes a nonce back.
    pub fn cancels(&self, nonce: u64) -> Call {
        use alloy_sol_types::SolStruct as _;
        let (authorizer, nonce) = (self.address, B256::from(U256::from(nonce)));
        let hash = CancelAuthorization { authorizer, nonce }.eip712_hash_struct();
        let digest = [b"\x19\x01".as_slice(), domain().separator.as_slice(), hash.as_slice()].concat();
        let signature = self.sign(alloy_primitives::keccak256(digest));
        Call { to: USDC, data: cancelAuthorizationCall { authorizer, nonce, signature }.abi_encode().into() }
    }

    fn sign(&self, digest: B256) -> Bytes {
        keys::sign(&self.key, digest)
    }
}

fn domain() -> Domain {
    Domain::of("USD Coin", "2", CHAIN, USDC)
}

fn now() -> u64 {
    use loopd_types::Clock as _;
    loopd_types::SystemClock.now().seconds().unsigned_abs()
}
