//! [`Input`]: what a client sent to an action or a custom operation, checked.

use std::collections::BTreeMap;

use loopd_store::Value;
use loopd_types::{Currency, Problem, Result, Uuid};
use serde_json::Value as Json;

use super::record::Fields;
use crate::define::parse::{complaint, is_blank, not_a_dictionary, not_blank, not_null, parse, required};
use crate::define::{Field, Kind, Preset};

/// Checked values by name, and the body as it came.
#[derive(Clone, Debug, Default)]
pub struct Input {
    values: BTreeMap<String, Value>,
    json: Json,
    path: BTreeMap<String, String>,
}

impl Fields for Input {
    /// A value that was not given and has no default is null.
    fn value(&self, field: &str) -> Option<&Value> {
        Some(self.values.get(field).unwrap_or(&Value::Null))
    }
}

impl Input {
    /// Checks `json` (an object; null counts as an empty one) against `fields`. `currency` serves money without a currency field of its own.
    ///
    /// # Errors
    /// 400 `validation_error` with every complaint.
    pub fn check(fields: &[Field], json: &Json, currency: Option<Currency>) -> Result<Self> {
        let empty = serde_json::Map::new();
        let body = match json {
            Json::Null => &empty,
            Json::Object(body) => body,
            other => {
                let error = not_a_dictionary(other);
                return Err(Problem::field(loopd_types::NON_FIELD, error.code, error.message));
            }
        };
        let (mut values, mut problem) = (BTreeMap::new(), Problem::validation());
        // a currency among the inputs decides how the amounts beside it are read
        let given_currency = fields
            .iter()
            .filter(|f| f.kind == Kind::Currency)
            .find_map(|f| body.get(&f.name).and_then(Json::as_str).and_then(Currency::parse));
        for field in fields.iter().filter(|field| field.is_writable()) {
            let checked = match body.get(&field.name) {
                None if field.required => Err(required()),
                None => match &field.default {
                    Some(Preset::Value(value)) => parse(&field.kind, value, given_currency.or(currency)),
                    _ => continue,
                },
                Some(Json::Null) if field.allows_null() => Ok(Value::Null),
                Some(Json::Null) => Err(not_null()),
                Some(given) => parse(&field.kind, given, given_currency.or(currency)),
            };
            match checked {
                Ok(value) if field.required && is_blank(&value) => {
                    let error = not_blank();
                    problem.add_field(&field.name, error.code, error.message);
                }
                Ok(value) => {
                    values.insert(field.name.clone(), value);
                }
                Err(error) => problem.add_field(&field.name, error.code, error.message),
            }
        }
        if problem.has_fields() { Err(problem) } else { Ok(Self { values, json: json.clone(), path: BTreeMap::new() }) }
    }

    /// The body as it came; null for none.
    pub fn body(&self) -> &Json {
        &self.json
    }
    /// Whether the client named the field.
    pub fn was_given(&self, field: &str) -> bool {
        self.json.get(field).is_some()
    }
    /// A piece of the path: `code` of `public-verify/{code}/`; empty when there is none.
    pub fn path(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }
    pub(crate) fn with_path(mut self, pieces: impl IntoIterator<Item = (String, String)>) -> Self {
        self.path.extend(pieces);
        self
    }
    pub(crate) fn values(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter()
    }

    /// The id in a required reference field.
    ///
    /// # Errors
    /// 400 on the field when it is empty.
    pub fn require_id(&self, field: &str) -> Result<Uuid> {
        self.id_in(field).ok_or_else(|| {
            let error = complaint("required", "This field is required.");
            Problem::field(field, error.code, error.message)
        })
    }
}
