//! `/facilitator/settle`.

use std::sync::Arc;

use loopd_types::Result;
use loopd_web::{Access, Call, Reply};
use serde_json::{Value, json};

use super::judge::status;
use super::{WAIT, body};
use crate::Pay;
use crate::project;
use crate::settlement::{self, Outcome, Purpose, Settlement};
use crate::x402::wire::Response;
use crate::x402::{Payment, Refusal, Requirement};

/// The reference's word for what was sent, or may have been, and is not in a block yet.
const PENDING: &str = "settlement_pending";

pub(super) async fn settle(pay: Arc<Pay>, call: Call) -> Result<Reply> {
    let asked = body::read(&call, pay.networks())?;
    let (payment, requirement) = match asked.read {
        Ok(both) => both,
        Err(refusal) => return refused(&refusal, None, asked.network),
    };
    let for_whom = async { purpose(&call) };
    let brought = settlement::bring(&pay, &call.kernel, &payment, &requirement, for_whom, WAIT).await?;
    let outcome = match brought {
        Ok(outcome) => outcome,
        Err(refusal) => return refused(&refusal, Some(&payment), asked.network),
    };
    Reply::json(200, &answer(outcome, &payment, &requirement, asked.network))
}

/// For whom: the project whose key was shown, or nobody that is known.
fn purpose(call: &Call) -> Result<Purpose> {
    if call.operation.access == Access::Public {
        return Ok(Purpose::Facilitator { company: None, project: None });
    }
    Ok(Purpose::Facilitator { company: Some(call.tenant()?.company), project: Some(project::own_id(call)?) })
}

fn refused(refusal: &Refusal, payment: Option<&Payment>, network: String) -> Result<Reply> {
    let response = Response {
        error_reason: Some(refusal.reason.as_str().to_owned()),
        transaction: String::new(),
        network,
        payer: refusal.payer,
        amount: None,
    };
    let mut body = response.render(payment.map_or(crate::x402::Version::V2, |payment| payment.version));
    body["errorMessage"] = json!(refusal.detail);
    Reply::json(status(refusal), &body)
}

fn answer(outcome: Outcome, payment: &Payment, requirement: &Requirement, network: String) -> Value {
    let hash = |settlement: &Settlement| settlement.tx_hash.map(|hash| hash.to_string()).unwrap_or_default();
    let (error_reason, transaction) = match outcome {
        Outcome::Settled { settlement } => (None, hash(&settlement)),
        Outcome::Pending { settlement } => (Some(PENDING.to_owned()), hash(&settlement)),
        Outcome::Refused { reason } => (Some(reason.into_owned()), String::new()),
    };
    let amount = error_reason.is_none().then_some(requirement.amount);
    Response { error_reason, transaction, network, payer: Some(payment.payer()), amount }.render(payment.version)
}
