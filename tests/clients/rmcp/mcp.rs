//! The official MCP client of Rust against `/mcp`, with Loomal's keys, in the revisions with and without a handshake: it lists tools and
//! calls them. `scripts/clients.sh rust` says where the server is (`LOOP_BASE_URL`) and brings a platform key (`CLIENTS_PLATFORM_KEY`).

#![cfg(test)]

use std::env;

use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

const MODERN: ProtocolVersion = ProtocolVersion::V_2026_07_28;

/// Ways to begin, and the revision that each ends in.
fn ways() -> [(ClientLifecycleMode, ProtocolVersion); 3] {
    let preferred_versions = vec![MODERN];
    [
        (ClientLifecycleMode::Initialize, ProtocolVersion::V_2025_11_25),
        (ClientLifecycleMode::Discover { preferred_versions: preferred_versions.clone() }, MODERN),
        (ClientLifecycleMode::Auto { preferred_versions, legacy_version: None }, MODERN),
    ]
}

type Begun = Result<RunningService<RoleClient, ()>, ClientInitializeError>;

async fn begin(key: &str, way: ClientLifecycleMode) -> Begun {
    let base = env::var("LOOP_BASE_URL").expect("LOOP_BASE_URL");
    let config = StreamableHttpClientTransportConfig::with_uri(format!("{base}/mcp")).auth_header(key);
    ().serve_with_lifecycle(StreamableHttpClientTransport::from_config(config), way).await
}

async fn client(key: &str, way: ClientLifecycleMode) -> RunningService<RoleClient, ()> {
    begin(key, way).await.expect("the server lets the key in")
}

async fn ask(
    client: &RunningService<RoleClient, ()>,
    tool: &'static str,
    arguments: Value,
) -> Result<CallToolResult, ServiceError> {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await
}

/// The structure of a result, and whether it is a refusal.
async fn call(client: &RunningService<RoleClient, ()>, tool: &'static str, arguments: Value) -> (Value, bool) {
    let result = ask(client, tool, arguments).await.unwrap_or_else(|error| panic!("{tool}: {error}"));
    let text = result.content.first().and_then(|content| content.as_text()).expect("a text");
    let structure = result.structured_content.expect("a structure");
    assert_eq!(serde_json::from_str::<Value>(&text.text).expect("JSON"), structure);
    (structure, result.is_error == Some(true))
}

async fn names(client: &RunningService<RoleClient, ()>) -> Vec<String> {
    let tools = client.list_all_tools().await.expect("a list");
    assert!(tools.iter().all(|tool| tool.input_schema["type"] == "object"));
    tools.into_iter().map(|tool| tool.name.into_owned()).collect()
}

/// A project's key, made by the tool for that.
async fn project(purpose: &str) -> (String, String) {
    let key = env::var("CLIENTS_PLATFORM_KEY").expect("CLIENTS_PLATFORM_KEY");
    let platform = client(&key, ClientLifecycleMode::Initialize).await;
    let (made, is_refused) = call(&platform, "identities.create", json!({"name": "by rmcp", "purpose": purpose})).await;
    assert!(!is_refused, "{made}");
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("rawKey"), text("identityId"))
}

#[tokio::test]
async fn a_project_key_lists_and_calls_its_tools_in_every_revision() {
    let (key, id) = project("SELLER").await;
    for (way, version) in ways() {
        let seller = client(&key, way).await;
        let server = seller.peer_info().expect("it says who it is");
        assert_eq!(server.protocol_version, version);
        let names = names(&seller).await;
        for name in [
            "payments.challenge",
            "payments.redeem",
            "payments.list",
            "endpoints.register",
            "identity.whoami",
            "endpoints.discover",
        ] {
            assert!(names.iter().any(|known| known == name), "no {name} in {names:?}");
        }
        assert!(!names.iter().any(|name| name.starts_with("identities.") || name == "payments.pay"), "{names:?}");

        let (me, _) = call(&seller, "identity.whoami", json!({})).await;
        assert_eq!(me["identityId"], id);
        let asked = json!({"amount": "0.05", "resource": "https://api.example.com/weather", "mpp": {}});
        let (challenge, is_refused) = call(&seller, "payments.challenge", asked).await;
        assert!(!is_refused && challenge["accepts"][0]["maxAmountRequired"] == "50000", "{challenge}");
        assert!(challenge["wwwAuthenticate"].as_str().is_some_and(|header| header.starts_with("Payment id=")));
        let (listed, _) = call(&seller, "payments.list", json!({"limit": 5})).await;
        assert_eq!(listed["count"], 0);
        let (refusal, is_refused) = call(&seller, "payments.challenge", json!({"amount": "0"})).await;
        assert!(is_refused && refusal["error"] == "bad_request", "{refusal}");
        let (refusal, is_refused) = call(&seller, "identity.sign", json!({"data": "aGVsbG8="})).await;
        assert!(is_refused && refusal["message"] == "Missing required scope: identity:sign", "{refusal}");
        let unknown = ask(&seller, "no_such_tool", json!({})).await.expect_err("there is none");
        assert!(unknown.to_string().contains("Unknown tool: no_such_tool"), "{unknown}");
        seller.cancel().await.expect("it ends");
    }
}

#[tokio::test]
async fn a_buyer_signs_and_anybody_verifies() {
    let ((buyer, _), (other, _)) = (project("BUYER").await, project("BUYER").await);
    let preferred_versions = vec![MODERN];
    let (buyer, other) = (
        client(&buyer, ClientLifecycleMode::Discover { preferred_versions }).await,
        client(&other, ClientLifecycleMode::Initialize).await,
    );
    let (signed, _) = call(&buyer, "identity.sign", json!({"data": "aGVsbG8="})).await;
    for (data, valid) in [("aGVsbG8=", true), ("aGVsbG9v", false)] {
        let proof = json!({"data": data, "signature": signed["signature"], "did": signed["did"]});
        assert_eq!(
            call(&other, "identity.verify", proof).await,
            (json!({"valid": valid, "did": signed["did"]}), false)
        );
    }
}

#[tokio::test]
async fn a_wrong_key_is_not_let_in() {
    for (way, _) in ways() {
        let wrong = begin(&format!("loid-{}", "0".repeat(64)), way).await.err().expect("the key opens nothing");
        assert!(wrong.auth_challenge().is_some(), "it is told what is asked of it: {wrong}");
    }
}
