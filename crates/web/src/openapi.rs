//! OpenAPI 3.1.0 from declared operations, and a check of the result.
//!
//! 3.1.0 and not the 3.0.3 of drf-spectacular: its schemas are JSON Schema proper, so `null` is a type, `const` and `examples` exist, and
//! what a definition says can be written down exactly. Refusals that follow from an operation's access, rate and body are added
//! here, so that no author can forget them.

use std::collections::{BTreeMap, BTreeSet};

use loopd_kernel::access::Door;
use loopd_types::{Kind, Problem};
use serde_json::{Map, Value, json};

use crate::dialect;
use crate::operation::{Access, Operation, Place, RateClass, ResponseDoc};
use crate::schema::{self, Schema as _};
use crate::{Content, Param, Surface};

/// What a document says about itself.
#[derive(Clone, Debug, Default)]
pub struct Document {
    pub title: String,
    pub version: String,
    pub description: String,
    /// Base URLs.
    pub servers: Vec<String>,
    /// Name and description; tags that operations use and nobody describes are added.
    pub tags: Vec<(String, String)>,
    /// `components.schemas`
    pub schemas: BTreeMap<String, Value>,
}

/// Assembles the document of the documented `operations`, all of one surface.
pub fn assemble<'o>(
    surface: Surface,
    document: &Document,
    operations: impl IntoIterator<Item = &'o Operation>,
) -> Value {
    let mut sorted: Vec<&Operation> = operations.into_iter().filter(|operation| operation.documented).collect();
    sorted.sort_by(|a, b| (&a.path, a.method.as_str()).cmp(&(&b.path, b.method.as_str())));
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut tags: Vec<(String, String)> = document.tags.clone();
    let mut refusals = BTreeSet::new();
    for operation in &sorted {
        if !operation.tag.is_empty() && !tags.iter().any(|(name, _)| *name == operation.tag) {
            tags.push((operation.tag.clone(), String::new()));
        }
        let entry = paths.entry(operation.path.replace("{*", "{")).or_default();
        entry.insert(operation.method.as_str().to_lowercase(), describe(operation, &mut refusals));
    }
    let mut schemas: Map<String, Value> = document.schemas.clone().into_iter().collect();
    for (name, schema) in error_schemas(surface) {
        schemas.insert(name, schema);
    }
    let responses: Map<String, Value> =
        refusals.into_iter().map(|status| (refusal_name(status), refusal(surface, status))).collect();
    let schemes: BTreeMap<String, Value> =
        sorted.iter().flat_map(|operation| ways(operation)).map(|way| (way.scheme, way.declared)).collect();
    json!({
        "openapi": "3.1.0",
        "info": {"title": document.title, "version": document.version, "description": document.description},
        "servers": document.servers.iter().map(|url| json!({"url": url})).collect::<Vec<_>>(),
        "tags": tags.into_iter().map(tag).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": shared_parameters(),
            "responses": responses,
            "securitySchemes": schemes,
        },
    })
}

/// The document without the tags and schemas that nothing in it names: what is left of the whole when it was assembled from some of
/// the operations.
pub fn without_unused(mut document: Value) -> Value {
    let mut named = BTreeSet::new();
    let mut ahead: Vec<String> = Vec::new();
    collect_schemas(&document["paths"], &mut ahead);
    collect_schemas(&document["components"]["responses"], &mut ahead);
    collect_schemas(&document["components"]["parameters"], &mut ahead);
    while let Some(name) = ahead.pop() {
        if named.contains(&name) {
            continue;
        }
        collect_schemas(&document["components"]["schemas"][&name], &mut ahead);
        named.insert(name);
    }
    let tags: BTreeSet<String> = operations(&document)
        .flat_map(|(_, _, operation)| list(&operation["tags"]).filter_map(Value::as_str).map(str::to_owned))
        .collect();
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| named.contains(name));
    }
    if let Some(all) = document["tags"].as_array_mut() {
        all.retain(|tag| tag["name"].as_str().is_some_and(|name| tags.contains(name)));
    }
    document
}

/// Names of the schemas that `value` refers to.
fn collect_schemas(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let to = map.get("$ref").and_then(Value::as_str);
            names.extend(to.and_then(|to| to.strip_prefix("#/components/schemas/")).map(str::to_owned));
            map.values().for_each(|inner| collect_schemas(inner, names));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect_schemas(inner, names)),
        _ => {}
    }
}

/// Path, method and operation of everything that a document describes.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    document["paths"].as_object().into_iter().flatten().flat_map(|(path, item)| {
        item.as_object()
            .into_iter()
            .flatten()
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn tag((name, description): (String, String)) -> Value {
    if description.is_empty() { json!({"name": name}) } else { json!({"name": name, "description": description}) }
}

fn describe(operation: &Operation, refusals: &mut BTreeSet<u16>) -> Value {
    let mut out = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters(operation),
        "responses": responses(operation, refusals),
        "security": ways(operation).into_iter().map(|way| json!({way.scheme: way.scopes})).collect::<Vec<_>>(),
    });
    if !operation.tag.is_empty() {
        out = out.with("tags", json!([operation.tag]));
    }
    if !operation.description.is_empty() {
        out = out.with("description", operation.description.as_str());
    }
    if let Access::Tenant { product, permission } | Access::Union { product, permission } = &operation.access {
        out = out.with("x-permission", &**permission);
        if let Some(product) = product {
            out = out.with("x-product", &**product);
        }
    }
    if let Some(request) = &operation.request {
        out = out.with("requestBody", json!({"required": request.required, "content": content(&request.content)}));
    }
    out
}

/// One way to show who one is; any of an operation's is enough.
struct Way {
    scheme: String,
    /// The scheme itself.
    declared: Value,
    scopes: Vec<&'static str>,
}

fn ways(operation: &Operation) -> Vec<Way> {
    match operation.access {
        Access::Public => Vec::new(),
        Access::Superuser => vec![token()],
        Access::Any(doors) => {
            doors.iter().flat_map(|door| at_door(door, None)).chain([token(), internal_key()]).collect()
        }
        Access::Key(keyed) => at_door(keyed.door, keyed.scope),
        _ => vec![token(), internal_key()],
    }
}

fn token() -> Way {
    let declared = json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"});
    Way { scheme: "jwtAuth".to_owned(), declared, scopes: Vec::new() }
}

fn internal_key() -> Way {
    let declared = json!({"type": "apiKey", "in": "header", "name": "X-LOOP-API-KEY",
        "description": "A server's key; never in browsers or apps."});
    Way { scheme: "internalKey".to_owned(), declared, scopes: Vec::new() }
}

/// A key of a surface of its own, as a bearer's, and in the door's own header if it has one.
fn at_door(door: &Door, scope: Option<&'static str>) -> Vec<Way> {
    let way = |scheme: String, declared: Value| Way { scheme, declared, scopes: scope.into_iter().collect() };
    let bearer = way(door.scheme.to_owned(), json!({"type": "http", "scheme": "bearer"}));
    let own = door
        .header
        .map(|name| way(format!("{}Header", door.scheme), json!({"type": "apiKey", "in": "header", "name": name})));
    [bearer].into_iter().chain(own).collect()
}

fn parameters(operation: &Operation) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for name in operation.path_names() {
        let implied =
            || Param::path(name, if operation.is_uuid_param(name) { schema::uuid() } else { schema::string() });
        let param = operation.path_param(name).cloned().unwrap_or_else(implied);
        all.push(parameter(&param));
    }
    all.extend(operation.params.iter().filter(|param| param.place != Place::Path).map(parameter));
    let shared = |name: &str| json!({"$ref": format!("#/components/parameters/{name}")});
    if matches!(operation.access, Access::Tenant { .. } | Access::Union { .. }) {
        all.push(shared("CompanyId"));
        all.push(shared("WorkspaceId"));
    }
    if !matches!(operation.access, Access::Public | Access::Key(_) | Access::Any(_)) {
        all.push(shared("AppId"));
    }
    if takes_key(operation) {
        all.push(shared("IdempotencyKey"));
    }
    Value::Array(all)
}

fn parameter(param: &Param) -> Value {
    let out =
        json!({"name": param.name, "in": param.place.as_str(), "required": param.required, "schema": param.schema});
    if param.description.is_empty() { out } else { out.describe(&param.description) }
}

fn shared_parameters() -> Value {
    let header = |name: &str, schema: Value, words: &str| parameter(&Param::header(name, schema).describe(words));
    json!({
        "CompanyId": header("X-Company-ID", schema::pattern("^[0-9]{3,}$").example("001"),
            "Code of the company to act in. May be left out by members of exactly one company; lists then cover all of the caller's."),
        "WorkspaceId": header("X-Workspace-ID", schema::uuid(), "A workspace of that company."),
        "AppId": header("X-LOOP-APP-ID", schema::text(1, 100).example("loop-booking-web"), "Identity of the calling front end."),
        "IdempotencyKey": header("Idempotency-Key", schema::pattern("^[!-~]{1,255}$"),
            "The same key with the same request gets the same answer and has one effect."),
    })
}

fn takes_key(operation: &Operation) -> bool {
    !operation.method.is_safe() && operation.has_effect
}

fn content(all: &[Content]) -> Value {
    let by_type: Map<String, Value> = all
        .iter()
        .map(|content| {
            let mut media = json!({"schema": content.schema});
            if let Some(example) = &content.example {
                media = media.with("example", example.clone());
            }
            (content.content_type.clone(), media)
        })
        .collect();
    Value::Object(by_type)
}

fn responses(operation: &Operation, refusals: &mut BTreeSet<u16>) -> Value {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for response in operation.responses.iter() {
        all.insert(response.status.to_string(), response_doc(response));
    }
    for status in implied_refusals(operation) {
        all.entry(status.to_string()).or_insert_with(|| {
            refusals.insert(status);
            json!({"$ref": format!("#/components/responses/{}", refusal_name(status))})
        });
    }
    // A declared refusal without a body of its own has the surface's envelope.
    for (status, response) in &mut all {
        let is_refusal = status.parse::<u16>().is_ok_and(|status| status >= 400);
        if is_refusal && response.get("$ref").is_none() && response.get("content").is_none() {
            *response =
                response.take().with("content", json!({"application/json": {"schema": schema::component("Error")}}));
        }
    }
    json!(all)
}

fn response_doc(response: &ResponseDoc) -> Value {
    let mut out = json!({"description": response.description});
    if !response.content.is_empty() {
        out = out.with("content", content(&response.content));
    }
    if !response.headers.is_empty() {
        let headers: Map<String, Value> = response
            .headers
            .iter()
            .map(|(name, words)| (name.clone(), json!({"schema": {"type": "string"}, "description": words})))
            .collect();
        out = out.with("headers", headers);
    }
    out
}

/// The refusals that the edge and the pipeline can give before the handler runs, and those that any handler can.
fn implied_refusals(operation: &Operation) -> Vec<u16> {
    // Any operation can be sent an unreadable query or `Accept`, find the database away, or take too long.
    let mut all = vec![400, 404, 406, 500, 503, 504];
    if operation.access != Access::Public {
        all.extend([401, 403]);
    }
    if takes_key(operation) {
        all.push(409);
    }
    if operation.request.is_some() {
        all.extend([413, 415]);
    }
    if operation.rate != RateClass::Unlimited {
        all.push(429);
    }
    all.sort_unstable();
    all
}

fn refusal_name(status: u16) -> String {
    let name = match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        406 => "NotAcceptable",
        409 => "Conflict",
        413 => "PayloadTooLarge",
        415 => "UnsupportedMediaType",
        429 => "TooManyRequests",
        500 => "ServerError",
        503 => "Unavailable",
        _ => "Timeout",
    };
    name.to_owned()
}

/// A refusal with an example as the edge would write it: readers copy from examples, so they must be what comes.
fn refusal(surface: Surface, status: u16) -> Value {
    let (words, header, problem) = match status {
        400 => ("The request is not valid.", None, Problem::field("title", "required", "This field is required.")),
        401 => ("No or wrong credentials.", Some("WWW-Authenticate"), Problem::not_authenticated()),
        403 => ("Not allowed.", None, Problem::permission_denied()),
        404 => ("There is no such thing, or not for this caller.", None, Problem::not_found()),
        406 => (
            "The Accept header cannot be satisfied.",
            None,
            Problem::new(Kind::NotAcceptable, "not_acceptable", "Could not satisfy the request Accept header."),
        ),
        409 => (
            "In conflict with the present state, or with an earlier use of the Idempotency-Key.",
            None,
            Problem::conflict("idempotency_conflict", "A request with this Idempotency-Key is still running."),
        ),
        413 => (
            "The body is too large.",
            None,
            Problem::new(Kind::TooLarge, "payload_too_large", "The request body is larger than 2097152 bytes."),
        ),
        415 => (
            "The body's type is not read here.",
            None,
            Problem::new(
                Kind::UnsupportedMediaType,
                "unsupported_media_type",
                "Unsupported media type \"text/plain\" in request.",
            ),
        ),
        429 => (
            "Too many requests.",
            Some("Retry-After"),
            Problem::new(Kind::TooMany, "throttled", "Request was throttled. Expected available in 12 seconds."),
        ),
        500 => ("A fault of the server.", None, Problem::internal("")),
        503 => ("Temporarily unavailable; nothing was changed.", Some("Retry-After"), Problem::unavailable("")),
        _ => (
            "The request took too long.",
            None,
            Problem::new(
                Kind::Timeout,
                "timeout",
                "The request took too long. It may still be carried out; repeat it with the same Idempotency-Key to find out.",
            ),
        ),
    };
    let mut content = Content::of("application/json", schema::component("Error"));
    content.example = dialect::json(surface, &problem, "01a202fc-7f73-7000-8bb9-82f980c49b84");
    let mut doc = ResponseDoc::empty(status, words).with(content);
    doc.headers.extend(header.map(|name| (name.to_owned(), String::new())));
    response_doc(&doc)
}

/// The `Error` schema of a surface's dialect and what it refers to.
fn error_schemas(surface: Surface) -> Vec<(String, Value)> {
    let words = || vec![("error", schema::string()), ("message", schema::string())];
    match surface {
        Surface::Loopwave | Surface::Facilitator => {
            vec![("Error".into(), schema::object(words()).required(["error", "message"]))]
        }
        Surface::Loomal => {
            let mut fields = words();
            fields.push(("status", schema::integer_between(400, 599)));
            vec![("Error".into(), schema::object(fields).required(["error", "message", "status"]))]
        }
        _ => loop_error_schemas(),
    }
}

fn loop_error_schemas() -> Vec<(String, Value)> {
    let complaint =
        schema::object([("code", schema::string()), ("message", schema::string())]).required(["code", "message"]);
    let error = schema::object([
        ("code", schema::string()),
        ("message", schema::string()),
        ("status", schema::integer_between(400, 599)),
        (
            "details",
            schema::free_object()
                .describe("Complaints by field (lists of FieldError), or further facts about the refusal; empty when there are none."),
        ),
        ("request_id", schema::string()),
    ])
    .required(["code", "message", "status", "details", "request_id"]);
    vec![("FieldError".into(), complaint), ("Error".into(), schema::object([("error", error)]).required(["error"]))]
}

/// Checks an assembled document; an empty list is a good one.
///
/// Looks for: operation ids used twice, references that lead nowhere, path parameters that are not declared or not in the path,
/// operations without a success or a refusal, tags that are not declared.
pub fn lint(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check_refs(document, document, &mut faults);
    let mut ids = BTreeSet::new();
    let tags: BTreeSet<&str> = list(&document["tags"]).filter_map(|tag| tag["name"].as_str()).collect();
    if !document["paths"].is_object() {
        return vec!["there are no paths".into()];
    }
    for (path, method, operation) in operations(document) {
        let place = format!("{} {path}", method.to_uppercase());
        match operation["operationId"].as_str() {
            Some(id) if !id.is_empty() && ids.insert(id.to_owned()) => {}
            Some(id) => faults.push(format!("{place}: operation id `{id}` is empty or used twice")),
            None => faults.push(format!("{place}: no operation id")),
        }
        if operation["summary"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{place}: no summary"));
        }
        for tag in list(&operation["tags"]).filter_map(Value::as_str).filter(|tag| !tags.contains(tag)) {
            faults.push(format!("{place}: tag `{tag}` is not declared"));
        }
        check_parameters(document, &place, path, operation, &mut faults);
        let statuses: Vec<&str> =
            operation["responses"].as_object().into_iter().flatten().map(|(s, _)| s.as_str()).collect();
        if !statuses.iter().any(|status| status.starts_with('2') || status.starts_with('3')) {
            faults.push(format!("{place}: no success is documented"));
        }
        if !statuses.iter().any(|status| status.starts_with('4')) {
            faults.push(format!("{place}: no refusal is documented"));
        }
    }
    faults
}

fn check_parameters(document: &Value, place: &str, path: &str, operation: &Value, faults: &mut Vec<String>) {
    let in_path: BTreeSet<&str> = path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
    let mut declared = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for parameter in list(&operation["parameters"]) {
        let parameter = parameter["$ref"].as_str().and_then(|to| resolve(document, to)).unwrap_or(parameter);
        let (name, kind) = (parameter["name"].as_str().unwrap_or(""), parameter["in"].as_str().unwrap_or(""));
        if !seen.insert((name, kind)) {
            faults.push(format!("{place}: parameter `{name}` is declared twice"));
        }
        if parameter.get("schema").is_none() {
            faults.push(format!("{place}: parameter `{name}` has no schema"));
        }
        if kind == "path" {
            declared.insert(name);
        }
    }
    for name in in_path.symmetric_difference(&declared) {
        faults.push(format!("{place}: path parameter `{name}` stands in the path or in the parameters, not in both"));
    }
}

fn check_refs(document: &Value, value: &Value, faults: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(to) = map.get("$ref").and_then(Value::as_str)
                && resolve(document, to).is_none()
            {
                faults.push(format!("reference `{to}` leads nowhere"));
            }
            map.values().for_each(|inner| check_refs(document, inner, faults));
        }
        Value::Array(items) => items.iter().for_each(|inner| check_refs(document, inner, faults)),
        _ => {}
    }
}

fn resolve<'d>(document: &'d Value, to: &str) -> Option<&'d Value> {
    document.pointer(to.strip_prefix('#')?)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
