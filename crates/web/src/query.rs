//! [`Query`]: typed access to the query string. Order and repeated keys are kept, because lists and filters need both.

use loopd_kernel::listing::split_terms;
use loopd_types::{Problem, Result, Timestamp, Uuid};

pub use loopd_kernel::listing::{invalid_page, parse_bool};

/// Rows on a page when the caller does not say (spec/loop.md 4.3).
pub const DEFAULT_PAGE_SIZE: u32 = 25;
/// The largest page a caller may ask for.
pub const MAX_PAGE_SIZE: u32 = 100;

/// Most pairs of a query string. Each may become a condition, and SQLite refuses expressions deeper than 1000.
const MAX_PAIRS: usize = 200;

/// The decoded pairs of a query string, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

/// Which page is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageNumber {
    /// 1-based.
    Number(u32),
    /// `?page=last`
    Last,
}

/// `page` and `page_size` of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    pub page: PageNumber,
    /// 1 to [`MAX_PAGE_SIZE`].
    pub size: u32,
}

impl Query {
    /// Reads the text after the `?`. `+` is a space and `%XX` is decoded, as HTML forms write them.
    ///
    /// # Errors
    /// 400 `validation_error` on the parameter whose bytes are not UTF-8 or hold a NUL, which no database text can, and for more
    /// than 200 parameters.
    pub fn parse(raw: Option<&str>) -> Result<Self> {
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else { return Ok(Self::default()) };
        let mut pairs = Vec::new();
        for part in raw.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let key = decode(key, true).filter(|key| !key.contains('\0')).ok_or_else(|| {
                Problem::field(loopd_types::NON_FIELD, "invalid", "Not a valid query parameter name.")
            })?;
            let Some(value) = decode(value, true) else {
                return Err(Problem::field(key, "invalid", "Not a valid string."));
            };
            if value.contains('\0') {
                return Err(Problem::field(key, "null_characters_not_allowed", "Null characters are not allowed."));
            }
            if pairs.len() == MAX_PAIRS {
                let words = format!("No more than {MAX_PAIRS} parameters.");
                return Err(Problem::field(loopd_types::NON_FIELD, "max_length", words));
            }
            pairs.push((key, value));
        }
        Ok(Self { pairs })
    }

    /// All pairs in the order of the URL.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The last value of `key`, as Django's `QueryDict` gives it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Every value of `key`, in order.
    pub fn all<'q>(&'q self, key: &'q str) -> impl Iterator<Item = &'q str> {
        self.pairs.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The values of `key`: repeated keys and comma lists alike, blanks trimmed, empty entries dropped.
    pub fn list<'q>(&'q self, key: &'q str) -> Vec<&'q str> {
        self.all(key).flat_map(|value| value.split(',')).map(str::trim).filter(|entry| !entry.is_empty()).collect()
    }

    /// The terms of `?search=`, of the last one as in DRF ([`split_terms`]).
    pub fn search(&self) -> Vec<String> {
        split_terms(self.get("search").unwrap_or_default())
    }

    /// The fields of `?ordering=` as [`Query::list`] gives them, each with whether it is descending (`-name`).
    pub fn ordering(&self) -> impl Iterator<Item = (&str, bool)> {
        self.list("ordering").into_iter().map(descending)
    }

    /// `true/false/1/0/yes/no/on/off`, any case; absent or empty is `None`.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "Must be a valid boolean.", parse_bool)
    }

    /// A whole number; absent or empty is `None`.
    pub fn integer(&self, key: &str) -> Result<Option<i64>> {
        self.typed(key, "A valid integer is required.", |text| text.parse().ok())
    }

    /// A UUID; absent or empty is `None`.
    pub fn uuid(&self, key: &str) -> Result<Option<Uuid>> {
        self.typed(key, "Must be a valid UUID.", |text| Uuid::parse_str(text).ok())
    }

    /// A moment (RFC 3339, without an offset UTC); absent or empty is `None`.
    pub fn time(&self, key: &str) -> Result<Option<Timestamp>> {
        self.typed(key, Timestamp::WRONG_FORMAT, Timestamp::parse)
    }

    /// `page` and `page_size` (spec/loop.md 4.3, 5.8).
    ///
    /// # Errors
    /// A `page` that is no page number is 404 `not_found` "Invalid page.", as DRF answers. A `page_size` that is no
    /// number from 1 up is 400 on the field; one beyond [`MAX_PAGE_SIZE`] is cut down to it.
    pub fn page(&self) -> Result<PageRequest> {
        let page = match self.get("page") {
            None => PageNumber::Number(1),
            Some("last") => PageNumber::Last,
            Some(text) => PageNumber::Number(text.parse().ok().filter(|n| *n >= 1).ok_or_else(invalid_page)?),
        };
        let size = match self.get("page_size") {
            None => DEFAULT_PAGE_SIZE,
            Some(text) => match text.parse::<u64>() {
                Ok(size) if size >= 1 => size.min(u64::from(MAX_PAGE_SIZE)) as u32,
                _ => return Err(Problem::field("page_size", "invalid", "A valid integer is required.")),
            },
        };
        Ok(PageRequest { page, size })
    }

    /// Refuses parameters that nobody reads: silent ignoring hides mistakes (spec/loop.md 5.8).
    ///
    /// # Errors
    /// 400 `validation_error` naming every key for which `is_known` is false.
    pub fn refuse_unknown(&self, is_known: impl Fn(&str) -> bool) -> Result<()> {
        let mut problem = Problem::validation();
        for (key, _) in self.pairs() {
            if !is_known(key) {
                problem.add_field(key, "unknown_parameter", "Unknown query parameter.");
            }
        }
        if problem.has_fields() { Err(problem) } else { Ok(()) }
    }

    /// The pairs sorted and encoded again: the same set in another order gives the same text.
    pub fn canonical(&self) -> String {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort();
        let mut out = String::new();
        write_pairs(&mut out, pairs.into_iter().map(|(key, value)| (key.as_str(), value.as_str())));
        out
    }

    fn typed<T>(&self, key: &str, words: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        match self.get(key).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => parse(text).map(Some).ok_or_else(|| Problem::field(key, "invalid", words)),
        }
    }
}

/// The name in `name` or `-name`, and whether it is the latter.
pub fn descending(word: &str) -> (&str, bool) {
    match word.strip_prefix('-') {
        Some(name) => (name, true),
        None => (word, false),
    }
}

/// Decodes `%XX`, and `+` as a space when `plus_is_space` (forms, not paths). `None` when the bytes are not UTF-8.
/// A `%` without two hex digits stands for itself, as browsers and Django read it.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| *byte == b'%' || (plus_is_space && *byte == b'+')) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |offset: usize| bytes.get(at + offset).and_then(|digit| (*digit as char).to_digit(16));
        match bytes[at] {
            b'+' if plus_is_space => out.push(b' '),
            b'%' => match (hex(1), hex(2)) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    at += 2;
                }
                _ => out.push(b'%'),
            },
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

/// Writes `a=b&c=d`, percent-encoded.
pub(crate) fn write_pairs<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    for (number, (key, value)) in pairs.enumerate() {
        if number > 0 {
            out.push('&');
        }
        encode(out, key);
        out.push('=');
        encode(out, value);
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, 2.3 and the comma, which lists use.
pub fn encode(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> Query {
        Query::parse(Some(raw)).unwrap()
    }

    #[test]
    fn pairs_keep_order_and_repetition_and_are_decoded() {
        let q = query("b=2&a=1%202&&b=%C3%A9+x&flag&pct=100%&c=x,y&c=z");
        assert_eq!(
            q.pairs().collect::<Vec<_>>(),
            [("b", "2"), ("a", "1 2"), ("b", "é x"), ("flag", ""), ("pct", "100%"), ("c", "x,y"), ("c", "z")]
        );
        assert_eq!(q.get("b"), Some("é x"));
        assert_eq!(q.list("c"), ["x", "y", "z"]);
        assert_eq!(q.canonical(), query("c=z&c=x,y&b=%C3%A9+x&b=2&pct=100%25&flag=&a=1+2").canonical());
    }

    #[test]
    fn bytes_no_database_can_hold_are_refused_by_name() {
        assert_eq!(Query::parse(Some("a=%00")).unwrap_err().fields()[0].0, "a");
        assert_eq!(Query::parse(Some("a=%ff")).unwrap_err().fields()[0].0, "a");
        assert_eq!(Query::parse(Some("%00=1")).unwrap_err().status(), 400);
        assert!(Query::parse(Some(&"a=1&".repeat(200))).is_ok());
        assert_eq!(Query::parse(Some(&"a=1&".repeat(201))).unwrap_err().status(), 400);
    }

    #[test]
    fn pages_are_read_as_drf_reads_them() {
        let page = |raw: &str| query(raw).page();
        assert_eq!(page("").unwrap(), PageRequest { page: PageNumber::Number(1), size: 25 });
        assert_eq!(page("page=last&page_size=7").unwrap(), PageRequest { page: PageNumber::Last, size: 7 });
        assert_eq!(page("page_size=1000").unwrap().size, 100);
        for bad in ["page=0", "page=-1", "page=x", "page=", "page=99999999999"] {
            assert_eq!(page(bad).unwrap_err().status(), 404, "{bad}");
        }
        for bad in ["page_size=0", "page_size=-5", "page_size=x", "page_size="] {
            assert_eq!(page(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn typed_values_say_what_is_wrong() {
        assert_eq!(query("d=TRUE").bool("d").unwrap(), Some(true));
        assert_eq!(query("d=").bool("d").unwrap(), None);
        let refused = query("d=maybe").bool("d").unwrap_err();
        assert_eq!(refused.fields()[0].1[0].message, "Must be a valid boolean.");
        assert_eq!(query("n=-3").integer("n").unwrap(), Some(-3));
        assert!(query("n=3.5").integer("n").is_err());
        let refused = query("a=1&zz=2&y=1").refuse_unknown(|key| key == "a").unwrap_err();
        assert_eq!(refused.fields().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["zz", "y"]);
    }
}
