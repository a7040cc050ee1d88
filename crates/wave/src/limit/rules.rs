//! When the next one may go: a gate that lets one through every so often, and some at once after a rest. Pure.

use loopd_types::{SECOND_US, Timestamp};

/// One every `every_us`, and up to `burst` at once when nothing went for long enough (the generic cell rate algorithm).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gate {
    pub every_us: i64,
    pub burst: i64,
}

impl Gate {
    /// So many a second, a second's worth of them at once.
    pub fn per_second(many: i64) -> Self {
        let many = many.clamp(1, SECOND_US);
        Self { every_us: SECOND_US / many, burst: many }
    }

    /// Asks for one at `now`, where `until` is what the last answer said: the next `until`, or from when on it may be asked again.
    ///
    /// # Errors
    /// The moment from which on one may go.
    pub fn pass(&self, until: Timestamp, now: Timestamp) -> Result<Timestamp, Timestamp> {
        let until = until.max(now);
        let opens = until.plus(-self.slack_us());
        if opens > now { Err(opens) } else { Ok(until.plus(self.every_us)) }
    }

    /// An `until` with which nothing passes before `opens`.
    pub fn closed_until(&self, opens: Timestamp) -> Timestamp {
        opens.plus(self.slack_us())
    }

    fn slack_us(&self) -> i64 {
        self.every_us.saturating_mul(self.burst.max(1) - 1)
    }
}

/// People whom a business may write to first within 24 hours, by Meta's word: `TIER_250`, `TIER_1K`, `TIER_UNLIMITED`. `None` without an
/// end, and for words that say nothing.
pub fn people_of(tier: &str) -> Option<i64> {
    let number = tier.strip_prefix("TIER_")?;
    match number.strip_suffix('K') {
        Some(thousands) => thousands.parse::<i64>().ok()?.checked_mul(1_000),
        None => number.parse().ok(),
    }
    .filter(|people| *people > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tiers_are_numbers() {
        for (tier, people) in [
            ("TIER_50", Some(50)),
            ("TIER_250", Some(250)),
            ("TIER_1K", Some(1_000)),
            ("TIER_100K", Some(100_000)),
            ("TIER_UNLIMITED", None),
            ("TIER_NOT_SET", None),
            ("TIER_0", None),
            ("250", None),
        ] {
            assert_eq!(people_of(tier), people, "{tier}");
        }
    }

    proptest! {
        /// However it is asked: in any stretch of time no more pass than its burst and one for every `every_us` of it, and whoever
        /// comes back when it was told to passes.
        #[test]
        fn no_stretch_of_time_sees_more_than_it_may(
            every_us in 1i64..1_000, burst in 1i64..8, waits in proptest::collection::vec(0i64..2_000, 1..60),
        ) {
            let gate = Gate { every_us, burst };
            let (mut now, mut until, mut passed) = (Timestamp(0), Timestamp(0), Vec::new());
            for wait in waits {
                now = now.plus(wait);
                match gate.pass(until, now) {
                    Ok(next) => {
                        until = next;
                        passed.push(now.0);
                    }
                    Err(opens) => {
                        prop_assert!(opens > now);
                        prop_assert!(gate.pass(until, opens).is_ok());
                        prop_assert!(gate.pass(until, opens.plus(-1)).is_err());
                    }
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let many = (last - first) as i64 + 1;
                    prop_assert!(many <= burst + (to - from) / every_us, "{many} between {from} and {to}");
                }
            }
        }

        #[test]
        fn a_gate_that_was_closed_opens_when_it_was_said(every_us in 1i64..1_000, burst in 1i64..50, opens in 1i64..100_000) {
            let gate = Gate { every_us, burst };
            let until = gate.closed_until(Timestamp(opens));
            prop_assert_eq!(gate.pass(until, Timestamp(0)), Err(Timestamp(opens)));
            prop_assert!(gate.pass(until, Timestamp(opens)).is_ok());
        }
    }
}
