//! `/mcp`: agents call operations as tools, and may there what they may anywhere.

use loopd_kernel::Tenant;
use loopd_kernel::credential::KeyBounds;
use loopd_pay::project::{self, New, Purpose, platform};
use loopd_testkit::{Answer, Client, assert_json, each_engine, json};
use loopd_types::CompanyId;
use serde_json::Value;

use crate::support::World;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const MODERN: &str = "2026-07-28";

/// A request in the revision of 2025.
async fn ask(client: &Client, method: &str, params: Value) -> Answer {
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    client.post("/mcp").header("mcp-protocol-version", "2025-11-25").json(&message).await
}

async fn call(client: &Client, tool: &str, arguments: Value) -> Value {
    let answer = ask(client, "tools/call", json!({"name": tool, "arguments": arguments})).await.expect_status(200);
    let result = answer.at("/result");
    // Whoever reads no structure reads the same as text.
    if let Some(structure) = result.get("structuredContent") {
        let text = result.pointer("/content/0/text").and_then(Value::as_str).expect("a text");
        assert_eq!(&serde_json::from_str::<Value>(text).expect("JSON"), structure);
    }
    result
}

/// The names of all tools, page after page.
async fn tools(client: &Client) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
        let page = ask(client, "tools/list", params).await.expect_status(200).at("/result");
        let tools = page["tools"].as_array().expect("tools").clone();
        assert!(tools.len() <= 50);
        names.extend(tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()));
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            return names;
        }
    }
}

/// A platform key and a seller's project key of the first company.
async fn keys(world: &World) -> (Client, Client) {
    let access = world.kernel.company_access(CompanyId(1)).await.expect("a company").expect("a company");
    let (kernel, tenant) = (world.kernel.clone(), Tenant::system(access, "test"));
    let made = world.kernel.db.write(tenant.view(), move |tx| {
        let new = New { name: None, purpose: Purpose::Seller, scopes: None };
        let project = project::store::create(tx, &kernel, &tenant, &new)?;
        Ok((platform::create(tx, &kernel, &tenant, "agents", &KeyBounds::default())?.secret, project.raw_key))
    });
    let (platform, project) = made.await.expect("keys");
    (world.client().with_token(&platform), world.client().with_token(&project))
}

each_engine! {
    async fn a_client_with_a_handshake_is_given_a_revision_and_no_session(world: &World) {
        let owner = world.owner().await;
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = ask(&owner, "initialize", hello).await.expect_status(200);
        assert_json!(answer.json(), {"jsonrpc": "2.0", "id": 7, "result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "loopd"}}});
        assert_eq!(answer.header("mcp-session-id"), None);
        let older = ask(&owner, "initialize", json!({"protocolVersion": "2024-11-05"})).await.expect_status(200);
        assert_json!(older.json(), {"result": {"protocolVersion": "2025-11-25"}});
        let heard = owner.post("/mcp").json(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert!(heard.expect_status(202).body.is_empty());
        assert_json!(ask(&owner, "ping", json!({})).await.expect_status(200).json(), {"result": {}});
        assert_json!(ask(&owner, "prompts/list", json!({})).await.expect_status(200).json(), {"id": 7, "error": {"code": -32601}});
        for answer in [owner.get("/mcp").header("accept", "text/event-stream").await, owner.delete("/mcp").await] {
            assert_eq!(answer.expect_status(405).header("allow"), Some("POST, OPTIONS"));
        }
        let events = owner.post("/mcp").header("accept", "text/event-stream").json(&json!({"jsonrpc": "2.0", "id": "a", "method": "ping"})).await;
        let events = events.expect_status(200);
        assert!(events.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
        assert_eq!(events.text(), "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}\n\n");
    }

    async fn a_client_without_a_handshake_says_all_in_every_request(world: &World) {
        let owner = world.owner().await;
        let client = owner.with_header("mcp-protocol-version", MODERN);
        let send = async |method: &str, mut params: Value, name: Option<&str>| {
            params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}});
            let mut request = client.post("/mcp").header("mcp-method", method);
            if let Some(name) = name {
                request = request.header("mcp-name", name);
            }
            request.json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await
        };
        let found = send("server/discover", json!({}), None).await.expect_status(200).at("/result");
        assert_json!(found, {"resultType": "complete", "supportedVersions": [MODERN, "2025-11-25", "2025-06-18"],
            "capabilities": {"tools": {}}, "cacheScope": "public", "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "loopd"}}});
        let listed = send("tools/list", json!({}), None).await.expect_status(200);
        assert_json!(listed.json(), {"result": {"resultType": "complete", "cacheScope": "private", "ttlMs": 60000}});
        let arguments = json!({"name": "booking_appointments_create", "arguments": {"title": "By an agent"}});
        let made = send("tools/call", arguments.clone(), Some("booking_appointments_create")).await.expect_status(200);
        assert_json!(made.json(), {"result": {"resultType": "complete", "isError": false, "structuredContent": {"title": "By an agent"}}});
        // What a gateway reads must be what is done.
        let differs = send("tools/call", arguments, Some("booking_appointments_list")).await.expect_status(400);
        assert_json!(differs.json(), {"id": 1, "error": {"code": -32020}});
        assert_json!(send("ping", json!({}), None).await.expect_status(404).json(), {"error": {"code": -32601}});
        let future = owner.post("/mcp").header("mcp-protocol-version", "2030-01-01").json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
        assert_json!(future.await.expect_status(400).json(), {"error": {"code": -32022, "data": {"requested": "2030-01-01"}}});
        assert_json!(owner.get(APPOINTMENTS).await.expect_status(200).json(), {"count": 1});
    }

    async fn tools_are_listed_by_what_the_credential_may_do(world: &World) {
        let owner = world.owner().await;
        let all = tools(&owner).await;
        assert!(all.len() > 50 && all.is_sorted(), "{all:?}");
        for name in ["booking_appointments_list", "booking_appointments_create", "booking_appointments_confirm"] {
            assert!(all.iter().any(|known| known == name), "no {name} in {all:?}");
        }
        assert!(!all.iter().any(|name| name.starts_with("identities.")));
        let viewer = world.member(&owner, "grace", "viewer").await;
        let viewer = tools(&viewer).await;
        assert!(viewer.contains(&"booking_appointments_list".to_owned()));
        assert!(!viewer.contains(&"booking_appointments_create".to_owned()));
        let (platform, seller) = keys(world).await;
        let managing = tools(&platform).await;
        assert_eq!(managing, ["endpoints.discover", "identities.create", "identities.delete", "identities.get", "identities.list", "identities.rotate_key", "identities.update", "identity.whoami"]);
        let selling = tools(&seller).await;
        assert!(!selling.contains(&"identity.sign".to_owned()), "without its scope: {selling:?}");
        assert!(selling.contains(&"payments.challenge".to_owned()) && selling.iter().all(|name| !name.starts_with("identities.")), "{selling:?}");
        let (_, key) = world.key(&owner, &["booking.appointments.view"]).await;
        let few = tools(&key).await;
        assert!(few.contains(&"booking_appointments_list".to_owned()), "{few:?}");
        assert!(few.iter().all(|name| name.starts_with("booking_appointments_")), "{few:?}");
        // A client may want fewer.
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let some = owner.post("/mcp").query("tools", "crm_*,booking_services_list").json(&message).await.expect_status(200);
        let names: Vec<Value> = some.at("/result/tools").as_array().expect("tools").iter().map(|tool| tool["name"].clone()).collect();
        assert!(names.contains(&json!("booking_services_list")));
        assert!(names.iter().all(|name| name == "booking_services_list" || name.as_str().is_some_and(|name| name.starts_with("crm_"))));
        let cursor = ask(&owner, "tools/list", json!({"cursor": "?"})).await.expect_status(200);
        assert_json!(cursor.json(), {"error": {"code": -32602}});
    }

    async fn a_tool_is_the_operation_with_all_its_rules(world: &World) {
        let (owner, other) = world.strangers().await;
        let made = call(&owner, "booking_appointments_create", json!({"title": "One"})).await;
        assert_json!(made, {"isError": false, "structuredContent": {"title": "One", "number": "APT-000001"}});
        let id = made.pointer("/structuredContent/id").and_then(Value::as_str).expect("an id").to_owned();
        let listed = call(&owner, "booking_appointments_list", json!({"search": "One", "page_size": 5})).await;
        assert_json!(listed, {"isError": false, "structuredContent": {"count": 1, "results": [{"id": id}]}});
        let early = call(&owner, "booking_appointments_confirm", json!({"id": id})).await;
        assert_json!(early, {"isError": true, "structuredContent": {"error": {"details": {"starts_at": [{"code": "required"}]}}}});
        let times = json!({"id": id, "starts_at": "2026-07-01T10:00:00Z", "ends_at": "2026-07-01T11:00:00Z"});
        assert_json!(call(&owner, "booking_appointments_partial_update", times).await, {"isError": false});
        let done = call(&owner, "booking_appointments_confirm", json!({"id": id})).await;
        assert_json!(done, {"isError": false, "structuredContent": {"status": "confirmed"}});
        // Refusals are the operation's own, for the model to read.
        let wrong = call(&owner, "booking_appointments_create", json!({"customer": "nobody"})).await;
        assert_json!(wrong, {"isError": true, "structuredContent": {"error": {"code": "validation_error", "status": 400}}});
        assert!(wrong.pointer("/structuredContent/error/details/customer").is_some(), "{wrong}");
        let missing = call(&owner, "booking_appointments_retrieve", json!({})).await;
        assert_json!(missing, {"isError": true, "structuredContent": {"error": {"details": {"id": [{"code": "required"}]}}}});
        let theirs = call(&other, "booking_appointments_retrieve", json!({"id": id})).await;
        assert_json!(theirs, {"isError": true, "structuredContent": {"error": {"code": "not_found"}}});
        let intruder = call(&other, "booking_appointments_list", json!({"company": "001"})).await;
        assert_json!(intruder, {"isError": true, "structuredContent": {"error": {"code": "company_access_denied"}}});
        let viewer = world.member(&owner, "grace", "viewer").await;
        let denied = call(&viewer, "booking_appointments_destroy", json!({"id": id})).await;
        assert_json!(denied, {"isError": true, "structuredContent": {"error": {"code": "permission_denied", "status": 403}}});
        let unknown = ask(&owner, "tools/call", json!({"name": "auth_login", "arguments": {}})).await.expect_status(200);
        assert_json!(unknown.json(), {"error": {"code": -32602, "message": "Unknown tool: auth_login"}});
        // The company is an argument where no header names it.
        let anywhere = owner.without("x-company-id");
        let made = call(&anywhere, "booking_appointments_create", json!({"title": "Two", "company": "001"})).await;
        assert_json!(made, {"isError": false, "structuredContent": {"number": "APT-000002"}});
    }

    async fn a_repeated_call_with_the_same_key_has_no_second_effect(world: &World) {
        let owner = world.owner().await;
        let send = async |title: &str| {
            let params = json!({"name": "booking_appointments_create", "arguments": {"title": title}, "_meta": {"idempotency-key": "agent-1"}});
            ask(&owner, "tools/call", params).await.expect_status(200).at("/result")
        };
        let first = send("Once").await;
        assert_eq!(send("Once").await["structuredContent"]["id"], first["structuredContent"]["id"]);
        assert_json!(send("Another").await, {"isError": true, "structuredContent": {"error": {"code": "idempotency_conflict"}}});
        assert_json!(owner.get(APPOINTMENTS).await.expect_status(200).json(), {"count": 1});
    }

    async fn keys_of_other_surfaces_open_their_tools_in_their_dialect(world: &World) {
        let owner = world.owner().await;
        let (platform, seller) = keys(world).await;
        let made = call(&platform, "identities.create", json!({"name": "agent-shop", "purpose": "SELLER"})).await;
        assert_json!(made, {"isError": false, "structuredContent": {"name": "agent-shop", "purpose": "SELLER"}});
        let id = made.pointer("/structuredContent/identityId").and_then(Value::as_str).expect("an id").to_owned();
        let rotated = call(&platform, "identities.rotate_key", json!({"id": id})).await;
        assert!(rotated.pointer("/structuredContent/rawKey").and_then(Value::as_str).is_some_and(|key| key.starts_with("loid-")), "{rotated}");
        assert_json!(call(&platform, "identities.delete", json!({"id": id})).await, {"isError": false, "structuredContent": {"status": 204}});
        let other_kind = call(&seller, "identities.list", json!({})).await;
        assert_json!(other_kind, {"isError": true, "structuredContent": {"error": "forbidden", "status": 403}});
        let challenge = call(&seller, "payments.challenge", json!({"amount": "0.05", "resource": "https://shop.example/a"})).await;
        assert_json!(challenge, {"isError": false, "structuredContent": {"x402Version": 1}});
        // What only a buyer may do, in the shape that its clients read.
        let buying = call(&seller, "payments.pay", json!({"url": "https://shop.example/a"})).await;
        assert_json!(buying, {"isError": true, "structuredContent": {"ok": false}});
        // The header of older pages.
        let hosted = world.client().with_header("loomal_api_key", seller.token());
        assert_json!(call(&hosted, "payments.list", json!({})).await, {"isError": false, "structuredContent": {"count": 0}});
        // LOOP's callers act as no project, and a project as no member.
        assert_json!(call(&owner, "payments.list", json!({})).await, {"isError": true, "structuredContent": {"error": "unauthorized"}});
        assert_json!(call(&seller, "booking_appointments_list", json!({})).await, {"isError": true, "structuredContent": {"error": {"status": 401}}});
    }

    async fn a_project_says_who_it_is_signs_verifies_and_finds_what_is_sold(world: &World) {
        let owner = world.owner().await;
        let (_, seller) = keys(world).await;
        let buyer = world.project(&owner, "BUYER").await.client;
        let me = call(&buyer, "identity.whoami", json!({})).await;
        assert_json!(me, {"isError": false, "structuredContent": {"purpose": "BUYER"}});
        let did = me.pointer("/structuredContent/did").and_then(Value::as_str).expect("a DID").to_owned();
        // By the name that the server was called by, as over HTTP: each verifies what was signed through the other.
        assert_eq!(buyer.get("/v0/whoami").await.expect_status(200).text_at("/did"), did);
        let signed = call(&buyer, "identity.sign", json!({"data": "aGVsbG8="})).await;
        assert_json!(signed, {"isError": false, "structuredContent": {"did": did, "keyId": (format!("{did}#key-1"))}});
        let mut proof = json!({"data": "aGVsbG8=", "did": did, "signature": signed["structuredContent"]["signature"]});
        assert_json!(call(&buyer, "identity.verify", proof.clone()).await, {"structuredContent": {"valid": true}});
        let over_http = buyer.post("/v0/whoami/verify").json(&proof).await.expect_status(200);
        assert_json!(over_http.json(), {"valid": true, "did": (did)});
        proof["data"] = json!("aGVsbG9v");
        assert_json!(call(&buyer, "identity.verify", proof).await, {"structuredContent": {"valid": false}});
        let scopeless = call(&seller, "identity.sign", json!({"data": "aGVsbG8="})).await;
        assert_json!(scopeless, {"isError": true, "structuredContent": {"error": "forbidden", "message": "Missing required scope: identity:sign"}});
        let weather = json!({"urlPattern": "https://shop.example/weather", "priceUsdc": "0.05", "listed": true, "category": "weather"});
        assert_json!(call(&seller, "endpoints.register", weather).await, {"isError": false});
        let found = call(&buyer, "endpoints.discover", json!({"category": "weather"})).await;
        assert_json!(found, {"isError": false, "structuredContent": {"endpoints": [{"url": "https://shop.example/weather", "price": {"amountUsdc": "0.05"}}]}});
        let facilitator = buyer.get("/v0/discover").await.expect_status(200).at("/facilitator");
        assert_eq!(found.pointer("/structuredContent/facilitator"), Some(&facilitator));
    }

    async fn strangers_and_pages_of_strangers_are_refused(world: &World) {
        let owner = world.owner().await;
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let stranger = world.client().post("/mcp").json(&message).await.expect_status(401);
        assert_json!(stranger.json(), {"jsonrpc": "2.0", "id": null, "error": {"code": 401, "data": {"code": "not_authenticated"}}});
        assert!(stranger.header("www-authenticate").is_some());
        let wrong = world.client().with_token(&format!("lopk-{}", "0".repeat(64))).post("/mcp").json(&message).await.expect_status(401);
        assert_json!(wrong.json(), {"error": {"message": "Invalid API key"}});
        for origin in ["https://evil.example", "null"] {
            let page = owner.post("/mcp").header("origin", origin).json(&message).await.expect_status(403);
            assert_json!(page.json(), {"error": {"data": {"code": "origin_not_allowed"}}});
        }
        owner.post("/mcp").header("origin", "http://localhost:6274").json(&message).await.expect_status(200);
        let broken = owner.post("/mcp").body("application/json", "{").await.expect_status(400);
        assert_json!(broken.json(), {"error": {"code": -32700}});
        let batch = owner.post("/mcp").json(&json!([message])).await.expect_status(400);
        assert_json!(batch.json(), {"id": null, "error": {"code": -32600}});
        owner.post("/mcp").body("text/plain", "x").await.expect_status(415);
    }
}
