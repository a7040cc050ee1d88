//! When a line is connected again that was lost. Pure.

use loopd_types::{MINUTE_US, SECOND_US};

/// The first wait, about.
const FIRST_US: i64 = 2 * SECOND_US;
/// The longest, about.
const MOST_US: i64 = 15 * MINUTE_US;

/// How long to wait after so many failures in a row: twice as long each time, with a spread of a half in both directions, so that many lines
/// that were lost at once do not come back at once. `chance` is any number.
pub fn after(failures: u32, chance: u32) -> i64 {
    let doubled = FIRST_US.checked_shl(failures.min(32)).unwrap_or(MOST_US);
    spread(if doubled <= 0 { MOST_US } else { doubled.min(MOST_US) }, chance)
}

/// Where trying soon would make things worse: as long as it gets.
pub fn long(chance: u32) -> i64 {
    spread(MOST_US, chance)
}

/// After a moment that WhatsApp named: up to a minute later, never before.
pub fn later_than(chance: u32) -> i64 {
    SECOND_US + i64::from(chance) % MINUTE_US
}

fn spread(wait: i64, chance: u32) -> i64 {
    wait / 2 + i64::from(chance) * wait / i64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_until_they_are_long_enough() {
        let middle = u32::MAX / 2;
        let seconds: Vec<i64> = (0..12).map(|failures| (after(failures, middle) + SECOND_US / 2) / SECOND_US).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }

    proptest! {
        #[test]
        fn no_wait_is_too_short_or_too_long(failures in 0u32..1_000, chance: u32) {
            let wait = after(failures, chance);
            prop_assert!((FIRST_US / 2..=MOST_US + MOST_US / 2).contains(&wait), "{wait}");
            prop_assert!(long(chance) >= MOST_US / 2);
            prop_assert!((SECOND_US..MINUTE_US + SECOND_US).contains(&later_than(chance)));
        }

        #[test]
        fn more_failures_never_make_it_sooner(failures in 0u32..40, chance: u32) {
            prop_assert!(after(failures, chance) <= after(failures + 1, chance));
        }
    }
}
