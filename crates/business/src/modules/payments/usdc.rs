//! What an invoice comes to in USDC, and what a company chose about it. Pure.

use loopd_types::{Currency, parse_decimal};
use serde_json::Value as Json;

use crate::define::*;

/// The method of payments that came so.
pub const METHOD: &str = "usdc";

/// Digits after the point of a rate.
pub const RATE_SCALE: u32 = 6;
/// Millionths in one.
const MILLION: i128 = 1_000_000;
/// The largest sum that is asked: a billion dollars in millionths.
const MOST_MICROS: i128 = 1_000_000_000 * MILLION;

/// What of the company's settings concerns payments in USDC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The Loomal project that is paid.
    pub project: Option<String>,
    pub network: Option<String>,
    /// Millionths of the company's own currency for one USDC.
    pub rate: Option<i64>,
}

impl Choice {
    /// From the section `payments` of a company's settings.
    pub fn read(section: &Json) -> Self {
        let text = |name: &str| section[name].as_str().map(str::trim).filter(|text| !text.is_empty());
        Self {
            project: text("usdc_project").map(str::to_owned),
            network: text("usdc_network").map(str::to_owned),
            rate: text("usdc_rate").and_then(|text| parse_decimal(text, RATE_SCALE)).filter(|rate| *rate > 0),
        }
    }

    /// The project that is paid.
    ///
    /// # Errors
    /// 409 `usdc_not_set_up`.
    pub fn payee(&self) -> Result<String> {
        self.project.clone().ok_or_else(|| {
            Problem::conflict(
                "usdc_not_set_up",
                "Say first which Loomal project is paid: the company's setting payments.usdc_project, such as id-b103b0e752d24018.",
            )
        })
    }

    /// Millionths of a USDC that are asked for `minor` of `currency`; `own` is the company's currency. USD and USDC are one to one, the
    /// company's own currency follows its rate. Rounded up to the next millionth, so that it is never too little.
    ///
    /// # Errors
    /// 409 `currency_not_in_usdc` for every other currency, and for the company's own without a rate; 409 `amount_not_in_usdc` for nothing,
    /// and for more than a billion.
    pub fn micros(&self, minor: i64, currency: Currency, own: &str) -> Result<i64> {
        let rate = match (currency.code(), self.rate) {
            ("USD" | "USDC", _) => MILLION,
            (code, Some(rate)) if code == own => i128::from(rate),
            (code, _) => {
                let words = format!(
                    "An invoice in {code} cannot be paid in USDC: only those in USD and USDC can, and those in the company's own currency \
                     once the setting payments.usdc_rate says what one USDC counts."
                );
                return Err(Problem::conflict("currency_not_in_usdc", words).with_extra("currency", code));
            }
        };
        let scaled = i128::from(minor) * MILLION * MILLION;
        let divisor = rate * 10_i128.pow(currency.exponent());
        let micros = (scaled + divisor - 1) / divisor;
        if micros <= 0 || micros > MOST_MICROS {
            return Err(Problem::conflict("amount_not_in_usdc", "There is no such amount of USDC."));
        }
        i64::try_from(micros).map_err(Problem::internal)
    }
}

/// Millionths as people read them: at least two digits after the point, no further zeros.
pub fn words(micros: i64) -> String {
    let all = loopd_types::render_decimal(micros, 6);
    let (whole, fraction) = all.split_once('.').unwrap_or((&all, ""));
    let mut digits = fraction.trim_end_matches('0').to_owned();
    while digits.len() < 2 {
        digits.push('0');
    }
    format!("{whole}.{digits}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn choice(section: Json) -> Choice {
        Choice::read(&section)
    }

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn dollars_are_dollars_and_other_money_follows_the_companys_rate() {
        let plain = choice(json!({}));
        assert_eq!(plain.micros(12_345, currency("USD"), "RWF").unwrap(), 123_450_000);
        assert_eq!(plain.micros(1, currency("USDC"), "RWF").unwrap(), 1);
        assert_eq!(plain.micros(100, currency("RWF"), "RWF").unwrap_err().code(), "currency_not_in_usdc");
        let rated = choice(json!({"usdc_rate": "1450.5"}));
        assert_eq!(rated.micros(14_505, currency("RWF"), "RWF").unwrap(), 10_000_000);
        // Never too little: 1 / 1450.5 is 0.000689417…
        assert_eq!(rated.micros(1, currency("RWF"), "RWF").unwrap(), 690);
        // A dollar stays a dollar, and the rate is for the company's own currency only.
        assert_eq!(rated.micros(100, currency("USD"), "USD").unwrap(), 1_000_000);
        assert_eq!(rated.micros(100, currency("KES"), "RWF").unwrap_err().code(), "currency_not_in_usdc");
        // Three digits after the point.
        assert_eq!(choice(json!({"usdc_rate": "0.3"})).micros(300, currency("KWD"), "KWD").unwrap(), 1_000_000);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let plain = choice(json!({}));
        for minor in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(
                plain.micros(minor, currency("USD"), "RWF").unwrap_err().code(),
                "amount_not_in_usdc",
                "{minor}"
            );
        }
        for rate in ["0", "-1", "x", ""] {
            assert_eq!(choice(json!({"usdc_rate": rate})).rate, None, "{rate}");
        }
        assert_eq!(choice(json!({"usdc_project": " "})).payee().unwrap_err().code(), "usdc_not_set_up");
    }

    #[test]
    fn what_people_read_has_two_digits_or_as_many_as_it_needs() {
        for (micros, text) in [(50_000, "0.05"), (1_000_000, "1.00"), (1, "0.000001"), (10_500_000, "10.50")] {
            assert_eq!(words(micros), text);
        }
    }
}
