//! The dialects: each surface's way to write a [`Problem`]. Nothing inside the edge knows that there is more than one.
//!
//! The status and the headers are the same in every dialect; the body is one function each. docs/errors.md is the table for readers.

use std::sync::LazyLock;

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use loopd_types::{Kind, Problem};
use serde_json::{Map, Value, json};

use crate::reply::{JSON, Reply, header_value};
use crate::{Payload, Surface};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Writes `problem` in the dialect of `surface`. The private cause stays behind.
pub fn render(surface: Surface, problem: &Problem, request_id: &str) -> Reply {
    let (content_type, body) = match json(surface, problem, request_id) {
        Some(body) => (JSON, body.to_string()),
        None if surface == Surface::Console => {
            (HTML, page(problem, request_id, "", ("/console/", "Back to the console")))
        }
        None => (TEXT, format!("{}: {}\nrequest id: {request_id}\n", problem.code(), sentence(problem))),
    };
    reply(problem, content_type, body.into())
}

/// LOOP's paths in a browser's address bar: a small page where there is nothing to see or the way of asking is wrong. Everything
/// else stays JSON, because it is an API that was asked.
pub(crate) fn render_for_people(problem: &Problem, request_id: &str) -> Reply {
    if !matches!(problem.kind(), Kind::NotFound | Kind::MethodNotAllowed) {
        return render(Surface::Loop, problem, request_id);
    }
    let style = format!("<style>{STYLE}</style>");
    let body = page(problem, request_id, &style, ("/", "To the developer portal"));
    let mut reply = reply(problem, HTML, body.into());
    reply.headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY.clone());
    reply.headers.append(VARY, HeaderValue::from_static("accept"));
    reply
}

// The portal's colours: whoever mistypes an address shall see that they are still here.
const STYLE: &str = "body{font:1rem/1.6 system-ui,sans-serif;margin:0;color:#14211f;background:#fbfaf6}\
    main{max-width:36rem;margin:18vh auto 0;padding:0 1.5rem}h1{font-size:1.6rem;line-height:1.25}\
    p{color:#4b5a56}code{font-size:.875rem;overflow-wrap:anywhere}a{color:#0b6b5c}\
    @media(prefers-color-scheme:dark){body{color:#e9f0ed;background:#0d1513}p{color:#a3b3ad}a{color:#5fd3ba}}";

/// The page's own style by its hash, and nothing else.
static PAGE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, loopd_types::sha256(STYLE.as_bytes()));
    header_value(&format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ))
});

fn reply(problem: &Problem, content_type: HeaderValue, body: Payload) -> Reply {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, content_type);
    if problem.kind() == Kind::Unauthenticated {
        // DRF turns a 401 without a challenge into a 403 (spec/loop.md 4.1); RFC 9110, 11.6.1 demands one.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
    }
    for (name, value) in problem.headers() {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            headers.insert(name, header_value(value));
        }
    }
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply { status, headers, body }
}

/// The body of a refusal on the surfaces that speak JSON; `None` on the others.
pub fn json(surface: Surface, problem: &Problem, request_id: &str) -> Option<Value> {
    match surface {
        Surface::Loop => Some(loop_envelope(problem, request_id)),
        Surface::Loopwave => Some(loopwave(problem)),
        Surface::Loomal => Some(loomal(problem)),
        Surface::Facilitator => Some(facilitator(problem)),
        Surface::Mcp => Some(json_rpc(problem, request_id)),
        Surface::Console | Surface::Operator => None,
    }
}

/// LOOP: spec/loop.md 5.6. Field complaints and other details share `details`.
fn loop_envelope(problem: &Problem, request_id: &str) -> Value {
    json!({"error": {
        "code": problem.code(),
        "message": problem.message(),
        "status": problem.status(),
        "details": details(problem),
        "request_id": request_id,
    }})
}

/// The `details` object of the LOOP envelope; bulk answers use it for their rows.
pub fn details(problem: &Problem) -> Map<String, Value> {
    let mut details = problem.extra().clone();
    for (name, errors) in problem.fields() {
        let errors = errors.iter().map(|error| json!({"code": error.code, "message": error.message})).collect();
        details.insert(name.clone(), Value::Array(errors));
    }
    details
}

/// Loopwave: `{error, message}` with its own words for what its pages name (spec/loopwave.md 1.5).
fn loopwave(problem: &Problem) -> Value {
    let (code, message) = match (problem.kind(), problem.code()) {
        (Kind::Unauthenticated, _) => ("invalid_api_key", sentence(problem)),
        (Kind::Invalid, "validation_error" | "parse_error" | "bad_request") => ("invalid_input", sentence(problem)),
        (Kind::TooMany, "throttled") => ("rate_limited", "Too many requests for this key.".to_owned()),
        (_, code) => (code, sentence(problem)),
    };
    json!({"error": code, "message": message})
}

/// Loomal: `{error, message, status}`; its pages know a code for each status (spec/loomal.md 2.3).
fn loomal(problem: &Problem) -> Value {
    let code = match (problem.kind(), problem.code()) {
        (Kind::Invalid | Kind::UnsupportedMediaType | Kind::NotAcceptable, _) => "bad_request",
        (Kind::Unauthenticated, _) => "unauthorized",
        (Kind::Forbidden, _) => "forbidden",
        (Kind::NotFound, _) => "not_found",
        (Kind::Gone, _) => "expired",
        (Kind::TooLarge, _) => "payload_too_large",
        (Kind::TooMany, "throttled") => "rate_limited",
        (Kind::Internal, _) => "internal_error",
        (_, code) => code,
    };
    let message = match code {
        "rate_limited" => "Too many requests".to_owned(),
        _ => sentence(problem),
    };
    let mut body = json!({"error": code, "message": message, "status": problem.status()});
    // A body that is too large is refused by the edge, whose facts are LOOP's details; what an operation here adds is its own (`ok`, `txHash`).
    for (name, value) in problem.extra().iter().filter(|_| problem.kind() != Kind::TooLarge) {
        body[name] = value.clone();
    }
    body
}

/// The facilitator: x402 gives no shape for refusals of the HTTP layer (an invalid payment is a 200 with `isValid: false`).
/// Its client passes on whatever JSON comes without `isValid` and `success`, so the plainest one is written.
fn facilitator(problem: &Problem) -> Value {
    json!({"error": problem.code(), "message": sentence(problem)})
}

/// MCP: a JSON-RPC 2.0 error without an id, because the edge refuses before the message is understood.
fn json_rpc(problem: &Problem, request_id: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": null, "error": json_rpc_error(problem, request_id)})
}

/// The `error` member of a JSON-RPC answer; the MCP surface uses it for answers that have an id.
pub fn json_rpc_error(problem: &Problem, request_id: &str) -> Value {
    // JSON-RPC 2.0, 5.1: -32700 to -32600 are fixed. MCP keeps -32099 to -32000 for itself (2026-07-28, basic, Error Codes); our own
    // numbers stand outside of it, and are HTTP's.
    let number: i64 = match (problem.kind(), problem.code()) {
        (_, "parse_error") => -32_700,
        (Kind::Invalid, "validation_error") => -32_602,
        (Kind::Invalid | Kind::UnsupportedMediaType | Kind::NotAcceptable | Kind::TooLarge, _) => -32_600,
        (Kind::NotFound | Kind::MethodNotAllowed, _) => -32_601,
        (Kind::Internal, _) => -32_603,
        _ => problem.status().into(),
    };
    json!({"code": number, "message": sentence(problem), "data": {
        "code": problem.code(),
        "status": problem.status(),
        "details": details(problem),
        "request_id": request_id,
    }})
}

/// A plain page for people; the console renders its own where it can. `way` is where to go from here.
fn page(problem: &Problem, request_id: &str, style: &str, way: (&str, &str)) -> String {
    let (status, message, id) = (problem.status(), escape(&sentence(problem)), escape(request_id));
    let (address, words) = way;
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{status}</title>{style}<main><h1>{message}</h1><p>Status {status}. Please quote this id if you ask for help: \
         <code>{id}</code></p><p><a href=\"{address}\">{words}</a></p></main></html>"
    )
}

/// The message with the first field complaints, for dialects that have no place for details.
fn sentence(problem: &Problem) -> String {
    if !problem.has_fields() {
        return problem.message().to_owned();
    }
    let mut words = Vec::new();
    for (name, errors) in problem.fields().iter().take(5) {
        let Some(first) = errors.first() else { continue };
        match name.as_str() {
            loopd_types::NON_FIELD => words.push(first.message.to_string()),
            name => words.push(format!("{name}: {}", first.message)),
        }
    }
    words.join(" ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
