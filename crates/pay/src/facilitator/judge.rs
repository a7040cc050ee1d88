//! `/facilitator/verify`.

use std::sync::Arc;

use alloy_primitives::Address;
use loopd_types::{CompanyId, Result, Uuid};
use loopd_web::{Access, Call, Reply};
use serde_json::json;

use super::{body, object};
use crate::analytics::Whose;
use crate::x402::{Reason, Refusal};
use crate::{Pay, project};

pub(super) async fn verify(pay: Arc<Pay>, call: Call) -> Result<Reply> {
    let asked = body::read(&call, pay.networks())?;
    let payee = asked.payee();
    let verdict = match asked.read {
        Ok((payment, requirement)) => pay.verify(&call.kernel, &payment, &requirement).await,
        Err(refusal) => Err(refusal),
    };
    match verdict {
        Ok(verified) => Reply::json(200, &json!({"isValid": true, "payer": verified.payer.to_string()})),
        Err(refusal) => {
            note(&pay, &call, "facilitator_verify", payee, refusal.reason.as_str())?;
            let body = object([
                ("isValid", Some(json!(false))),
                ("invalidReason", Some(json!(refusal.reason.as_str()))),
                ("invalidMessage", Some(json!(refusal.detail))),
                ("payer", refusal.payer.map(|payer| json!(payer.to_string()))),
            ]);
            Reply::json(status(&refusal), &body)
        }
    }
}

/// Counts a refusal: of the project whose key was shown, or where none is asked for, of the one that would have been paid.
pub(super) fn note(pay: &Pay, call: &Call, stage: &'static str, payee: Option<Address>, reason: &str) -> Result<()> {
    let whose = match caller(call)? {
        Some((company, project)) => Some(Whose::Project(company, project)),
        None => payee.map(Whose::Payee),
    };
    if let Some(whose) = whose {
        pay.refusals.note(whose, stage, reason, call.kernel.now());
    }
    Ok(())
}

/// The project whose key was shown; `None` where none is asked for.
pub(super) fn caller(call: &Call) -> Result<Option<(CompanyId, Uuid)>> {
    if call.operation.access == Access::Public {
        return Ok(None);
    }
    Ok(Some((call.tenant()?.company, project::own_id(call)?)))
}

/// Nothing is said of a payment that could not be looked into: whoever reads only the status tries again.
pub(super) fn status(refusal: &Refusal) -> u16 {
    if refusal.reason == Reason::Unexpected { 503 } else { 200 }
}
