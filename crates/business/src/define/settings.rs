//! A module's section of a company's settings, `{"settings": {"booking": {"public": false}}}`: what may stand in it, and its schema.

use loopd_types::{Problem, Result};
use serde_json::{Value as Json, json};

use super::field::Field;
use super::kind::Kind;
use super::schema::{Use, object};
use crate::engine::Input;

/// Checks one section as a client sent it. What passes is stored as it came, so values must be of their kind and not only readable as it.
///
/// # Errors
/// 400 `validation_error` with every complaint, by the names of `fields`.
pub fn check(fields: &[Field], section: &Json) -> Result<()> {
    let mut problem = match Input::check(fields, section, None) {
        Ok(_) => Problem::validation(),
        Err(problem) => problem,
    };
    let known_bad: Vec<String> = problem.fields().iter().map(|(name, _)| name.clone()).collect();
    for (name, value) in section.as_object().into_iter().flatten().filter(|(name, _)| !known_bad.contains(name)) {
        match fields.iter().find(|field| field.name == *name) {
            None => problem.add_field(name, "unknown_setting", "There is no such setting."),
            Some(field) => {
                if let Some(words) = mistyped(&field.kind, value) {
                    problem.add_field(name, "invalid", words);
                }
            }
        }
    }
    if problem.has_fields() { Err(problem) } else { Ok(()) }
}

fn mistyped(kind: &Kind, value: &Json) -> Option<&'static str> {
    if value.is_null() {
        return None;
    }
    match kind {
        Kind::Boolean if !value.is_boolean() => Some("Must be a valid boolean."),
        Kind::Integer { .. } | Kind::Minutes if !value.is_i64() => Some("A valid integer is required."),
        Kind::Boolean | Kind::Integer { .. } | Kind::Minutes => None,
        Kind::Json | Kind::Object | Kind::Tags | Kind::References { .. } => None,
        _ if !value.is_string() => Some("Not a valid string."),
        _ => None,
    }
}

/// Whether a kind can stand in settings: what needs a currency or another record to be understood cannot.
pub(super) fn may_hold(kind: &Kind) -> bool {
    !matches!(kind, Kind::Money { .. } | Kind::Reference { .. } | Kind::References { .. } | Kind::User)
}

/// The section's JSON Schema.
pub fn schema_of(fields: &[Field]) -> Json {
    let (properties, _) = object(fields, Use::Write);
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::define::{boolean, integer, text};

    #[test]
    fn what_could_be_misread_is_refused() {
        let fields = [boolean("public").default(true), integer("step_min").min(5).max(60), text("motto", 5)];
        let complaints = |section: Json| -> Vec<(String, String)> {
            let problem = check(&fields, &section).expect_err("it is refused");
            problem.fields().iter().map(|(name, errors)| (name.clone(), errors[0].code.to_string())).collect()
        };
        let one = |name: &str, code: &str| vec![(name.to_owned(), code.to_owned())];
        for (section, name, code) in [
            (json!({"public": "false"}), "public", "invalid"),
            (json!({"public": 0}), "public", "invalid"),
            (json!({"public": null}), "public", "null"),
            (json!({"step_min": "15"}), "step_min", "invalid"),
            (json!({"step_min": 4}), "step_min", "min_value"),
            (json!({"motto": 7}), "motto", "invalid"),
            (json!({"motto": "longer"}), "motto", "max_length"),
            (json!({"Public": false}), "Public", "unknown_setting"),
            (json!([]), loopd_types::NON_FIELD, "invalid"),
        ] {
            assert_eq!(complaints(section.clone()), one(name, code), "{section}");
        }
        assert_eq!(complaints(json!({"public": 1, "other": 1, "step_min": 99})).len(), 3);
        for fine in [
            json!({}),
            json!(null),
            json!({"public": false, "step_min": 5, "motto": "short"}),
            json!({"step_min": null}),
        ] {
            assert!(check(&fields, &fine).is_ok(), "{fine}");
        }
    }
}
