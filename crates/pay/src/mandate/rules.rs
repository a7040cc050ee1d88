//! What a mandate allows. Pure.

use loopd_types::{DAY_US, Timestamp};

use super::store::Mandate;
use crate::usdc;

/// Why a call is not paid: `code` of spec/loomal.md 4.6, words and a way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    pub retry_after_ms: Option<i64>,
}

impl Refusal {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, retry_after_ms: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// 503 for what the platform owes, 402 for what the payment lacks.
    pub fn status(&self) -> u16 {
        match self.code {
            "facilitator_unavailable"
            | "payments_disabled"
            | "session_key_not_installed"
            | "session_key_install_failed" => 503,
            "unauthorized" => 401,
            _ => 402,
        }
    }
}

/// The UTC day of a moment, counted from 1970-01-01.
pub const fn day_of(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_US)
}

/// The mandate that a call of now is paid under: the newest that is neither revoked nor over.
///
/// # Errors
/// [`Refusal`] when there is none.
pub fn choose(mandates: &[Mandate], chain: u64, now: Timestamp) -> Result<&Mandate, Refusal> {
    let living = || mandates.iter().filter(|it| it.revoked_at.is_none());
    let valid = || living().filter(|it| it.valid_until > now);
    if let Some(found) = valid().find(|it| it.chain == chain) {
        return Ok(found);
    }
    let make = "Create a mandate with POST /v0/payments/mandates";
    if let Some(other) = valid().next() {
        let words = format!("The mandate is for {}, and the seller asks on another network", other.network);
        return Err(Refusal::new("network_mismatch", words).hint(make));
    }
    match living().find(|it| it.chain == chain) {
        Some(_) => Err(Refusal::new("mandate_expired", "The mandate is over").hint(make)),
        None => Err(Refusal::new("mandate_not_found", "There is no mandate that this could be paid under").hint(make)),
    }
}

/// Whether this price fits, with what was spent today.
///
/// # Errors
/// [`Refusal`].
pub fn fits(mandate: &Mandate, price_micros: i64, now: Timestamp) -> Result<(), Refusal> {
    if price_micros > mandate.per_call_micros {
        let words = format!(
            "Price {} USDC exceeds maxPerCallUsdc {}",
            usdc::format(price_micros),
            usdc::format(mandate.per_call_micros)
        );
        return Err(Refusal::new("mandate_per_call_exceeded", words)
            .hint("Raise maxPerCallUsdc on the mandate or pay a cheaper endpoint"));
    }
    let left = mandate.left_on(day_of(now));
    if price_micros > left {
        let words = format!(
            "Price {} USDC exceeds the {} that are left of today",
            usdc::format(price_micros),
            usdc::format(left)
        );
        let mut refusal = Refusal::new("mandate_daily_cap_exceeded", words)
            .hint("Raise dailyCapUsdc on the mandate or wait until midnight UTC");
        refusal.retry_after_ms = Some(((day_of(now) + 1) * DAY_US - now.0) / 1_000);
        return Err(refusal);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use loopd_types::{HOUR_US, Uuid};

    use super::*;

    const NOON: Timestamp = Timestamp(20_000 * DAY_US + 12 * HOUR_US);

    fn mandate() -> Mandate {
        Mandate {
            id: Uuid::from_u128(1),
            chain: 8453,
            network: "base".into(),
            per_call_micros: 100_000,
            daily_micros: 250_000,
            valid_until: NOON.plus(DAY_US),
            spent_day: 20_000,
            spent_micros: 200_000,
            total_micros: 900_000,
            call_count: 9,
            revoked_at: None,
            created_at: NOON,
        }
    }

    #[test]
    fn the_newest_living_mandate_of_the_network_pays() {
        let (ok, over, gone, other) = (
            mandate(),
            Mandate { valid_until: NOON, ..mandate() },
            Mandate { revoked_at: Some(NOON), ..mandate() },
            Mandate { chain: 1, ..mandate() },
        );
        assert_eq!(choose(&[gone.clone(), over.clone(), ok.clone()], 8453, NOON).unwrap(), &ok);
        for (mandates, code) in [
            (vec![], "mandate_not_found"),
            (vec![gone], "mandate_not_found"),
            (vec![over], "mandate_expired"),
            (vec![other], "network_mismatch"),
        ] {
            assert_eq!(choose(&mandates, 8453, NOON).unwrap_err().code, code);
        }
    }

    #[test]
    fn both_caps_hold_and_the_day_begins_anew() {
        let it = mandate();
        assert_eq!(fits(&it, 50_000, NOON), Ok(()));
        let dear = fits(&it, 500_000, NOON).unwrap_err();
        assert_eq!(
            (dear.code, dear.message.as_str()),
            ("mandate_per_call_exceeded", "Price 0.50 USDC exceeds maxPerCallUsdc 0.10")
        );
        let late = fits(&it, 60_000, NOON).unwrap_err();
        assert_eq!((late.code, late.retry_after_ms), ("mandate_daily_cap_exceeded", Some(12 * 3_600_000)));
        assert_eq!(fits(&it, 100_000, NOON.plus(12 * HOUR_US)), Ok(()));
    }
}
