//! [`Input`]: a JSON object taken apart field by field, with DRF's complaints (spec/loop.md 4.6) gathered in one [`Problem`].

use loopd_types::{NON_FIELD, Problem, Result, Uuid};
use serde_json::{Map, Value};

/// A body being read. Every `take_*` notes what is wrong and goes on; [`Input::finish`] refuses once, with everything.
pub struct Input {
    object: Map<String, Value>,
    /// PATCH: what is absent stays as it is.
    partial: bool,
    problem: Problem,
}

impl Input {
    /// # Errors
    /// 400 under `non_field_errors` when the body is no object.
    pub fn new(body: Value, partial: bool) -> Result<Self> {
        match body {
            Value::Object(object) => Ok(Self { object, partial, problem: Problem::validation() }),
            other => {
                let kind = match other {
                    Value::Array(_) => "list",
                    Value::String(_) => "str",
                    Value::Number(_) => "number",
                    Value::Bool(_) => "bool",
                    _ => "NoneType",
                };
                let words = format!("Invalid data. Expected a dictionary, but got {kind}.");
                Err(Problem::field(NON_FIELD, "invalid", words))
            }
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Adds a complaint of the caller's own.
    pub fn refuse(
        &mut self,
        name: &str,
        code: impl Into<std::borrow::Cow<'static, str>>,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) {
        self.problem.add_field(name, code, message);
    }

    /// A text that must be there (unless the body is partial) and not blank; surrounding blanks are cut.
    pub fn required_text(&mut self, name: &'static str, max: usize) -> Option<String> {
        if !self.has(name) {
            if !self.partial {
                self.refuse(name, "required", "This field is required.");
            }
            return None;
        }
        let text = self.text(name, max)?;
        if text.is_empty() {
            self.refuse(name, "blank", "This field may not be blank.");
            return None;
        }
        Some(text)
    }

    /// A text that may be left out or blank.
    pub fn text(&mut self, name: &'static str, max: usize) -> Option<String> {
        let text = match self.object.remove(name)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Null => {
                self.refuse(name, "null", "This field may not be null.");
                return None;
            }
            _ => {
                self.refuse(name, "invalid", "Not a valid string.");
                return None;
            }
        };
        if text.contains('\0') {
            self.refuse(name, "null_characters_not_allowed", "Null characters are not allowed.");
            return None;
        }
        if text.chars().count() > max {
            self.refuse(name, "max_length", format!("Ensure this field has no more than {max} characters."));
            return None;
        }
        Some(text)
    }

    /// A secret text: not trimmed, may not be blank.
    pub fn required_secret(&mut self, name: &'static str, max: usize) -> Option<String> {
        match self.object.remove(name) {
            Some(Value::String(text)) if text.is_empty() => {
                self.refuse(name, "blank", "This field may not be blank.");
                None
            }
            Some(Value::String(text)) if text.chars().count() > max => {
                self.refuse(name, "max_length", format!("Ensure this field has no more than {max} characters."));
                None
            }
            Some(Value::String(text)) => Some(text),
            Some(Value::Null) => {
                self.refuse(name, "null", "This field may not be null.");
                None
            }
            Some(_) => {
                self.refuse(name, "invalid", "Not a valid string.");
                None
            }
            None => {
                self.refuse(name, "required", "This field is required.");
                None
            }
        }
    }

    /// One of `choices`.
    pub fn choice(&mut self, name: &'static str, choices: &[&str]) -> Option<String> {
        let text = self.text(name, 200)?;
        if choices.contains(&text.as_str()) {
            return Some(text);
        }
        self.refuse(name, "invalid_choice", format!("\"{text}\" is not a valid choice."));
        None
    }

    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        match self.object.remove(name)? {
            Value::Bool(yes) => Some(yes),
            _ => {
                self.refuse(name, "invalid", "Must be a valid boolean.");
                None
            }
        }
    }

    pub fn integer(&mut self, name: &'static str, min: i64, max: i64) -> Option<i64> {
        let number = self.object.remove(name)?.as_i64();
        match number {
            Some(number) if number < min => {
                self.refuse(name, "min_value", format!("Ensure this value is greater than or equal to {min}."));
                None
            }
            Some(number) if number > max => {
                self.refuse(name, "max_value", format!("Ensure this value is less than or equal to {max}."));
                None
            }
            Some(number) => Some(number),
            None => {
                self.refuse(name, "invalid", "A valid integer is required.");
                None
            }
        }
    }

    pub fn uuid(&mut self, name: &'static str) -> Option<Uuid> {
        let text = self.text(name, 64)?;
        let id = Uuid::parse_str(&text).ok();
        if id.is_none() {
            self.refuse(name, "invalid", "Must be a valid UUID.");
        }
        id
    }

    /// A moment, or null for none: `Some(None)` is an explicit null.
    pub fn moment(&mut self, name: &'static str) -> Option<Option<loopd_types::Timestamp>> {
        match self.object.remove(name)? {
            Value::Null => Some(None),
            Value::String(text) => match loopd_types::Timestamp::parse(&text) {
                Some(moment) => Some(Some(moment)),
                None => {
                    self.refuse(name, "invalid", loopd_types::Timestamp::WRONG_FORMAT);
                    None
                }
            },
            _ => {
                self.refuse(name, "invalid", loopd_types::Timestamp::WRONG_FORMAT);
                None
            }
        }
    }

    /// Takes a field that is null, and says whether it was.
    pub fn take_null(&mut self, name: &'static str) -> bool {
        let is_null = self.object.get(name).is_some_and(Value::is_null);
        if is_null {
            self.object.remove(name);
        }
        is_null
    }

    /// A list of anything, for the caller to read.
    pub fn list(&mut self, name: &'static str, most: usize) -> Option<Vec<Value>> {
        match self.object.remove(name)? {
            Value::Array(items) if items.len() <= most => Some(items),
            Value::Array(_) => {
                self.refuse(name, "max_length", format!("Ensure this field has no more than {most} elements."));
                None
            }
            _ => {
                self.refuse(name, "not_a_list", "Expected a list of items.");
                None
            }
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, name: &'static str, most: usize, max: usize) -> Option<Vec<String>> {
        match self.object.remove(name)? {
            Value::Array(items) if items.len() <= most => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    match item {
                        Value::String(text) if text.chars().count() <= max => texts.push(text),
                        _ => {
                            self.refuse(name, "invalid", "Not a valid string.");
                            return None;
                        }
                    }
                }
                Some(texts)
            }
            Value::Array(_) => {
                self.refuse(name, "max_length", format!("Ensure this field has no more than {most} elements."));
                None
            }
            _ => {
                self.refuse(name, "not_a_list", "Expected a list of items.");
                None
            }
        }
    }

    /// An object, at most `max_bytes` as JSON.
    pub fn object(&mut self, name: &'static str, max_bytes: usize) -> Option<Map<String, Value>> {
        match self.object.remove(name)? {
            Value::Object(object) => {
                if Value::Object(object.clone()).to_string().len() > max_bytes {
                    self.refuse(name, "max_length", format!("Ensure this field has no more than {max_bytes} bytes."));
                    return None;
                }
                Some(object)
            }
            _ => {
                self.refuse(name, "not_a_dict", "Expected a dictionary of items.");
                None
            }
        }
    }

    /// A value of a shape of the caller's own; `what` says in words what is expected.
    pub fn typed<T: serde::de::DeserializeOwned>(&mut self, name: &'static str, what: &str) -> Option<T> {
        match serde_json::from_value(self.object.remove(name)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, "invalid", format!("Expected {what}: {error}."));
                None
            }
        }
    }

    /// Takes fields that a client may send back as it read them; they change nothing.
    pub fn ignore(&mut self, read_only: &[&str]) {
        for name in read_only {
            self.object.remove(*name);
        }
    }

    /// # Errors
    /// 400 `validation_error` with every complaint; a field that nobody took is one (a typo must not be lost in silence).
    pub fn finish(mut self) -> Result<()> {
        let unknown: Vec<String> = self.object.keys().cloned().collect();
        for name in unknown {
            self.problem.add_field(name, "unknown_field", "Unknown field.");
        }
        if self.problem.has_fields() { Err(self.problem) } else { Ok(()) }
    }
}
