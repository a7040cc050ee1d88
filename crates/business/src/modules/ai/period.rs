//! Spans of time as people mean them, in the company's time zone. Weeks begin on Monday.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use loopd_types::{Problem, Result, Timestamp};

/// A span that a question can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Today,
    Yesterday,
    ThisWeek,
    LastWeek,
    ThisMonth,
    LastMonth,
}

/// A span of days and the moments it lasts, with the span before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub period: Period,
    pub from: Timestamp,
    /// Not in it any longer.
    pub until: Timestamp,
    pub first_day: Date,
    pub last_day: Date,
    /// The span of the same kind before this one.
    pub before_from: Timestamp,
    /// As far into the span before as we are into this one; the whole of it when this one is over.
    pub before_until_same_point: Timestamp,
}

impl Period {
    pub const NAMES: [(&'static str, Period); 6] = [
        ("today", Period::Today),
        ("yesterday", Period::Yesterday),
        ("this_week", Period::ThisWeek),
        ("last_week", Period::LastWeek),
        ("this_month", Period::ThisMonth),
        ("last_month", Period::LastMonth),
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, period)| *period == self).map_or("", |(name, _)| name)
    }
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, period)| *period)
    }

    /// The span as seen from `now` in `zone`.
    ///
    /// # Errors
    /// 500 beyond the years that calendars know.
    pub fn span(self, now: Timestamp, zone: &str) -> Result<Span> {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let moment = jiff::Timestamp::from_microsecond(now.micros()).map_err(Problem::internal)?;
        let today = moment.to_zoned(zone.clone()).date();
        let monday = back(today, i64::from(today.weekday().to_monday_zero_offset()))?;
        let month = today.first_of_month();
        let last_month = back(month, 1)?.first_of_month();
        let (first, end, before) = match self {
            Period::Today => (today, on(today, 1)?, back(today, 1)?),
            Period::Yesterday => (back(today, 1)?, today, back(today, 2)?),
            Period::ThisWeek => (monday, on(monday, 7)?, back(monday, 7)?),
            Period::LastWeek => (back(monday, 7)?, monday, back(monday, 14)?),
            Period::ThisMonth => (month, on(month.last_of_month(), 1)?, last_month),
            Period::LastMonth => (last_month, month, back(last_month, 1)?.first_of_month()),
        };
        let start = |day: Date| -> Result<Timestamp> {
            let zoned = day.to_zoned(zone.clone()).map_err(Problem::internal)?;
            Ok(Timestamp(zoned.timestamp().as_microsecond()))
        };
        let (from, until, before_from) = (start(first)?, start(end)?, start(before)?);
        let elapsed = now.micros().min(until.micros()) - from.micros();
        let same_point = if now >= until { from } else { before_from.plus(elapsed).min(from) };
        let last_day = back(end, 1)?;
        Ok(Span {
            period: self,
            from,
            until,
            first_day: first,
            last_day,
            before_from,
            before_until_same_point: same_point,
        })
    }
}

fn back(day: Date, days: i64) -> Result<Date> {
    day.checked_sub(days.days()).map_err(Problem::internal)
}

fn on(day: Date, days: i64) -> Result<Date> {
    day.checked_add(days.days()).map_err(Problem::internal)
}

/// The beginnings of the last `count` months up to the present one, newest first, each with its end and its name `2026-06`.
///
/// # Errors
/// As [`Period::span`].
pub(super) fn months(now: Timestamp, zone: &str, count: usize) -> Result<Vec<(String, Timestamp, Timestamp)>> {
    let tz = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let this = Period::ThisMonth.span(now, zone)?;
    let (mut day, mut end) = (this.first_day, this.until);
    let mut months = Vec::with_capacity(count);
    for _ in 0..count {
        let start = day.to_zoned(tz.clone()).map_err(Problem::internal)?.timestamp().as_microsecond();
        months.push((day.strftime("%Y-%m").to_string(), Timestamp(start), end));
        end = Timestamp(start);
        day = back(day, 1)?.first_of_month();
    }
    Ok(months)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday_at_midnight_of_the_company() {
        // a Wednesday in Kigali, 01:30; still Tuesday in UTC
        let now = Timestamp::parse("2026-06-23T23:30:00Z").unwrap();
        let week = Period::ThisWeek.span(now, "Africa/Kigali").unwrap();
        assert_eq!(week.from, Timestamp::parse("2026-06-21T22:00:00Z").unwrap());
        assert_eq!(week.until, Timestamp::parse("2026-06-28T22:00:00Z").unwrap());
        assert_eq!(week.before_from, Timestamp::parse("2026-06-14T22:00:00Z").unwrap());
        assert_eq!(week.before_until_same_point, Timestamp::parse("2026-06-16T23:30:00Z").unwrap());
        assert_eq!(week.first_day.to_string(), "2026-06-22");
        assert_eq!(week.last_day.to_string(), "2026-06-28");
        assert_eq!(Period::Today.span(now, "Africa/Kigali").unwrap().first_day.to_string(), "2026-06-24");
        let last = Period::LastMonth.span(now, "Africa/Kigali").unwrap();
        assert_eq!((last.first_day.to_string(), last.last_day.to_string()), ("2026-05-01".into(), "2026-05-31".into()));
    }

    #[test]
    fn months_follow_each_other_backwards() {
        let now = Timestamp::parse("2026-01-15T00:00:00Z").unwrap();
        let names: Vec<String> = months(now, "UTC", 3).unwrap().into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["2026-01", "2025-12", "2025-11"]);
    }
}
