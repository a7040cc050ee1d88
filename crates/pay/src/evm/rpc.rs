//! [`Rpc`]: a chain as a node tells it, by JSON-RPC over HTTP.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_sol_types::{Revert, SolCall, SolError as _};
use async_trait::async_trait;
use loopd_kernel::egress::{Egress, Outbound, Unanswered, Url};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::abi::{self, Call, Deployment, Domain, PERMIT2, PROXY, Permit2, Token, Wallet};
use super::chain::{Chain, Fault};
use super::script::{self, Ending};
use crate::x402::Payment;

/// What one question may cost the node: a transfer takes some 90,000, a wallet's deployment some 300,000.
const GAS: &str = "0x4c4b40";
/// Bytes of a revert's reason that are told on.
const REASON_MAX: usize = 200;
/// Tokens whose domain is remembered; there are a handful that money is made of.
const DOMAINS_MAX: usize = 64;

/// A node of one chain. It is the operator's own choice, so it may be anywhere, but it is not believed blindly: its chain id is asked
/// before anything else, and an answer of the wrong shape is a [`Fault::Lying`].
#[derive(Debug)]
pub struct Rpc {
    chain: u64,
    url: String,
    egress: Egress,
    number: AtomicU64,
    /// Whether the node has said that it is of this chain.
    is_proven: AtomicBool,
    /// Whether x402's proxy for Permit2 stands; what stands there cannot go.
    has_proxy: AtomicBool,
    factories: Vec<Address>,
    domains: Mutex<HashMap<Address, Domain>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    // `null` is a result too: of a transaction that is in no block.
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    error: Option<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

fn present<'a, D: serde::Deserializer<'a>>(read: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(read).map(Some)
}

impl Rpc {
    /// A node at `url`, whose answers are waited for that long. `factories` may make wallets at our expense.
    ///
    /// # Errors
    /// In words, without the URL, because it may hold a key: when it is neither `https` nor on this machine.
    pub fn new(chain: u64, url: &str, timeout: Duration, factories: Vec<Address>) -> Result<Self, String> {
        let parsed = Url::parse(url).map_err(|error| format!("no address: {error}"))?;
        let is_here = match parsed.host_str().unwrap_or_default() {
            "localhost" => true,
            host => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        };
        if parsed.scheme() != "https" && !(parsed.scheme() == "http" && is_here) {
            return Err(
                "a node is asked by https, or by http on this machine: anybody on the way could invent balances".into(),
            );
        }
        Ok(Self {
            chain,
            url: parsed.into(),
            egress: Egress::new(timeout)?,
            number: AtomicU64::new(1),
            is_proven: AtomicBool::new(false),
            has_proxy: AtomicBool::new(false),
            factories,
            domains: Mutex::new(HashMap::new()),
        })
    }

    /// Asks the node; the first question is always for its chain.
    ///
    /// # Errors
    /// [`Fault`]; reverted when a contract refuses.
    pub async fn ask<T: for<'a> Deserialize<'a>>(&self, method: &str, params: Value) -> Result<T, Fault> {
        if !self.is_proven.load(Ordering::Relaxed) {
            let id: String = self.send("eth_chainId", json!([])).await?;
            let told = id.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
            if told != Some(self.chain) {
                return Err(Fault::Lying(format!("the node is of chain {}, not {}", shortened(&id), self.chain)));
            }
            self.is_proven.store(true, Ordering::Relaxed);
        }
        self.send(method, params).await
    }

    async fn send<T: for<'a> Deserialize<'a>>(&self, method: &str, params: Value) -> Result<T, Fault> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).to_string();
        let request = Outbound {
            method: "POST",
            url: self.url.clone(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.into_bytes(),
        };
        let inbound = self.egress.send(request).await.map_err(|why| match why {
            Unanswered::NotSent(words) | Unanswered::Lost(words) => Fault::Unreachable(words),
        })?;
        let answer: Answer = serde_json::from_slice(&inbound.body).map_err(|error| match inbound.status {
            200 => Fault::Lying(format!("no JSON-RPC: {error}")),
            status => Fault::Unreachable(format!("status {status}")),
        })?;
        match (answer.error, answer.result) {
            (Some(complaint), _) => Err(complaint.fault()),
            (None, Some(result)) => {
                serde_json::from_str(result.get()).map_err(|error| Fault::Lying(format!("{method}: {error}")))
            }
            (None, None) => Err(Fault::Lying(format!("{method}: neither a result nor an error"))),
        }
    }

    /// What a contract answers.
    async fn call(&self, to: Address, data: impl Into<Bytes>) -> Result<Vec<u8>, Fault> {
        self.run(json!({"to": to.to_string(), "data": data.into().to_string(), "gas": GAS})).await
    }

    /// What a call answers once a wallet is made, which it is for this question only; see [`script`].
    async fn call_after(&self, wallet: Address, deployment: &Deployment, call: &Call) -> Result<Vec<u8>, Fault> {
        let code = script::creation(wallet, deployment, call, Ending::Answer);
        let answer = self.run(json!({"data": code.to_string(), "gas": GAS})).await?;
        match answer.split_first() {
            Some((0, word)) => Ok(word.to_vec()),
            _ => Err(Fault::Lying("a script of calls answered what it cannot answer".to_owned())),
        }
    }

    async fn run(&self, transaction: Value) -> Result<Vec<u8>, Fault> {
        let answer: String = self.ask("eth_call", json!([transaction, "latest"])).await?;
        hex::decode(&answer).map_err(|_| Fault::Lying("eth_call: no bytes".to_owned()))
    }

    /// A call whose answer has a type. An address without code answers nothing, which is no revert: it counts as one here.
    async fn read<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, Fault> {
        let answer = self.call(to, call.abi_encode()).await?;
        if answer.is_empty() {
            return Err(Fault::Reverted(None));
        }
        C::abi_decode_returns_validate(&answer).map_err(|error| Fault::Lying(format!("{}: {error}", C::SIGNATURE)))
    }

    async fn read_domain(&self, token: Address) -> Result<Domain, Fault> {
        let name = self.read(token, &Token::nameCall {}).await?;
        let separator = self.read(token, &Token::DOMAIN_SEPARATORCall {}).await?;
        // A token need not tell its version; then it is one of the usual two.
        let versions = match self.read(token, &Token::versionCall {}).await {
            Ok(version) => vec![version],
            Err(Fault::Reverted(_)) => vec!["1".to_owned(), "2".to_owned()],
            Err(fault) => return Err(fault),
        };
        versions
            .iter()
            .map(|version| Domain::of(&name, version, self.chain, token))
            .find(|domain| domain.separator == separator)
            .ok_or_else(|| Fault::Reverted(Some("the token's name and version are not those it signs with".to_owned())))
    }
}

impl Complaint {
    /// Nodes say in several ways that a contract refused (geth: code 3 with data; others: -32000 or -32015 and words).
    fn fault(self) -> Fault {
        let data = match &self.data {
            Value::String(text) => hex::decode(text).ok(),
            Value::Object(map) => map.get("data").and_then(Value::as_str).and_then(|text| hex::decode(text).ok()),
            _ => None,
        };
        let is_revert = self.code == 3 || data.is_some() || self.message.to_ascii_lowercase().contains("revert");
        if !is_revert {
            return Fault::Unreachable(format!("code {}: {}", self.code, shortened(&self.message)));
        }
        let told = data.and_then(|data| Revert::abi_decode(&data).ok()).map(|revert| revert.reason);
        let said = || self.message.split_once("reverted: ").map(|(_, reason)| reason.to_owned());
        Fault::Reverted(told.or_else(said).map(|reason| shortened(&reason).to_owned()))
    }
}

/// A stranger's words, cut to a length that a log can bear.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(REASON_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[async_trait]
impl Chain for Rpc {
    fn id(&self) -> u64 {
        self.chain
    }

    async fn domain(&self, token: Address) -> Result<Domain, Fault> {
        let known = || self.domains.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(domain) = known().get(&token) {
            return Ok(domain.clone());
        }
        let domain = self.read_domain(token).await?;
        let mut known = known();
        if known.len() >= DOMAINS_MAX {
            known.clear();
        }
        known.insert(token, domain.clone());
        Ok(domain)
    }

    async fn balance(&self, token: Address, owner: Address) -> Result<U256, Fault> {
        self.read(token, &Token::balanceOfCall { owner }).await
    }

    async fn is_authorization_used(&self, token: Address, authorizer: Address, nonce: B256) -> Result<bool, Fault> {
        self.read(token, &Token::authorizationStateCall { authorizer, nonce }).await
    }

    async fn is_permit_used(&self, owner: Address, nonce: U256) -> Result<bool, Fault> {
        // Permit2 keeps 256 nonces in a word: the last byte counts within it.
        let bits = self.read(PERMIT2, &Permit2::nonceBitmapCall { owner, word: nonce >> 8 }).await?;
        Ok(bits.bit(usize::from(nonce.byte(0))))
    }

    async fn permit2_allowance(&self, token: Address, owner: Address) -> Result<U256, Fault> {
        self.read(token, &Token::allowanceCall { owner, spender: PERMIT2 }).await
    }

    async fn has_code(&self, address: Address) -> Result<bool, Fault> {
        if address == PROXY && self.has_proxy.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let code: String = self.ask("eth_getCode", json!([address.to_string(), "latest"])).await?;
        match code.strip_prefix("0x") {
            Some(digits) => {
                let has_code = !digits.is_empty();
                if has_code && address == PROXY {
                    self.has_proxy.store(true, Ordering::Relaxed);
                }
                Ok(has_code)
            }
            None => Err(Fault::Lying("eth_getCode: no bytes".to_owned())),
        }
    }

    async fn accepts(
        &self,
        wallet: Address,
        digest: B256,
        signature: &Bytes,
        deployment: Option<&Deployment>,
    ) -> Result<bool, Fault> {
        let question = Wallet::isValidSignatureCall { digest, signature: signature.clone() }.abi_encode();
        let answer = match deployment {
            None => self.call(wallet, question).await,
            Some(deployment) => self.call_after(wallet, deployment, &Call { to: wallet, data: question.into() }).await,
        };
        match answer {
            // The rest of the word must be zero: a contract that answers everything alike does not say yes.
            Ok(word) => Ok(word.len() >= 32 && word[..4] == abi::IS_VALID && word[4..32].iter().all(|byte| *byte == 0)),
            Err(Fault::Reverted(_)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn allows_factory(&self, factory: Address) -> bool {
        self.factories.contains(&factory)
    }

    async fn simulate(&self, asset: Address, payment: &Payment, deployment: Option<&Deployment>) -> Result<(), Fault> {
        let transfer = abi::transfer(asset, payment);
        match deployment {
            None => self.call(transfer.to, transfer.data).await.map(drop),
            Some(deployment) => self.call_after(payment.payer(), deployment, &transfer).await.map(drop),
        }
    }
}
