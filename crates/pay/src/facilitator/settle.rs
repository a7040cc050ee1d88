//! `/facilitator/settle`.

use std::sync::Arc;

use loopd_types::Result;
use loopd_web::{Call, Reply};
use serde_json::{Value, json};

use super::judge::{caller, note, status};
use super::{WAIT, body};
use crate::Pay;
use crate::settlement::{self, Outcome, Purpose, Settlement};
use crate::x402::wire::Response;
use crate::x402::{Payment, Refusal, Requirement};

/// The reference's word for what was sent, or may have been, and is not in a block yet.
const PENDING: &str = "settlement_pending";

pub(super) async fn settle(pay: Arc<Pay>, call: Call) -> Result<Reply> {
    let asked = body::read(&call, pay.networks())?;
    let (stage, payee) = ("facilitator_settle", asked.payee());
    let (payment, requirement) = match asked.read {
        Ok(both) => both,
        Err(refusal) => {
            note(&pay, &call, stage, payee, refusal.reason.as_str())?;
            return refused(&refusal, None, asked.network);
        }
    };
    let for_whom = async { purpose(&call) };
    let brought = settlement::bring(&pay, &call.kernel, &payment, &requirement, for_whom, WAIT).await?;
    let outcome = match brought {
        Ok(outcome) => outcome,
        Err(refusal) => {
            note(&pay, &call, stage, payee, refusal.reason.as_str())?;
            return refused(&refusal, Some(&payment), asked.network);
        }
    };
    if let Outcome::Refused { reason } = &outcome {
        note(&pay, &call, stage, payee, reason)?;
    }
    Reply::json(200, &answer(outcome, &payment, &requirement, asked.network))
}

/// For whom: the project whose key was shown, or nobody that is known.
fn purpose(call: &Call) -> Result<Purpose> {
    let (company, project) = caller(call)?.unzip();
    Ok(Purpose::Facilitator { company, project })
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
