//! Offline licences: `LW1.<payload>.<signature>`, signed by the vendor with Ed25519 and verified without a call to anybody.
//!
//! The payload is base64url of compact JSON ([`Terms`]); the signature is over the ASCII of `LW1.<payload>`. Revocations travel as
//! a list of the same make, `LWR1.<payload>.<signature>`.
//!
//! Source: spec/loopwave.md section 3; Ed25519: RFC 8032.

mod gate;
pub mod http;
pub mod open;
mod revocation;
mod status;
pub mod store;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use loopd_types::{Rng, SECOND_US, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use gate::{gate, require_open};
pub use revocation::Revocations;
pub use status::{Judge, State, Status};

const LICENSE: &str = "LW1";
/// Longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;

/// Whether a licence that is over stops anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// The state is told, nothing is ever stopped.
    #[default]
    Monitor,
    /// New writes are 402 `license_locked`.
    Enforce,
}

impl Mode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Enforce => "enforce",
        }
    }
}

/// By what licences are judged in this installation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    pub mode: Mode,
    pub public_key: Option<Verifier>,
    pub grace_days: i64,
    /// The host that serves it, where the operator says so (`LOOP_BASE_URL`).
    pub host: Option<String>,
}

/// What tells one installation from another: it follows from the secret key, so a copy of the database elsewhere has another.
pub fn fingerprint(kernel: &loopd_kernel::Kernel) -> String {
    kernel.fingerprint("loopwave licence")
}

/// What the vendor grants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// The licence's own id, by which it is revoked.
    pub lid: String,
    /// Whose deployment: the vendor's name for the tenant.
    pub tid: String,
    pub plan: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<String>,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970; the licence is over from this second on.
    pub exp: i64,
    /// The only installation that may use it, by its fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fpr: Option<String>,
    /// The only host that may serve it, without scheme and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dom: Option<String>,
}

impl Terms {
    pub fn issued_at(&self) -> Timestamp {
        Timestamp(self.iat.saturating_mul(SECOND_US))
    }
    pub fn expires_at(&self) -> Timestamp {
        Timestamp(self.exp.saturating_mul(SECOND_US))
    }
}

/// Why a token is no licence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    #[error("it is not of the form LW1.<payload>.<signature>")]
    Format,
    #[error("the signature is not the vendor's")]
    Signature,
    #[error("it is for another host")]
    Domain,
    #[error("it is for another installation")]
    Fingerprint,
}

impl Invalid {
    /// The word on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::Format => "bad_format",
            Self::Signature => "bad_signature",
            Self::Domain => "domain_mismatch",
            Self::Fingerprint => "fingerprint_mismatch",
        }
    }
}

/// The vendor's private key. It never belongs on a customer's server.
pub struct Signer(SigningKey);

impl Signer {
    pub fn generate(rng: &dyn Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// From [`Signer::to_text`]; `None` when it is no key.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(SigningKey::from_bytes(&decode(text)?.try_into().ok()?)))
    }

    /// The seed as base64url.
    pub fn to_text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.to_bytes())
    }

    pub fn verifier(&self) -> Verifier {
        Verifier(self.0.verifying_key())
    }

    /// A licence over these terms.
    pub fn issue(&self, terms: &Terms) -> String {
        self.sign(LICENSE, terms)
    }

    fn sign(&self, kind: &str, what: &impl Serialize) -> String {
        let payload = serde_json::to_vec(what).expect("plain data is always JSON");
        let signed = format!("{kind}.{}", BASE64_URL_SAFE_NO_PAD.encode(payload));
        let signature = self.0.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

/// The vendor's public key (`LICENSE_PUBLIC_KEY`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verifier(VerifyingKey);

impl Verifier {
    /// From [`Verifier::to_text`]; `None` when it is no point of the curve, or a weak one.
    pub fn parse(text: &str) -> Option<Self> {
        let key = VerifyingKey::from_bytes(&decode(text)?.try_into().ok()?).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    /// 32 bytes as base64url.
    pub fn to_text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.to_bytes())
    }

    /// What a licence grants, if the vendor signed it; nothing about time, host or revocation.
    ///
    /// # Errors
    /// [`Invalid::Format`], [`Invalid::Signature`].
    pub fn read(&self, token: &str) -> Result<Terms, Invalid> {
        self.open(LICENSE, token)
    }

    fn open<T: DeserializeOwned>(&self, kind: &str, token: &str) -> Result<T, Invalid> {
        let token = token.trim();
        let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Format)?;
        let payload = signed.strip_prefix(kind).and_then(|rest| rest.strip_prefix('.')).ok_or(Invalid::Format)?;
        if token.len() > MAX_TOKEN {
            return Err(Invalid::Format);
        }
        let signature: [u8; 64] = decode(signature).and_then(|bytes| bytes.try_into().ok()).ok_or(Invalid::Format)?;
        // strict: no malleable signature may pass for another licence
        self.0.verify_strict(signed.as_bytes(), &Signature::from_bytes(&signature)).map_err(|_| Invalid::Signature)?;
        serde_json::from_slice(&decode(payload).ok_or(Invalid::Format)?).map_err(|_| Invalid::Format)
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text.trim()).ok()
}

#[cfg(test)]
mod tests;
