//! `POST /v0/payments/redeem`: verify, settle, record, receipt and tell, in one call that may be repeated.

use std::sync::Arc;
use std::time::Duration;

use loopd_store::{Tx, View};
use loopd_types::{Kind, Problem, Result};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::offer::Offer;
use super::rules;
use super::{store, wire};
use crate::analytics::Whose;
use crate::endpoint::{rules as places, store as endpoints};
use crate::mpp::{self, Credential, Trouble};
use crate::settlement::{self, Outcome, Purpose, Sale, Settlement};
use crate::wire::public_id;
use crate::x402::{self, Payment, Refusal, header};
use crate::{Pay, project, receipt};

/// How long a caller waits for the chain: the original's clients of Python give up after 30 seconds.
const WAIT: Duration = Duration::from_secs(20);

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
    let mut offer = Offer::new(&pay, project::own(&call).await?, asked)?;
    if mpp::is_credential(&header) {
        // Whoever comes by MPP is answered by MPP, whether or not the seller says so again.
        offer.asked.mpp.get_or_insert_default();
    }
    let redemption = Redemption { call: &call, pay: &pay, offer: &offer };
    let answered = redemption.answer(&header).await;
    // What the key remembers is only that it was this request: the answer is found anew, and is the same.
    ticket.release().await?;
    answered
}

/// One call, with what is asked in it.
struct Redemption<'a> {
    call: &'a Call,
    pay: &'a Arc<Pay>,
    offer: &'a Offer<'a>,
}

/// Why a buyer is refused.
struct Why<'a> {
    stage: &'static str,
    reason: &'a str,
    detail: &'a str,
    /// The same as MPP says it.
    problem: mpp::Problem,
}

impl Redemption<'_> {
    async fn answer(&self, header: &str) -> Result<Reply> {
        if mpp::is_credential(header) {
            return self.by_mpp(header).await;
        }
        match header::payment(header, self.pay.networks()) {
            Ok(payment) => self.bring(&payment, None).await,
            Err(refusal) => self.unverified(&refusal),
        }
    }

    async fn by_mpp(&self, header: &str) -> Result<Reply> {
        let key = mpp::Key::of(&self.call.kernel, self.offer.project.id);
        let place = self.offer.place();
        let read = Credential::read(header)
            .and_then(|credential| Ok((credential.payment(&key, &self.offer.charge(&place))?, credential)));
        let (payment, credential) = match read {
            Ok(read) => read,
            Err(trouble) => return self.troubled(&trouble),
        };
        if credential.challenge.is_over(self.call.kernel.now()) {
            // It may have been paid in time, and be asked about again.
            let (kernel, requirement) = (&self.call.kernel, &self.offer.requirement);
            return match settlement::earlier(self.pay, kernel, &payment, requirement, WAIT).await? {
                Some(outcome) => self.concluded(&payment, Some(&credential), outcome).await,
                None => self.troubled(&Trouble::new(mpp::Problem::PaymentExpired, "the challenge is over")),
            };
        }
        self.bring(&payment, Some(&credential)).await
    }

    async fn bring(&self, payment: &Payment, credential: Option<&Credential>) -> Result<Reply> {
        let purpose = async { Ok(Purpose::Sale(self.sale().await?)) };
        let (kernel, requirement) = (&self.call.kernel, &self.offer.requirement);
        match settlement::bring(self.pay, kernel, payment, requirement, purpose, WAIT).await? {
            Ok(outcome) => self.concluded(payment, credential, outcome).await,
            Err(refusal) => self.unverified(&refusal),
        }
    }

    async fn concluded(&self, payment: &Payment, credential: Option<&Credential>, outcome: Outcome) -> Result<Reply> {
        match outcome {
            Outcome::Settled { settlement } => self.settled(payment, credential, &settlement).await,
            Outcome::Refused { reason } => self.unsettled(&reason),
            Outcome::Pending { settlement } => Err(pending(&settlement)),
        }
    }

    async fn sale(&self) -> Result<Sale> {
        let (company, project) = (self.offer.project.company, self.offer.project.id);
        let place = self.offer.place();
        let endpoint = self
            .call
            .kernel
            .db
            .read(View::Company(company), move |reader| endpoints::at(reader, company, project, &place))
            .await?;
        Ok(Sale {
            company,
            project,
            endpoint: endpoint.map(|it| it.id),
            network: self.offer.network.common_name(),
            resource: places::without_query(&self.offer.asked.resource),
            description: self.offer.asked.description.clone(),
            document: None,
        })
    }

    async fn settled(
        &self,
        payment: &Payment,
        credential: Option<&Credential>,
        settlement: &Settlement,
    ) -> Result<Reply> {
        let (company, id, db) = (self.offer.project.company, settlement.id, &self.call.kernel.db);
        let mut row = db.read(View::Company(company), move |reader| store::of_settlement(reader, company, id)).await?;
        if row.is_none() && matches!(settlement.purpose, Purpose::Facilitator { .. }) {
            // It came by the facilitator's door first. The money is the seller's all the same: it is their sale, if nobody else's yet.
            let (kernel, key, purpose) = (self.call.kernel.clone(), settlement.key, Purpose::Sale(self.sale().await?));
            let write = move |tx: &mut Tx<'_>| {
                settlement::adopt(tx, &kernel, &key, &purpose)?;
                store::of_settlement(tx, company, id)
            };
            row = db.write(View::System, write).await?;
        }
        // For another project with the same payee: it was paid, but not here.
        let Some(row) = row.filter(|row| row.project == self.offer.project.id) else {
            return self.unsettled("authorization_used");
        };
        let network = self.offer.network;
        let response = x402::wire::Response {
            error_reason: None,
            transaction: row.tx_hash.clone().unwrap_or_default(),
            network: network.written(payment.version).unwrap_or_else(|| network.caip2()),
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
        if let Some(Credential { challenge, .. }) = credential {
            let at = row.settled_at.unwrap_or(row.created_at);
            out["paymentReceipt"] = json!(mpp::receipt(challenge, network.chain, &response.transaction, at));
        }
        Reply::json(200, &out)
    }

    fn unverified(&self, why: &Refusal) -> Result<Reply> {
        if why.reason == x402::Reason::Unexpected {
            tracing::warn!(detail = why.detail, "a payment could not be judged");
        }
        let problem = mpp::Problem::of(why);
        self.refuse(&Why { stage: "verify", reason: rules::word(why.reason), detail: &why.detail, problem })
    }

    fn troubled(&self, trouble: &Trouble) -> Result<Reply> {
        let problem = trouble.problem;
        self.refuse(&Why { stage: "verify", reason: problem.name(), detail: &trouble.detail, problem })
    }

    fn unsettled(&self, reason: &str) -> Result<Reply> {
        self.refuse(&Why { stage: "settle", reason, detail: "", problem: mpp::Problem::VerificationFailed })
    }

    /// A refusal is a 200 (spec/loomal.md 9, 1), and always says what is asked.
    fn refuse(&self, why: &Why<'_>) -> Result<Reply> {
        let (project, now) = (&self.offer.project, self.call.kernel.now());
        self.pay.refusals.note(Whose::Project(project.company, project.id), why.stage, why.reason, now);
        let fresh = self.offer.payment_challenge(&self.call.kernel);
        let mut out = json!({"ok": false, "stage": why.stage, "reason": why.reason, "requirement": self.offer.body(fresh.as_ref())});
        if !why.detail.is_empty() {
            out["detail"] = json!(why.detail);
        }
        if let Some(fresh) = &fresh {
            let detail = if why.detail.is_empty() { why.reason } else { why.detail };
            out["problem"] = why.problem.render(detail, &fresh.id);
        }
        Reply::json(200, &out)
    }
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
