//! The JSON of x402, versions 1 and 2 of the protocol, and what becomes of it here: a [`Payment`], a [`Requirement`].
//!
//! What is read is read strictly: amounts and times are decimal digits in a string, addresses have a right checksum or none, so that
//! nobody is paid whom nobody meant. Members that are not known are passed over, as the protocol grows.

mod offer;
mod shapes;
mod text;

use alloy_primitives::Bytes;
use serde::Deserialize as _;
use serde_json::Value;

pub use offer::{Offer, Response, payment_required};
pub(crate) use text::address;

use super::reason::{Reason, Refusal};
use super::{Authorization, Method, Payment, Permit, Requirement, Version};
use crate::evm::{Network, Networks};
use shapes::{Object, RawAuthorization, RawPayment, RawPermit, RawRequirement};
use text::{amount, bytes, word};

/// Bytes of a signature. A wallet that brings its deployment along needs some two thousand.
pub const SIGNATURE_MAX: usize = 16 * 1024;
/// The only scheme that is spoken.
pub const SCHEME: &str = "exact";

impl Version {
    /// Reads `x402Version`.
    ///
    /// # Errors
    /// [`Refusal`] with [`Reason::Version`].
    pub fn read(number: &Value) -> Result<Self, Refusal> {
        match number.as_u64() {
            Some(1) => Ok(Version::V1),
            Some(2) => Ok(Version::V2),
            _ => Err(Refusal::new(Reason::Version, "x402Version is 1 or 2")),
        }
    }
}

/// Reads what a buyer sent, in either version.
///
/// # Errors
/// [`Refusal`]: [`Reason::Payload`], [`Reason::Version`], [`Reason::Scheme`], [`Reason::Network`], [`Reason::PayloadType`].
pub fn payment(json: &[u8], networks: &Networks) -> Result<Payment, Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::new(Reason::Payload, error.to_string());
    let Object(raw): Object<RawPayment> = serde_json::from_slice(json).map_err(unreadable)?;
    let version = Version::read(&raw.x402_version)?;
    let (scheme, name) = match (version, &raw.accepted) {
        (Version::V1, _) => (raw.scheme.as_deref(), raw.network.as_deref()),
        (Version::V2, Some(Object(accepted))) => (accepted.scheme.as_deref(), accepted.network.as_deref()),
        (Version::V2, None) => return Err(Refusal::new(Reason::Payload, "missing field `accepted`")),
    };
    let Object(payload) = raw.payload;
    let read = || -> Result<Payment, Refusal> {
        let signature = payload.signature.as_deref().ok_or_else(|| missing("payload.signature"))?;
        let signature: Bytes = bytes("payload.signature", signature, SIGNATURE_MAX)?.into();
        let method = match (&payload.authorization, &payload.permit2_authorization) {
            (Some(Object(raw)), None) => Method::Authorization(authorization(raw)?),
            // Version 1 knows EIP-3009 only.
            (None, Some(Object(raw))) if version == Version::V2 => Method::Permit(permit(raw)?),
            (Some(_), Some(_)) => {
                return Err(Refusal::new(Reason::Payload, "the payload holds an authorization and a permit: which?"));
            }
            (None, None) if version == Version::V1 => return Err(missing("payload.authorization")),
            _ => {
                let words =
                    "the payload is neither an `authorization` (EIP-3009) nor, in version 2, a `permit2Authorization`";
                return Err(Refusal::new(Reason::PayloadType, words));
            }
        };
        Ok(Payment { version, chain: 0, method, signature })
    };
    // Whose payment it is can be told even when the rest is wrong.
    let payment = read();
    let blame = |refusal: Refusal| match &payment {
        Ok(payment) => refusal.of(payment.payer()),
        Err(_) => refusal,
    };
    check_scheme(scheme).map_err(blame)?;
    let network = network(version, name, networks).map_err(blame)?;
    Ok(Payment { chain: network.chain, ..payment? })
}

/// Reads what a seller asks, as this version writes it.
///
/// # Errors
/// [`Refusal`]: [`Reason::Requirements`], [`Reason::Scheme`], [`Reason::Network`].
pub fn requirement(version: Version, json: &[u8], networks: &Networks) -> Result<Requirement, Refusal> {
    let unreadable = |words: String| Refusal::new(Reason::Requirements, words);
    let Object(raw): Object<RawRequirement> =
        serde_json::from_slice(json).map_err(|error| unreadable(error.to_string()))?;
    check_scheme(raw.scheme.as_deref())?;
    let network = network(version, raw.network.as_deref(), networks)?;
    let (name, price) = match version {
        Version::V1 => ("maxAmountRequired", &raw.max_amount_required),
        Version::V2 => ("amount", &raw.amount),
    };
    let wrong = |refusal: Refusal| unreadable(refusal.detail);
    let price = price.as_deref().ok_or_else(|| wrong(missing(name)))?;
    let domain = raw.extra.and_then(|Object(extra)| {
        let filled =
            |text: Option<std::borrow::Cow<str>>| text.filter(|text| !text.is_empty()).map(|text| text.into_owned());
        Some((filled(extra.name)?, filled(extra.version)?))
    });
    Ok(Requirement {
        chain: network.chain,
        asset: address("asset", &raw.asset).map_err(wrong)?,
        pay_to: address("payTo", &raw.pay_to).map_err(wrong)?,
        amount: amount(name, price).map_err(wrong)?,
        max_timeout_seconds: raw.max_timeout_seconds,
        domain,
    })
}

fn missing(name: &str) -> Refusal {
    Refusal::new(Reason::Payload, format!("missing field `{name}`"))
}

fn check_scheme(scheme: Option<&str>) -> Result<(), Refusal> {
    match scheme {
        Some(SCHEME) => Ok(()),
        _ => Err(Refusal::new(Reason::Scheme, "the scheme is `exact`")),
    }
}

fn network<'n>(version: Version, name: Option<&str>, networks: &'n Networks) -> Result<&'n Network, Refusal> {
    name.and_then(|name| networks.named(version, name)).ok_or_else(|| {
        let words = match version {
            Version::V1 => "no network of that name is known; version 1 writes `base`",
            Version::V2 => "no network of that name is known; version 2 writes `eip155:8453`",
        };
        Refusal::new(Reason::Network, words)
    })
}

fn authorization(raw: &RawAuthorization) -> Result<Authorization, Refusal> {
    Ok(Authorization {
        from: address("authorization.from", &raw.from)?,
        to: address("authorization.to", &raw.to)?,
        value: amount("authorization.value", &raw.value)?,
        valid_after: amount("authorization.validAfter", &raw.valid_after)?,
        valid_before: amount("authorization.validBefore", &raw.valid_before)?,
        nonce: word("authorization.nonce", &raw.nonce)?,
    })
}

/// Reads an authorization and its signature from one object, as MPP writes them.
///
/// # Errors
/// [`Refusal`] with [`Reason::Payload`].
pub fn signed_authorization(json: &Value) -> Result<(Authorization, Bytes), Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::new(Reason::Payload, error.to_string());
    let Object(raw): Object<RawAuthorization> = Object::deserialize(json).map_err(unreadable)?;
    let signature =
        json["signature"].as_str().ok_or_else(|| Refusal::new(Reason::Payload, "missing field `signature`"))?;
    Ok((authorization(&raw)?, bytes("signature", signature, SIGNATURE_MAX)?.into()))
}

fn permit(raw: &RawPermit) -> Result<Permit, Refusal> {
    let (Object(permitted), Object(witness)) = (&raw.permitted, &raw.witness);
    Ok(Permit {
        from: address("permit2Authorization.from", &raw.from)?,
        token: address("permit2Authorization.permitted.token", &permitted.token)?,
        amount: amount("permit2Authorization.permitted.amount", &permitted.amount)?,
        spender: address("permit2Authorization.spender", &raw.spender)?,
        nonce: amount("permit2Authorization.nonce", &raw.nonce)?,
        deadline: amount("permit2Authorization.deadline", &raw.deadline)?,
        to: address("permit2Authorization.witness.to", &witness.to)?,
        valid_after: amount("permit2Authorization.witness.validAfter", &witness.valid_after)?,
    })
}

#[cfg(test)]
mod tests;
