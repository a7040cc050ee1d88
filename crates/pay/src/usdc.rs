//! USDC on the wire: a decimal text with at most six fractional digits; inside: whole micro units.

/// Units in one USDC.
pub const UNIT: i64 = 1_000_000;
/// The largest amount that a price may be: a billion dollars, far from where sums overflow.
pub const MOST: i64 = 1_000_000_000 * UNIT;

/// Reads `0.05` as 50 000; `None` for signs, a missing digit on either side of the point, more than six fractional digits and more
/// than [`MOST`].
pub fn parse(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 6 || text.starts_with('-') {
        return None;
    }
    loopd_types::parse_decimal(text, 6).filter(|micros| *micros <= MOST)
}

/// Writes 50 000 as `0.05`: at least two fractional digits, no further zeros.
pub fn format(micros: i64) -> String {
    let (whole, fraction) = (micros / UNIT, micros % UNIT);
    let mut digits = format!("{fraction:06}");
    while digits.len() > 2 && digits.ends_with('0') {
        digits.pop();
    }
    format!("{whole}.{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_micro_and_nothing_else_is() {
        for (text, micros) in [("0.05", 50_000), ("1.234567", 1_234_567), ("12", 12_000_000), ("0.000001", 1), ("0", 0)]
        {
            assert_eq!(parse(text), Some(micros), "{text}");
        }
        for text in [
            "",
            ".",
            ".5",
            "5.",
            "-1",
            "+1",
            "1e3",
            "0.1234567",
            " 1",
            "1,5",
            "1_0",
            "٣",
            "1000000000.000001",
            "9999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for micros in [0, 1, 10, 999_999, UNIT, 50_000, 1_234_567, MOST] {
            assert_eq!(parse(&format(micros)), Some(micros));
        }
        assert_eq!((format(50_000), format(UNIT), format(1)), ("0.05".into(), "1.00".into(), "0.000001".into()));
    }
}
