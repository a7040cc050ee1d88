//! How a delivery is written and signed, so that its receiver knows who sent these very bytes, and when.
//!
//! `LOOP-Signature: t=1781870400,v1=5257a869…`: `v1` is HMAC-SHA256 in lower-case hex over `<t>.<body>`, its key the UTF-8 bytes of the
//! whole secret, `whsec_` included. While a secret is being rotated there is one `v1` for each that is valid.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use loopd_types::{Rng, Secret, Timestamp, hex, random_token};
use sha2::Sha256;

use crate::event::log::Event;

/// What every secret begins with.
pub const PREFIX: &str = "whsec_";

/// A new secret: 256 random bits.
pub fn mint(rng: &dyn Rng) -> Secret<String> {
    Secret::new(format!("{PREFIX}{}", random_token(rng, 32)))
}

/// HMAC-SHA256 in lower-case hex.
pub fn sign(secret: &Secret<String>, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    hex(&mac.finalize().into_bytes())
}

/// What is to be signed.
pub struct Signing<'a> {
    pub event: &'a Event,
    pub body: &'a [u8],
    /// When this attempt is made.
    pub at: Timestamp,
    /// The newest first; never empty.
    pub secrets: &'a [Secret<String>],
}

/// How a product writes its deliveries; endpoints name one. Products whose receivers know headers of their own bring theirs.
pub trait Scheme: Send + Sync + 'static {
    /// The body, the same bytes for the same event at every attempt.
    fn body(&self, event: &Event) -> Vec<u8>;
    /// The headers that sign it, beside those that every delivery has.
    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)>;
}

/// LOOP's own.
pub struct Loop;

impl Scheme for Loop {
    fn body(&self, event: &Event) -> Vec<u8> {
        let mut body = Vec::with_capacity(event.payload.len() + 320);
        event.write_json(&mut body);
        body
    }

    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)> {
        let seconds = signing.at.seconds().to_string();
        let mut value = format!("t={seconds}");
        for secret in signing.secrets {
            value.push_str(",v1=");
            value.push_str(&sign(secret, &[seconds.as_bytes(), b".", signing.body]));
        }
        vec![("LOOP-Signature", value)]
    }
}

/// The schemes of this installation by name.
#[derive(Clone)]
pub struct Schemes(BTreeMap<&'static str, Arc<dyn Scheme>>);

/// The scheme of endpoints that name none.
pub const DEFAULT: &str = "loop";

impl Default for Schemes {
    fn default() -> Self {
        let own: Arc<dyn Scheme> = Arc::new(Loop);
        Self(BTreeMap::from([(DEFAULT, own)]))
    }
}

impl Schemes {
    /// Adds a product's own.
    pub fn add(&mut self, name: &'static str, scheme: Arc<dyn Scheme>) {
        self.0.insert(name, scheme);
    }
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Scheme>> {
        self.0.get(name)
    }
    pub fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

impl fmt::Debug for Schemes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use loopd_types::{CompanyId, Uuid};

    use super::*;

    fn event() -> Event {
        Event {
            company: CompanyId(1),
            position: 7,
            id: Uuid::from_u128(0x0197_a000_0000_7000_8000_0000_0000_0001),
            kind: "booking.appointments.confirmed".into(),
            subject: "booking/appointments/1".into(),
            payload: r#"{"title":"Tea"}"#.into(),
            actor: None,
            created_at: Timestamp(1_781_870_400_000_000),
        }
    }

    #[test]
    fn the_signature_is_what_openssl_computes() {
        // printf '%s.%s' 1781870400 '{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let secret = Secret::new("whsec_test".to_owned());
        assert_eq!(
            sign(&secret, &[b"1781870400", b".", br#"{"a":1}"#]),
            "4c09d0e18d736b3a7979413c4f6a3829f0f14ffadc5fbaab2c9bcabdad0b2452"
        );
    }

    #[test]
    fn each_secret_that_is_valid_signs() {
        let (event, secrets) = (event(), [Secret::new("whsec_new".to_owned()), Secret::new("whsec_old".to_owned())]);
        let body = Loop.body(&event);
        let signing = Signing { event: &event, body: &body, at: Timestamp(1_781_870_401_500_000), secrets: &secrets };
        let headers = Loop.headers(&signing);
        let expected: Vec<String> =
            secrets.iter().map(|secret| format!("v1={}", sign(secret, &[b"1781870401.", &body]))).collect();
        assert_eq!(headers, [("LOOP-Signature", format!("t=1781870401,{}", expected.join(",")))]);
    }

    #[test]
    fn a_body_is_json_and_the_same_every_time() {
        let body = Loop.body(&event());
        assert_eq!(body, Loop.body(&event()));
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["data"]["title"], "Tea");
        assert_eq!(value["company"], "001");
        assert_eq!(value["type"], "booking.appointments.confirmed");
        assert_eq!(value["actor"], serde_json::Value::Null);
    }
}
