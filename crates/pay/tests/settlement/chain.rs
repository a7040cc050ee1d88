//! A chain of the test's own: anvil with Circle's token on it (`tests/x402/oracle.mjs`), buyers with keys, and wallets with gas.

#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use alloy_sol_types::{SolCall as _, sol};
use loopd_pay::evm::abi::{self, Call, PERMIT2, PROXY};
use loopd_pay::evm::{Chain as _, Deployment, Domain, Rpc};
use loopd_pay::keys;
use loopd_pay::settlement::{Order, Purpose};
use loopd_pay::x402::{Authorization, Method, Payment, Permit, Requirement, Version};
use loopd_testkit::Oracle;
use loopd_types::Secret;
use secp256k1::SecretKey;
use serde_json::{Value, json};

/// USDC on Base.
pub const USDC: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");

sol! {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external;
    function invalidateUnorderedNonces(uint256 word, uint256 mask) external;
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes signature) external;
    struct CancelAuthorization {
        address authorizer;
        bytes32 nonce;
    }
}

pub const CHAIN: u64 = 8453;
/// A wallet contract (ERC-1271) of the token's package, whose only word is its owner.
pub const WALLET: &str = "test/MockERC1271Wallet.sol/MockERC1271Wallet.json";
/// Arachnid's factory, which stands on every anvil as on most chains: the first word of its data is the salt, the rest is the code.
pub const FACTORY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// Ends when dropped.
pub struct TestChain {
    oracle: Oracle,
    pub url: String,
    pub rpc: Rpc,
}

impl TestChain {
    /// `None` where the programs are not installed; scripts/with-services.sh installs them.
    pub fn start() -> Option<Self> {
        let oracle = Oracle::start()?;
        let url = oracle.url.clone();
        let rpc = way(&url, &[]);
        Some(Self { oracle, url, rpc })
    }

    /// Another way to the same chain, by which these factories may make wallets.
    pub fn rpc_with(&self, factories: &[Address]) -> Rpc {
        way(&self.url, factories)
    }

    /// Sends a transaction of the token's owner, mined when this returns; whether it was made.
    pub fn try_send(&self, call: &Call) -> bool {
        self.oracle.ask(json!({"send": {"to": call.to.to_string(), "data": call.data.to_string()}}))["ok"] == true
    }

    pub fn send(&self, call: &Call) {
        assert!(self.try_send(call), "{call:?}");
    }

    pub fn mint(&self, to: Address, micros: u64) {
        let data = mintCall { to, amount: U256::from(micros) }.abi_encode();
        self.send(&Call { to: USDC, data: data.into() });
    }

    /// Deploys a contract of the token's package; where it stands, and the code that made it.
    pub fn deploy(&self, artifact: &str, words: &[u8]) -> (Address, Vec<u8>) {
        let answer = self.oracle.ask(json!({"deploy": artifact, "words": hex::encode_prefixed(words)}));
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text("address").parse().expect("an address"), hex::decode(text("code")).expect("code"))
    }

    /// What the reference facilitator says of a payment: `Ok` when it takes it; otherwise its reason, or `error` and its words.
    pub fn judge(&self, payload: &Value, requirements: &Value) -> Result<(), String> {
        let answer = self.oracle.ask(json!({"payload": payload, "requirements": requirements}));
        match (&answer["isValid"], answer["invalidReason"].as_str(), answer["error"].as_str()) {
            (Value::Bool(true), ..) => Ok(()),
            (_, Some(reason), _) => Err(reason.to_owned()),
            (.., error) => Err(format!("error: {}", error.unwrap_or_default())),
        }
    }

    /// Puts Permit2 and x402's proxy on the chain.
    pub fn bring_permit2(&self) {
        let answer = self.oracle.ask(json!({"permit2": true}));
        assert_eq!(answer["ok"], true, "{answer}");
    }

    /// Lets Permit2 take an owner's money, as its wallet program would.
    pub async fn allow_permit2(&self, owner: Address, micros: u64) {
        let data = approveCall { spender: PERMIT2, amount: U256::from(micros) }.abi_encode();
        self.send_as(owner, &Call { to: USDC, data: data.into() }).await;
    }

    /// A transaction of somebody whose key is not asked for, mined when this returns.
    pub async fn send_as(&self, from: Address, call: &Call) {
        let hash = self.submit_as(from, call).await;
        loop {
            let receipt: Value = self.ask("eth_getTransactionReceipt", json!([hash])).await;
            if !receipt.is_null() {
                return assert_eq!(receipt["status"], "0x1", "{receipt}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The same, not waited for: it goes into the next block before everything that offers less; its hash.
    pub async fn submit_as(&self, from: Address, call: &Call) -> String {
        let address = from.to_string();
        let _: Value = self.ask("anvil_setBalance", json!([address, "0xde0b6b3a7640000"])).await;
        let _: Value = self.ask("anvil_impersonateAccount", json!([address])).await;
        let data = call.data.to_string();
        let transaction = json!({"from": address, "to": call.to.to_string(), "data": data, "gasPrice": "0x12a05f200"});
        self.ask("eth_sendTransaction", json!([transaction])).await
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

fn way(url: &str, factories: &[Address]) -> Rpc {
    Rpc::new(CHAIN, url, Duration::from_secs(20), factories.to_vec()).expect("a node on this machine")
}

/// The keys of anvil's second and third account, which have ether.
pub fn wallets() -> Vec<Secret<Vec<u8>>> {
    [
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    ]
    .map(|key| Secret::new(hex::decode(key).expect("hexadecimal")))
    .to_vec()
}

/// The creation code of a wallet contract for its owner, and the address at which [`FACTORY`] makes it with this salt.
pub struct FutureWallet {
    pub address: Address,
    pub deployment: Deployment,
}

impl FutureWallet {
    /// `code` is what [`TestChain::deploy`] tells of a wallet with the same owner.
    pub fn new(code: &[u8], salt: u64) -> Self {
        let salt = B256::from(U256::from(salt));
        let address = FACTORY.create2(salt, keccak256(code));
        Self { address, deployment: Deployment { factory: FACTORY, call: [salt.as_slice(), code].concat().into() } }
    }

    /// A payment from it, by its owner; it says how the wallet is made.
    pub fn pays(&self, owner: &Buyer, to: Address, micros: u64, nonce: u64) -> Order {
        let mut order = owner.pays_for(self.address, to, micros, nonce);
        order.payment.signature = self.deployment.wrap(order.payment.signature);
        order
    }

    /// What makes it.
    pub fn made(&self) -> Call {
        Call { to: FACTORY, data: self.deployment.call.clone() }
    }
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
        self.pays_for(self.address, to, micros, nonce)
    }

    /// The same from a wallet contract that this key owns.
    pub fn pays_for(&self, wallet: Address, to: Address, micros: u64, nonce: u64) -> Order {
        let now = now();
        let authorization = Authorization {
            from: wallet,
            to,
            value: U256::from(micros),
            valid_after: U256::from(now - 600),
            valid_before: U256::from(now + 60),
            nonce: B256::from(U256::from(nonce)),
        };
        self.order(Version::V1, Method::Authorization(authorization), to, micros)
    }

    /// The same by Permit2.
    pub fn permits_for(&self, wallet: Address, to: Address, micros: u64, nonce: u64) -> Order {
        let now = now();
        let permit = Permit {
            from: wallet,
            token: USDC,
            amount: U256::from(micros),
            spender: PROXY,
            nonce: U256::from(nonce),
            deadline: U256::from(now + 60),
            to,
            valid_after: U256::from(now - 600),
        };
        self.order(Version::V2, Method::Permit(permit), to, micros)
    }

    fn order(&self, version: Version, method: Method, to: Address, micros: u64) -> Order {
        let mut payment = Payment { version, chain: CHAIN, method, signature: Bytes::new() };
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

    /// Takes back the nonce of a permit, by a transaction of the buyer's own.
    pub fn invalidates(nonce: u64) -> Call {
        let call = invalidateUnorderedNoncesCall { word: U256::from(nonce >> 8), mask: U256::from(1) << (nonce & 255) };
        Call { to: PERMIT2, data: call.abi_encode().into() }
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
