//! Working hours: when a shop is open, and how much of its time has passed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use loopd_types::Timestamp;
use serde::{Deserialize, Serialize};

/// The days of `days`, the first of the week first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Spans of one day.
const SPANS_MOST: usize = 6;
const HOLIDAYS_MOST: usize = 200;
/// Who is closed for longer is closed for good.
const DAYS_AHEAD: usize = 400;
const MINUTES_OF_DAY: i64 = 24 * 60;

/// When a company answers, as it says it. Unless `enabled`, always.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hours {
    pub enabled: bool,
    /// By its IANA name; empty: the company's own.
    pub timezone: String,
    /// `{"mon": ["08:00-12:00", "13:00-17:00"]}`; a day that is absent is closed.
    pub days: BTreeMap<String, Vec<String>>,
    /// Days on which it is closed: `2026-12-25`.
    pub holidays: Vec<String>,
    /// What who writes outside of them is answered, at most once in twelve hours; empty: nothing.
    pub away_reply: String,
}

/// Working hours that can be reckoned with.
#[derive(Clone, Debug)]
pub struct Week {
    zone: TimeZone,
    /// Minutes of the day, from and until, in order.
    spans: [Vec<(i64, i64)>; 7],
    holidays: BTreeSet<Date>,
}

impl Hours {
    /// What is wrong with them, in words.
    ///
    /// # Errors
    /// The first complaint.
    pub fn check(&self) -> Result<(), String> {
        if !self.timezone.is_empty() && TimeZone::get(&self.timezone).is_err() {
            return Err(format!("{:?} is no time zone, as Africa/Kigali is one.", self.timezone));
        }
        for (day, spans) in &self.days {
            if !DAYS.contains(&day.as_str()) {
                return Err(format!("{day:?} is no day: write mon, tue, wed, thu, fri, sat or sun."));
            }
            if spans.len() > SPANS_MOST {
                return Err(format!("No more than {SPANS_MOST} spans a day."));
            }
            let read: Option<Vec<(i64, i64)>> = spans.iter().map(|span| read_span(span)).collect();
            let read = read.ok_or_else(|| "Write spans as 08:00-17:00, until 24:00 at most.".to_owned())?;
            if read.windows(2).any(|pair| pair[0].1 > pair[1].0) {
                return Err("A day's spans follow each other.".to_owned());
            }
        }
        if self.holidays.len() > HOLIDAYS_MOST || self.holidays.iter().any(|day| day.parse::<Date>().is_err()) {
            return Err(format!("Write holidays as 2026-12-25, {HOLIDAYS_MOST} at most."));
        }
        Ok(())
    }

    /// To reckon with; `None` for who is always open. `own` is the company's time zone.
    pub fn week(&self, own: &str) -> Option<Week> {
        if !self.enabled {
            return None;
        }
        let name = if self.timezone.is_empty() { own } else { &self.timezone };
        let of_day = |day: &str| -> Vec<(i64, i64)> {
            self.days.get(day).into_iter().flatten().filter_map(|span| read_span(span)).collect()
        };
        Some(Week {
            zone: TimeZone::get(name).unwrap_or(TimeZone::UTC),
            spans: DAYS.map(of_day),
            holidays: self.holidays.iter().filter_map(|day| day.parse().ok()).collect(),
        })
    }
}

fn read_span(text: &str) -> Option<(i64, i64)> {
    let minute = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let is_two = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let (hours, minutes) = (
            is_two(hours).then(|| hours.parse::<i64>().ok())??,
            is_two(minutes).then(|| minutes.parse::<i64>().ok())??,
        );
        (minutes < 60 && hours * 60 + minutes <= MINUTES_OF_DAY).then_some(hours * 60 + minutes)
    };
    let (from, until) = text.split_once('-')?;
    let span = (minute(from)?, minute(until)?);
    (span.0 < span.1).then_some(span)
}

impl Week {
    fn date(&self, at: Timestamp) -> Date {
        let moment = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
        self.zone.to_datetime(moment).date()
    }

    fn moment(&self, date: Date, minute: i64) -> Option<i64> {
        let (date, minute) = if minute == MINUTES_OF_DAY { (date.tomorrow().ok()?, 0) } else { (date, minute) };
        let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
        let zoned = date.at(hour, minute, 0, 0).to_zoned(self.zone.clone()).ok()?;
        Some(zoned.timestamp().as_microsecond())
    }

    /// The spans of a date as moments, in order.
    fn spans(&self, date: Date) -> Vec<(i64, i64)> {
        if self.holidays.contains(&date) {
            return Vec::new();
        }
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
        let mut found: Vec<(i64, i64)> = Vec::with_capacity(self.spans[day].len());
        for (from, until) in &self.spans[day] {
            let (Some(from), Some(until)) = (self.moment(date, *from), self.moment(date, *until)) else { continue };
            // A time that a clock leaves out is an hour later, where the next span may be already.
            let from = found.last().map_or(from, |(_, last)| from.max(*last));
            if from < until {
                found.push((from, until));
            }
        }
        found
    }

    /// The spans from a moment's day on, as far as anybody looks.
    fn spans_from(&self, at: Timestamp) -> impl Iterator<Item = (i64, i64)> + '_ {
        let first = self.date(at);
        first.series(jiff::Span::new().days(1)).take(DAYS_AHEAD).flat_map(|date| self.spans(date))
    }

    pub fn is_open(&self, at: Timestamp) -> bool {
        self.spans(self.date(at)).iter().any(|(from, until)| (*from..*until).contains(&at.0))
    }

    /// Microseconds of working time between two moments; 0 when the second is not the later one.
    pub fn open_between(&self, from: Timestamp, until: Timestamp) -> i64 {
        let within = self.spans_from(from).take_while(|(start, _)| *start < until.0);
        within.map(|(start, end)| (end.min(until.0) - start.max(from.0)).max(0)).sum()
    }

    /// When so much working time will have passed; `None` when it never will. With nothing to pass: the moment itself if it is
    /// open, or else the next opening.
    pub fn after(&self, from: Timestamp, open_us: i64) -> Option<Timestamp> {
        let mut left = open_us.max(0);
        for (start, end) in self.spans_from(from) {
            let start = start.max(from.0);
            if start >= end {
                continue;
            }
            if left < end - start || (left > 0 && left == end - start) {
                return Some(Timestamp(start + left));
            }
            left -= end - start;
        }
        None
    }
}

/// When so much time will have passed for a company with these hours.
pub fn due(week: Option<&Week>, from: Timestamp, minutes: i64) -> Option<Timestamp> {
    let us = minutes * loopd_types::MINUTE_US;
    match week {
        None => Some(from.plus(us)),
        Some(week) => week.after(from, us),
    }
}

#[cfg(test)]
mod tests {
    use loopd_types::{DAY_US, HOUR_US, MINUTE_US};
    use proptest::prelude::*;

    use super::*;

    fn week(timezone: &str, days: &[(&str, &[&str])], holidays: &[&str]) -> Week {
        let days =
            days.iter().map(|(day, spans)| ((*day).to_owned(), spans.iter().map(|it| (*it).to_owned()).collect()));
        let holidays = holidays.iter().map(|day| (*day).to_owned()).collect();
        let hours =
            Hours { enabled: true, timezone: timezone.to_owned(), days: days.collect(), holidays, ..Hours::default() };
        hours.check().expect("hours");
        hours.week("UTC").expect("a week")
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a moment")
    }

    #[test]
    fn a_shop_is_open_in_its_own_time_zone_and_closed_on_holidays() {
        let shop = week(
            "Africa/Kigali",
            &[("mon", &["08:00-12:00", "13:00-17:00"]), ("tue", &["08:00-24:00"])],
            &["2026-11-24"],
        );
        // 23 November 2026 is a Monday; Kigali is two hours ahead.
        for (moment, open) in
            [("05:59", false), ("06:00", true), ("09:59", true), ("10:00", false), ("11:00", true), ("15:00", false)]
        {
            assert_eq!(shop.is_open(at(&format!("2026-11-23T{moment}:00Z"))), open, "{moment}");
        }
        assert!(!shop.is_open(at("2026-11-24T12:00:00Z")), "a holiday");
        assert!(
            shop.is_open(at("2026-12-01T21:59:00Z")) && !shop.is_open(at("2026-12-01T22:00:00Z")),
            "until midnight"
        );
        assert_eq!(shop.open_between(at("2026-11-23T00:00:00Z"), at("2026-11-23T23:00:00Z")), 8 * HOUR_US);
        // Half an hour before closing, and the holiday between: it goes on a week later.
        assert_eq!(shop.after(at("2026-11-23T14:30:00Z"), HOUR_US), Some(at("2026-11-30T06:30:00Z")));
        assert_eq!(week("UTC", &[], &[]).after(at("2026-11-23T14:30:00Z"), 1), None);
    }

    #[test]
    fn an_hour_that_a_clock_leaves_out_is_not_worked() {
        // In Berlin, 29 March 2026 has no hour from two to three, and 25 October has two of them.
        let shop = week("Europe/Berlin", &[("sun", &["01:00-05:00"])], &[]);
        assert_eq!(shop.open_between(at("2026-03-28T20:00:00Z"), at("2026-03-29T20:00:00Z")), 3 * HOUR_US);
        assert_eq!(shop.open_between(at("2026-10-24T20:00:00Z"), at("2026-10-25T20:00:00Z")), 5 * HOUR_US);
    }

    #[test]
    fn what_are_no_hours_is_refused() {
        let with = |day: &str, span: &str| Hours {
            days: [(day.to_owned(), vec![span.to_owned()])].into(),
            ..Hours::default()
        };
        for bad in [
            with("mo", "08:00-12:00"),
            with("mon", "8-12"),
            with("mon", "12:00-08:00"),
            with("mon", "08:00-24:01"),
            with("mon", "+8:00-12:00"),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        let overlapping = vec!["08:00-12:00".to_owned(), "11:00-13:00".to_owned()];
        assert!(Hours { days: [("mon".to_owned(), overlapping)].into(), ..Hours::default() }.check().is_err());
        assert!(Hours { timezone: "Kigali".to_owned(), ..Hours::default() }.check().is_err());
        assert!(Hours { holidays: vec!["Christmas".to_owned()], ..Hours::default() }.check().is_err());
        assert!(with("mon", "00:00-24:00").check().is_ok());
    }

    fn any_week() -> impl Strategy<Value = Week> {
        let spans = prop::collection::btree_set(0..=96_i64, 0..6);
        let zone = prop::sample::select(vec![
            "UTC",
            "Africa/Kigali",
            "Europe/Berlin",
            "America/New_York",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
        ]);
        (prop::array::uniform7(spans), zone, prop::collection::vec(0..60_i32, 0..3)).prop_map(
            |(days, zone, holidays)| {
                let spans = days.map(|edges| {
                    let edges: Vec<i64> = edges.into_iter().map(|quarter| quarter * 15).collect();
                    edges.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
                });
                let first = jiff::civil::date(2026, 3, 1);
                let holidays =
                    holidays.into_iter().map(|days| first.checked_add(jiff::Span::new().days(days)).unwrap());
                Week { zone: TimeZone::get(zone).unwrap(), spans, holidays: holidays.collect() }
            },
        )
    }

    fn any_moment() -> impl Strategy<Value = Timestamp> {
        (0..60 * 24 * 60_i64).prop_map(|minutes| at("2026-03-01T00:00:00Z").plus(minutes * MINUTE_US))
    }

    proptest! {
        #[test]
        fn working_time_adds_up_and_is_no_more_than_time(shop in any_week(), a in any_moment(), b in any_moment(), c in any_moment()) {
            let mut moments = [a, b, c];
            moments.sort();
            let [a, b, c] = moments;
            prop_assert_eq!(shop.open_between(a, b) + shop.open_between(b, c), shop.open_between(a, c));
            prop_assert!(shop.open_between(a, c) <= c.0 - a.0);
            prop_assert_eq!(shop.open_between(c, a), 0);
        }

        #[test]
        fn what_is_due_after_some_working_time_is_that_far_and_in_the_open(shop in any_week(), from in any_moment(), minutes in 1..3_000_i64) {
            if let Some(due) = shop.after(from, minutes * MINUTE_US) {
                prop_assert_eq!(shop.open_between(from, due), minutes * MINUTE_US);
                prop_assert!(shop.is_open(due.plus(-1)));
            } else {
                prop_assert!(shop.open_between(from, from.plus(380 * DAY_US)) < minutes * MINUTE_US);
            }
        }

        #[test]
        fn the_next_opening_is_the_first_open_moment(shop in any_week(), from in any_moment()) {
            if let Some(next) = shop.after(from, 0) {
                prop_assert!(next >= from && shop.is_open(next));
                prop_assert_eq!(shop.open_between(from, next), 0);
                prop_assert_eq!(shop.is_open(from), next == from);
                prop_assert!(next.0 - from.0 < 36 * DAY_US);
            }
        }
    }
}
