//! `/facilitator/verify`.

use std::sync::Arc;

use loopd_types::Result;
use loopd_web::{Call, Reply};
use serde_json::json;

use super::{body, object};
use crate::Pay;
use crate::x402::{Reason, Refusal};

pub(super) async fn verify(pay: Arc<Pay>, call: Call) -> Result<Reply> {
    let asked = body::read(&call, pay.networks())?;
    let verdict = match asked.read {
        Ok((payment, requirement)) => pay.verify(&call.kernel, &payment, &requirement).await,
        Err(refusal) => Err(refusal),
    };
    match verdict {
        Ok(verified) => Reply::json(200, &json!({"isValid": true, "payer": verified.payer.to_string()})),
        Err(refusal) => {
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

/// Nothing is said of a payment that could not be looked into: whoever reads only the status tries again.
pub(super) fn status(refusal: &Refusal) -> u16 {
    if refusal.reason == Reason::Unexpected { 503 } else { 200 }
}
