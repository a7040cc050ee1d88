//! Opening hours: what a week and its exceptions say, and the stretches of time that follow from them. Pure.
//!
//! Hours are wall-clock times of a zone. A day's hours become moments one day at a time, so that a day with a change of the clocks is as
//! long as it really is.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use loopd_types::Timestamp;
use serde_json::Value as Json;

/// A stretch of time: `from` belongs to it, `to` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
    pub fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }
    pub fn common(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
    /// Microseconds.
    pub fn length(self) -> i64 {
        self.to.micros() - self.from.micros()
    }
}

/// Parts of one day, in minutes after midnight; an end above 1440 lies in the next day.
type Hours = Vec<(i64, i64)>;

/// Hours of each weekday, Monday first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Week([Hours; 7]);

/// Days with hours of their own.
pub type Exceptions = BTreeMap<Date, Hours>;

/// When somebody or something can be booked.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub week: Week,
    pub exceptions: Exceptions,
    pub valid_from: Option<Date>,
    pub valid_until: Option<Date>,
    pub zone: TimeZone,
}

const DAY_MIN: i64 = 24 * 60;
/// Parts of one day.
const PARTS_MAX: usize = 24;
/// Exceptions in one schedule.
pub const EXCEPTIONS_MAX: usize = 1_000;
const DAYS: [(&str, &str); 7] = [
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "saturday"),
    ("sun", "sunday"),
];

impl Week {
    /// Reads `{"mon": [["08:00", "12:00"], ["13:00", "17:00"]]}`; a day that is not named is closed.
    ///
    /// # Errors
    /// What is wrong, in a sentence for the client.
    pub fn read(json: &Json) -> Result<Self, String> {
        let Json::Object(days) = json else { return Err("Hours are an object of weekdays.".into()) };
        let mut week = Self::default();
        for (name, hours) in days {
            let lower = name.to_lowercase();
            let at = DAYS.iter().position(|(short, long)| lower == *short || lower == *long);
            let at = at.ok_or_else(|| format!("\"{name}\" is no weekday; use mon, tue, wed, thu, fri, sat, sun."))?;
            week.0[at] = read_hours(hours).map_err(|words| format!("{name}: {words}"))?;
        }
        Ok(week)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    fn on(&self, day: Weekday) -> &[(i64, i64)] {
        &self.0[usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)]
    }
}

/// Reads `[{"date": "2026-07-01", "hours": []}]`.
///
/// # Errors
/// What is wrong, in a sentence for the client.
pub fn read_exceptions(json: &Json) -> Result<Exceptions, String> {
    let Json::Array(rows) = json else { return Err("Exceptions are a list of {\"date\", \"hours\"}.".into()) };
    if rows.len() > EXCEPTIONS_MAX {
        return Err(format!("There can be no more than {EXCEPTIONS_MAX} exceptions."));
    }
    let mut exceptions = Exceptions::new();
    for (index, row) in rows.iter().enumerate() {
        let date = row.get("date").and_then(Json::as_str).and_then(|text| text.parse::<Date>().ok());
        let date = date.ok_or_else(|| format!("Exception {index} needs a date, YYYY-MM-DD."))?;
        let hours = match row.get("hours") {
            None | Some(Json::Null) => Hours::new(),
            Some(hours) => read_hours(hours).map_err(|words| format!("{date}: {words}"))?,
        };
        exceptions.entry(date).or_default().extend(hours);
    }
    Ok(exceptions)
}

fn read_hours(json: &Json) -> Result<Hours, String> {
    const SHAPE: &str = "hours are a list of [\"from\", \"to\"].";
    let Json::Array(parts) = json else { return Err(SHAPE.into()) };
    if parts.len() > PARTS_MAX {
        return Err(format!("a day has no more than {PARTS_MAX} parts."));
    }
    let mut hours = Hours::with_capacity(parts.len());
    for part in parts {
        let Some([from, to]) = part.as_array().map(Vec::as_slice) else { return Err(SHAPE.into()) };
        let (from, mut to) = (read_time(from)?, read_time(to)?);
        if from == to || from == DAY_MIN {
            return Err("the end must differ from the beginning; a whole day is [\"00:00\", \"24:00\"].".into());
        }
        if to < from {
            // A night: 20:00 to 02:00 ends tomorrow.
            to += DAY_MIN;
        }
        hours.push((from, to));
    }
    Ok(hours)
}

fn read_time(json: &Json) -> Result<i64, String> {
    let text = json.as_str().unwrap_or_default();
    let words = || format!("{json} is no time of day; use HH:MM.");
    let (hour, minute) = text.split_once(':').ok_or_else(words)?;
    let number = |digits: &str| match digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse::<i64>().ok(),
        false => None,
    };
    // seconds may be written, since clients send what time pickers give them, but must be none
    let minute = minute.strip_suffix(":00").unwrap_or(minute);
    match (number(hour), number(minute)) {
        (Some(24), Some(0)) => Ok(DAY_MIN),
        (Some(hour), Some(minute)) if hour < 24 && minute < 60 => Ok(hour * 60 + minute),
        _ => Err(words()),
    }
}

impl Schedule {
    fn covers(&self, date: Date) -> bool {
        self.valid_from.is_none_or(|first| first <= date) && self.valid_until.is_none_or(|last| date <= last)
    }
}

/// The stretches in which one owner is open, in order; they may touch. `schedules` are the owner's own (a day with an exception in any of
/// them follows exceptions only), `company` those of the whole company, whose exceptions bind owners that have none for the day.
pub fn open(schedules: &[&Schedule], company: &[&Schedule], window: Span) -> Vec<Span> {
    let mut spans = Vec::new();
    for schedule in schedules {
        for date in dates(window, &schedule.zone) {
            let is_exceptional = schedules.iter().any(|any| any.exceptions.contains_key(&date));
            let hours = match schedule.exceptions.get(&date) {
                Some(hours) => hours.as_slice(),
                None if is_exceptional || !schedule.covers(date) => continue,
                None => schedule.week.on(date.weekday()),
            };
            let parts = hours.iter().filter_map(|part| moments(date, *part, &schedule.zone));
            let bounds: Vec<&Schedule> =
                company.iter().copied().filter(|any| !is_exceptional && any.exceptions.contains_key(&date)).collect();
            if bounds.is_empty() {
                spans.extend(parts);
                continue;
            }
            let bounds: Vec<Span> = bounds
                .iter()
                .flat_map(|any| any.exceptions[&date].iter().filter_map(|part| moments(date, *part, &any.zone)))
                .collect();
            spans.extend(parts.flat_map(|part| bounds.iter().map(move |bound| part.common(*bound))));
        }
    }
    spans.retain(|span| !span.is_empty() && span.overlaps(window));
    spans.sort();
    spans.dedup();
    spans
}

/// Stretches that touch or overlap become one.
pub fn merged(spans: &[Span]) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => merged.push(*span),
        }
    }
    merged
}

/// What is in both; each list in order.
pub fn both(left: &[Span], right: &[Span]) -> Vec<Span> {
    let mut common: Vec<Span> = left
        .iter()
        .flat_map(|span| right.iter().map(|other| span.common(*other)))
        .filter(|span| !span.is_empty())
        .collect();
    common.sort();
    common
}

/// The calendar days of a zone, as stretches, that a window touches.
pub fn days(window: Span, zone: &TimeZone) -> Vec<Span> {
    let whole = |date| moments(date, (0, DAY_MIN), zone);
    dates(window, zone).filter_map(whole).filter(|day| day.overlaps(window)).collect()
}

/// Days of the zone that have something to do with the window; the day before, because nights end tomorrow.
fn dates(window: Span, zone: &TimeZone) -> impl Iterator<Item = Date> {
    let first = day_of(window.from, zone);
    let last = day_of(window.to, zone);
    let first = first.yesterday().unwrap_or(first);
    first.series(jiff::Span::new().days(1)).take_while(move |date| *date <= last)
}

/// The calendar day of a moment.
pub fn day_of(moment: Timestamp, zone: &TimeZone) -> Date {
    let moment = jiff::Timestamp::from_microsecond(moment.micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_zoned(zone.clone()).date()
}

/// A wall-clock time that the clocks skip is read as if they had not been changed yet; of one that comes twice the first is meant.
fn moments(date: Date, (from, to): (i64, i64), zone: &TimeZone) -> Option<Span> {
    let moment = |minutes: i64| {
        let date = if minutes >= DAY_MIN { date.tomorrow().ok()? } else { date };
        let minutes = minutes % DAY_MIN;
        let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
        let zoned = date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?;
        Some(Timestamp(zoned.timestamp().as_microsecond()))
    };
    Some(Span::new(moment(from)?, moment(to)?)).filter(|span| !span.is_empty())
}

/// The beginning of a day in a zone.
pub fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    moments(date, (0, DAY_MIN), zone).map(|day| day.from)
}

#[cfg(test)]
mod tests {
    use loopd_types::HOUR_US;
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }
    fn schedule(week: Json, exceptions: Json, zone: &str) -> Schedule {
        Schedule {
            week: Week::read(&week).unwrap(),
            exceptions: read_exceptions(&exceptions).unwrap(),
            valid_from: None,
            valid_until: None,
            zone: TimeZone::get(zone).unwrap(),
        }
    }
    fn hours_on(schedule: &Schedule, from: &str, to: &str) -> Vec<i64> {
        let spans = open(&[schedule], &[], Span::new(at(from), at(to)));
        spans.iter().map(|span| span.length() / HOUR_US).collect()
    }

    #[test]
    fn a_night_with_a_change_of_the_clocks_is_as_long_as_it_is() {
        let night = schedule(json!({"sun": [["00:00", "06:00"]]}), json!([]), "Europe/Berlin");
        assert_eq!(hours_on(&night, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), [5]);
        assert_eq!(hours_on(&night, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), [7]);
        assert_eq!(hours_on(&night, "2026-11-07T12:00:00Z", "2026-11-08T12:00:00Z"), [6]);
    }

    #[test]
    fn exceptions_replace_the_day_and_nights_end_tomorrow() {
        let bar = schedule(
            json!({"Friday": [["20:00", "02:00"]]}),
            json!([{"date": "2026-07-03", "hours": [["10:00", "12:00"]]}, {"date": "2026-07-10"}]),
            "Africa/Kigali",
        );
        assert_eq!(hours_on(&bar, "2026-06-26T00:00:00Z", "2026-06-27T12:00:00Z"), [6]);
        assert_eq!(hours_on(&bar, "2026-07-03T00:00:00Z", "2026-07-04T12:00:00Z"), [2]);
        assert!(hours_on(&bar, "2026-07-10T00:00:00Z", "2026-07-11T12:00:00Z").is_empty());
        // asked for after midnight, the night of the day before is still open
        assert_eq!(hours_on(&bar, "2026-06-26T22:30:00Z", "2026-06-26T23:00:00Z"), [6]);
    }

    #[test]
    fn a_closed_day_of_the_company_closes_its_people() {
        let week = json!({"wed": [["08:00", "16:00"]]});
        let company = schedule(json!({}), json!([{"date": "2026-07-01", "hours": [["08:00", "10:00"]]}]), "UTC");
        let own = schedule(week.clone(), json!([]), "UTC");
        let stubborn = schedule(week, json!([{"date": "2026-07-01", "hours": [["12:00", "15:00"]]}]), "UTC");
        let window = Span::new(at("2026-07-01T00:00:00Z"), at("2026-07-02T00:00:00Z"));
        assert_eq!(open(&[&own], &[&company], window)[0].length() / HOUR_US, 2);
        assert_eq!(open(&[&stubborn], &[&company], window)[0].length() / HOUR_US, 3);
    }

    #[test]
    fn nonsense_is_refused_with_words() {
        for week in [
            json!([]),
            json!({"someday": []}),
            json!({"mon": ["08:00"]}),
            json!({"mon": [["8", "9"]]}),
            json!({"mon": [["08:00", "08:00"]]}),
            json!({"mon": [["08:00", "25:00"]]}),
            json!({"mon": [["24:00", "08:00"]]}),
        ] {
            assert!(Week::read(&week).is_err(), "{week}");
        }
        assert!(read_exceptions(&json!([{"date": "tomorrow"}])).is_err());
        assert!(Week::read(&json!({"mon": [["00:00", "24:00"]], "tue": [["08:00:00", "09:30:00"]]})).is_ok());
    }
}
