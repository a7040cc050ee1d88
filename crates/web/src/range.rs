//! Parts of an answer: `Range`, `If-Range`, `If-None-Match` and `If-Match` of RFC 9110 for content that has a strong tag and a length.

use std::ops::Range;

use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG};
use loopd_types::{Kind, Problem, Result};

use crate::{Call, Reply, names_tag};

/// What of the content is to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// The client has it: 304.
    Known,
    Whole,
    /// 206
    Some(Range<u64>),
}

impl Part {
    /// Decides from the call's headers.
    ///
    /// # Errors
    /// 412 when `If-Match` names another tag; 416 with the length when the range lies outside.
    pub fn asked(call: &Call, tag: &str, length: u64) -> Result<Self> {
        let of = Asked {
            range: call.header("range"),
            if_range: call.header("if-range"),
            if_match: call.header("if-match"),
            if_none_match: call.header("if-none-match"),
        };
        of.decide(tag, length)
    }

    /// The bytes that the store is asked for.
    pub fn range(&self, length: u64) -> Range<u64> {
        match self {
            Self::Known => 0..0,
            Self::Whole => 0..length,
            Self::Some(range) => range.clone(),
        }
    }

    /// Gives a streamed answer of this part its status and headers.
    pub fn dress(&self, mut reply: Reply, tag: &str, length: u64) -> Reply {
        if let Self::Some(range) = self {
            reply.status = StatusCode::PARTIAL_CONTENT;
            reply = reply.with_header(CONTENT_RANGE, &format!("bytes {}-{}/{length}", range.start, range.end - 1));
        }
        reply.with_header(ACCEPT_RANGES, "bytes").with_header(ETAG, &format!("\"{tag}\""))
    }
}

struct Asked<'a> {
    range: Option<&'a str>,
    if_range: Option<&'a str>,
    if_match: Option<&'a str>,
    if_none_match: Option<&'a str>,
}

impl Asked<'_> {
    /// In the order of RFC 9110, 13.2.2.
    fn decide(&self, tag: &str, length: u64) -> Result<Part> {
        if self.if_match.is_some() && !strong(self.if_match, tag) {
            let words = "The content is not the one that If-Match names.";
            return Err(Problem::new(Kind::PreconditionFailed, "precondition_failed", words));
        }
        if names_tag(self.if_none_match, tag) {
            return Ok(Part::Known);
        }
        // A date, or a weak tag, never proves that it is the same content: then all of it is sent (13.1.5).
        if self.if_range.is_some() && !strong(self.if_range, tag) {
            return Ok(Part::Whole);
        }
        match self.range.map(|range| parse(range, length)) {
            Some(Parsed::One(range)) => Ok(Part::Some(range)),
            Some(Parsed::Outside) => Err(Problem::new(
                Kind::RangeNotSatisfiable,
                "range_not_satisfiable",
                format!("The content has {length} bytes; none of them are in this range."),
            )
            .with_header("Content-Range", format!("bytes */{length}"))),
            // What cannot be read, and several ranges at once, may be answered with the whole (14.2).
            Some(Parsed::Ignored) | None => Ok(Part::Whole),
        }
    }
}

/// Strong comparison: weak tags match nothing (8.8.3.2).
fn strong(header: Option<&str>, tag: &str) -> bool {
    let mut tags = header.unwrap_or_default().split(',').map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix('"').and_then(|one| one.strip_suffix('"')) == Some(tag))
}

#[derive(PartialEq, Eq, Debug)]
enum Parsed {
    One(Range<u64>),
    Outside,
    Ignored,
}

fn parse(header: &str, length: u64) -> Parsed {
    let Some((unit, ranges)) = header.split_once('=') else { return Parsed::Ignored };
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return Parsed::Ignored;
    }
    let Some((first, last)) = ranges.trim().split_once('-') else { return Parsed::Ignored };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return Parsed::Ignored;
    }
    // More digits than a number holds are beyond every end.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    match (first, last) {
        ("", "") => Parsed::Ignored,
        ("", suffix) => match number(suffix).min(length) {
            0 => Parsed::Outside,
            count => Parsed::One(length - count..length),
        },
        (first, last) => {
            let (first, last) = (number(first), if last.is_empty() { u64::MAX } else { number(last) });
            if last < first {
                Parsed::Ignored
            } else if first >= length {
                Parsed::Outside
            } else {
                Parsed::One(first..last.min(length - 1) + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (header, parsed) in [
            ("bytes=0-0", Parsed::One(0..1)),
            ("bytes=0-499", Parsed::One(0..100)),
            ("Bytes = 10-19", Parsed::One(10..20)),
            ("bytes=90-", Parsed::One(90..100)),
            ("bytes=-10", Parsed::One(90..100)),
            ("bytes=-1000", Parsed::One(0..100)),
            ("bytes=99999999999999999999999-", Parsed::Outside),
            ("bytes=0-99999999999999999999999", Parsed::One(0..100)),
            ("bytes=100-", Parsed::Outside),
            ("bytes=-0", Parsed::Outside),
            ("bytes=5-4", Parsed::Ignored),
            ("bytes=-", Parsed::Ignored),
            ("bytes=a-b", Parsed::Ignored),
            ("bytes=+1-2", Parsed::Ignored),
            ("bytes=0-1,5-6", Parsed::Ignored),
            ("lines=0-1", Parsed::Ignored),
            ("bytes", Parsed::Ignored),
        ] {
            assert_eq!(parse(header, 100), parsed, "{header}");
        }
        assert_eq!(parse("bytes=0-", 0), Parsed::Outside);
    }

    #[test]
    fn conditions_come_before_ranges() {
        let decide = |range, if_range, if_match, if_none_match| {
            Asked { range, if_range, if_match, if_none_match }.decide("t", 100).map_err(|problem| problem.status())
        };
        assert_eq!(decide(Some("bytes=0-1"), None, None, Some("\"t\"")), Ok(Part::Known));
        assert_eq!(decide(Some("bytes=0-1"), Some("\"t\""), None, None), Ok(Part::Some(0..2)));
        for other in ["\"u\"", "W/\"t\"", "Sun, 22 Nov 2026 10:00:00 GMT"] {
            assert_eq!(decide(Some("bytes=0-1"), Some(other), None, None), Ok(Part::Whole), "{other}");
        }
        assert_eq!(decide(None, None, Some("\"u\""), None), Err(412));
        assert_eq!(decide(Some("bytes=100-"), None, Some("\"t\""), None), Err(416));
    }
}
