//! What is asked and what a refusal is called. Pure.

use alloy_primitives::{Address, U256};
use loopd_types::{Problem, Result};
use serde_json::{Map, Value as Json};

use crate::evm::Network;
use crate::mpp::Terms;
use crate::usdc;
use crate::x402::{Reason, Requirement};

/// Characters of a description that are kept; the paywalls send whole addresses there, so a longer one is cut and not refused.
pub const DESCRIPTION_MOST: usize = 500;
/// Characters of a resource.
const RESOURCE_MOST: usize = 4_000;
/// How long a buyer has, as the original asks.
const TIMEOUT_SECONDS: u64 = 60;

/// What a seller says of a purchase, in a challenge and again in a redemption.
#[derive(Clone, Debug)]
pub struct Asked {
    pub amount_micros: i64,
    /// As the seller wrote it.
    pub network: Option<String>,
    /// Any text: the paywalls send addresses with their query, `tool`, `unknown` or nothing.
    pub resource: String,
    pub description: Option<String>,
    /// What is said of MPP, by a seller who offers it.
    pub mpp: Option<Terms>,
}

fn bad(words: impl Into<String>) -> Problem {
    Problem::invalid("bad_request", words.into())
}

fn text<'b>(body: &'b Map<String, Json>, field: &str) -> Result<Option<&'b str>> {
    match body.get(field) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(format!("{field} must be a string"))),
    }
}

/// Reads what both calls say.
///
/// # Errors
/// 400.
pub fn read(body: &Map<String, Json>, needs_resource: bool) -> Result<Asked> {
    let (amount, resource) = (text(body, "amount")?, text(body, "resource")?);
    let Some(amount) = amount.filter(|text| !text.is_empty() && (resource.is_some() || !needs_resource)) else {
        return Err(bad("amount and resource are required"));
    };
    let amount_micros = usdc::parse(amount)
        .filter(|micros| *micros > 0)
        .ok_or_else(|| bad("amount must be a positive decimal with at most 6 fractional digits, such as 0.05"))?;
    let resource = resource.unwrap_or_default();
    if resource.chars().count() > RESOURCE_MOST {
        return Err(bad(format!("resource must have at most {RESOURCE_MOST} characters")));
    }
    let description = text(body, "description")?.map(|text| text.chars().take(DESCRIPTION_MOST).collect());
    Ok(Asked {
        amount_micros,
        network: text(body, "network")?.map(str::to_owned),
        resource: resource.to_owned(),
        description,
        mpp: Terms::read(body)?,
    })
}

/// What is asked, as x402 knows it.
///
/// # Errors
/// 400 for a network without a dollar.
pub fn requirement(network: &Network, pay_to: Address, amount_micros: i64) -> Result<Requirement> {
    let token = network.dollar().ok_or_else(|| bad("no USDC is known on this network"))?;
    Ok(Requirement {
        chain: network.chain,
        asset: token.address,
        pay_to,
        amount: U256::from(amount_micros.unsigned_abs()),
        max_timeout_seconds: TIMEOUT_SECONDS,
        domain: Some((token.name.clone(), token.version.clone())),
    })
}

/// The reason as this API's clients know it; x402's own word for what it has none for.
pub fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Signature | Reason::PermitSignature => "invalid_signature",
        Reason::Recipient | Reason::PermitRecipient => "payTo_mismatch",
        Reason::Value | Reason::ValueMismatch | Reason::PermitAmount => "amount_mismatch",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(body: Json, needs_resource: bool) -> Result<Asked> {
        read(body.as_object().unwrap(), needs_resource)
    }

    #[test]
    fn what_the_paywalls_send_is_read() {
        let long = format!("https://a.example/{}", "x".repeat(600));
        for (resource, description) in [("tool", "x"), ("unknown", ""), ("", "y"), (long.as_str(), long.as_str())] {
            let it = asked(
                json!({"amount": "0.05", "network": "base", "resource": resource, "description": description}),
                true,
            )
            .unwrap();
            assert_eq!((it.amount_micros, it.resource.as_str()), (50_000, resource));
            assert!(it.description.unwrap().len() <= DESCRIPTION_MOST);
        }
        assert_eq!(asked(json!({"amount": "0.05"}), false).unwrap().resource, "");
        for (body, words) in [
            (json!({"resource": "x"}), "amount and resource are required"),
            (json!({"amount": "1"}), "amount and resource are required"),
            (json!({"amount": "0", "resource": "x"}), "amount must be"),
            (json!({"amount": "-1", "resource": "x"}), "amount must be"),
            (json!({"amount": "0.0000001", "resource": "x"}), "amount must be"),
            (json!({"amount": 1, "resource": "x"}), "amount must be a string"),
        ] {
            assert!(asked(body.clone(), true).unwrap_err().message().starts_with(words), "{body}");
        }
    }
}
