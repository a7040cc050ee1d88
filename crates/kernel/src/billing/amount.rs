//! The arithmetic of bills, in whole minor units: shares of a period, discounts, taxes and tiers, with no cent lost or made.

use loopd_types::Timestamp;
use serde::{Deserialize, Serialize};

/// A whole; rates of tax and of discounts are counted in millionths: 18 % is 180 000.
pub const WHOLE_PPM: i64 = 1_000_000;

/// What of `amount` for the period belongs to the part before `at`. Rises from 0 at the start to the whole amount at the end, so that the
/// parts of any division of a period add up to the amount.
pub fn earned(amount: i64, starts_at: Timestamp, ends_at: Timestamp, at: Timestamp) -> i64 {
    let whole = i128::from(ends_at.0) - i128::from(starts_at.0);
    if whole <= 0 || at >= ends_at {
        return amount;
    }
    let passed = (i128::from(at.0) - i128::from(starts_at.0)).max(0);
    narrow((i128::from(amount) * passed).div_euclid(whole))
}

/// What of `amount` for the period belongs to the part from `at` on.
pub fn unearned(amount: i64, starts_at: Timestamp, ends_at: Timestamp, at: Timestamp) -> i64 {
    amount - earned(amount, starts_at, ends_at, at)
}

/// `amount` × `ppm` / 1 000 000, half a unit away from zero.
pub fn share(amount: i64, ppm: i64) -> i64 {
    rounded(i128::from(amount) * i128::from(ppm), i128::from(WHOLE_PPM))
}

/// The tax within or upon `amount`.
pub fn tax(amount: i64, ppm: i64, inclusive: bool) -> i64 {
    if inclusive {
        let net = rounded(i128::from(amount) * i128::from(WHOLE_PPM), i128::from(WHOLE_PPM + ppm));
        amount - net
    } else {
        share(amount, ppm)
    }
}

/// Divides `total` over `weights` in proportion; the parts add up to `total` exactly. Nothing goes where nothing weighs; no weight: all zero.
pub fn divide(total: i64, weights: &[i64]) -> Vec<i64> {
    let whole: i128 = weights.iter().map(|weight| i128::from((*weight).max(0))).sum();
    if whole == 0 {
        return vec![0; weights.len()];
    }
    let (mut given, mut so_far) = (0, 0i128);
    weights
        .iter()
        .map(|weight| {
            so_far += i128::from((*weight).max(0));
            let until = narrow((i128::from(total) * so_far).div_euclid(whole));
            let part = until - given;
            given = until;
            part
        })
        .collect()
}

/// A step of a price by quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The last unit of this step; `None`: all further ones.
    #[serde(default)]
    pub up_to: Option<i64>,
    /// For every `per` units.
    pub amount_minor: i64,
    #[serde(default = "one")]
    pub per: i64,
    /// Once, when the step is reached.
    #[serde(default)]
    pub flat_minor: i64,
}

fn one() -> i64 {
    1
}

/// How tiers are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TierMode {
    /// Each unit at the price of the step in which it lies.
    #[default]
    Graduated,
    /// All units at the price of the step that the last one reaches.
    Volume,
}

/// What `units` cost by `tiers`, which rise and end with an open one (`plan` checks that).
pub fn tiered(units: i64, tiers: &[Tier], mode: TierMode) -> i64 {
    if units <= 0 {
        return 0;
    }
    let cost = |tier: &Tier, count: i64| {
        i128::from(tier.flat_minor)
            + i128::from(rounded(i128::from(count) * i128::from(tier.amount_minor), i128::from(tier.per.max(1))))
    };
    let (mut below, mut sum) = (0, 0i128);
    for tier in tiers {
        let last = tier.up_to.unwrap_or(i64::MAX);
        match mode {
            TierMode::Volume if units <= last => return narrow(cost(tier, units)),
            TierMode::Volume => {}
            TierMode::Graduated => {
                sum += cost(tier, units.min(last) - below);
                if units <= last {
                    return narrow(sum);
                }
                below = last;
            }
        }
    }
    narrow(sum)
}

/// `value` / `by`, half away from zero; `by` is positive.
fn rounded(value: i128, by: i128) -> i64 {
    let magnitude = (value.abs() * 2 + by) / (by * 2);
    narrow(if value < 0 { -magnitude } else { magnitude })
}

/// No amount that passes the doors comes near; an overflow must not wrap into a small bill.
fn narrow(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_numbers_that_everybody_can_check() {
        let (start, end) = (Timestamp(0), Timestamp(30));
        assert_eq!((earned(1000, start, end, Timestamp(10)), unearned(1000, start, end, Timestamp(10))), (333, 667));
        assert_eq!(tax(10_000, 180_000, false), 1_800);
        assert_eq!(tax(11_800, 180_000, true), 1_800);
        assert_eq!(tax(-11_800, 180_000, true), -1_800);
        assert_eq!(divide(100, &[1, 1, 1]), [33, 33, 34]);
        let tiers = [
            Tier { up_to: Some(100), amount_minor: 10, per: 1, flat_minor: 0 },
            Tier { up_to: None, amount_minor: 5, per: 1, flat_minor: 50 },
        ];
        assert_eq!(tiered(150, &tiers, TierMode::Graduated), 100 * 10 + 50 + 50 * 5);
        assert_eq!(tiered(150, &tiers, TierMode::Volume), 50 + 150 * 5);
        assert_eq!(tiered(0, &tiers, TierMode::Graduated), 0);
        assert_eq!(tiered(15, &[Tier { up_to: None, amount_minor: 1, per: 10, flat_minor: 0 }], TierMode::Volume), 2);
    }

    proptest! {
        /// However often a plan is changed within a period, its parts add up.
        #[test]
        fn the_parts_of_a_period_add_up(amount in -1_000_000_000_000i64..1_000_000_000_000, mut cuts in prop::collection::vec(0i64..2_678_400_000_000, 0..8)) {
            let (start, end) = (Timestamp(0), Timestamp(2_678_400_000_000));
            cuts.sort_unstable();
            let mut before = start;
            let mut sum = 0;
            for cut in cuts.iter().map(|cut| Timestamp(*cut)).chain([end]) {
                sum += earned(amount, start, end, cut) - earned(amount, start, end, before);
                prop_assert_eq!(earned(amount, start, end, cut) + unearned(amount, start, end, cut), amount);
                before = cut;
            }
            prop_assert_eq!(sum, amount);
        }

        #[test]
        fn a_divided_total_adds_up_and_no_part_is_wrong_by_more_than_one(total in -1_000_000_000i64..1_000_000_000, weights in prop::collection::vec(0i64..1_000_000, 1..12)) {
            let parts = divide(total, &weights);
            let whole: i64 = weights.iter().sum();
            prop_assert_eq!(parts.iter().sum::<i64>(), if whole == 0 { 0 } else { total });
            for (part, weight) in parts.iter().zip(&weights).filter(|_| whole > 0) {
                let exact = i128::from(total) * i128::from(*weight);
                prop_assert!((i128::from(*part) * i128::from(whole) - exact).abs() <= i128::from(whole));
            }
        }

        #[test]
        fn a_tax_that_is_within_is_the_tax_upon_the_rest(gross in 0i64..1_000_000_000_000, ppm in 0i64..500_000) {
            let within = tax(gross, ppm, true);
            prop_assert!(within >= 0 && within <= gross);
            prop_assert!((tax(gross - within, ppm, false) - within).abs() <= 1);
        }

        #[test]
        fn more_units_never_cost_less_where_each_has_its_own_price(units in 0i64..10_000, more in 0i64..100, first in 1i64..100, a in 0i64..50, b in 0i64..50) {
            let tiers = [
                Tier { up_to: Some(first), amount_minor: a, per: 1, flat_minor: 0 },
                Tier { up_to: None, amount_minor: b, per: 3, flat_minor: 7 },
            ];
            prop_assert!(tiered(units, &tiers, TierMode::Graduated) <= tiered(units + more, &tiers, TierMode::Graduated));
        }
    }
}
