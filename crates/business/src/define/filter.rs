//! Query in: `starts_at__gte=2026-06-22` becomes a field, a [`Test`] and values.

use jiff::tz::TimeZone;
use loopd_store::Value;
use loopd_types::{Currency, FieldError, Timestamp};
use serde_json::Value as Json;

use super::kind::Kind;
use super::parse::{complaint, parse};

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Equals,
    AtLeast,
    AtMost,
    Above,
    Below,
    In,
    Contains,
    IsNull,
}

/// The suffixes of a parameter's name, with their meaning for the API reference.
pub const SUFFIXES: [(&str, Test, &str); 7] = [
    ("gte", Test::AtLeast, "greater than or equal to"),
    ("lte", Test::AtMost, "less than or equal to"),
    ("gt", Test::Above, "greater than"),
    ("lt", Test::Below, "less than"),
    ("in", Test::In, "one of, separated by commas"),
    ("icontains", Test::Contains, "contains, upper and lower case alike"),
    ("isnull", Test::IsNull, "true: has no value; false: has one"),
];

/// Values in one `__in`.
const IN_MAX: usize = 200;

impl Test {
    /// Whether fields of this kind can be compared so.
    pub fn fits(self, kind: &Kind) -> bool {
        match self {
            Test::Equals | Test::IsNull => true,
            Test::AtLeast | Test::AtMost | Test::Above | Test::Below => kind.is_ordered(),
            Test::In => !matches!(kind, Kind::References { .. } | Kind::Tags | Kind::Json | Kind::Object),
            Test::Contains => kind.is_words(),
        }
    }

    /// The SQL operator of a comparison with one value.
    pub fn operator(self) -> &'static str {
        match self {
            Test::AtLeast => ">=",
            Test::AtMost => "<=",
            Test::Above => ">",
            Test::Below => "<",
            Test::Equals | Test::In | Test::Contains | Test::IsNull => "=",
        }
    }
}

/// Splits `starts_at__gte` into name and test; a name without a known suffix is tested for equality.
pub fn split(parameter: &str) -> (&str, Test) {
    if let Some((name, suffix)) = parameter.rsplit_once("__")
        && let Some((_, test, _)) = SUFFIXES.iter().find(|(known, ..)| *known == suffix)
    {
        return (name, *test);
    }
    (parameter, Test::Equals)
}

/// Reads what a filter compares with. `currency` is the company's, for money; `zone` its time zone, for a day given where a moment is kept.
///
/// # Errors
/// The complaint for the parameter.
pub fn values(
    kind: &Kind,
    test: Test,
    text: &str,
    currency: Option<Currency>,
    zone: &str,
) -> Result<Vec<Value>, FieldError> {
    match test {
        Test::IsNull => match loopd_web::query::parse_bool(text) {
            Some(value) => Ok(vec![Value::Bool(value)]),
            None => Err(complaint("invalid", "Must be a valid boolean.")),
        },
        Test::Contains => Ok(vec![Value::Text(text.to_owned())]),
        Test::In => {
            let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
            if parts.len() > IN_MAX {
                return Err(complaint("max_length", format!("Ensure this filter has no more than {IN_MAX} values.")));
            }
            parts.into_iter().map(|part| one(kind, Test::Equals, part, currency, zone)).collect()
        }
        _ => Ok(vec![one(kind, test, text, currency, zone)?]),
    }
}

fn one(kind: &Kind, test: Test, text: &str, currency: Option<Currency>, zone: &str) -> Result<Value, FieldError> {
    match kind {
        Kind::DateTime => match day(text, test, zone) {
            Some(moment) => Ok(Value::from(moment)),
            None => parse(kind, &Json::String(text.to_owned()), currency),
        },
        // membership in the list: one word, one id
        Kind::Tags => Ok(Value::Text(Json::String(text.to_owned()).to_string())),
        Kind::References { target } => {
            match parse(&Kind::Reference { target: target.clone() }, &Json::String(text.to_owned()), None)? {
                Value::Uuid(id) => Ok(Value::Text(format!("\"{id}\""))),
                other => Ok(other),
            }
        }
        _ => parse(kind, &json_of(kind, text), currency),
    }
}

/// A query's text as the JSON that a body would have had; text that does not fit stays text, for the complaint.
pub fn json_of(kind: &Kind, text: &str) -> Json {
    let as_text = || Json::String(text.to_owned());
    match kind {
        Kind::Boolean => loopd_web::query::parse_bool(text).map_or_else(as_text, Json::Bool),
        Kind::Integer { .. } | Kind::Minutes => text.trim().parse::<i64>().map_or_else(|_| as_text(), Json::from),
        Kind::Tags | Kind::References { .. } => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Json::from).collect()
        }
        Kind::Json | Kind::Object => serde_json::from_str(text).unwrap_or_else(|_| as_text()),
        _ => as_text(),
    }
}

/// A bare day stands for its beginning, or for its end where the whole day is meant (`__lte`, `__gt`).
fn day(text: &str, test: Test, zone: &str) -> Option<Timestamp> {
    if text.len() != 10 {
        return None;
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let whole_day = matches!(test, Test::AtMost | Test::Above);
    let start = if whole_day { day.tomorrow().ok()? } else { day };
    let micros = start.to_zoned(zone).ok()?.timestamp().as_microsecond();
    Some(Timestamp(if whole_day { micros - 1 } else { micros }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_split_off_once() {
        assert_eq!(split("starts_at__gte"), ("starts_at", Test::AtLeast));
        assert_eq!(split("starts_at"), ("starts_at", Test::Equals));
        assert_eq!(split("data__customer"), ("data__customer", Test::Equals));
    }

    #[test]
    fn a_day_means_the_company_s_day() {
        let read = |test| values(&Kind::DateTime, test, "2026-06-22", None, "Africa/Kigali").unwrap();
        assert_eq!(read(Test::AtLeast), [Value::from(Timestamp::parse("2026-06-21T22:00:00Z").unwrap())]);
        assert_eq!(read(Test::AtMost), [Value::from(Timestamp::parse("2026-06-22T21:59:59.999999Z").unwrap())]);
    }
}
