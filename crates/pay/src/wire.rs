//! What several of Loomal's resources write the same way.

use loopd_types::{Timestamp, Uuid, hex};
use serde_json::{Value as Json, json};

/// ISO 8601 in UTC with milliseconds, as `Date.toISOString` writes it: `2026-04-28T12:34:56.789Z`.
pub fn iso(at: Timestamp) -> String {
    at.to_millis()
}

pub fn opt_iso(at: Option<Timestamp>) -> Json {
    at.map_or(Json::Null, |at| json!(iso(at)))
}

/// An id as clients see it: `pi_` and 32 hex digits.
pub fn public_id(prefix: &str, id: Uuid) -> String {
    format!("{prefix}{}", hex(id.as_bytes()))
}

/// The id behind [`public_id`]; `None` for what is none of that kind.
pub fn parse_id(prefix: &str, text: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(prefix)?;
    let is_plain = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_plain.then(|| Uuid::parse_str(digits).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_milliseconds() {
        assert_eq!(iso(Timestamp(1_777_379_696_789_999)), "2026-04-28T12:34:56.789Z");
    }

    #[test]
    fn ids_are_read_as_they_were_written() {
        let id = Uuid::from_u128(0x0197_a000_0000_7000_8000_0000_0000_0001);
        assert_eq!(parse_id("pi_", &public_id("pi_", id)), Some(id));
        for bad in ["", "pi_", "se_0197a000000070008000000000000001", "pi_0197A000000070008000000000000001"] {
            assert_eq!(parse_id("pi_", bad), None, "{bad}");
        }
    }
}
