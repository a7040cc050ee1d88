//! OpenAPI: the schema of a kind, of a field, of a record.

use serde_json::{Map, Value as Json, json};

use super::field::{Field, Preset};
use super::kind::{Kind, LONG_TEXT_MAX, REFERENCES_MAX};

/// What the schema is for: a write schema leaves out what a client cannot set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The whole record as it is answered.
    Read,
    /// The body of a create or a full update.
    Write,
    /// The body of a partial update: nothing is required.
    Patch,
}

/// The schema of a value of this kind, not null.
pub fn of_kind(kind: &Kind) -> Json {
    match kind {
        Kind::Text { max } => json!({"type": "string", "maxLength": max}),
        Kind::LongText => json!({"type": "string", "maxLength": LONG_TEXT_MAX}),
        Kind::Slug => json!({"type": "string", "pattern": "^[-a-zA-Z0-9_]*$", "maxLength": 100}),
        Kind::Email => json!({"type": "string", "format": "email", "maxLength": 254}),
        Kind::Url => json!({"type": "string", "format": "uri", "maxLength": 2000}),
        Kind::Phone => {
            json!({"type": "string", "maxLength": 40, "description": "Kept as digits with an optional leading +."})
        }
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer { min, max } => {
            let mut schema = json!({"type": "integer", "format": "int64"});
            if *min != i64::MIN {
                schema["minimum"] = json!(min);
            }
            if *max != i64::MAX {
                schema["maximum"] = json!(max);
            }
            schema
        }
        Kind::Minutes => json!({"type": "integer", "minimum": 0}),
        Kind::Decimal { .. } | Kind::Money { .. } | Kind::Percent => {
            json!({"type": "string", "format": "decimal", "pattern": r"^-?\d+(\.\d+)?$"})
        }
        Kind::Currency => json!({"type": "string", "pattern": "^[A-Z]{3,4}$"}),
        Kind::Date => json!({"type": "string", "format": "date"}),
        Kind::DateTime => json!({"type": "string", "format": "date-time"}),
        Kind::TimeOfDay => json!({"type": "string", "pattern": r"^\d{2}:\d{2}(:\d{2})?$"}),
        Kind::Choice { choices } => json!({"type": "string", "enum": choices}),
        Kind::Language => json!({"type": "string", "maxLength": 35}),
        Kind::Timezone => json!({"type": "string", "maxLength": 64}),
        Kind::Reference { .. } | Kind::User => json!({"type": "string", "format": "uuid"}),
        Kind::References { .. } => {
            json!({"type": "array", "maxItems": REFERENCES_MAX, "items": {"type": "string", "format": "uuid"}})
        }
        Kind::Json => json!({}),
        Kind::Object => json!({"type": "object", "additionalProperties": true}),
        Kind::Tags => json!({"type": "array", "maxItems": 50, "items": {"type": "string", "maxLength": 64}}),
        Kind::Code => json!({"type": "string", "maxLength": 64, "pattern": "^[-_./A-Za-z0-9]*$"}),
    }
}

/// The schema of a field's value, with its help, example and default.
pub fn of_field(field: &Field, used: Use) -> Json {
    let mut schema = of_kind(&field.kind);
    // An optional text may be left empty, which formats and patterns with a length would forbid.
    if used != Use::Read
        && let Kind::Decimal { .. } | Kind::Money { .. } | Kind::Percent = field.kind
    {
        schema = json!({"oneOf": [{"type": "number"}, schema]});
    }
    // "Read" answers may hold empty text where a format would refuse it: the format stays as advice, nullable is exact.
    if field.allows_null() || (used == Use::Read && field.kind != Kind::Boolean && !field.required) {
        schema = nullable(schema);
    }
    if let Some(object) = schema.as_object_mut() {
        if !field.help.is_empty() {
            object.insert("description".into(), json!(field.help));
        }
        if let Some(Preset::Value(value)) = &field.default
            && used == Use::Write
        {
            object.insert("default".into(), value.clone());
        }
        if let Some(example) = &field.example {
            object.insert("examples".into(), json!([example]));
        }
        if used == Use::Read && field.read_only {
            object.insert("readOnly".into(), json!(true));
        }
    }
    schema
}

/// OpenAPI 3.1: null is a type.
pub fn nullable(mut schema: Json) -> Json {
    match schema.get("type").cloned() {
        Some(Json::String(name)) => {
            schema["type"] = json!([name, "null"]);
            if let Some(values) = schema.get_mut("enum").and_then(Json::as_array_mut) {
                values.push(Json::Null);
            }
            schema
        }
        _ if schema.get("oneOf").is_some() => {
            if let Some(choices) = schema["oneOf"].as_array_mut() {
                choices.push(json!({"type": "null"}));
            }
            schema
        }
        _ => schema,
    }
}

/// An object schema from fields.
pub fn object<'f>(fields: impl IntoIterator<Item = &'f Field>, used: Use) -> (Map<String, Json>, Vec<String>) {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in fields {
        if used != Use::Read && !field.is_writable() {
            continue;
        }
        properties.insert(field.name.clone(), of_field(field, used));
        if used == Use::Read || (used == Use::Write && field.required) {
            required.push(field.name.clone());
        }
    }
    (properties, required)
}
