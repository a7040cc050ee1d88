//! Carrying out a tool: the operation's own request, and its answer as a tool's result. Payments travel as x402's MCP transport has them
//! (specs/transports-v2/mcp.md): the headers of an operation that wants to be paid for are members of `_meta` here.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{HOST, HeaderName, HeaderValue};
use loopd_kernel::access::Door;
use loopd_types::{Kind, Problem, Result};
use serde_json::{Map, Value, json};

use super::message::{Message, Refusal};
use super::tool::Tool;
use crate::{Call, Reply, Surface, dialect};

/// Members of `_meta`.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const PAYMENT: &str = "x402/payment";
const PAYMENT_RESPONSE: &str = "x402/payment-response";

/// Calls the tool; the result has `isError` when the operation refuses.
///
/// # Errors
/// Faults of the server: nothing that another call of the model's could mend.
pub async fn perform(tool: &Tool, call: &Call, doors: &[&Door], message: &Message) -> Result<Value, Refusal> {
    let outcome = carry_out(tool, call, doors, message).await;
    match outcome {
        Ok(reply) => Ok(result(&reply)),
        Err(problem) if problem.kind() == Kind::Internal => {
            Err(Refusal { status: 200, error: dialect::json_rpc_error(&problem, &call.request_id) })
        }
        Err(problem) => {
            // What the operation itself would have answered.
            let problem = match tool.operation.dressed {
                Some(dress) => dress(problem),
                None => problem,
            };
            let body = dialect::json(Surface::of(&tool.operation.path), &problem, &call.request_id);
            Ok(told(body.unwrap_or_default(), true))
        }
    }
}

async fn carry_out(tool: &Tool, call: &Call, doors: &[&Door], message: &Message) -> Result<Reply> {
    let arguments = match message.params.get("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments.clone(),
        Some(_) => return Err(Problem::field("arguments", "not_a_dict", "The arguments of a tool are an object.")),
    };
    let (mut parts, body) = tool.request(arguments, call.headers())?;
    for name in doors.iter().filter_map(|door| door.header) {
        if let Some(value) = call.headers().get(name) {
            parts.headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    // What the operation says of itself, its addresses and DIDs, is by the name that this call came to: else a signature that was made
    // through a tool could be verified through tools only. Not the header as it came, which HTTP/2 has none of and a proxy another.
    if let Some(host) = call.base_url().split_once("://").and_then(|(_, host)| HeaderValue::from_str(host).ok()) {
        parts.headers.insert(HOST, host);
    }
    if let Some(key) = message.meta(IDEMPOTENCY_KEY) {
        // One that no header can carry is refused as a bad key.
        let value = key.as_str().and_then(|key| HeaderValue::from_str(key).ok());
        parts.headers.insert("idempotency-key", value.unwrap_or(HeaderValue::from_static("")));
    }
    if let Some(payment) = message.meta(PAYMENT).filter(|payment| payment.is_object()) {
        let name = if payment["x402Version"] == 1 { "x-payment" } else { "payment-signature" };
        let encoded = BASE64_STANDARD.encode(payment.to_string());
        parts.headers.insert(HeaderName::from_static(name), HeaderValue::try_from(encoded).map_err(Problem::internal)?);
    }
    call.app.answer_within(parts, body, call).await
}

/// An answer as a result: its JSON, as text for those who read no structure, and what was paid.
fn result(reply: &Reply) -> Value {
    let header = |names: [&str; 2]| -> Option<Value> {
        let value = names.into_iter().find_map(|name| reply.headers.get(name))?;
        serde_json::from_slice(&BASE64_STANDARD.decode(value).ok()?).ok()
    };
    let bytes = reply.body.bytes().cloned().unwrap_or_default();
    let body = match serde_json::from_slice(&bytes) {
        Ok(body) => body,
        Err(_) if bytes.is_empty() => json!({"status": reply.status.as_u16()}),
        Err(_) => Value::from(String::from_utf8_lossy(&bytes)),
    };
    let is_refusal = reply.status.as_u16() >= 400;
    let unpaid = header(["payment-required", "x-payment-required"]).filter(|_| is_refusal);
    let mut result = told(unpaid.unwrap_or(body), is_refusal);
    if let Some(receipt) = header(["payment-response", "x-payment-response"]) {
        result["_meta"] = json!({PAYMENT_RESPONSE: receipt});
    }
    result
}

fn told(body: Value, is_error: bool) -> Value {
    let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let mut result = json!({"content": [{"type": "text", "text": text}], "isError": is_error});
    // Until 2025-11-25 only objects were structure.
    if body.is_object() {
        result["structuredContent"] = body;
    }
    result
}
