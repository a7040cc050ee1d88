//! Assertions on JSON: what was promised must be there, what else is there does not matter.

use loopd_types::{Timestamp, Uuid};
use serde_json::Value;

/// Where `actual` lacks something of `expected`, in words that name the place; `None` when all of it is there.
///
/// Objects may have more members than expected; arrays have the same length and are compared item by item; the rest is
/// equal. `"[uuid]"`, `"[time]"`, `"[token]"` and `"[any]"` stand for every value of their kind.
pub fn find_difference(actual: &Value, expected: &Value) -> Option<String> {
    compare(actual, expected, "$")
}

fn compare(actual: &Value, expected: &Value, place: &str) -> Option<String> {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => expected.iter().find_map(|(name, expected)| {
            let place = format!("{place}.{name}");
            match actual.get(name) {
                Some(actual) => compare(actual, expected, &place),
                None => Some(format!("{place} is missing; expected {expected}")),
            }
        }),
        (Value::Array(actual), Value::Array(expected)) if actual.len() == expected.len() => {
            actual.iter().zip(expected).enumerate().find_map(|(i, (a, e))| compare(a, e, &format!("{place}[{i}]")))
        }
        (_, Value::String(kind)) if kind == "[any]" => None,
        (Value::String(text), Value::String(kind)) if kind.starts_with('[') && mask_of(text) == Some(kind.as_str()) => {
            None
        }
        (actual, expected) if actual == expected => None,
        (actual, expected) => Some(format!("{place} is {actual}; expected {expected}")),
    }
}

/// The same document with every id, moment and token replaced by its kind, for snapshots.
///
/// A text is replaced only when it really has the form, so a snapshot also holds the forms.
pub fn masked(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), masked(value))).collect(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::String(text) => mask_of(text).map_or_else(|| value.clone(), Value::from),
        other => other.clone(),
    }
}

fn mask_of(text: &str) -> Option<&'static str> {
    let is_token = text.len() > 60 && text.starts_with("ey") && text.split('.').count() == 3;
    if text.len() == 36 && Uuid::parse_str(text).is_ok() {
        Some("[uuid]")
    } else if text.len() >= 20 && text.contains('T') && Timestamp::parse(text).is_some() {
        Some("[time]")
    } else if is_token {
        Some("[token]")
    } else {
        None
    }
}

/// Asserts that a JSON value holds at least what is written here.
///
/// `assert_json!(answer.json(), { "code": "001", "id": "[uuid]" })`; see [`find_difference`].
#[macro_export]
macro_rules! assert_json {
    ($actual:expr, $($expected:tt)+) => {{
        let (actual, expected) = (&$actual, $crate::json!($($expected)+));
        if let Some(difference) = $crate::find_difference(actual, &expected) {
            panic!("{difference}\nin {actual:#}");
        }
    }};
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn more_than_promised_is_fine_and_less_is_named() {
        let actual = json!({"a": 1, "list": [{"b": "x", "c": 2}], "id": "0197a000-0000-7000-8000-000000000000"});
        assert_json!(actual, {"list": [{"b": "x"}], "id": "[uuid]"});
        assert_eq!(
            find_difference(&actual, &json!({"list": [{"b": "y"}]})).unwrap(),
            r#"$.list[0].b is "x"; expected "y""#
        );
        assert!(find_difference(&actual, &json!({"list": []})).is_some());
        assert!(find_difference(&actual, &json!({"a": "[uuid]"})).is_some());
        assert!(find_difference(&actual, &json!({"d": null})).unwrap().contains("$.d is missing"));
    }

    #[test]
    fn only_true_forms_are_masked() {
        let value = json!([
            "0197a000-0000-7000-8000-000000000000",
            "2026-06-22T10:00:00.000000Z",
            "Tuesday, or later on",
            "001"
        ]);
        assert_eq!(masked(&value), json!(["[uuid]", "[time]", "Tuesday, or later on", "001"]));
    }
}
