//! [`Challenge`]: what a buyer is asked, bound to its id.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use alloy_primitives::{B256, keccak256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use loopd_kernel::{Kernel, vault};
use loopd_types::{MINUTE_US, Rng, Timestamp, Uuid, random_token, sha256};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::{INTENT, METHOD, Problem, Trouble, encode};
use crate::evm::abi::PERMIT2;
use crate::wire::iso;
use crate::x402::Requirement;

/// How long a buyer has, as the reference gives unless told otherwise.
const VALID_US: i64 = 5 * MINUTE_US;
/// Random bytes that tell two challenges of one moment apart.
const CHANCE_BYTES: usize = 12;
/// Bytes of the hash by which a challenge names what is sold.
const PLACE_BYTES: usize = 16;

/// What a project's challenges are bound with. Another project's are not known by it.
pub struct Key(pub(super) [u8; 32]);

impl Key {
    pub fn of(kernel: &Kernel, project: Uuid) -> Self {
        Self(vault::derive(&kernel.settings.secret_key, format!("loopd mpp challenge v1 {project}").as_bytes()))
    }

    fn over(&self, input: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(input.as_bytes());
        mac
    }
}

/// What is sold, and for what.
pub struct Charge<'a> {
    pub requirement: &'a Requirement,
    /// Of the token, if they are known.
    pub decimals: Option<u8>,
    pub realm: &'a str,
    pub external_id: Option<&'a str>,
    pub digest: Option<&'a str>,
    /// Origin and path of what is sold, or its name.
    pub place: &'a str,
    pub description: Option<&'a str>,
}

impl Charge<'_> {
    fn request(&self) -> String {
        let Requirement { chain, asset, pay_to, amount, .. } = self.requirement;
        let mut details = BTreeMap::from([
            ("chainId", json!(chain)),
            ("credentialTypes", json!(["authorization"])),
            // The draft demands it of whoever takes no permit, too.
            ("permit2Address", json!(PERMIT2.to_string())),
        ]);
        if let Some(decimals) = self.decimals {
            details.insert("decimals", json!(decimals));
        }
        let mut members = BTreeMap::from([
            ("amount", json!(amount.to_string())),
            ("currency", json!(asset.to_string())),
            ("methodDetails", json!(details)),
            ("recipient", json!(pay_to.to_string())),
        ]);
        for (name, text) in [("description", self.description), ("externalId", self.external_id)] {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                members.insert(name, json!(text));
            }
        }
        encode(&members)
    }

    /// A hash, because an address may be long and a header may not.
    fn place_hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(&sha256(self.place.as_bytes())[..PLACE_BYTES])
    }

    /// Whether this is what `challenge` asks.
    ///
    /// # Errors
    /// [`Problem::InvalidChallenge`] with what differs; [`Problem::PaymentInsufficient`] for a lower price.
    pub fn check(&self, challenge: &Challenge) -> Result<(), Trouble> {
        let differs = |words: String| Err(Trouble::new(Problem::InvalidChallenge, words));
        let unreadable = || Trouble::new(Problem::InvalidChallenge, "the challenge cannot be read");
        let request: Request = decode(&challenge.request).ok_or_else(unreadable)?;
        let opaque: Opaque = challenge.opaque.as_deref().and_then(decode).ok_or_else(unreadable)?;
        if challenge.realm != self.realm {
            return differs(format!("the challenge is of the realm `{}`, not `{}`", challenge.realm, self.realm));
        }
        if opaque.resource != self.place_hash() {
            return differs("the challenge is for another resource".to_owned());
        }
        if challenge.digest.as_deref() != self.digest {
            return differs("the challenge is for a request with another body".to_owned());
        }
        let Requirement { chain, asset, pay_to, amount, .. } = self.requirement;
        let asked = (*chain, asset.to_string(), pay_to.to_string(), self.external_id);
        let Request { currency, recipient, method_details, external_id, .. } = &request;
        if asked != (method_details.chain_id, currency.clone(), recipient.clone(), external_id.as_deref()) {
            return differs("the challenge asks for another currency, recipient or reference".to_owned());
        }
        if request.amount == amount.to_string() {
            return Ok(());
        }
        let words = format!("the challenge asks for {}, and this costs {amount}", request.amount);
        let is_less = request.amount.parse().is_ok_and(|asked: alloy_primitives::U256| asked < *amount);
        Err(Trouble::new(if is_less { Problem::PaymentInsufficient } else { Problem::InvalidChallenge }, words))
    }
}

/// A challenge, as it is written and as a credential repeats it.
#[derive(Clone, PartialEq, Eq, Deserialize, Debug)]
pub struct Challenge {
    pub id: String,
    pub realm: String,
    pub method: String,
    pub intent: String,
    /// JSON in base64url.
    pub request: String,
    pub expires: Option<String>,
    pub digest: Option<String>,
    /// JSON in base64url.
    pub opaque: Option<String>,
}

impl Challenge {
    /// A new one. Nothing is stored.
    pub fn new(key: &Key, charge: &Charge, now: Timestamp, rng: &dyn Rng) -> Self {
        // Without chance two purchases of a moment would be one payment.
        let chance = random_token(rng, CHANCE_BYTES);
        let opaque = BTreeMap::from([("nonce", json!(chance)), ("resource", json!(charge.place_hash()))]);
        let mut challenge = Self {
            id: String::new(),
            realm: charge.realm.to_owned(),
            method: METHOD.to_owned(),
            intent: INTENT.to_owned(),
            request: charge.request(),
            expires: Some(iso(now.plus(VALID_US))),
            digest: charge.digest.map(str::to_owned),
            opaque: Some(encode(&opaque)),
        };
        challenge.id = URL_SAFE_NO_PAD.encode(key.over(&challenge.bound()).finalize().into_bytes());
        challenge
    }

    /// What the id is an HMAC of: seven slots, as draft-httpauth-payment-00 has them.
    fn bound(&self) -> String {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let Self { realm, method, intent, request, expires, digest, opaque, .. } = self;
        [realm, method, intent, request, &or_empty(expires), &or_empty(digest), &or_empty(opaque)]
            .map(String::as_str)
            .join("|")
    }

    /// Whether it was made with this key, and nothing in it was altered.
    pub fn is_of(&self, key: &Key) -> bool {
        URL_SAFE_NO_PAD.decode(&self.id).is_ok_and(|id| key.over(&self.bound()).verify_slice(&id).is_ok())
    }

    /// The value of `WWW-Authenticate`. All that is in it is ASCII without quotes and backslashes.
    pub fn header(&self) -> String {
        let Self { id, realm, method, intent, request, expires, digest, opaque } = self;
        let mut header = format!(
            "Payment id=\"{id}\", realm=\"{realm}\", method=\"{method}\", intent=\"{intent}\", request=\"{request}\""
        );
        for (name, value) in [("expires", expires), ("digest", digest), ("opaque", opaque)] {
            if let Some(value) = value {
                let _ = write!(header, ", {name}=\"{value}\"");
            }
        }
        header
    }

    /// What a buyer signs as the transfer's nonce.
    pub fn nonce(&self) -> B256 {
        keccak256(format!("{}{}", self.id, self.realm))
    }

    /// Whether it is over; one without an end, too.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.as_deref().and_then(Timestamp::parse).is_none_or(|end| end <= now)
    }

    /// The seller's own reference.
    pub fn external_id(&self) -> Option<String> {
        decode::<Request>(&self.request)?.external_id
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    amount: String,
    currency: String,
    recipient: String,
    external_id: Option<String>,
    method_details: MethodDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodDetails {
    chain_id: u64,
}

#[derive(Deserialize)]
struct Opaque {
    resource: String,
}

fn decode<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    let json: Json = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    // Serde would take a list for an object.
    json.is_object().then(|| serde_json::from_value(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, address, b256};
    use loopd_types::SeededRng;

    use super::*;

    const NOW: Timestamp = Timestamp(1_782_900_000_000_000);

    fn requirement() -> Requirement {
        Requirement {
            chain: 8453,
            asset: address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
            pay_to: address!("209693Bc6afc0C5328bA36FaF03C514EF312287C"),
            amount: U256::from(50_000),
            max_timeout_seconds: 60,
            domain: None,
        }
    }

    fn charge(requirement: &Requirement) -> Charge<'_> {
        Charge {
            requirement,
            decimals: Some(6),
            realm: "api.example.com",
            external_id: Some("order-7"),
            digest: Some("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
            place: "https://api.example.com/weather",
            description: Some("Regen für Kigali ☔"),
        }
    }

    /// All values are those of `mppx` 0.11.0 for the same challenge under the same secret.
    #[test]
    fn a_challenge_is_bound_as_the_reference_binds_it() {
        let key = Key(*b"0123456789abcdef0123456789abcdef");
        let requirement = requirement();
        let request = "eyJhbW91bnQiOiI1MDAwMCIsImN1cnJlbmN5IjoiMHg4MzM1ODlmQ0Q2ZURiNkUwOGY0YzdDMzJENGY3MWI1NGJkQTAyOTEzIiwiZGVzY3JpcHRpb24iOiJSZWdlbiBmw7xyIEtpZ2FsaSDimJQiLCJleHRlcm5hbElkIjoib3JkZXItNyIsIm1ldGhvZERldGFpbHMiOnsiY2hhaW5JZCI6ODQ1MywiY3JlZGVudGlhbFR5cGVzIjpbImF1dGhvcml6YXRpb24iXSwiZGVjaW1hbHMiOjYsInBlcm1pdDJBZGRyZXNzIjoiMHgwMDAwMDAwMDAwMjJENDczMDMwRjExNmRERUU5RjZCNDNhQzc4QkEzIn0sInJlY2lwaWVudCI6IjB4MjA5NjkzQmM2YWZjMEM1MzI4YkEzNkZhRjAzQzUxNEVGMzEyMjg3QyJ9";
        assert_eq!(charge(&requirement).request(), request);
        let challenge = Challenge {
            id: "o4ktTnKVF69qUWs4uAgkUPJSx_1OYishpUBYuPycxpo".to_owned(),
            realm: "api.example.com".to_owned(),
            method: METHOD.to_owned(),
            intent: INTENT.to_owned(),
            request: request.to_owned(),
            expires: Some("2026-07-01T10:05:00.000Z".to_owned()),
            digest: Some("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:".to_owned()),
            opaque: Some("eyJub25jZSI6IkFBQUFBQUFBQUFBQUFBQUEiLCJyZXNvdXJjZSI6IngifQ".to_owned()),
        };
        assert!(challenge.is_of(&key));
        assert_eq!(challenge.nonce(), b256!("7ffb081b8eb53434c83188286c9748bdad32105d5cb3ba6500019f6aedc4fdd5"));
        assert_eq!(challenge.external_id().as_deref(), Some("order-7"));
        let without =
            Challenge { id: "uOook1t4c7CfTK_2z9DpyEKD6HSUhYOxgA7y-dSyFC0".to_owned(), digest: None, ..challenge };
        assert!(without.is_of(&key));
    }

    #[test]
    fn whatever_is_altered_is_not_ours() {
        let (key, rng, requirement) = (Key([7; 32]), SeededRng::new(1), requirement());
        let challenge = Challenge::new(&key, &charge(&requirement), NOW, &rng);
        assert!(challenge.is_of(&key) && !challenge.is_of(&Key([8; 32])));
        assert!(!challenge.is_over(NOW.plus(VALID_US - 1)) && challenge.is_over(NOW.plus(VALID_US)));
        charge(&requirement).check(&challenge).expect("it asks what is asked");
        let digest = challenge.digest.clone();
        let altered: [fn(&mut Challenge); 9] = [
            |it| it.id.replace_range(..1, if it.id.starts_with('A') { "B" } else { "A" }),
            |it| it.id.push('='),
            |it| it.id.clear(),
            |it| it.realm.push('x'),
            |it| it.intent = "session".to_owned(),
            |it| it.request.push('A'),
            |it| it.expires = Some("2099-01-01T00:00:00.000Z".to_owned()),
            |it| it.expires = None,
            |it| it.opaque = None,
        ];
        for (at, alter) in altered.into_iter().enumerate() {
            let mut other = challenge.clone();
            alter(&mut other);
            assert!(!other.is_of(&key), "{at}");
        }
        // Two slots are not to pass for one.
        let joined = Challenge {
            expires: Some(format!("{}|{}", challenge.expires.clone().unwrap(), digest.unwrap())),
            digest: challenge.opaque.clone(),
            opaque: None,
            ..challenge
        };
        assert!(!joined.is_of(&key));
    }

    #[test]
    fn two_challenges_of_a_moment_are_two() {
        let (key, rng, requirement) = (Key([7; 32]), SeededRng::new(1), requirement());
        let one = Challenge::new(&key, &charge(&requirement), NOW, &rng);
        let two = Challenge::new(&key, &charge(&requirement), NOW, &rng);
        assert_ne!(one.nonce(), two.nonce());
    }

    #[test]
    fn what_is_asked_must_be_what_the_challenge_asks() {
        let (key, rng, asked) = (Key([7; 32]), SeededRng::new(1), requirement());
        let challenge = Challenge::new(&key, &charge(&asked), NOW, &rng);
        let with = |amount: u64| Requirement { amount: U256::from(amount), ..requirement() };
        let trouble = |requirement: &Requirement, change: fn(&mut Charge)| {
            let mut charge = charge(requirement);
            change(&mut charge);
            charge.check(&challenge).map_err(|trouble| trouble.problem)
        };
        let invalid = Err(Problem::InvalidChallenge);
        let same = |_: &mut Charge| {};
        assert_eq!(trouble(&asked, same), Ok(()));
        assert_eq!(trouble(&asked, |it| it.description = None), Ok(()));
        assert_eq!(trouble(&with(50_001), same), Err(Problem::PaymentInsufficient));
        assert_eq!(trouble(&with(49_999), same), invalid);
        assert_eq!(trouble(&Requirement { chain: 1, ..requirement() }, same), invalid);
        let of = address!("0000000000000000000000000000000000000001");
        assert_eq!(trouble(&Requirement { asset: of, ..requirement() }, same), invalid);
        assert_eq!(trouble(&Requirement { pay_to: of, ..requirement() }, same), invalid);
        let changes: [fn(&mut Charge); 4] =
            [|it| it.realm = "b", |it| it.place = "tool", |it| it.digest = None, |it| it.external_id = None];
        for change in changes {
            assert_eq!(trouble(&asked, change), invalid);
        }
    }
}
