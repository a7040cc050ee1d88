//! Between the versions: what is asked and what is signed are the same in both, only written otherwise. For a buyer of version 2 before a
//! seller of version 1.

use serde_json::{Value as Json, json};

use super::Version;
use super::header::{encode, object};
use super::wire::{Offer, payment_required, requirement};
use crate::evm::Networks;

/// What a seller asks in version 1, in version 2; `None` when nothing of it can be read.
pub fn ask(first: &Json, networks: &Networks) -> Option<Json> {
    let readable = first["accepts"].as_array()?.iter().filter_map(|offer| {
        let requirement = requirement(Version::V1, offer.to_string().as_bytes(), networks).ok()?;
        Some((requirement, offer))
    });
    let readable: Vec<_> = readable.collect();
    let offers: Vec<Offer> = readable
        .iter()
        .filter_map(|(requirement, offer)| {
            let text = |name: &str| offer[name].as_str().unwrap_or_default();
            Some(Offer {
                requirement,
                network: networks.get(requirement.chain)?,
                resource: text("resource"),
                description: text("description"),
                mime_type: text("mimeType"),
            })
        })
        .collect();
    (!offers.is_empty()).then(|| payment_required(Version::V2, &offers, first["error"].as_str()))
}

/// The header `X-PAYMENT` that says what this `PAYMENT-SIGNATURE` says; `None` for what version 1 has no words for: permits, networks
/// without a name.
pub fn payment(second: &str, networks: &Networks) -> Option<String> {
    let payment = object(second)?;
    let accepted = &payment["accepted"];
    let network = networks.named(Version::V2, accepted["network"].as_str()?)?.written(Version::V1)?;
    let payload = payment["payload"].as_object().filter(|payload| payload.contains_key("authorization"))?;
    Some(encode(&json!({"x402Version": 1, "scheme": accepted["scheme"], "network": network, "payload": payload})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x402::header;

    const ASSET: &str = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
    const PAYEE: &str = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";

    #[test]
    fn the_same_is_asked_in_both_versions() {
        let offer = json!({
            "scheme": "exact", "network": "base", "maxAmountRequired": "50000", "resource": "https://a.example/w", "description": "Rain",
            "mimeType": "", "payTo": PAYEE, "maxTimeoutSeconds": 60, "asset": ASSET, "extra": {"name": "USD Coin", "version": "2"},
        });
        let unknown = json!({"scheme": "exact", "network": "solana"});
        let first = json!({"x402Version": 1, "error": "pay", "accepts": [unknown, offer]});
        let second = json!({
            "x402Version": 2, "error": "pay", "resource": {"url": "https://a.example/w", "description": "Rain"},
            "accepts": [{
                "scheme": "exact", "network": "eip155:8453", "amount": "50000", "payTo": PAYEE, "maxTimeoutSeconds": 60, "asset": ASSET,
                "extra": {"name": "USD Coin", "version": "2"},
            }],
        });
        assert_eq!(ask(&first, &Networks::known()), Some(second));
        for nothing in [json!({}), json!({"accepts": []}), json!({"accepts": [unknown]}), json!([])] {
            assert_eq!(ask(&nothing, &Networks::known()), None, "{nothing}");
        }
    }

    #[test]
    fn a_payment_is_the_same_payment_in_both_versions() {
        let networks = Networks::known();
        let authorization = json!({
            "from": PAYEE, "to": ASSET, "value": "1", "validAfter": "0", "validBefore": "9", "nonce": format!("0x{}", "07".repeat(32)),
        });
        let second = json!({
            "x402Version": 2, "accepted": {"scheme": "exact", "network": "eip155:8453", "amount": "1"},
            "payload": {"signature": format!("0x{}", "00".repeat(65)), "authorization": authorization},
        });
        let first = payment(&encode(&second), &networks).expect("it has words for it");
        let (one, two) =
            (header::payment(&first, &networks).unwrap(), header::payment(&encode(&second), &networks).unwrap());
        assert_eq!(
            (one.version, one.chain, one.method, one.signature),
            (Version::V1, two.chain, two.method, two.signature)
        );
        for (path, value) in [
            ("/accepted/network", json!("eip155:42161")),
            ("/accepted/network", json!("base")),
            ("/payload", json!({})),
        ] {
            let mut other = second.clone();
            *other.pointer_mut(path).unwrap() = value;
            assert_eq!(payment(&encode(&other), &networks), None, "{other}");
        }
        assert_eq!(payment("%%%", &networks), None);
    }
}
