//! Money is an integer of minor units and an ISO 4217 code; never a float.

use std::fmt;
use std::str::FromStr;

/// An ISO 4217 currency, or USDC (six digits after the point, not in ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Currency {
    Iso(iso_currency::Currency),
    Usdc,
}

impl Currency {
    /// `None` for anything but an upper-case code of the list.
    pub fn parse(code: &str) -> Option<Self> {
        match code {
            "USDC" => Some(Self::Usdc),
            code if code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) => {
                iso_currency::Currency::from_code(code).map(Self::Iso)
            }
            _ => None,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Iso(currency) => currency.code(),
            Self::Usdc => "USDC",
        }
    }

    /// Digits after the point: 0 for RWF, 2 for USD, 3 for KWD, 6 for USDC.
    pub fn exponent(self) -> u32 {
        match self {
            Self::Iso(currency) => currency.exponent().unwrap_or(0).into(),
            Self::Usdc => 6,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::parse(text).ok_or(())
    }
}

/// An amount in a currency. `Display` writes `25000 RWF`, `12.50 USD`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", render_decimal(self.minor, self.currency.exponent()), self.currency)
    }
}

/// Reads a plain decimal (`25000`, `-12.5`, `0.000001`) into an integer scaled by 10^`scale`. Exact: `None` when it is no
/// decimal, has more digits after the point than `scale` (trailing zeros aside), or does not fit 64 bits.
pub fn parse_decimal(text: &str, scale: u32) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale as usize || whole.len() > 30 {
        return None;
    }
    let digits = format!("{whole}{fraction:0<width$}", width = scale as usize);
    let value: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    i64::try_from(if negative { -value } else { value }).ok()
}

/// Writes an integer scaled by 10^`scale` as a decimal with exactly `scale` digits after the point.
pub fn render_decimal(value: i64, scale: u32) -> String {
    if scale == 0 {
        return value.to_string();
    }
    let width = scale as usize + 1;
    let digits = format!("{:0>width$}", value.unsigned_abs());
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_know_their_minor_units() {
        for (code, exponent) in [("RWF", 0), ("USD", 2), ("KES", 2), ("KWD", 3), ("USDC", 6)] {
            assert_eq!(Currency::parse(code).unwrap().exponent(), exponent, "{code}");
        }
        for code in ["rwf", "RW", "XXXX", "", "usdc"] {
            assert_eq!(Currency::parse(code), None, "{code}");
        }
    }

    #[test]
    fn decimals_are_exact_both_ways() {
        for (text, scale, value) in [
            ("25000", 0, 25_000),
            ("12.5", 2, 1_250),
            ("-0.07", 2, -7),
            ("0.000001", 6, 1),
            ("7.00", 0, 7),
            (".5", 1, 5),
        ] {
            assert_eq!(parse_decimal(text, scale), Some(value), "{text}");
        }
        for (text, scale) in [
            ("", 2),
            (".", 2),
            ("1e3", 2),
            ("1.234", 2),
            ("--1", 0),
            ("+1", 0),
            ("99999999999999999999", 2),
            ("1 000", 0),
            ("NaN", 2),
        ] {
            assert_eq!(parse_decimal(text, scale), None, "{text}");
        }
        for (value, scale, text) in [(25_000, 0, "25000"), (1_250, 2, "12.50"), (-7, 2, "-0.07"), (1, 6, "0.000001")] {
            assert_eq!(render_decimal(value, scale), text);
        }
    }
}
