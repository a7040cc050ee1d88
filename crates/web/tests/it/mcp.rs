//! Tools that cost: x402 over MCP, for an operation that speaks it over HTTP.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::HeaderName;
use loopd_testkit::{assert_json, each_engine, json};
use loopd_web::{Call, Operation, Reply, schema};
use serde_json::Value;

use crate::world::Edge;

/// Sells its answer, to who shows a payment in either version.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post("paid", "/api/v1/paid/", paid)
            .tool("paid")
            .summary("Buy it")
            .body(schema::object([("what", schema::string())]))
            .without_effect()
            .responds(200, "What was bought.", schema::free_object())
            .undocumented(),
        Operation::get("broken_tool", "/api/v1/broken-tool/", |_| async {
            Err(loopd_types::Problem::internal("secret"))
        })
        .tool("broken")
        .summary("Fails")
        .responds(200, "Never.", schema::free_object())
        .undocumented(),
    ]
}

fn encoded(value: &Value) -> String {
    BASE64_STANDARD.encode(value.to_string())
}

async fn paid(call: Call) -> loopd_types::Result<Reply> {
    let shown = call.header("payment-signature").or_else(|| call.header("x-payment"));
    let Some(payment) = shown.and_then(|text| BASE64_STANDARD.decode(text).ok()) else {
        let wanted = json!({"x402Version": 2, "accepts": [{"amount": "50000"}]});
        let reply = Reply::json(402, &json!({"x402Version": 1}))?;
        return Ok(reply.with_header(HeaderName::from_static("payment-required"), &encoded(&wanted)));
    };
    let payment: Value = serde_json::from_slice(&payment).expect("JSON");
    let receipt = json!({"success": true, "version": payment["x402Version"]});
    let reply = Reply::json(200, &json!({"sold": call.json()?["what"]}))?;
    Ok(reply.with_header(HeaderName::from_static("payment-response"), &encoded(&receipt)))
}

each_engine! {
    async fn a_tool_that_costs_says_its_price_and_takes_the_payment_beside_its_arguments(edge: &Edge) {
        let (token, _) = edge.member("agent").await;
        let client = edge.client().with_token(&token);
        let buy = async |meta: Value| {
            let params = json!({"name": "paid", "arguments": {"what": "a word"}, "_meta": meta});
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
            client.post("/mcp").json(&message).await.expect_status(200).at("/result")
        };
        let unpaid = buy(json!({})).await;
        assert_json!(unpaid, {"isError": true, "structuredContent": {"x402Version": 2, "accepts": [{"amount": "50000"}]}});
        let text = unpaid.pointer("/content/0/text").and_then(Value::as_str).expect("a text");
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), unpaid["structuredContent"]);
        for version in [1, 2] {
            let sold = buy(json!({"x402/payment": {"x402Version": version, "payload": {}}})).await;
            assert_json!(sold, {"isError": false, "structuredContent": {"sold": "a word"},
                "_meta": {"x402/payment-response": {"success": true, "version": version}}});
        }
    }

    async fn a_fault_of_the_server_is_no_result_and_tells_no_cause(edge: &Edge) {
        let (token, _) = edge.member("agent").await;
        let message = json!({"jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": {"name": "broken"}});
        let answer = edge.client().with_token(&token).post("/mcp").json(&message).await.expect_status(200);
        assert_json!(answer.json(), {"id": "x", "error": {"code": -32603, "data": {"code": "server_error"}}});
        assert!(!answer.text().contains("secret"));
    }
}
