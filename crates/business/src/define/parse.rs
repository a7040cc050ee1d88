//! JSON in: one value of one kind, with the messages of Django REST framework (spec/loop.md 4.6).

use std::borrow::Cow;

use loopd_store::Value;
use loopd_types::{Currency, FieldError, Timestamp, Uuid, parse_decimal, render_decimal};
use serde_json::Value as Json;

use super::kind::{JSON_MAX_BYTES, Kind, LONG_TEXT_MAX, PERCENT_SCALE, REFERENCES_MAX};

/// Characters of one tag, and tags on one record.
const TAG_MAX: usize = 64;
const TAGS_MAX: usize = 50;
/// RFC 5321 4.5.3.1.3 allows a path of 256 octets, two of them its brackets.
const EMAIL_MAX: usize = 254;
const URL_MAX: usize = 2_000;
const SLUG_MAX: usize = 100;
const CODE_MAX: usize = 64;

/// Reads one JSON value that is not null. `currency` is the record's, needed by money only.
///
/// # Errors
/// The complaint for the field.
pub fn parse(kind: &Kind, json: &Json, currency: Option<Currency>) -> Result<Value, FieldError> {
    match kind {
        Kind::Text { max } => string(json).and_then(|text| at_most(text, *max)).map(Value::Text),
        Kind::LongText => string(json).and_then(|text| at_most(text, LONG_TEXT_MAX)).map(Value::Text),
        Kind::Slug => checked(json, SLUG_MAX, is_slug, SLUG_MESSAGE),
        Kind::Email => checked(json, EMAIL_MAX, is_email, "Enter a valid email address."),
        Kind::Url => checked(json, URL_MAX, is_url, "Enter a valid URL."),
        Kind::Phone => {
            let text = string(json)?;
            if text.is_empty() {
                return Ok(Value::Text(text));
            }
            phone(&text).map(Value::Text).ok_or_else(|| invalid("Enter a valid phone number."))
        }
        Kind::Code => checked(json, CODE_MAX, is_code, CODE_MESSAGE),
        Kind::Language => checked(json, 35, is_language, "Enter a valid language tag such as en or fr-CA."),
        Kind::Timezone => checked(json, 64, is_timezone, "Enter a valid time zone such as Africa/Kigali."),
        Kind::Currency => {
            let text = string(json)?;
            Currency::parse(&text)
                .map(|currency| Value::Text(currency.code().to_owned()))
                .ok_or_else(|| not_a_choice(&text))
        }
        Kind::Choice { choices } => {
            let text = string(json)?;
            if choices.contains(&text) { Ok(Value::Text(text)) } else { Err(not_a_choice(&text)) }
        }
        Kind::Boolean => boolean(json).map(Value::Bool).ok_or_else(|| invalid("Must be a valid boolean.")),
        Kind::Integer { min, max } => integer(json, *min, *max).map(Value::Int),
        Kind::Minutes => integer(json, 0, 60 * 24 * 3_660).map(Value::Int),
        Kind::Decimal { scale } => scaled(json, *scale).map(Value::Int),
        Kind::Percent => scaled(json, PERCENT_SCALE).map(Value::Int),
        Kind::Money { .. } => match currency {
            Some(currency) => scaled(json, currency.exponent()).map(Value::Int),
            None => Err(invalid("Give a currency first.")),
        },
        Kind::Date => match json.as_str().and_then(|text| text.trim().parse::<jiff::civil::Date>().ok()) {
            Some(date) if json.as_str().is_some_and(|text| text.trim().len() == 10) => {
                Ok(Value::Text(date.to_string()))
            }
            _ => Err(invalid("Date has wrong format. Use one of these formats instead: YYYY-MM-DD.")),
        },
        Kind::DateTime => json
            .as_str()
            .and_then(|text| Timestamp::parse(text.trim()))
            .map(Value::from)
            .ok_or_else(|| invalid(Timestamp::WRONG_FORMAT)),
        Kind::TimeOfDay => match json.as_str().and_then(time_of_day) {
            Some(text) => Ok(Value::Text(text)),
            None => Err(invalid("Time has wrong format. Use one of these formats instead: hh:mm[:ss].")),
        },
        Kind::Reference { .. } | Kind::User => id(json).map(Value::Uuid),
        Kind::References { .. } => references(json),
        Kind::Tags => words(json),
        Kind::Object if !json.is_object() => Err(complaint(
            "not_a_dict",
            format!("Expected a dictionary of items but got type \"{}\".", type_name(json)),
        )),
        Kind::Object | Kind::Json => {
            let text = json.to_string();
            if text.len() > JSON_MAX_BYTES {
                return Err(complaint(
                    "max_length",
                    format!("Ensure this field has no more than {JSON_MAX_BYTES} bytes."),
                ));
            }
            Ok(Value::Json(text))
        }
    }
}

/// Whether a value counts as blank, which a required field refuses.
pub fn is_blank(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.is_empty())
}

pub fn required() -> FieldError {
    complaint("required", "This field is required.")
}
pub fn not_null() -> FieldError {
    complaint("null", "This field may not be null.")
}
pub fn not_blank() -> FieldError {
    complaint("blank", "This field may not be blank.")
}
pub fn not_unique() -> FieldError {
    complaint("unique", "This field must be unique.")
}
pub fn not_a_choice(text: &str) -> FieldError {
    complaint("invalid_choice", format!("\"{}\" is not a valid choice.", shortened(text)))
}
pub fn no_such_record(id: Uuid) -> FieldError {
    complaint("does_not_exist", format!("Invalid pk \"{id}\" - object does not exist."))
}
/// `Invalid data. Expected a dictionary, but got list.`
pub fn not_a_dictionary(json: &Json) -> FieldError {
    complaint("invalid", format!("Invalid data. Expected a dictionary, but got {}.", type_name(json)))
}
pub fn not_a_list(json: &Json) -> FieldError {
    complaint("not_a_list", format!("Expected a list of items but got type \"{}\".", type_name(json)))
}

/// Python's names for JSON types, because the messages come from there.
fn type_name(json: &Json) -> &'static str {
    match json {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

pub(crate) fn complaint(code: &'static str, message: impl Into<Cow<'static, str>>) -> FieldError {
    FieldError { code: code.into(), message: message.into() }
}
fn invalid(message: &'static str) -> FieldError {
    complaint("invalid", message)
}

/// What a client sent may be long; a message quotes its beginning.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| &text[..end])
}

/// Text without the blanks around it. Numbers are no text: what the API reference promises is what is taken.
fn string(json: &Json) -> Result<String, FieldError> {
    let Json::String(text) = json else { return Err(invalid("Not a valid string.")) };
    let text = text.trim().to_owned();
    if text.contains('\0') {
        return Err(complaint("null_characters_not_allowed", "Null characters are not allowed."));
    }
    Ok(text)
}

fn at_most(text: String, max: usize) -> Result<String, FieldError> {
    // bytes are at least characters, so short texts need no count
    if text.len() > max && text.chars().count() > max {
        return Err(complaint("max_length", format!("Ensure this field has no more than {max} characters.")));
    }
    Ok(text)
}

/// Text of a checked form; the empty text passes, being blank is another check.
fn checked(json: &Json, max: usize, is_valid: fn(&str) -> bool, message: &'static str) -> Result<Value, FieldError> {
    let text = at_most(string(json)?, max)?;
    if text.is_empty() || is_valid(&text) { Ok(Value::Text(text)) } else { Err(invalid(message)) }
}

const SLUG_MESSAGE: &str = "Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens.";
const CODE_MESSAGE: &str = "Enter a valid code consisting of letters, numbers and the characters - _ . /";

fn is_slug(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
fn is_code(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
}
/// One `@`, something before it, a dotted name behind it, no blanks: what can be wrong beyond that only sending shows.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    !local.is_empty()
        && local.len() <= 64
        && !local.contains('@')
        && !local.chars().any(|c| c.is_whitespace() || c.is_control() || "\"(),:;<>[\\]".contains(c))
        && domain.contains('.')
        && domain.split('.').all(is_label)
}
fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"".contains(c))
}
/// `+250 788-123-456` → `+250788123456`. ITU-T E.164: at most 15 digits; short codes have three.
fn phone(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !" -.()/".contains(*c)).collect();
    let digits = compact.strip_prefix('+').unwrap_or(&compact);
    ((3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())).then_some(compact)
}
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    parts.next().is_some_and(|first| (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic()))
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}
fn is_timezone(text: &str) -> bool {
    jiff::tz::TimeZone::get(text).is_ok()
}

fn boolean(json: &Json) -> Option<bool> {
    json.as_bool()
}

fn integer(json: &Json, min: i64, max: i64) -> Result<i64, FieldError> {
    let number = match json {
        Json::Number(number) => match number.as_i64() {
            Some(number) => Some(number),
            // 5.0 is five to clients whose language has one kind of number; beyond 2^53 it would no longer be exact
            None => number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0).map(|f| f as i64),
        },
        _ => None,
    };
    match number {
        None => Err(invalid("A valid integer is required.")),
        Some(number) if number < min => {
            Err(complaint("min_value", format!("Ensure this value is greater than or equal to {min}.")))
        }
        Some(number) if number > max => {
            Err(complaint("max_value", format!("Ensure this value is less than or equal to {max}.")))
        }
        Some(number) => Ok(number),
    }
}

/// An exact decimal, given as a number or as text.
fn scaled(json: &Json, scale: u32) -> Result<i64, FieldError> {
    let text = match json {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.trim().to_owned(),
        _ => return Err(invalid("A valid number is required.")),
    };
    match parse_decimal(&text, scale) {
        Some(value) => Ok(value),
        // eighteen digits after the point is as far as 64 bits go: a number, but with too many places
        None if (scale + 1..=18).any(|more| parse_decimal(&text, more).is_some()) => {
            Err(complaint("max_decimal_places", format!("Ensure that there are no more than {scale} decimal places.")))
        }
        None => match text.strip_prefix('-').unwrap_or(&text).bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            true if text.len() > 15 => Err(complaint(
                "max_value",
                format!("Ensure this value is less than or equal to {}.", render_decimal(i64::MAX, scale)),
            )),
            _ => Err(invalid("A valid number is required.")),
        },
    }
}

fn time_of_day(text: &str) -> Option<String> {
    let text = text.trim();
    let has_form = matches!(text.len(), 5 | 8)
        && text.bytes().enumerate().all(|(i, b)| match i {
            2 | 5 => b == b':',
            _ => b.is_ascii_digit(),
        });
    let time: jiff::civil::Time = if has_form { text.parse().ok()? } else { return None };
    Some(format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()))
}

fn id(json: &Json) -> Result<Uuid, FieldError> {
    match json {
        Json::String(text) => Uuid::try_parse(text).map_err(|_| invalid("Must be a valid UUID.")),
        other => Err(complaint(
            "incorrect_type",
            format!("Incorrect type. Expected pk value, received {}.", type_name(other)),
        )),
    }
}

fn list_of(json: &Json, max: usize) -> Result<&[Json], FieldError> {
    let list = json.as_array().ok_or_else(|| not_a_list(json))?;
    if list.len() > max {
        return Err(complaint("max_length", format!("Ensure this field has no more than {max} elements.")));
    }
    Ok(list)
}

fn references(json: &Json) -> Result<Value, FieldError> {
    let list = list_of(json, REFERENCES_MAX)?;
    let mut ids: Vec<Uuid> = Vec::with_capacity(list.len());
    for entry in list {
        let id = id(entry)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(Value::Json(serde_json::json!(ids.iter().map(Uuid::to_string).collect::<Vec<_>>()).to_string()))
}

fn words(json: &Json) -> Result<Value, FieldError> {
    let list = list_of(json, TAGS_MAX)?;
    let mut words: Vec<String> = Vec::with_capacity(list.len());
    for entry in list {
        let word = at_most(string(entry)?, TAG_MAX)?;
        if word.is_empty() {
            return Err(not_blank());
        }
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Ok(Value::Json(serde_json::json!(words).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(kind: &Kind, value: Json) -> String {
        parse(kind, &value, Currency::parse("USD")).unwrap_err().message.into_owned()
    }

    #[test]
    fn values_are_kept_exactly() {
        let usd = Currency::parse("USD");
        let money = Kind::Money { currency: "currency".into() };
        for (kind, given, kept) in [
            (Kind::Text { max: 5 }, json!("  abc "), Value::from("abc")),
            (money.clone(), json!(12.5), Value::Int(1_250)),
            (money.clone(), json!("12.50"), Value::Int(1_250)),
            (Kind::Percent, json!("7.25"), Value::Int(72_500)),
            (Kind::Boolean, json!(true), Value::Bool(true)),
            (Kind::Integer { min: 0, max: 9 }, json!(5.0), Value::Int(5)),
            (Kind::Date, json!("2026-02-28"), Value::from("2026-02-28")),
            (Kind::TimeOfDay, json!("08:30"), Value::from("08:30:00")),
            (Kind::Phone, json!("+250 788-123-456"), Value::from("+250788123456")),
            (Kind::Timezone, json!("Africa/Kigali"), Value::from("Africa/Kigali")),
            (Kind::Language, json!("fr-CA"), Value::from("fr-CA")),
            (Kind::Tags, json!(["a", "b", "a"]), Value::Json("[\"a\",\"b\"]".into())),
            (Kind::Email, json!("dev@example.com"), Value::from("dev@example.com")),
        ] {
            assert_eq!(parse(&kind, &given, usd).unwrap(), kept, "{kind:?} {given}");
        }
    }

    #[test]
    fn refusals_speak_like_django_rest_framework() {
        let money = Kind::Money { currency: "currency".into() };
        for (kind, given, words) in [
            (Kind::Text { max: 3 }, json!("abcd"), "Ensure this field has no more than 3 characters."),
            (Kind::Text { max: 3 }, json!(12), "Not a valid string."),
            (Kind::Text { max: 9 }, json!("a\0b"), "Null characters are not allowed."),
            (Kind::Email, json!("dev@"), "Enter a valid email address."),
            (Kind::Slug, json!("a b"), SLUG_MESSAGE),
            (Kind::Url, json!("ftp://x"), "Enter a valid URL."),
            (Kind::Boolean, json!("maybe"), "Must be a valid boolean."),
            (Kind::Integer { min: 1, max: 9 }, json!("x"), "A valid integer is required."),
            (Kind::Integer { min: 1, max: 9 }, json!(0), "Ensure this value is greater than or equal to 1."),
            (money.clone(), json!("ten"), "A valid number is required."),
            (money.clone(), json!(1.234), "Ensure that there are no more than 2 decimal places."),
            (Kind::Choice { choices: vec!["a".into()] }, json!("x"), "\"x\" is not a valid choice."),
            (Kind::Date, json!("2026-02-30"), "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."),
            (Kind::User, json!("9"), "Must be a valid UUID."),
            (Kind::User, json!(9), "Incorrect type. Expected pk value, received int."),
            (Kind::Tags, json!("a"), "Expected a list of items but got type \"str\"."),
            (Kind::Object, json!([]), "Expected a dictionary of items but got type \"list\"."),
        ] {
            assert_eq!(message(&kind, given), words);
        }
        assert!(message(&money, json!("99999999999999999999")).starts_with("Ensure this value is less than"));
    }
}
