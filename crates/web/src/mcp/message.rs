//! JSON-RPC 2.0 as MCP has it: what comes in, in which revision of the protocol it is said, and what goes out.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use loopd_types::Result;
use serde_json::{Map, Value, json};

use crate::Reply;

/// The revision without sessions: every request says what it needs.
pub const MODERN: &str = "2026-07-28";
/// Revisions that begin with `initialize`, newest first.
pub const LEGACY: [&str; 2] = ["2025-11-25", "2025-06-18"];
/// Keys of `_meta`.
pub const SERVER: &str = "io.modelcontextprotocol/serverInfo";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const HEADER_MISMATCH: i64 = -32_020;
const UNSUPPORTED_VERSION: i64 = -32_022;

/// Every revision that is spoken here, newest first.
pub fn versions() -> Vec<&'static str> {
    [MODERN].into_iter().chain(LEGACY).collect()
}

/// How a request is to be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Era {
    Modern,
    Legacy,
}

/// A request, or a notification when it has no id.
#[derive(Debug)]
pub struct Message {
    pub id: Option<Value>,
    pub method: String,
    pub params: Map<String, Value>,
}

/// Why a message is not answered with a result.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub error: Value,
}

impl Refusal {
    fn new(status: u16, code: i64, words: impl Into<String>) -> Self {
        Self { status, error: json!({"code": code, "message": words.into()}) }
    }

    fn with(mut self, data: Value) -> Self {
        self.error["data"] = data;
        self
    }

    pub fn invalid_params(era: Era, words: impl Into<String>) -> Self {
        Self::new(if era == Era::Modern { 400 } else { 200 }, INVALID_PARAMS, words)
    }

    pub fn unknown_method(era: Era, method: &str) -> Self {
        Self::new(if era == Era::Modern { 404 } else { 200 }, METHOD_NOT_FOUND, format!("Method not found: {method}"))
    }
}

impl Message {
    /// Reads one message; `None` for an answer, of which nobody here waits for one.
    ///
    /// # Errors
    /// What is no message of JSON-RPC 2.0. Batches went with revision 2025-06-18.
    pub fn read(body: Value) -> Result<Option<Self>, Refusal> {
        let refuse = |words: &str| Err(Refusal::new(400, INVALID_REQUEST, words));
        let Value::Object(mut fields) = body else { return refuse("Send one JSON-RPC message, as an object.") };
        if fields.get("jsonrpc") != Some(&json!("2.0")) {
            return refuse("A message has \"jsonrpc\": \"2.0\".");
        }
        let id = fields.remove("id");
        if !matches!(id, None | Some(Value::String(_) | Value::Number(_))) {
            return refuse("The id of a request is a text or a number.");
        }
        let Some(Value::String(method)) = fields.remove("method") else {
            let is_answer = fields.contains_key("result") || fields.contains_key("error");
            return if is_answer { Ok(None) } else { refuse("A message has a method.") };
        };
        let params = match fields.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return refuse("The params of a message are an object."),
        };
        Ok(Some(Self { id, method, params }))
    }

    pub fn meta(&self, key: &str) -> Option<&Value> {
        self.params.get("_meta")?.get(key)
    }

    /// Which protocol is spoken, when the headers say the same as the message.
    ///
    /// # Errors
    /// As the revision has it (2026-07-28, Streamable HTTP, Server Validation): a version that we do not speak, headers that differ, a
    /// request without what it must say.
    pub fn era(&self, headers: &HeaderMap) -> Result<Era, Refusal> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (told, said) = (header("mcp-protocol-version"), self.meta(VERSION).and_then(Value::as_str));
        // Who says it in the message speaks as the newer revisions do; a header alone is what the older ones send.
        let is_modern = said.is_some() || told == Some(MODERN);
        let version = said.or(told);
        let is_known = |version: &str| version == MODERN || LEGACY.contains(&version);
        if let Some(version) = version.filter(|version| !is_known(version)).filter(|_| self.method != "initialize") {
            return Err(Refusal::new(400, UNSUPPORTED_VERSION, "Unsupported protocol version")
                .with(json!({"supported": versions(), "requested": version})));
        }
        if !is_modern {
            return Ok(Era::Legacy);
        }
        let differs = |name: &str, told: Option<&str>, said: &str| {
            let words = match told {
                Some(told) => {
                    format!("Header mismatch: {name} header value '{told}' does not match body value '{said}'")
                }
                None => format!("Header mismatch: the {name} header is missing"),
            };
            Err(Refusal::new(400, HEADER_MISMATCH, words))
        };
        let Some(said) = said else {
            return Err(Refusal::invalid_params(Era::Modern, format!("params._meta must have {VERSION}")));
        };
        if told != Some(said) {
            return differs("MCP-Protocol-Version", told, said);
        }
        if said != MODERN {
            return Ok(Era::Legacy);
        }
        if self.id.is_none() {
            return Ok(Era::Modern);
        }
        if !self.meta(CAPABILITIES).is_some_and(Value::is_object) {
            return Err(Refusal::invalid_params(Era::Modern, format!("params._meta must have {CAPABILITIES}")));
        }
        if header("mcp-method") != Some(&self.method) {
            return differs("Mcp-Method", header("mcp-method"), &self.method);
        }
        let name = self.params.get("name").and_then(Value::as_str).unwrap_or_default();
        let told = header("mcp-name").map(decoded);
        if self.method == "tools/call" && told.as_deref() != Some(name) {
            return differs("Mcp-Name", told.as_deref(), name);
        }
        Ok(Era::Modern)
    }
}

/// `=?base64?…?=` of 2026-07-28, Value Encoding; anything else is itself.
fn decoded(value: &str) -> String {
    let inner = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let bytes = inner.and_then(|inner| BASE64_STANDARD.decode(inner).ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| value.to_owned())
}

/// The answer to a request; `is_event` for clients that read nothing but event streams.
///
/// # Errors
/// 500 for what is no JSON.
pub fn answer(id: Option<Value>, outcome: Result<Value, Refusal>, is_event: bool) -> Result<Reply> {
    let id = id.unwrap_or_default();
    let (status, message) = match outcome {
        Ok(result) => (200, json!({"jsonrpc": "2.0", "id": id, "result": result})),
        Err(refusal) => (refusal.status, json!({"jsonrpc": "2.0", "id": id, "error": refusal.error})),
    };
    if !is_event {
        return Reply::json(status, &message);
    }
    let event = Bytes::from(format!("event: message\ndata: {message}\n\n"));
    Ok(Reply::bytes(status, "text/event-stream", event).with_header(CACHE_CONTROL, "no-store"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn era(method: &str, meta: Value, headers: &[(&'static str, &'static str)]) -> Result<Era, i64> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "wörter", "_meta": meta}});
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let message = Message::read(body).unwrap().unwrap();
        message.era(&map).map_err(|refusal| refusal.error["code"].as_i64().unwrap())
    }

    #[test]
    fn what_a_request_says_of_itself_must_stand_in_its_headers_too() {
        let meta = json!({VERSION: MODERN, CAPABILITIES: {}});
        let (version, method) = (("mcp-protocol-version", MODERN), ("mcp-method", "tools/call"));
        let name = ("mcp-name", "=?base64?d8O2cnRlcg==?=");
        assert_eq!(era("tools/call", meta.clone(), &[version, method, name]), Ok(Era::Modern));
        assert_eq!(era("tools/list", meta.clone(), &[version, ("mcp-method", "tools/list")]), Ok(Era::Modern));
        for headers in
            [&[method, name][..], &[version, name], &[version, method], &[version, method, ("mcp-name", "x")]]
        {
            assert_eq!(era("tools/call", meta.clone(), headers), Err(HEADER_MISMATCH), "{headers:?}");
        }
        let bare = json!({VERSION: MODERN});
        assert_eq!(era("tools/list", bare, &[version, ("mcp-method", "tools/list")]), Err(INVALID_PARAMS));
        assert_eq!(era("tools/list", json!({}), &[version]), Err(INVALID_PARAMS));
        let future = json!({VERSION: "2030-01-01", CAPABILITIES: {}});
        assert_eq!(era("tools/list", future, &[("mcp-protocol-version", "2030-01-01")]), Err(UNSUPPORTED_VERSION));
    }

    #[test]
    fn older_revisions_say_less() {
        assert_eq!(era("tools/list", json!({}), &[]), Ok(Era::Legacy));
        assert_eq!(era("tools/list", json!({}), &[("mcp-protocol-version", "2025-06-18")]), Ok(Era::Legacy));
        assert_eq!(era("initialize", json!({}), &[("mcp-protocol-version", "2024-11-05")]), Ok(Era::Legacy));
        let unknown = [("mcp-protocol-version", "2024-11-05")];
        assert_eq!(era("tools/list", json!({}), &unknown), Err(UNSUPPORTED_VERSION));
    }

    #[test]
    fn a_message_is_one_object_with_a_method() {
        for body in [
            json!([]),
            json!({"id": 1, "method": "ping"}),
            json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
            json!({"jsonrpc": "2.0", "id": 1}),
            json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}),
        ] {
            assert_eq!(Message::read(body.clone()).unwrap_err().error["code"], INVALID_REQUEST, "{body}");
        }
        assert!(Message::read(json!({"jsonrpc": "2.0", "id": 1, "result": {}})).unwrap().is_none());
    }
}
