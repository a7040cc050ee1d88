//! The engine that forwards to an outside x402 facilitator. It is asked once: what it answers, or does not, may be anything, and an
//! authorization that it has seen it can settle until its time is over. So only a plain no is a no; what is unclear stays pending, and
//! the chain is asked what became of it where a node is set.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use loopd_kernel::Kernel;
use loopd_kernel::egress::{Egress, Outbound, Unanswered};
use loopd_store::View;
use loopd_types::{Result, Uuid};
use serde_json::{Value as Json, json};

use super::engine::{Carrying, Decision, Engine, Progress};
use super::rpc::{Node, Witness, is_over};
use super::{LEASE_US, Purpose, Settlement, State, conclude, material, reason, store};
use crate::evm::{Chain as _, Networks, Rpc};
use crate::settings::{Failpoint, Settings};
use crate::x402::wire::Offer;
use crate::x402::{Method, Payment, Requirement};

/// The engine's name in the records.
pub const NAME: &str = "facilitator";
/// How long the facilitator may take: its own chain's worst, and some.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two questions to the chain, while the outcome is not known.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Between two looks where there is no chain to ask.
const HOPE_AGAIN: Duration = Duration::from_secs(60);
/// Seconds a payment may take, as the facilitator is told.
const SECONDS: u64 = 60;

/// Forwards.
pub struct Outside {
    url: String,
    egress: Egress,
    networks: Networks,
    nodes: Vec<Node>,
    confirmations: u64,
    failpoint: Failpoint,
}

/// What a facilitator's answer comes to.
enum Heard {
    Settled(B256),
    Refused(String),
    Unclear(String),
}

impl Outside {
    /// An engine that forwards to the facilitator of the settings.
    ///
    /// # Errors
    /// In words, when there is none, or TLS cannot be set up.
    pub fn new(nodes: &[Arc<Rpc>], networks: Networks, settings: &Settings) -> Result<Self, String> {
        let url = settings.facilitator.clone().ok_or("LOOP_FACILITATOR_URL is not set")?;
        let nodes = nodes.iter().cloned().map(Node).collect();
        let (confirmations, failpoint) = (settings.gas.confirmations, settings.failpoint.clone());
        Ok(Self { url, egress: Egress::new(TIMEOUT)?, networks, nodes, confirmations, failpoint })
    }

    async fn carry_on(&self, kernel: &Arc<Kernel>, settlement: Settlement) -> Result<Progress> {
        if settlement.state != State::Recorded {
            // It was asked before, by whomever, and is not asked again.
            return self.look(kernel, &settlement).await;
        }
        let Some(body) = self.body(&settlement) else {
            return self.concluded(kernel, settlement.id, Decision::Failed(reason::NETWORK.into())).await;
        };
        self.mark(kernel, settlement.id, State::Sending, None).await?;
        self.failpoint.at("sending");
        let heard = self.ask(&body, &settlement).await;
        self.failpoint.at("answered");
        match heard {
            Err(words) => {
                tracing::warn!(settlement = %settlement.id, words, "the facilitator was not reached");
                self.concluded(kernel, settlement.id, Decision::Failed(reason::UNREACHABLE.into())).await
            }
            Ok(Heard::Refused(reason)) => self.concluded(kernel, settlement.id, Decision::Failed(reason.into())).await,
            // Where the chain can be asked, it is: a hash is quickly said.
            Ok(Heard::Settled(hash)) if self.node(&settlement).is_none() => {
                self.concluded(kernel, settlement.id, Decision::Settled(hash)).await
            }
            Ok(heard) => {
                let hash = match &heard {
                    Heard::Settled(hash) => Some(*hash),
                    Heard::Unclear(words) => {
                        tracing::warn!(settlement = %settlement.id, words, "the facilitator's answer tells nothing");
                        None
                    }
                    Heard::Refused(_) => None,
                };
                self.mark(kernel, settlement.id, State::Unknown, hash).await?;
                self.look(kernel, &store::get(kernel, settlement.id).await?).await
            }
        }
    }

    /// Asks the chain what became of it.
    async fn look(&self, kernel: &Arc<Kernel>, settlement: &Settlement) -> Result<Progress> {
        if settlement.state.is_concluded() {
            return Ok(Progress::Concluded);
        }
        self.mark(kernel, settlement.id, State::Unknown, None).await?;
        let Some(node) = self.node(settlement) else { return Ok(Progress::Later(HOPE_AGAIN)) };
        let witness = Witness { node, confirmations: self.confirmations };
        if let Ok(Some(decision)) = witness.found(settlement).await {
            return self.concluded(kernel, settlement.id, decision).await;
        }
        match (node.head().await, witness.is_used(settlement).await) {
            (Ok(head), Ok(false)) if is_over(settlement, head) => {
                self.concluded(kernel, settlement.id, Decision::Failed(reason::EXPIRED.into())).await
            }
            _ => Ok(Progress::Later(ASK_AGAIN)),
        }
    }

    /// Asks the facilitator to settle.
    ///
    /// # Errors
    /// In words, when the request surely did not leave.
    async fn ask(&self, body: &Json, settlement: &Settlement) -> Result<Heard, String> {
        let request = Outbound {
            method: "POST",
            url: format!("{}/settle", self.url),
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        };
        match self.egress.send(request).await {
            Err(Unanswered::NotSent(words)) => Err(words),
            Err(Unanswered::Lost(words)) => Ok(Heard::Unclear(words)),
            Ok(answer) => Ok(read(answer.status, &answer.body, settlement)),
        }
    }

    /// What the facilitator is asked; `None` for a chain or a token that x402 has no words for.
    fn body(&self, settlement: &Settlement) -> Option<Json> {
        let network = self.networks.get(settlement.key.chain)?;
        let token = network.token(settlement.key.asset)?;
        let version = settlement.payment.version;
        let requirement = Requirement {
            chain: settlement.key.chain,
            asset: settlement.key.asset,
            pay_to: settlement.pay_to,
            amount: settlement.amount,
            max_timeout_seconds: SECONDS,
            domain: Some((token.name.clone(), token.version.clone())),
        };
        let (resource, description) = match &settlement.purpose {
            Purpose::Sale(sale) => (sale.resource.as_str(), sale.description.as_deref().unwrap_or_default()),
            Purpose::Facilitator { .. } => ("", ""),
        };
        let offer = Offer { requirement: &requirement, network, resource, description, mime_type: "" };
        let requirements = offer.render(version)?;
        let payload = payload(&settlement.payment);
        let payment = match version.number() {
            1 => json!({"x402Version": 1, "scheme": "exact", "network": network.written(version)?, "payload": payload}),
            _ => json!({"x402Version": 2, "accepted": requirements, "payload": payload}),
        };
        Some(json!({"x402Version": version.number(), "paymentPayload": payment, "paymentRequirements": requirements}))
    }

    fn node(&self, settlement: &Settlement) -> Option<&Node> {
        self.nodes.iter().find(|node| node.0.id() == settlement.key.chain)
    }

    async fn mark(&self, kernel: &Arc<Kernel>, id: Uuid, state: State, hash: Option<B256>) -> Result<()> {
        let now = kernel.now();
        let write = move |tx: &mut loopd_store::Tx<'_>| {
            let mut settlement = store::lock_id(tx, id)?;
            let before = settlement.state;
            if before != state && !before.may_become(state) {
                return Ok(());
            }
            settlement.state = state;
            settlement.tx_hash = hash.or(settlement.tx_hash);
            store::update(tx, before, &settlement, Some(now.plus(LEASE_US)))
        };
        kernel.db.write(View::System, write).await
    }

    async fn concluded(&self, kernel: &Arc<Kernel>, id: Uuid, decision: Decision) -> Result<Progress> {
        conclude(kernel, id, decision, None).await?;
        self.failpoint.at("concluded");
        Ok(Progress::Concluded)
    }
}

impl Engine for Outside {
    fn name(&self) -> &'static str {
        NAME
    }

    fn carry<'a>(&'a self, kernel: &'a Arc<Kernel>, settlement: Settlement) -> Carrying<'a> {
        Box::pin(self.carry_on(kernel, settlement))
    }
}

/// Reads a facilitator's answer. Whatever is not plainly a yes with its transaction, or plainly a no, is unclear.
fn read(status: u16, body: &[u8], settlement: &Settlement) -> Heard {
    let answer: Json = serde_json::from_slice(body).unwrap_or_default();
    let hash = answer["transaction"].as_str().filter(|text| !text.is_empty());
    match answer["success"].as_bool() {
        Some(true) if (200..300).contains(&status) => {
            let payer: Option<Address> = answer["payer"].as_str().and_then(|text| text.parse().ok());
            match hash.and_then(|text| text.parse().ok()) {
                Some(hash) if payer.is_none_or(|payer| payer == settlement.key.payer) => Heard::Settled(hash),
                _ => Heard::Unclear("it says that it settled, and not this payment".to_owned()),
            }
        }
        Some(false) if status < 500 && hash.is_none() => {
            let why = answer["errorReason"].as_str().unwrap_or(reason::REVERTED);
            let is_word = why.len() <= 100 && why.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            // These say that something is or was under way, and it may be this.
            let is_unclear =
                ["used", "duplicate", "pending", "timeout", "unexpected"].iter().any(|word| why.contains(word));
            match (is_word, is_unclear) {
                (true, false) => Heard::Refused(why.to_owned()),
                _ => Heard::Unclear(format!("status {status}")),
            }
        }
        _ => Heard::Unclear(format!("status {status}")),
    }
}

/// What a buyer signed, as x402 writes it.
fn payload(payment: &Payment) -> Json {
    let signature = payment.signature.to_string();
    match &payment.method {
        Method::Authorization(it) => json!({"signature": signature, "authorization": {
            "from": material::hex(it.from), "to": material::hex(it.to), "value": it.value.to_string(),
            "validAfter": it.valid_after.to_string(), "validBefore": it.valid_before.to_string(), "nonce": it.nonce.to_string(),
        }}),
        Method::Permit(it) => json!({"signature": signature, "permit2Authorization": {
            "permitted": {"token": material::hex(it.token), "amount": it.amount.to_string()},
            "from": material::hex(it.from), "spender": material::hex(it.spender), "nonce": it.nonce.to_string(),
            "deadline": it.deadline.to_string(),
            "witness": {"to": material::hex(it.to), "validAfter": it.valid_after.to_string()},
        }}),
    }
}
