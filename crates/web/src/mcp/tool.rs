//! [`Tool`]: an operation as agents see it. Its arguments are the operation's own parameters and the fields of its body, in one object.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use loopd_types::{Problem, Result};
use serde_json::{Map, Value, json};

use crate::query::encode;
use crate::{Access, Operation, Place};

/// Deeper schemas are left open: a schema may refer to itself.
const MOST_DEPTH: usize = 12;
/// What a call through a tool takes over from the call of `/mcp`.
const TAKEN_OVER: [&str; 5] = ["x-loop-api-key", "x-loop-app-id", "x-company-id", "x-workspace-id", "accept-language"];
/// Arguments that are headers of a call in a company.
const PLACES: [(&str, &str, &str); 2] = [
    ("company", "x-company-id", "The company's code, like `001`, for callers who have several."),
    ("workspace", "x-workspace-id", "A workspace's id, to act in it alone."),
];

/// An operation that agents may call.
#[derive(Debug)]
pub struct Tool {
    pub name: Arc<str>,
    pub operation: Arc<Operation>,
    /// As `tools/list` shows it.
    pub definition: Value,
    fields: Fields,
}

/// Where an argument goes that is no parameter.
#[derive(Debug, PartialEq)]
enum Fields {
    /// The operation reads no body: into the query, where lists know more words than their parameters.
    Query,
    /// Into the body; true when it takes fields that it does not name.
    Body { names: Vec<String>, is_open: bool },
    /// The argument `body` is the body.
    Whole,
}

impl Tool {
    /// `None` for operations that are offered as none, and for bodies that are no JSON.
    pub fn of(operation: Operation, components: &BTreeMap<String, Value>) -> Option<Self> {
        let name = operation.tool.clone()?;
        let mut schema = Arguments::default();
        for name in operation.path_names() {
            let declared = operation.path_param(name);
            let plain = if operation.is_uuid_param(name) { crate::schema::uuid() } else { crate::schema::string() };
            let words = declared.map_or("", |param| param.description.as_str());
            schema.add(name, declared.map_or(plain, |param| resolve(&param.schema, components, 0)), words, true);
        }
        for param in operation.params.iter().filter(|param| param.place == Place::Query) {
            schema.add(&param.name, resolve(&param.schema, components, 0), &param.description, param.required);
        }
        let mut fields = Fields::Query;
        if let Some(request) = &operation.request {
            let content = request.content.iter().find(|content| content.content_type == "application/json")?;
            fields = schema.add_body(resolve(&content.schema, components, 0), request.required);
        }
        if let Access::Tenant { .. } | Access::Union { .. } = operation.access {
            for (name, _, words) in PLACES {
                schema.add(name, crate::schema::string(), words, false);
            }
        }
        let description = match operation.description.is_empty() {
            true => operation.summary.clone(),
            false => format!("{}. {}", operation.summary.trim_end_matches('.'), operation.description),
        };
        let is_closed = !matches!(fields, Fields::Query | Fields::Body { is_open: true, .. });
        let definition = json!({
            "name": &*name,
            "title": operation.summary,
            "description": description,
            "inputSchema": schema.into_schema(is_closed),
            "annotations": {
                "readOnlyHint": operation.method.is_safe() || !operation.has_effect,
                "destructiveHint": operation.method == Method::DELETE,
                "idempotentHint": operation.method.is_idempotent(),
            },
        });
        Some(Self { name, operation: Arc::new(operation), definition, fields })
    }

    /// The request that a call with these arguments is, made by whoever made the one with these headers.
    ///
    /// # Errors
    /// 400 on arguments that are missing, unknown, or no text where a path or query needs one.
    pub fn request(&self, arguments: Map<String, Value>, caller: &HeaderMap) -> Result<(Parts, Bytes)> {
        let mut arguments = arguments;
        let mut problem = Problem::validation();
        let mut target = String::new();
        let (mut separator, mut body) = ('?', Map::new());
        let mut headers = taken_over(caller);
        for segment in self.operation.path.split_inclusive('/') {
            let Some((name, rest)) = segment.strip_prefix('{').and_then(|segment| segment.split_once('}')) else {
                target.push_str(segment);
                continue;
            };
            let name = name.trim_start_matches('*');
            match arguments.shift_remove(name).as_ref().and_then(text).filter(|text| !text.is_empty()) {
                Some(text) => encode(&mut target, &text),
                None => problem.add_field(name.to_owned(), "required", "This field is required."),
            }
            target.push_str(rest);
        }
        let is_of_company = matches!(self.operation.access, Access::Tenant { .. } | Access::Union { .. });
        let mut whole = None;
        for (name, value) in arguments {
            let is_query = self.operation.params.iter().any(|known| known.place == Place::Query && known.name == name);
            let is_field = matches!(&self.fields, Fields::Body { names, .. } if names.contains(&name));
            let place = PLACES.iter().find(|(known, ..)| is_of_company && !is_query && !is_field && *known == name);
            if let Some((_, header, _)) = place {
                match text(&value).and_then(|text| HeaderValue::from_str(&text).ok()) {
                    Some(value) => drop(headers.insert(HeaderName::from_static(header), value)),
                    None if value.is_null() => {}
                    None => problem.add_field(name, "invalid", "Not a valid string."),
                }
                continue;
            }
            match &self.fields {
                _ if is_query => {}
                Fields::Query => {}
                Fields::Whole if name == "body" => {
                    whole = Some(value);
                    continue;
                }
                Fields::Body { is_open, .. } if is_field || *is_open => {
                    body.insert(name, value);
                    continue;
                }
                _ => {
                    problem.add_field(name, "unknown", "There is no such argument.");
                    continue;
                }
            }
            let Some(text) = text(&value) else { continue };
            target.push(separator);
            separator = '&';
            encode(&mut target, &name);
            target.push('=');
            encode(&mut target, &text);
        }
        if problem.has_fields() {
            return Err(problem);
        }
        let body = match self.fields {
            Fields::Query => Bytes::new(),
            Fields::Body { .. } => Value::Object(body).to_string().into(),
            Fields::Whole => whole.map_or_else(Bytes::new, |body| body.to_string().into()),
        };
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = Request::builder().method(self.operation.method.clone()).uri(target).body(());
        let (mut parts, ()) = request.map_err(Problem::internal)?.into_parts();
        parts.headers = headers;
        Ok((parts, body))
    }
}

/// Who asks, and how: nothing that describes the request of `/mcp` itself.
fn taken_over(caller: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let names = TAKEN_OVER.iter().map(|name| HeaderName::from_static(name));
    for name in names.chain([AUTHORIZATION, USER_AGENT]) {
        for value in caller.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// A value as a path or a query has it; `None` for null.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(text).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}

/// The schema of a tool's arguments, as it grows.
#[derive(Default)]
struct Arguments {
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Arguments {
    /// The first of a name stays.
    fn add(&mut self, name: &str, mut schema: Value, words: &str, is_required: bool) {
        if self.properties.contains_key(name) {
            return;
        }
        if let (Some(schema), false) = (schema.as_object_mut(), words.is_empty()) {
            schema.insert("description".to_owned(), words.into());
        }
        self.properties.insert(name.to_owned(), schema);
        if is_required {
            self.required.push(name.into());
        }
    }

    fn add_body(&mut self, schema: Value, is_required: bool) -> Fields {
        let names: Vec<String> =
            schema["properties"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default();
        let is_flat = schema["type"] == "object" && !names.iter().any(|name| self.properties.contains_key(name));
        if !is_flat {
            self.add("body", schema, "", is_required);
            return Fields::Whole;
        }
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            self.add(name, field.clone(), "", is_required && required.iter().any(|known| known == name));
        }
        // As JSON Schema has it: what does not say that it is closed is open.
        Fields::Body { names, is_open: schema["additionalProperties"] != false }
    }

    fn into_schema(self, is_closed: bool) -> Value {
        let mut schema = json!({"type": "object", "properties": self.properties});
        if !self.required.is_empty() {
            schema["required"] = self.required.into();
        }
        if is_closed {
            schema["additionalProperties"] = false.into();
        }
        schema
    }
}

/// A schema that stands alone: references followed, and without what only answers have.
fn resolve(schema: &Value, components: &BTreeMap<String, Value>, depth: usize) -> Value {
    if depth > MOST_DEPTH {
        return json!({});
    }
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|to| to.rsplit('/').next()) {
                return components.get(name).map_or_else(|| json!({}), |found| resolve(found, components, depth + 1));
            }
            let mut out = Map::new();
            let is_read_only = |field: &Value| field["readOnly"] == true;
            let hidden: Vec<&String> = match map.get("properties") {
                Some(Value::Object(fields)) => {
                    fields.iter().filter(|(_, field)| is_read_only(field)).map(|(name, _)| name).collect()
                }
                _ => Vec::new(),
            };
            for (keyword, value) in map {
                let value = match (keyword.as_str(), value) {
                    ("properties", Value::Object(fields)) => {
                        let shown = fields.iter().filter(|(name, _)| !hidden.contains(name));
                        shown.map(|(name, field)| (name.clone(), resolve(field, components, depth + 1))).collect()
                    }
                    ("required", Value::Array(names)) => {
                        names.iter().filter(|name| !hidden.iter().any(|hidden| **name == **hidden)).cloned().collect()
                    }
                    ("examples" | "example" | "default" | "enum" | "const", value) => value.clone(),
                    (_, value) => resolve(value, components, depth + 1),
                };
                out.insert(keyword.clone(), value);
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(|item| resolve(item, components, depth + 1)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Param, Reply, Schema as _, schema};

    fn tool(operation: Operation) -> Tool {
        let thing = schema::object([
            ("id", schema::uuid().read_only()),
            ("name", schema::string()),
            ("parent", schema::component("Thing")),
        ]);
        let components = [("Thing".to_owned(), thing.required(["id", "name"]))].into();
        Tool::of(operation, &components).expect("a tool")
    }

    fn change() -> Operation {
        Operation::patch("things_change", "/api/v1/things/{id}/", |_| async { Ok(Reply::no_content()) })
            .tool("things.change")
            .summary("Change a thing")
            .tenant(None, "things.things.update")
            .param(Param::query("loud", schema::boolean()))
            .body(schema::component("Thing"))
    }

    #[test]
    fn arguments_are_the_parameters_and_the_fields_of_the_body() {
        let tool = tool(change());
        let schema = &tool.definition["inputSchema"];
        let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["id", "loud", "name", "parent", "company", "workspace"]);
        assert_eq!(schema["required"], json!(["id", "name"]));
        assert_eq!(schema["additionalProperties"], false);
        assert!(!tool.definition.to_string().contains("$ref"));
        assert_eq!(tool.definition["annotations"]["readOnlyHint"], false);
    }

    #[test]
    fn a_call_is_the_request_that_it_means() {
        let mut caller = HeaderMap::new();
        for (name, value) in [("authorization", "Bearer t"), ("x-company-id", "001"), ("mcp-name", "things.change")] {
            caller.insert(name, HeaderValue::from_static(value));
        }
        let arguments = json!({"id": "a/../b", "loud": true, "name": "Ä", "parent": null, "company": "002"});
        let (parts, body) = tool(change()).request(arguments.as_object().unwrap().clone(), &caller).unwrap();
        assert_eq!(parts.uri, "/api/v1/things/a%2F..%2Fb/?loud=true");
        assert_eq!(parts.method, Method::PATCH);
        assert_eq!(body, r#"{"name":"Ä","parent":null}"#);
        assert_eq!(parts.headers["x-company-id"], "002");
        assert_eq!(parts.headers["authorization"], "Bearer t");
        assert!(!parts.headers.contains_key("mcp-name"));
        let wrong = json!({"nmae": "x"});
        let problem = tool(change()).request(wrong.as_object().unwrap().clone(), &caller).unwrap_err();
        let fields: Vec<&str> = problem.fields().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(fields, ["id", "nmae"]);
    }

    #[test]
    fn a_body_that_is_no_flat_object_is_an_argument_of_its_own() {
        let many = Operation::put("things_set", "/api/v1/things/{id}/all/", |_| async { Ok(Reply::no_content()) })
            .tool("things.set")
            .body(schema::array(schema::component("Thing")));
        let tool = tool(many);
        assert_eq!(tool.definition["inputSchema"]["required"], json!(["id", "body"]));
        assert_eq!(tool.fields, Fields::Whole);
        let arguments = json!({"id": "7", "body": [1]});
        let (_, body) = tool.request(arguments.as_object().unwrap().clone(), &HeaderMap::new()).unwrap();
        assert_eq!(body, "[1]");
    }
}
