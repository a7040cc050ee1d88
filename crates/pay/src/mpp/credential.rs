//! [`Credential`]: what a buyer shows in `Authorization: Payment …`.

use alloy_primitives::Address;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Challenge, Charge, INTENT, Key, METHOD, Problem, Trouble};
use crate::x402::{Method, Payment, Version, header, wire};

/// Characters of a parser's words that are handed on: they quote what they were given.
const WORDS_MOST: usize = 200;

/// A credential, read; nothing of it is believed yet.
#[derive(Clone, Debug)]
pub struct Credential {
    pub challenge: Challenge,
    source: Option<String>,
    payload: Json,
}

/// The credential behind the scheme's name.
fn after_scheme(header: &str) -> Option<&str> {
    let (scheme, rest) = header.trim().split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("Payment").then(|| rest.trim())
}

/// Whether a header is of this scheme, as no payment of x402 is.
pub fn is_credential(header: &str) -> bool {
    after_scheme(header).is_some()
}

impl Credential {
    /// Reads `Payment` and base64url of JSON.
    ///
    /// # Errors
    /// [`Problem::MalformedCredential`].
    pub fn read(header: &str) -> Result<Self, Trouble> {
        let bytes = header::decode(after_scheme(header).unwrap_or_default()).map_err(|it| malformed(it.detail))?;
        let words = |error: serde_json::Error| malformed(error.to_string());
        let Json::Object(mut fields) = serde_json::from_slice(&bytes).map_err(words)? else {
            return Err(malformed("the credential is no object"));
        };
        let mut object = |name: &str| {
            let found = fields.remove(name).filter(Json::is_object);
            found.ok_or_else(|| malformed(format!("the credential has no object `{name}`")))
        };
        let (challenge, payload) = (object("challenge")?, object("payload")?);
        let source = match fields.remove("source") {
            None | Some(Json::Null) => None,
            Some(Json::String(source)) => Some(source),
            Some(_) => return Err(malformed("`source` is a string")),
        };
        Ok(Self { challenge: Challenge::deserialize(challenge).map_err(words)?, source, payload })
    }

    /// The payment in it, if it pays what is charged: for a challenge of this key's, which asks this, with a nonce that is bound to it. Not
    /// whether it was signed, nor whether the challenge is over.
    ///
    /// # Errors
    /// What is wrong, the first of it.
    pub fn payment(&self, key: &Key, charge: &Charge) -> Result<Payment, Trouble> {
        let challenge = &self.challenge;
        if challenge.method != METHOD {
            return Err(Trouble::new(Problem::MethodUnsupported, "the method is `evm`"));
        }
        if challenge.intent != INTENT || !challenge.is_of(key) {
            return Err(Trouble::new(Problem::InvalidChallenge, "the challenge was not made here, or was altered"));
        }
        charge.check(challenge)?;
        if self.payload["type"] != "authorization" {
            return Err(malformed("`payload.type` is `authorization`"));
        }
        let (authorization, signature) =
            wire::signed_authorization(&self.payload).map_err(|it| malformed(it.detail))?;
        let failed = |words: &str| Trouble::new(Problem::VerificationFailed, words);
        if authorization.nonce != challenge.nonce() {
            return Err(failed("the nonce is not that of the challenge: keccak256 of its id and realm"));
        }
        let chain = charge.requirement.chain;
        if self.source.as_deref().is_some_and(|source| !is_account(source, chain, authorization.from)) {
            return Err(failed("`source` is not who pays"));
        }
        Ok(Payment { version: Version::V2, chain, method: Method::Authorization(authorization), signature })
    }
}

/// `did:pkh:eip155:8453:0x…`
fn is_account(source: &str, chain: u64, payer: Address) -> bool {
    let account = source.strip_prefix(&format!("did:pkh:eip155:{chain}:"));
    account.and_then(|text| text.parse::<Address>().ok()) == Some(payer)
}

fn malformed(words: impl Into<String>) -> Trouble {
    let words: String = words.into();
    Trouble::new(Problem::MalformedCredential, words.chars().take(WORDS_MOST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x402::header::encode;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_scheme_is_known_in_any_case() {
        for header in ["Payment x", "payment x", "PAYMENT  x", " Payment\tx "] {
            assert!(is_credential(header), "{header}");
        }
        for header in ["", "Payment", "Payments x", "Bearer x", "eyJ4NDAyVmVyc2lvbiI6MX0="] {
            assert!(!is_credential(header), "{header}");
        }
    }

    #[test]
    fn what_is_no_credential_is_malformed() {
        let challenge = json!({"id": "i", "realm": "r", "method": "evm", "intent": "charge", "request": "e30"});
        let good = json!({"challenge": challenge, "payload": {"type": "authorization"}});
        assert!(Credential::read(&format!("Payment {}", encode(&good))).is_ok());
        for (member, value) in [
            ("challenge", json!(null)),
            ("challenge", json!([])),
            ("challenge", json!({"id": "i"})),
            ("payload", json!("x")),
            ("source", json!(7)),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            let trouble = Credential::read(&format!("Payment {}", encode(&bad))).expect_err(member);
            assert_eq!(trouble.problem, Problem::MalformedCredential, "{bad}");
        }
        let mut expanded = good;
        expanded["challenge"]["opaque"] = json!({"an": "object"});
        for header in [
            "Payment %%%".to_owned(),
            format!("Payment {}", encode(&json!([]))),
            format!("Payment {}", encode(&expanded)),
        ] {
            assert_eq!(Credential::read(&header).expect_err("malformed").problem, Problem::MalformedCredential);
        }
    }

    proptest! {
        #[test]
        fn nothing_made_up_is_believed(text in ".{0,400}", id in "[A-Za-z0-9_-]{43}", request in "[A-Za-z0-9_-]{0,80}") {
            let _ = Credential::read(&format!("Payment {text}"));
            let challenge = json!({"id": id, "realm": text, "method": "evm", "intent": "charge", "request": request});
            let read = Credential::read(&format!("Payment {}", encode(&json!({"challenge": challenge, "payload": {}}))));
            prop_assert!(!read.expect("of the right shape").challenge.is_of(&Key([7; 32])));
        }
    }
}
