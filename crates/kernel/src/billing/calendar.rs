//! Billing periods: months and years counted from an anchor, so that a subscription of the 31st comes back to the 31st.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp as Moment};
use loopd_types::Timestamp;
use serde::{Deserialize, Serialize};

/// How often a price is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    Month,
    Year,
}

impl Interval {
    pub const ALL: [&'static str; 2] = ["month", "year"];

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "month" => Some(Self::Month),
            "year" => Some(Self::Year),
            _ => None,
        }
    }
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }
    fn months(self) -> i64 {
        match self {
            Self::Month => 1,
            Self::Year => 12,
        }
    }
}

/// `count` months after `anchor`, in UTC; the last day of the month where the anchor's day does not exist.
pub fn months_after(anchor: Timestamp, count: i64) -> Timestamp {
    let shifted = Moment::from_microsecond(anchor.0)
        .ok()
        .map(|moment| moment.to_zoned(TimeZone::UTC))
        .and_then(|moment| moment.checked_add(Span::new().try_months(count).ok()?).ok());
    // Past the year 9999 there is no calendar; nothing is due there.
    shifted.map_or(Timestamp(i64::MAX), |moment| Timestamp(moment.timestamp().as_microsecond()))
}

/// The first boundary after `from` of the periods that begin at `anchor`.
pub fn next_boundary(anchor: Timestamp, interval: Interval, from: Timestamp) -> Timestamp {
    const LONGEST_MONTH_US: i64 = 31 * loopd_types::DAY_US;
    let step = interval.months();
    let mut count = (from.0.saturating_sub(anchor.0) / (LONGEST_MONTH_US * step)).max(0) + 1;
    // The estimate is never too far: no month is longer than that.
    loop {
        let boundary = months_after(anchor, count * step);
        if boundary > from {
            return boundary;
        }
        count += 1;
    }
}

/// The first moment of the calendar month (UTC) in which `at` lies.
pub fn month_of(at: Timestamp) -> Timestamp {
    let first = Moment::from_microsecond(at.0)
        .ok()
        .map(|moment| moment.to_zoned(TimeZone::UTC).date().first_of_month())
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    first.map_or(at, |moment| Timestamp(moment.timestamp().as_microsecond()))
}

/// `2026-06-22`
pub fn date_of(at: Timestamp) -> String {
    at.to_string()[..10].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn the_thirty_first_comes_back() {
        let anchor = at("2026-01-31T10:00:00Z");
        let mut from = anchor;
        for expected in ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"] {
            from = next_boundary(anchor, Interval::Month, from);
            assert_eq!(date_of(from), expected);
        }
        let leap = at("2028-02-29T00:00:00Z");
        assert_eq!(date_of(next_boundary(leap, Interval::Year, leap)), "2029-02-28");
        assert_eq!(month_of(at("2026-06-22T10:00:00Z")), at("2026-06-01T00:00:00Z"));
    }

    proptest! {
        #[test]
        fn a_boundary_is_the_first_after_its_moment(anchor in 0i64..4_000_000_000, later in 0i64..400_000_000, yearly: bool) {
            let (anchor, interval) = (Timestamp(anchor * 1_000_000), if yearly { Interval::Year } else { Interval::Month });
            let from = anchor.plus(later * 1_000_000);
            let next = next_boundary(anchor, interval, from);
            prop_assert!(next > from);
            let step = interval.months();
            let count = (1..).find(|count| months_after(anchor, count * step) == next).unwrap();
            prop_assert!(months_after(anchor, (count - 1) * step) <= from);
        }
    }
}
