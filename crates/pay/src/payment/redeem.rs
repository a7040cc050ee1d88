//! `POST /v0/payments/redeem`: verify, settle, record, receipt and tell, in one call that may be repeated.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use loopd_store::{Tx, View};
use loopd_types::{Kind, Problem, Result};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::rules::{self, Asked};
use super::{store, wire};
use crate::endpoint::{rules as places, store as endpoints};
use crate::evm::Network;
use crate::project::Project;
use crate::settlement::{self, Outcome, Purpose, Sale, Settlement};
use crate::wire::public_id;
use crate::x402::{self, Payment, Refusal, Requirement, Version, header};
use crate::{Pay, project, receipt};

/// How long a caller waits for the chain: the original's clients of Python give up after 30 seconds.
const WAIT: Duration = Duration::from_secs(20);

/// What a seller asks of a buyer, as both calls put it together.
pub struct Offer<'p> {
    pub project: Project,
    pub network: &'p Network,
    pub asked: Asked,
    pub requirement: Requirement,
}

impl<'p> Offer<'p> {
    /// # Errors
    /// 400 for a network that is not served here.
    pub fn new(pay: &'p Pay, project: Project, asked: Asked) -> Result<Self> {
        let network = pay.network_named(asked.network.as_deref())?;
        let pay_to: Address = project.recipient().parse().map_err(Problem::internal)?;
        let requirement = rules::requirement(network, pay_to, asked.amount_micros)?;
        Ok(Self { project, network, asked, requirement })
    }

    /// What the seller answers who wants to be paid: the body of the 402 in version 1, without `error`, as the original gives it; what
    /// the header `PAYMENT-REQUIRED` holds in version 2.
    pub fn challenge(&self, version: Version) -> Json {
        let offer = x402::wire::Offer {
            requirement: &self.requirement,
            network: self.network,
            resource: &self.asked.resource,
            description: self.asked.description.as_deref().unwrap_or_default(),
            mime_type: "",
        };
        x402::wire::payment_required(version, &[offer], None)
    }
}

pub async fn redeem(call: Call, pay: Arc<Pay>) -> Result<Reply> {
    let body = call.json_object()?;
    let asked = rules::read(body, true)?;
    let header = match body.get("paymentHeader") {
        Some(Json::String(header)) if !header.is_empty() => header.clone(),
        _ => return Err(Problem::invalid("bad_request", "paymentHeader is required")),
    };
    // Repeating is safe without a key: the authorization itself is one. A key that is sent all the same is checked like any other.
    let loopd_web::Claimed::Go(ticket) = call.claim().await? else {
        return Err(Problem::conflict("idempotency_conflict", "This Idempotency-Key was used for another answer."));
    };
    let offer = Offer::new(&pay, project::own(&call).await?, asked)?;
    let answered = answer(&call, &pay, &offer, &header).await;
    // What the key remembers is only that it was this request: the answer is found anew, and is the same.
    ticket.release().await?;
    answered
}

async fn answer(call: &Call, pay: &Arc<Pay>, offer: &Offer<'_>, header: &str) -> Result<Reply> {
    let payment = match header::payment(header, pay.networks()) {
        Ok(payment) => payment,
        Err(refusal) => return refused(call, pay, offer, &refusal),
    };
    let purpose = async { Ok(Purpose::Sale(sale(call, offer).await?)) };
    let brought = settlement::bring(pay, &call.kernel, &payment, &offer.requirement, purpose, WAIT).await?;
    let outcome = match brought {
        Ok(outcome) => outcome,
        Err(refusal) => return refused(call, pay, offer, &refusal),
    };
    match outcome {
        Outcome::Settled { settlement } => settled(call, pay, offer, &payment, &settlement).await,
        Outcome::Refused { reason } => refusal(call, pay, offer, "settle", &reason, None),
        Outcome::Pending { settlement } => Err(pending(&settlement)),
    }
}

async fn sale(call: &Call, offer: &Offer<'_>) -> Result<Sale> {
    let (company, project) = (offer.project.company, offer.project.id);
    let place = places::place(&offer.asked.resource);
    let endpoint = call
        .kernel
        .db
        .read(View::Company(company), move |reader| endpoints::at(reader, company, project, &place))
        .await?;
    Ok(Sale {
        company,
        project,
        endpoint: endpoint.map(|it| it.id),
        network: offer.network.common_name(),
        resource: places::without_query(&offer.asked.resource),
        description: offer.asked.description.clone(),
    })
}

async fn settled(
    call: &Call,
    pay: &Pay,
    offer: &Offer<'_>,
    payment: &Payment,
    settlement: &Settlement,
) -> Result<Reply> {
    let (company, id) = (offer.project.company, settlement.id);
    let mut row =
        call.kernel.db.read(View::Company(company), move |reader| store::of_settlement(reader, company, id)).await?;
    if row.is_none() && matches!(settlement.purpose, Purpose::Facilitator { .. }) {
        // It came by the facilitator's door first. The money is the seller's all the same: it is their sale, if nobody else's yet.
        let (kernel, key, purpose) = (call.kernel.clone(), settlement.key, Purpose::Sale(sale(call, offer).await?));
        let write = move |tx: &mut Tx<'_>| {
            settlement::adopt(tx, &kernel, &key, &purpose)?;
            store::of_settlement(tx, company, id)
        };
        row = call.kernel.db.write(View::System, write).await?;
    }
    // For another project with the same payee: it was paid, but not here.
    let Some(row) = row.filter(|row| row.project == offer.project.id) else {
        return refusal(call, pay, offer, "settle", "authorization_used", None);
    };
    let response = x402::wire::Response {
        error_reason: None,
        transaction: row.tx_hash.clone().unwrap_or_default(),
        network: offer.network.written(payment.version).unwrap_or_else(|| offer.network.caip2()),
        payer: Some(payment.payer()),
        amount: Some(settlement.amount),
    };
    let mut out = json!({
        "ok": true,
        "paymentResponse": header::encode(&response.render(payment.version)),
        "txHash": row.tx_hash,
        "payer": row.payer,
        "paymentInId": public_id(wire::PREFIX, row.id),
        "sandbox": row.is_sandbox,
    });
    if let Some(stored) = &row.receipt {
        out["signedReceipt"] = receipt::with_hex(stored);
    }
    Reply::json(200, &out)
}

/// What happened is not known yet. Not a refusal: the seller's middleware would ask the buyer to pay again. Anything but a 2xx makes it
/// answer 502, and the same call later tells.
fn pending(settlement: &Settlement) -> Problem {
    let hash = settlement.tx_hash.map(|hash| hash.to_string());
    Problem::new(
        Kind::Unavailable,
        "payment_pending",
        "The payment was sent and its outcome is not known yet. Repeat this call with the same paymentHeader; do not ask the buyer to pay again.",
    )
    .with_extra("txHash", hash)
    .with_header("Retry-After", "5")
}

fn refused(call: &Call, pay: &Pay, offer: &Offer<'_>, why: &Refusal) -> Result<Reply> {
    if why.reason == x402::Reason::Unexpected {
        tracing::warn!(detail = why.detail, "a payment could not be judged");
    }
    refusal(call, pay, offer, "verify", rules::word(why.reason), Some(&why.detail))
}

/// A refusal is a 200 (spec/loomal.md 9, 1), and always says what is asked.
fn refusal(
    call: &Call,
    pay: &Pay,
    offer: &Offer<'_>,
    stage: &'static str,
    reason: &str,
    detail: Option<&str>,
) -> Result<Reply> {
    pay.refusals.note(offer.project.company, offer.project.id, stage, reason, call.kernel.now());
    let mut out = json!({"ok": false, "stage": stage, "reason": reason, "requirement": offer.challenge(Version::V1)});
    if let Some(detail) = detail.filter(|detail| !detail.is_empty()) {
        out["detail"] = json!(detail);
    }
    Reply::json(200, &out)
}
