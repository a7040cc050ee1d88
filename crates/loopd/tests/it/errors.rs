//! Every refusal is the one envelope of spec/loop.md 5.6, from the router to the handler; other surfaces' prefixes speak their own.

use loopd_testkit::{Answer, Client, each_engine, json};
use loopd_types::Uuid;

use crate::support::World;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

async fn post(client: &Client, content_type: &str, body: &str) -> Answer {
    client.post(APPOINTMENTS).body(content_type, body.to_owned()).await
}

each_engine! {
    async fn the_router_refuses_in_the_envelope(world: &World) {
        let owner = world.owner().await;
        for path in ["/nowhere", "/api/v1/nowhere/", "/api/v1/booking/nowhere/", "/api/v1/booking/appointments/7/", "/api/v2/", "/%00"] {
            owner.get(path).await.expect_refusal(404, "not_found");
            world.client().get(path).await.expect_refusal(404, "not_found");
        }
        let wrong = owner.delete(APPOINTMENTS).await.expect_refusal(405, "method_not_allowed");
        assert_eq!(wrong.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
        assert_eq!(wrong.text_at("/error/message"), "Method \"DELETE\" not allowed.");
    }

    async fn bodies_that_cannot_be_read_are_refused_in_the_envelope(world: &World) {
        let owner = world.owner().await;
        for broken in ["{", "{\"title\": }", "not json", "{\"title\": \"a\"} trailing", "\u{feff}{}"] {
            let answer = post(&owner, "application/json", broken).await.expect_refusal(400, "parse_error");
            assert!(answer.text_at("/error/message").starts_with("JSON parse error - "), "{}", answer.text());
        }
        post(&owner, "application/json", "[1]").await.expect_field("", "invalid");
        post(&owner, "application/json", "{\"title\": \"a\\u0000b\"}").await.expect_field("title", "null_characters_not_allowed");
        let unsupported = post(&owner, "text/plain", "title=x").await.expect_refusal(415, "unsupported_media_type");
        assert_eq!(unsupported.text_at("/error/message"), "Unsupported media type \"text/plain\" in request.");
        let big = format!("{{\"title\": \"{}\"}}", "x".repeat(2 * 1024 * 1024));
        post(&owner, "application/json", &big).await.expect_refusal(413, "payload_too_large");
        // Deeper than any honest body: refused, not a crash.
        let deep = format!("{{\"title\": \"x\", \"data\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        post(&owner, "application/json", &deep).await.expect_refusal(400, "parse_error");
        post(&owner, "application/json", "{\"title\": \"still here\"}").await.expect_status(201);
    }

    async fn what_cannot_be_answered_as_asked_is_refused_in_the_envelope(world: &World) {
        let owner = world.owner().await;
        owner.with_header("accept", "image/png").get(APPOINTMENTS).await.expect_refusal(406, "not_acceptable");
        owner.get(APPOINTMENTS).query("format", "xml").await.expect_refusal(404, "not_found");
        owner.get("/").query("format", "xml").await.expect_refusal(404, "not_found");
        owner.get(APPOINTMENTS).query("no_such_filter", "1").await.expect_refusal(400, "validation_error");
        owner.get(&format!("{APPOINTMENTS}?title=%ff")).await.expect_status(400);
        owner.get(APPOINTMENTS).query("starts_at__gte", "yesterday").await.expect_refusal(400, "validation_error");
        owner.get(APPOINTMENTS).query("page", "7").await.expect_refusal(404, "not_found");
        owner.get(&format!("{APPOINTMENTS}0197a000-0000-7000-8000-000000000000/")).await.expect_refusal(404, "not_found");
        owner.post("/api/v1/booking/appointments/0197a000-0000-7000-8000-000000000000/confirm/").json(&json!({})).await.expect_refusal(404, "not_found");
    }

    async fn every_answer_carries_the_request_id_and_the_safe_headers(world: &World) {
        let owner = world.owner().await;
        for answer in [
            owner.get(APPOINTMENTS).await,
            owner.get("/nowhere").await,
            owner.get("/health/").await,
            owner.post(APPOINTMENTS).body("application/json", "{").await,
            owner.get("/").await,
        ] {
            assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{}", answer.what);
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "same-origin"),
                ("cross-origin-opener-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{}", answer.what);
            }
        }
        let given = owner.with_header("x-request-id", "my-own-id").get("/nowhere").await.expect_refusal(404, "not_found");
        assert_eq!((given.header("x-request-id"), given.text_at("/error/request_id").as_str()), (Some("my-own-id"), "my-own-id"));
        let private = owner.get(APPOINTMENTS).await;
        assert_eq!(private.header("cache-control"), Some("no-store"));
    }

    async fn a_proxy_that_is_trusted_may_say_https(world: &World) {
        let secure = world.client().with_header("x-forwarded-proto", "https").get("/health/").await;
        assert!(secure.header("strict-transport-security").is_some());
        assert!(world.client().get("/health/").await.header("strict-transport-security").is_none());
    }

    async fn other_surfaces_prefixes_refuse_in_their_own_words(world: &World) {
        let client = world.client();
        for path in ["/api/v1/messages/nowhere", "/api/v1/chats", "/api/v1/contacts/x", "/api/v1/tickets", "/api/v1/broadcasts/x"] {
            let body = client.get(path).await;
            assert!(body.status >= 400, "{path}: {}", body.text());
            let body = body.json();
            assert!(body["error"].is_string() && body["message"].is_string() && body.get("status").is_none(), "{path}: {body}");
        }
        for path in ["/v0/nowhere", "/identities/nowhere"] {
            let answer = client.get(path).await;
            let body = answer.json();
            assert!(body["error"].is_string() && body["message"].is_string(), "{path}: {body}");
            assert_eq!(body["status"], json!(answer.status), "{path}");
        }
        let rpc = client.post("/mcp").json(&json!({})).await.json();
        assert_eq!(rpc["jsonrpc"], "2.0");
        assert!(rpc["error"]["code"].is_i64() && rpc["error"]["message"].is_string(), "{rpc}");
        let facilitator = client.get("/facilitator/nowhere").await.json();
        assert!(facilitator["error"].is_string(), "{facilitator}");
        // A product whose name only begins like another surface's stays LOOP's.
        client.get("/api/v1/chat/nowhere/").await.expect_refusal(404, "not_found");
    }

    async fn options_describe_a_path_and_heads_have_no_body(world: &World) {
        let owner = world.owner().await;
        let options = owner.request("OPTIONS".parse().expect("a method"), APPOINTMENTS).await.expect_status(200);
        assert_eq!(options.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
        for member in ["name", "description", "renders", "parses"] {
            assert!(options.json().get(member).is_some(), "no {member} in {}", options.text());
        }
        let head = owner.request("HEAD".parse().expect("a method"), APPOINTMENTS).await.expect_status(200);
        assert!(head.body.is_empty() && head.header("content-length").is_some_and(|length| length != "0"));
    }

    async fn a_path_is_served_with_and_without_its_final_slash(world: &World) {
        let owner = world.owner().await;
        let made = owner.post("/api/v1/booking/appointments").json(&json!({"title": "x"})).await.expect_status(201);
        let id: Uuid = made.text_at("/id").parse().expect("a UUID");
        owner.get(&format!("/api/v1/booking/appointments/{id}")).await.expect_status(200);
        owner.get("/health").await.expect_status(200);
    }
}
