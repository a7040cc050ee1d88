//! What `/verify` and `/settle` are sent: a payment, and what was asked for it.

use std::borrow::Cow;

use alloy_primitives::Address;
use loopd_types::{Problem, Result};
use loopd_web::Call;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::evm::Networks;
use crate::x402::{Payment, Reason, Refusal, Requirement, Version, wire};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    /// As in the payment; clients of version 1 that leave it out are understood.
    x402_version: Option<Value>,
    #[serde(borrow)]
    payment_payload: &'a RawValue,
    #[serde(borrow)]
    payment_requirements: &'a RawValue,
}

/// A payment with what was asked for it, if both can be read, and how the caller calls the network.
pub struct Asked {
    pub read: std::result::Result<(Payment, Requirement), Refusal>,
    /// As the requirements write it; empty when they name none.
    pub network: String,
}

impl Asked {
    /// Who would have been paid, if the requirements could be read.
    pub fn payee(&self) -> Option<Address> {
        self.read.as_ref().ok().map(|(_, requirement)| requirement.pay_to)
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    network: Cow<'a, str>,
}

/// As [`asked`], of a call.
///
/// # Errors
/// 400 `invalid_body` when it is not an object with a payment and requirements in it; 415 when it is not called JSON.
pub(super) fn read(call: &Call, networks: &Networks) -> Result<Asked> {
    if !call.json_ref()?.is_object() {
        return Err(Problem::invalid(
            "invalid_body",
            "The body is an object with paymentPayload and paymentRequirements.",
        ));
    }
    asked(&call.body, networks)
        .map_err(|words| Problem::invalid("invalid_body", format!("The body cannot be read: {words}.")))
}

/// Reads a body.
///
/// # Errors
/// In words, when it is not an object with a payment and requirements in it.
pub fn asked(body: &[u8], networks: &Networks) -> std::result::Result<Asked, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let requirements = body.payment_requirements.get();
    let named = serde_json::from_str::<Named>(requirements);
    let network = named.map(|named| named.network.chars().take(100).collect()).unwrap_or_default();
    Ok(Asked { read: both(&body, networks), network })
}

fn both(body: &Body, networks: &Networks) -> std::result::Result<(Payment, Requirement), Refusal> {
    let payment = wire::payment(body.payment_payload.get().as_bytes(), networks)?;
    let payer = payment.payer();
    if let Some(number) = &body.x402_version
        && Version::read(number).map_err(|refusal| refusal.of(payer))? != payment.version
    {
        let words = "x402Version of the request and of the payment differ";
        return Err(Refusal::new(Reason::Version, words).of(payer));
    }
    let requirements = body.payment_requirements.get().as_bytes();
    let requirement =
        wire::requirement(payment.version, requirements, networks).map_err(|refusal| refusal.of(payer))?;
    Ok((payment, requirement))
}
