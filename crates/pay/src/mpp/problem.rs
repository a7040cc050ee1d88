//! What is wrong with a credential, in MPP's own words (draft-httpauth-payment-00, Error Codes).

use serde_json::{Value as Json, json};

use crate::x402::{Reason, Refusal};

const BASE: &str = "https://paymentauth.org/problems/";

/// A kind of problem that MPP has a name for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The credential cannot be read.
    MalformedCredential,
    /// Another method than `evm`.
    MethodUnsupported,
    /// A challenge that was not made here, for another purchase, or altered.
    InvalidChallenge,
    /// The challenge, or what was signed for it, is over.
    PaymentExpired,
    /// Less than what is asked.
    PaymentInsufficient,
    /// What was signed does not pay the challenge.
    VerificationFailed,
}

impl Problem {
    /// The last part of its `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MalformedCredential => "malformed-credential",
            Self::MethodUnsupported => "method-unsupported",
            Self::InvalidChallenge => "invalid-challenge",
            Self::PaymentExpired => "payment-expired",
            Self::PaymentInsufficient => "payment-insufficient",
            Self::VerificationFailed => "verification-failed",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::MalformedCredential => "Malformed Credential",
            Self::MethodUnsupported => "Method Unsupported",
            Self::InvalidChallenge => "Invalid Challenge",
            Self::PaymentExpired => "Payment Expired",
            Self::PaymentInsufficient => "Payment Insufficient",
            Self::VerificationFailed => "Verification Failed",
        }
    }

    /// What the seller answers with.
    pub const fn status(self) -> u16 {
        match self {
            Self::MethodUnsupported => 400,
            _ => 402,
        }
    }

    /// The body of the seller's answer (RFC 9457); `fresh` is the id of the challenge beside it.
    pub fn render(self, detail: &str, fresh: &str) -> Json {
        json!({
            "type": format!("{BASE}{}", self.name()),
            "title": self.title(),
            "status": self.status(),
            "detail": detail,
            "challengeId": fresh,
        })
    }

    /// What MPP calls a refusal of the verifier.
    pub fn of(refusal: &Refusal) -> Self {
        match refusal.reason {
            Reason::Expired => Self::PaymentExpired,
            Reason::Payload => Self::MalformedCredential,
            _ => Self::VerificationFailed,
        }
    }
}

/// A credential that is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    pub problem: Problem,
    /// For people: what exactly is wrong.
    pub detail: String,
}

impl Trouble {
    pub fn new(problem: Problem, detail: impl Into<String>) -> Self {
        Self { problem, detail: detail.into() }
    }
}
