//! `POST /v0/payments/pay`: fetch, be asked, sign within the mandate, fetch again.
//!
//! What is signed is on record, and counted against the mandate, before the seller sees it. A seller that takes the payment and says it did
//! not, or says nothing, costs the mandate what it cost: the chain is asked, now or when the authorization is over.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use loopd_kernel::Kernel;
use loopd_kernel::egress::{Answer, Outbound, Unanswered};
use loopd_store::View;
use loopd_types::{CompanyId, Problem, Result, SECOND_US, Timestamp, Uuid, hex};
use serde_json::{Value as Json, json};

use super::rules::{self, Refusal};
use super::spend::{self, Spend};
use super::store::{self, Mandate};
use crate::evm::Network;
use crate::evm::abi::{self, Domain};
use crate::payment::store::Status;
use crate::project::Project;
use crate::x402::{Authorization, Method, Payment, Version, header};
use crate::{Pay, content, keys};

/// Longest time that a seller may ask an authorization to be good for.
const TIMEOUT_MOST: u64 = 600;
/// How far back authorizations begin: sellers' clocks are slow, and the reference client does the same.
const BACKDATED: u64 = 600;

/// What a call came to.
pub enum Outcome {
    Paid(Box<Paid>),
    Refused { refusal: Refusal, price: Option<Price>, resource: Option<String> },
}

/// A call that was paid, or would have been.
pub struct Paid {
    pub answer: Option<Answer>,
    pub price: Price,
    pub resource: String,
    pub tx_hash: Option<String>,
    pub balance_after: U256,
    pub mandate: Mandate,
}

#[derive(Clone, Debug)]
pub struct Price {
    pub micros: i64,
    pub network: String,
    pub recipient: Address,
}

/// What a seller asks, decoded, of those of its offers that can be paid here.
#[derive(Clone, Debug)]
struct Ask {
    version: Version,
    price: Price,
    chain: u64,
    asset: Address,
    timeout: u64,
    /// As the seller wrote it: version 2 sends it back.
    accepted: Json,
    resource: Json,
}

/// A buyer at work.
pub struct Buyer<'b> {
    pub pay: &'b Arc<Pay>,
    pub kernel: &'b Arc<Kernel>,
    pub project: &'b Project,
    pub url: &'b str,
    /// Of the call's `Idempotency-Key`.
    pub repeat_key: Option<String>,
}

impl Buyer<'_> {
    /// # Errors
    /// The database's and the vault's; what concerns the payment is an [`Outcome::Refused`].
    pub async fn buy(&self, is_dry: bool) -> Result<Outcome> {
        if self.pay.engine().is_none() {
            return Ok(refused(Refusal::new("payments_disabled", "Payments are switched off on this server"), None));
        }
        if let Some(earlier) = self.earlier().await? {
            return self.again(earlier).await;
        }
        let first = match self.fetch(None).await {
            Ok(answer) => answer,
            Err(unanswered) => {
                return Ok(refused(not_x402(format!("The address does not answer: {unanswered}")), None));
            }
        };
        let ask = match self.read_ask(&first) {
            Ok(ask) => ask,
            Err(refusal) => return Ok(refused(refusal, None)),
        };
        let price = ask.price.clone();
        match self.prepare(&ask, is_dry).await? {
            Err(refusal) => Ok(Outcome::Refused { refusal, price: Some(price), resource: Some(self.url.to_owned()) }),
            Ok((mandate, None)) => {
                let balance_after = self.balance(ask.chain, ask.asset).await?.unwrap_or_default();
                Ok(Outcome::Paid(Box::new(Paid {
                    answer: None,
                    price,
                    resource: self.url.to_owned(),
                    tx_hash: None,
                    balance_after,
                    mandate,
                })))
            }
            Ok((_, Some(spend))) => self.send(spend).await,
        }
    }

    async fn earlier(&self) -> Result<Option<Spend>> {
        let Some(key) = self.repeat_key.clone() else { return Ok(None) };
        let (company, project) = (self.project.company, self.project.id);
        self.kernel
            .db
            .read(View::Company(company), move |reader| store::spends::repeated(reader, company, project, &key))
            .await
    }

    /// The same call again: the same authorization, which can be used once.
    async fn again(&self, spend: Spend) -> Result<Outcome> {
        if spend.resource != self.url {
            let words = "This Idempotency-Key was used for another address";
            return Ok(refused(Refusal::new("settle_failed", words), None));
        }
        self.send(spend).await
    }

    async fn fetch(&self, spend: Option<&Spend>) -> Result<Answer, Unanswered> {
        let mut headers = vec![("Accept", "*/*".to_owned()), ("User-Agent", "loopd".to_owned())];
        if let Some(spend) = spend {
            let name = if spend.version == Version::V1 { "X-PAYMENT" } else { "PAYMENT-SIGNATURE" };
            headers.push((name, spend.header.clone()));
        }
        let request = Outbound { method: "GET", url: self.url.to_owned(), headers, body: Vec::new() };
        self.kernel.egress.exchange(request, content::MOST).await
    }

    /// What is asked in a 402, in version 2's header or version 1's body: the first offer that can be paid here.
    fn read_ask(&self, answer: &Answer) -> Result<Ask, Refusal> {
        if answer.status != 402 {
            let why =
                reason(answer).filter(|_| answer.status >= 400).map(|why| format!(": {why:.200}")).unwrap_or_default();
            return Err(not_x402(format!("The address answers {} without asking to be paid{why}", answer.status)));
        }
        let named =
            |name: &str| answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let body: Option<Json> = match named(header::PAYMENT_REQUIRED) {
            Some(value) => header::object(value),
            None => serde_json::from_slice(&answer.body).ok(),
        };
        let body = body.ok_or_else(|| not_x402("The address asks to be paid, but not in x402"))?;
        let version = Version::read(&body["x402Version"]).map_err(|refusal| not_x402(refusal.detail))?;
        let offers = body["accepts"].as_array().filter(|offers| !offers.is_empty());
        let offers = offers.ok_or_else(|| not_x402("The address asks to be paid and says not how"))?;
        let mut why =
            Refusal::new("network_unsupported", "None of the seller's offers is USDC on a network that is served here");
        for offer in offers {
            match self.read_offer(version, offer, &body["resource"]) {
                Ok(ask) => return Ok(ask),
                Err(refusal) => why = refusal,
            }
        }
        Err(why)
    }

    fn read_offer(&self, version: Version, offer: &Json, resource: &Json) -> Result<Ask, Refusal> {
        let unsupported = |words: String| Refusal::new("network_unsupported", words);
        if offer["scheme"] != "exact" {
            return Err(unsupported("The seller offers no scheme that is spoken here".to_owned()));
        }
        let name = offer["network"].as_str().unwrap_or_default();
        let network: &Network = self
            .pay
            .networks()
            .named(version, name)
            .filter(|network| self.pay.chains().contains(&network.chain))
            .ok_or_else(|| unsupported(format!("The seller asks on {name:.40}, which is not served here")))?;
        let text = offer.to_string();
        let asked = crate::x402::wire::requirement(version, text.as_bytes(), self.pay.networks())
            .map_err(|refusal| not_x402(refusal.detail))?;
        if network.dollar().map(|token| token.address) != Some(asked.asset) {
            return Err(unsupported("The seller asks for a token that is not USDC".to_owned()));
        }
        let micros = i64::try_from(asked.amount).map_err(|_| not_x402("The price is more than there is"))?;
        Ok(Ask {
            version,
            price: Price { micros, network: network.common_name(), recipient: asked.pay_to },
            chain: network.chain,
            asset: asked.asset,
            timeout: asked.max_timeout_seconds.clamp(10, TIMEOUT_MOST),
            accepted: offer.clone(),
            resource: resource.clone(),
        })
    }

    async fn balance(&self, chain: u64, asset: Address) -> Result<Option<U256>> {
        let Some(chain) = self.pay.chain(self.kernel, chain) else { return Ok(None) };
        let wallet: Address = self.project.wallet_address.parse().map_err(Problem::internal)?;
        Ok(chain.balance(asset, wallet).await.ok())
    }

    /// Checks mandate and balance; signs and puts on record, unless it is only asked for.
    async fn prepare(&self, ask: &Ask, is_dry: bool) -> Result<Result<(Mandate, Option<Spend>), Refusal>> {
        let (company, project, now) = (self.project.company, self.project.id, self.kernel.now());
        let mandates =
            self.kernel.db.read(View::Company(company), move |reader| store::list(reader, company, project)).await?;
        let mandate = match rules::choose(&mandates, ask.chain, now) {
            Ok(mandate) => mandate.clone(),
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = rules::fits(&mandate, ask.price.micros, now) {
            return Ok(Err(refusal));
        }
        let Some(balance) = self.balance(ask.chain, ask.asset).await? else {
            return Ok(Err(Refusal::new("facilitator_unavailable", "The chain does not answer; try again later")));
        };
        if balance < U256::from(ask.price.micros.unsigned_abs()) {
            let words = format!("The wallet {} does not hold the price", self.project.wallet_address);
            return Ok(Err(Refusal::new("balance_insufficient", words).hint("Send USDC to the project's wallet")));
        }
        if is_dry {
            return Ok(Ok((mandate, None)));
        }
        let spend = self.sign(ask, &mandate, now)?;
        let (kernel, id, stored) = (self.kernel.clone(), mandate.id, spend.clone());
        let reserved = self
            .kernel
            .db
            .write(View::Company(company), move |tx| {
                // Looked at again under the row's lock: other calls spend at the same time.
                let mandate = store::lock(tx, company, project, id)?;
                if let Err(refusal) = rules::choose(std::slice::from_ref(&mandate), stored.chain, now)
                    .and_then(|mandate| rules::fits(mandate, stored.amount_micros, now))
                {
                    return Ok(Err(refusal));
                }
                store::reserve(tx, company, &mandate, stored.amount_micros, stored.day)?;
                spend::insert(tx, &kernel, &stored)?;
                Ok(Ok(mandate))
            })
            .await;
        match reserved {
            Ok(Ok(mandate)) => Ok(Ok((mandate, Some(spend)))),
            Ok(Err(refusal)) => Ok(Err(refusal)),
            Err(problem) => Err(problem),
        }
    }

    fn sign(&self, ask: &Ask, mandate: &Mandate, now: Timestamp) -> Result<Spend> {
        let wallet = keys::open_wallet(self.kernel, self.project.id, &self.project.wallet_key)?;
        let mut nonce = [0u8; 32];
        self.kernel.rng.fill(&mut nonce);
        let seconds = now.seconds().unsigned_abs();
        let valid_before = seconds + ask.timeout;
        let token = self.pay.networks().get(ask.chain).and_then(Network::dollar);
        let token = token.ok_or_else(|| Problem::internal("a network without a dollar was chosen"))?;
        let authorization = Authorization {
            from: keys::address_of(&wallet),
            to: ask.price.recipient,
            value: U256::from(ask.price.micros.unsigned_abs()),
            valid_after: U256::from(seconds.saturating_sub(BACKDATED)),
            valid_before: U256::from(valid_before),
            nonce: B256::from(nonce),
        };
        let mut payment = Payment {
            version: ask.version,
            chain: ask.chain,
            method: Method::Authorization(authorization.clone()),
            signature: Bytes::new(),
        };
        // The token's own name and not what the seller says it is.
        let domain = Domain::of(&token.name, &token.version, ask.chain, ask.asset);
        payment.signature = keys::sign(&wallet, abi::digest(&payment, &domain));
        let header = header::encode(&written(ask, &authorization, &payment.signature));
        Ok(Spend {
            company: self.project.company,
            id: self.kernel.new_id(),
            project: self.project.id,
            mandate: mandate.id,
            day: rules::day_of(now),
            chain: ask.chain,
            network: ask.price.network.clone(),
            asset: ask.asset.to_string(),
            recipient: ask.price.recipient.to_string(),
            amount_micros: ask.price.micros,
            nonce: format!("0x{}", hex(&nonce)),
            header,
            version: ask.version,
            resource: self.url.to_owned(),
            status: Status::Verified,
            failure_reason: None,
            tx_hash: None,
            repeat_key: self.repeat_key.clone(),
            valid_before: Timestamp(valid_before as i64 * SECOND_US),
            created_at: now,
        })
    }

    /// Sends what was signed, and finds out what became of it.
    async fn send(&self, spend: Spend) -> Result<Outcome> {
        let price = Price {
            micros: spend.amount_micros,
            network: spend.network.clone(),
            recipient: spend.recipient.parse().map_err(Problem::internal)?,
        };
        let failed = |code, words: String| {
            Outcome::Refused {
            refusal: Refusal::new(code, words)
                .hint("Repeat the call with the same Idempotency-Key: the same payment is shown again, and no second one is made"),
            price: Some(price.clone()),
            resource: Some(self.url.to_owned()),
        }
        };
        let answer = match self.fetch(Some(&spend)).await {
            Ok(answer) => answer,
            Err(unanswered) => {
                self.note(&spend, None).await?;
                return Ok(failed(
                    "settle_failed",
                    format!("The seller was sent the payment and did not answer: {unanswered}"),
                ));
            }
        };
        let told = told(&answer, spend.version);
        let tx_hash =
            told.as_ref().and_then(|it| it["transaction"].as_str()).filter(|hash| is_hash(hash)).map(str::to_owned);
        let is_settled = self.note(&spend, tx_hash.as_deref()).await?;
        if !(200..300).contains(&answer.status) {
            let why = reason(&answer).unwrap_or_else(|| "no reason given".to_owned());
            let words = format!("The seller answers {} to the payment: {:.200}", answer.status, why);
            return Ok(failed("settle_failed", words));
        }
        if !is_settled && told.as_ref().is_some_and(|it| it["success"] != true) {
            return Ok(failed("payment_response_invalid", "The seller says that the payment was not made".to_owned()));
        }
        let (company, project, mandate) = (spend.company, spend.project, spend.mandate);
        let mandate = self.mandate(company, project, mandate).await?;
        let asset: Address = spend.asset.parse().map_err(Problem::internal)?;
        let balance_after = self.balance(spend.chain, asset).await?.unwrap_or_default();
        Ok(Outcome::Paid(Box::new(Paid {
            answer: Some(answer),
            price,
            resource: self.url.to_owned(),
            // A hash that the chain does not bear out is only something the seller says.
            tx_hash: tx_hash.filter(|_| is_settled).or(spend.tx_hash),
            balance_after,
            mandate,
        })))
    }

    async fn mandate(&self, company: CompanyId, project: Uuid, id: Uuid) -> Result<Mandate> {
        self.kernel.db.read(View::Company(company), move |reader| store::get(reader, company, project, id)).await
    }

    /// Writes down what the chain says; `true` when the payment was taken. What is not known yet the job finds out.
    async fn note(&self, spend: &Spend, tx_hash: Option<&str>) -> Result<bool> {
        let is_taken = match spend::is_taken(self.pay, self.kernel, spend).await {
            Ok(is_taken) => is_taken,
            Err(problem) => {
                tracing::warn!(cause = problem.cause(), "the chain could not be asked about a spend");
                false
            }
        };
        if is_taken {
            let (kernel, spend, hash) = (self.kernel.clone(), spend.clone(), tx_hash.map(str::to_owned));
            self.kernel
                .db
                .write(View::Company(spend.company), move |tx| {
                    spend::conclude(tx, &kernel, &spend, Status::Settled, hash.as_deref(), None)
                })
                .await?;
        }
        Ok(is_taken)
    }
}

fn refused(refusal: Refusal, price: Option<Price>) -> Outcome {
    Outcome::Refused { refusal, price, resource: None }
}

fn not_x402(words: impl Into<String>) -> Refusal {
    Refusal::new("url_not_x402", words)
}

/// The payment as the seller's version of x402 writes it.
fn written(ask: &Ask, it: &Authorization, signature: &Bytes) -> Json {
    let payload = json!({
        "signature": signature.to_string(),
        "authorization": {
            "from": it.from.to_string(),
            "to": it.to.to_string(),
            "value": it.value.to_string(),
            "validAfter": it.valid_after.to_string(),
            "validBefore": it.valid_before.to_string(),
            "nonce": it.nonce.to_string(),
        },
    });
    match ask.version {
        Version::V1 => {
            json!({"x402Version": 1, "scheme": "exact", "network": ask.accepted["network"], "payload": payload})
        }
        Version::V2 => {
            json!({"x402Version": 2, "resource": ask.resource, "accepted": ask.accepted, "payload": payload})
        }
    }
}

/// Why a seller does not deliver, where its JSON says so: an invoice that is paid already is no address that costs nothing.
fn reason(answer: &Answer) -> Option<String> {
    let said: Json = serde_json::from_slice(&answer.body).ok()?;
    // `message` first: beside one, `error` is a code.
    let words =
        ["/error/message", "/message", "/error", "/detail"].into_iter().find_map(|at| said.pointer(at)?.as_str());
    words.map(str::to_owned)
}

/// What the seller tells of the payment.
fn told(answer: &Answer, version: Version) -> Option<Json> {
    let name = version.response_header();
    header::object(answer.header(name)?)
}

fn is_hash(text: &str) -> bool {
    text.len() == 66 && text.starts_with("0x") && text[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
}
