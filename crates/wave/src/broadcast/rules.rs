//! When the next message of a broadcast may go, as pure functions.

use jiff::tz::TimeZone;
use loopd_types::{DAY_US, HOUR_US, MINUTE_US, Rng, SECOND_US, Timestamp};
use loopd_web::{Schema as _, schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// How a company's broadcasts are paced. The defaults are ours: the original's numbers are not known (spec/loopwave.md 4.11).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Pacing {
    /// The pause between two messages of a number is drawn between these, in seconds.
    pub gap_min_seconds: i64,
    pub gap_max_seconds: i64,
    /// Broadcast messages of one number on one day of the company, once it is warm.
    pub daily_cap: i64,
    /// The cap on the first day of a number; it grows by half each day.
    pub warm_up_start: i64,
    /// Hours of the company's day in which nothing goes out; the same twice: there are none.
    pub quiet_from_hour: i64,
    pub quiet_to_hour: i64,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            gap_min_seconds: 20,
            gap_max_seconds: 60,
            daily_cap: 200,
            warm_up_start: 20,
            quiet_from_hour: 21,
            quiet_to_hour: 8,
        }
    }
}

/// What each number of a pacing may be.
const BOUNDS: [(&str, i64, i64, &str); 6] = [
    ("gap_min_seconds", 0, 3_600, "The shortest pause between two broadcast messages of a number."),
    ("gap_max_seconds", 0, 3_600, "The longest pause; each is drawn evenly between the two."),
    ("daily_cap", 1, 100_000, "Broadcast messages of one number on one day of the company."),
    ("warm_up_start", 1, 100_000, "The cap on a number's first day; it grows by half each day."),
    (
        "quiet_from_hour",
        0,
        23,
        "From this hour of the company's day on nothing goes out; the same as the end: no quiet hours.",
    ),
    ("quiet_to_hour", 0, 23, "From this hour on it goes out again."),
];

impl Pacing {
    pub fn schema() -> Json {
        let field = |(name, min, max, words): (&'static str, i64, i64, &'static str)| {
            (name, schema::integer_between(min, max).describe(words))
        };
        schema::object(BOUNDS.map(field))
    }

    /// This pacing with some of its numbers changed.
    ///
    /// # Errors
    /// In words, for what is out of its bounds or unknown.
    pub fn changed(&self, chosen: &Map<String, Json>) -> Result<Self, String> {
        let mut next = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (name, value) in chosen {
            let known = BOUNDS.iter().find(|(known, ..)| known == name);
            let Some((_, min, max, _)) = known else { return Err(format!("`{name}` is not known.")) };
            if !value.as_i64().is_some_and(|number| (*min..=*max).contains(&number)) {
                return Err(format!("`{name}` must be a whole number from {min} to {max}."));
            }
            next[name.as_str()] = value.clone();
        }
        let next: Self = serde_json::from_value(next).map_err(|error| error.to_string())?;
        match next.gap_min_seconds <= next.gap_max_seconds {
            true => Ok(next),
            false => Err("`gap_min_seconds` may not be more than `gap_max_seconds`.".to_owned()),
        }
    }

    /// The pause until the next message, drawn evenly.
    pub fn gap_us(&self, rng: &dyn Rng) -> i64 {
        let (min, max) = (self.gap_min_seconds.max(0) * SECOND_US, self.gap_max_seconds.max(0) * SECOND_US);
        let span = (max - min).max(0).unsigned_abs();
        let mut random = [0u8; 8];
        rng.fill(&mut random);
        // The remainder's bias is a span of a minute against 2^64: none.
        min + i64::try_from(u64::from_le_bytes(random) % (span + 1)).unwrap_or(0)
    }

    /// How many may go from a number on a day, `days` after it was first ready.
    pub fn cap_on(&self, days: i64) -> i64 {
        let mut cap = self.warm_up_start.max(1);
        for _ in 0..days.clamp(0, 60) {
            if cap >= self.daily_cap {
                break;
            }
            cap += (cap / 2).max(1);
        }
        cap.min(self.daily_cap)
    }

    /// The end of the quiet hours that `now` lies in; `None` when it does not.
    pub fn quiet_until(&self, now: Timestamp, zone: &str) -> Option<Timestamp> {
        let (from, to) = (self.quiet_from_hour, self.quiet_to_hour);
        if from == to {
            return None;
        }
        let hour = local_us(now, zone).rem_euclid(DAY_US) / HOUR_US;
        let is_quiet = if from < to { (from..to).contains(&hour) } else { hour >= from || hour < to };
        is_quiet.then(|| {
            let into_hour = local_us(now, zone).rem_euclid(HOUR_US);
            now.plus((to - hour).rem_euclid(24) * HOUR_US - into_hour)
        })
    }
}

/// The company's day, counted from 1970-01-01.
pub fn day_of(now: Timestamp, zone: &str) -> i64 {
    local_us(now, zone).div_euclid(DAY_US)
}

/// When the company's next day begins.
pub fn next_day(now: Timestamp, zone: &str) -> Timestamp {
    now.plus(DAY_US - local_us(now, zone).rem_euclid(DAY_US) + MINUTE_US)
}

/// The wall clock's time there, in microseconds since 1970 of that wall clock.
fn local_us(now: Timestamp, zone: &str) -> i64 {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let moment = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
    now.0 + i64::from(zone.to_offset(moment).seconds()) * SECOND_US
}

#[cfg(test)]
mod tests {
    use loopd_types::SeededRng;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_new_number_warms_up_by_half_a_day() {
        let caps: Vec<i64> = (0..9).map(|days| Pacing::default().cap_on(days)).collect();
        assert_eq!(caps, [20, 30, 45, 67, 100, 150, 200, 200, 200]);
        assert_eq!(Pacing { warm_up_start: 500, ..Pacing::default() }.cap_on(0), 200);
    }

    #[test]
    fn nothing_goes_out_at_night() {
        let pacing = Pacing::default();
        // Kigali is two hours ahead.
        assert_eq!(pacing.quiet_until(at("2026-06-22T10:00:00Z"), "Africa/Kigali"), None);
        assert_eq!(pacing.quiet_until(at("2026-06-22T20:30:00Z"), "Africa/Kigali"), Some(at("2026-06-23T06:00:00Z")));
        assert_eq!(pacing.quiet_until(at("2026-06-23T05:59:59Z"), "Africa/Kigali"), Some(at("2026-06-23T06:00:00Z")));
        let none = Pacing { quiet_from_hour: 0, quiet_to_hour: 0, ..pacing };
        assert_eq!(none.quiet_until(at("2026-06-22T23:00:00Z"), "UTC"), None);
    }

    proptest! {
        #[test]
        fn a_gap_lies_between_its_bounds(seed in any::<u64>(), min in 0i64..100, more in 0i64..100) {
            let pacing = Pacing { gap_min_seconds: min, gap_max_seconds: min + more, ..Pacing::default() };
            let gap = pacing.gap_us(&SeededRng::new(seed));
            prop_assert!((min * SECOND_US..=(min + more) * SECOND_US).contains(&gap), "{gap}");
        }

        #[test]
        fn quiet_hours_end_within_a_day_and_outside_of_themselves(us in 0i64..4_000_000_000_000_000, from in 0i64..24, to in 0i64..24) {
            let pacing = Pacing { quiet_from_hour: from, quiet_to_hour: to, ..Pacing::default() };
            if let Some(until) = pacing.quiet_until(Timestamp(us), "UTC") {
                prop_assert!(until.0 > us && until.0 <= us + DAY_US);
                prop_assert_eq!(pacing.quiet_until(until, "UTC"), None);
            }
        }
    }
}
