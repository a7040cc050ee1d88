//! Time is an argument: nobody asks the system, everybody is handed a [`Clock`].

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

pub const SECOND_US: i64 = 1_000_000;
pub const MINUTE_US: i64 = 60 * SECOND_US;
pub const HOUR_US: i64 = 60 * MINUTE_US;
pub const DAY_US: i64 = 24 * HOUR_US;

/// A moment: microseconds since 1970-01-01 UTC. Stored as BIGINT, written on the wire as RFC 3339 with six digits and `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const fn micros(self) -> i64 {
        self.0
    }
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND_US)
    }
    pub const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// What a client hears, in DRF's words, of a text that [`Timestamp::parse`] refuses.
    pub const WRONG_FORMAT: &'static str =
        "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].";

    /// Reads RFC 3339 / ISO 8601 with an offset or `Z`; a date-time without an offset is read as UTC.
    /// `None` when the text is neither or lies outside the years 1 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = match text.parse::<jiff::Timestamp>() {
            Ok(moment) => moment,
            Err(_) => text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
        };
        let micros = moment.as_microsecond();
        // 0001-01-01 and 9999-12-31: what the wire format can write with four digits of year
        (-62_135_596_800_000_000..=253_402_300_799_999_999).contains(&micros).then_some(Self(micros))
    }

    /// `2026-04-28T12:34:56.789Z`: ISO 8601 in UTC with milliseconds, as `Date.toISOString` writes it.
    pub fn to_millis(self) -> String {
        let micros = self.to_string();
        format!("{}Z", &micros[..micros.len() - 4])
    }

    /// Writes `2026-06-22T10:00:00.000000Z` at the end of `out`; the hot path of every list.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let (days, in_day) = (self.0.div_euclid(DAY_US), self.0.rem_euclid(DAY_US));
        // Civil date from days since the epoch: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        let (seconds, micros) = (in_day / SECOND_US, in_day % SECOND_US);
        digits(out, year, 4);
        out.push(b'-');
        digits(out, month, 2);
        out.push(b'-');
        digits(out, day, 2);
        out.push(b'T');
        digits(out, seconds / 3_600, 2);
        out.push(b':');
        digits(out, seconds / 60 % 60, 2);
        out.push(b':');
        digits(out, seconds % 60, 2);
        out.push(b'.');
        digits(out, micros, 6);
        out.push(b'Z');
    }
}

fn digits(out: &mut Vec<u8>, mut number: i64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for slot in out[start..].iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(27);
        self.write_to(&mut out);
        f.write_str(std::str::from_utf8(&out).expect("digits are ASCII"))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// The machine's clock; made once, in the binary's wiring.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one lawful place that reads the system's time")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved; for tests.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for text in [
            "2026-06-22T10:00:00.000000Z",
            "1970-01-01T00:00:00.000001Z",
            "2024-02-29T23:59:59.999999Z",
            "1999-12-31T00:00:00.000000Z",
            "0001-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn offsets_are_folded_into_utc_and_nonsense_is_refused() {
        assert_eq!(Timestamp::parse("2026-06-22T12:00:00+02:00").unwrap().to_string(), "2026-06-22T10:00:00.000000Z");
        assert_eq!(Timestamp::parse("2026-06-22T10:00:00").unwrap().to_string(), "2026-06-22T10:00:00.000000Z");
        for text in ["", "today", "2026-13-01T00:00:00Z", "99999-01-01T00:00:00Z"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
