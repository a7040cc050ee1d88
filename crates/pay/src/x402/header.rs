//! The headers of x402: base64 of JSON, both ways.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD};
use serde_json::Value;

use super::reason::{Reason, Refusal};
use super::{Payment, Version, wire};
use crate::evm::Networks;

/// Characters of a payment's header. A key's payment has some 600; a wallet that brings its deployment along has a few thousand.
pub const HEADER_MAX: usize = 48 * 1024;

const TOLERANT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, TOLERANT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, TOLERANT);

impl Version {
    /// Where a buyer puts a payment, in lower case.
    pub const fn payment_header(self) -> &'static str {
        match self {
            Version::V1 => "x-payment",
            Version::V2 => "payment-signature",
        }
    }

    /// Where a seller tells what became of it, in lower case.
    pub const fn response_header(self) -> &'static str {
        match self {
            Version::V1 => "x-payment-response",
            Version::V2 => "payment-response",
        }
    }
}

/// The header of version 2 in which a seller asks; version 1 asks in the body.
pub const PAYMENT_REQUIRED: &str = "payment-required";

/// Reads a buyer's header, `X-PAYMENT` or `PAYMENT-SIGNATURE`: which of the two is told by the content.
///
/// # Errors
/// [`Refusal`] with [`Reason::Payload`] and what is wrong, and the refusals of [`wire::payment`].
pub fn payment(header: &str, networks: &Networks) -> Result<Payment, Refusal> {
    wire::payment(&decode(header)?, networks)
}

/// The bytes behind a header: standard base64, and what careless encoders make of it (URL-safe letters, no padding).
///
/// # Errors
/// [`Refusal`] with [`Reason::Payload`].
pub fn decode(header: &str) -> Result<Vec<u8>, Refusal> {
    let header = header.trim();
    if header.len() > HEADER_MAX {
        let words = format!("the payment has {} characters; at most {HEADER_MAX} are read", header.len());
        return Err(Refusal::new(Reason::Payload, words));
    }
    let engine = if header.contains(['-', '_']) { &URL_SAFE } else { &PLAIN };
    engine.decode(header).map_err(|error| Refusal::new(Reason::Payload, format!("the payment is no base64: {error}")))
}

/// The object that somebody else's header holds; `None` for what is none.
pub fn object(header: &str) -> Option<Value> {
    serde_json::from_slice(&decode(header).ok()?).ok().filter(Value::is_object)
}

/// What goes into a header.
pub fn encode(json: &Value) -> String {
    STANDARD.encode(json.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn careless_encoders_are_understood() {
        // bytes whose base64 has both letters that differ, and padding
        let bytes = [0xfb, 0xef, 0xff, 0xff, 0x01];
        for text in ["++///wE=", "++///wE", "--___wE=", "--___wE", "  ++///wE=\t"] {
            assert_eq!(decode(text).expect(text), bytes, "{text}");
        }
        for text in ["++//-w", "+", "++///wE==", "++///wF=", "é", "++//\n/wE="] {
            let refusal = decode(text).expect_err(text);
            assert_eq!(refusal.reason, Reason::Payload, "{text}");
        }
    }

    #[test]
    fn a_header_has_an_end() {
        assert_eq!(decode(&"A".repeat(HEADER_MAX)).expect("at the limit").len(), HEADER_MAX / 4 * 3);
        assert!(decode(&"A".repeat(HEADER_MAX + 4)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read(text in ".*") {
            let value = serde_json::json!({"text": text});
            prop_assert_eq!(decode(&encode(&value)).expect("our own base64"), value.to_string().into_bytes());
        }

        #[test]
        fn no_header_is_too_much(text in ".{0,400}") {
            let _ = payment(&text, &Networks::known());
        }
    }
}
