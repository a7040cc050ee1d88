//! Small builders for JSON Schema as OpenAPI 3.1 takes it (draft 2020-12): `object([("title", string()), …]).required(["title"])`.

use serde_json::{Map, Value, json};

/// Any text.
pub fn string() -> Value {
    json!({"type": "string"})
}

/// Text of `min` to `max` characters.
pub fn text(min: u32, max: u32) -> Value {
    json!({"type": "string", "minLength": min, "maxLength": max})
}

pub fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

pub fn date_time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

pub fn date() -> Value {
    json!({"type": "string", "format": "date"})
}

pub fn time() -> Value {
    json!({"type": "string", "format": "time"})
}

pub fn email() -> Value {
    json!({"type": "string", "format": "email", "maxLength": 254})
}

pub fn uri() -> Value {
    json!({"type": "string", "format": "uri"})
}

/// Text that matches `pattern` (ECMA 262).
pub fn pattern(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

/// A decimal as a string (`"12.50"`), DRF's way to keep it exact.
pub fn decimal() -> Value {
    json!({"type": "string", "format": "decimal", "pattern": "^-?\\d+(\\.\\d+)?$"})
}

/// A 64-bit whole number.
pub fn integer() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX})
}

/// A whole number within bounds, ends included.
pub fn integer_between(min: i64, max: i64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

pub fn number() -> Value {
    json!({"type": "number"})
}

pub fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// Anything that JSON can say.
pub fn any() -> Value {
    json!({})
}

/// One of these words.
pub fn one_of<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Value {
    json!({"type": "string", "enum": words.into_iter().map(Into::into).collect::<Vec<String>>()})
}

/// Bytes, as they are.
pub fn binary() -> Value {
    json!({"type": "string", "format": "binary"})
}

/// Exactly this value.
pub fn constant(value: impl Into<Value>) -> Value {
    json!({"const": value.into()})
}

pub fn array(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// An object with these fields, none of them required yet; unknown fields are refused ([`Schema::open`] lets them in).
pub fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, Value)>) -> Value {
    let properties: Map<String, Value> = fields.into_iter().map(|(name, schema)| (name.into(), schema)).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// An object with any fields.
pub fn free_object() -> Value {
    json!({"type": "object", "additionalProperties": true})
}

/// A component: `#/components/schemas/<name>`.
pub fn component(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The paginated envelope around rows of `items` (spec/loop.md 4.3).
pub fn paginated(items: Value) -> Value {
    object([
        ("count", json!({"type": "integer", "minimum": 0})),
        ("next", uri().nullable()),
        ("previous", uri().nullable()),
        ("results", array(items)),
    ])
    .required(["count", "next", "previous", "results"])
}

/// What can be added to a schema.
pub trait Schema: Sized {
    /// Sets a keyword.
    fn with(self, keyword: &str, value: impl Into<Value>) -> Self;
    /// Also takes `null`.
    fn nullable(self) -> Self;
    /// Names the required fields of an object.
    fn required<S: Into<Value>>(self, names: impl IntoIterator<Item = S>) -> Self;
    /// Adds a field to an object.
    fn property(self, name: &str, schema: Value) -> Self;
    /// Lets unknown fields in.
    fn open(self) -> Self;

    fn describe(self, text: &str) -> Self {
        self.with("description", text)
    }
    fn example(self, value: impl Into<Value>) -> Self {
        let value: Value = value.into();
        self.with("examples", vec![value])
    }
    fn default(self, value: impl Into<Value>) -> Self {
        self.with("default", value)
    }
    fn read_only(self) -> Self {
        self.with("readOnly", true)
    }
    fn write_only(self) -> Self {
        self.with("writeOnly", true)
    }
    fn max_items(self, most: u32) -> Self {
        self.with("maxItems", most)
    }
}

impl Schema for Value {
    fn with(mut self, keyword: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(map) = &mut self {
            map.insert(keyword.to_owned(), value.into());
        }
        self
    }

    fn nullable(mut self) -> Self {
        let Value::Object(map) = &mut self else { return self };
        if map.is_empty() {
            return self;
        }
        match map.get_mut("type") {
            // In 3.1 `null` is a type of its own, and an `enum` must list it too.
            Some(Value::String(name)) => {
                let both = json!([name.clone(), "null"]);
                map.insert("type".into(), both);
                if let Some(Value::Array(words)) = map.get_mut("enum") {
                    words.push(Value::Null);
                }
                self
            }
            Some(Value::Array(names)) => {
                if !names.contains(&json!("null")) {
                    names.push(json!("null"));
                }
                self
            }
            _ => json!({"anyOf": [self, {"type": "null"}]}),
        }
    }

    fn required<S: Into<Value>>(self, names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<Value> = names.into_iter().map(Into::into).collect();
        if names.is_empty() { self } else { self.with("required", names) }
    }

    fn property(mut self, name: &str, schema: Value) -> Self {
        if let Some(Value::Object(fields)) = self.get_mut("properties") {
            fields.insert(name.to_owned(), schema);
        }
        self
    }

    fn open(self) -> Self {
        self.with("additionalProperties", true)
    }
}
