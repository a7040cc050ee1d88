//! Ids: UUIDv7 for rows, a number with a printed code for companies.

use std::fmt;
use std::sync::Mutex;

use uuid::Uuid;

use crate::{Clock, Rng, Timestamp};

/// The tenant key: the number behind a company's code, first column of every tenant table. `CompanyId(1)` is code `001`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CompanyId(pub i64);

impl CompanyId {
    pub fn code(self) -> CompanyCode {
        CompanyCode(self)
    }
}

/// How a company is named on the wire: `001`, `002`, … `999`, `1000` (spec/loop.md 5.4). Always a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompanyCode(pub CompanyId);

impl CompanyCode {
    /// Reads exactly what [`fmt::Display`] writes: `1` or `0001` are not `001`.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = (text.len() == 3 || (text.len() > 3 && !text.starts_with('0')))
            && text.len() <= 15
            && text.bytes().all(|b| b.is_ascii_digit());
        let number: i64 = if canonical { text.parse().ok()? } else { return None };
        (number > 0).then_some(Self(CompanyId(number)))
    }
}

impl fmt::Display for CompanyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0.0)
    }
}

/// Makes UUIDv7 ids (RFC 9562, 5.7) that never go backwards within a process: rows made later sort later.
pub struct Ids {
    last: Mutex<(i64, u16)>,
}

impl Default for Ids {
    fn default() -> Self {
        Self { last: Mutex::new((0, 0)) }
    }
}

impl Ids {
    /// The least id of this moment: what was made before it sorts below, what is made from it on sorts above.
    pub fn floor(at: Timestamp) -> Uuid {
        let mut bytes = [0u8; 16];
        bytes[..6].copy_from_slice(&at.0.div_euclid(1_000).max(0).to_be_bytes()[2..]);
        bytes[6] = 0x70;
        bytes[8] = 0x80;
        Uuid::from_bytes(bytes)
    }

    /// The next id. Within one millisecond a 12-bit counter keeps the order (RFC 9562, 6.2 method 1).
    pub fn next(&self, clock: &dyn Clock, rng: &dyn Rng) -> Uuid {
        self.next_at(clock.now(), rng)
    }

    pub fn next_at(&self, now: Timestamp, rng: &dyn Rng) -> Uuid {
        let (millis, counter) = {
            let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let millis = now.0.div_euclid(1_000);
            *last = match *last {
                (before, counter) if millis > before => {
                    let _ = counter;
                    (millis, 0)
                }
                (before, 0xfff) => (before + 1, 0),
                (before, counter) => (before, counter + 1),
            };
            *last
        };
        let mut bytes = [0u8; 16];
        rng.fill(&mut bytes[8..]);
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6] = 0x70 | (counter >> 8) as u8;
        bytes[7] = counter as u8;
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        Uuid::from_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, SeededRng};

    #[test]
    fn codes_are_read_exactly_as_written() {
        for (number, text) in [(1, "001"), (42, "042"), (999, "999"), (1000, "1000"), (12345, "12345")] {
            assert_eq!(CompanyId(number).code().to_string(), text);
            assert_eq!(CompanyCode::parse(text), Some(CompanyCode(CompanyId(number))));
        }
        for text in ["", "1", "01", "0001", "000", "-01", "+01", " 001", "0x1", "1e3", "9999999999999999"] {
            assert_eq!(CompanyCode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_rise_even_when_the_clock_stands_still_or_goes_back() {
        let (ids, clock, rng) = (Ids::default(), ManualClock::at(Timestamp(1_800_000_000_000_000)), SeededRng::new(7));
        let mut before = ids.next(&clock, &rng);
        for step in 0..10_000 {
            if step == 5_000 {
                clock.advance(-60_000_000);
            }
            let id = ids.next(&clock, &rng);
            assert!(id > before);
            assert!(step >= 5_000 || id >= Ids::floor(clock.now()));
            assert!(id < Ids::floor(clock.now().plus(120_000_000)));
            assert_eq!(id.get_version_num(), 7);
            before = id;
        }
    }
}
