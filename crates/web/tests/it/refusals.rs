//! Every refusal that the edge makes by itself, in the right dialect, with its headers.

use http::Method;
use loopd_testkit::{each_engine, json};

use crate::world::Edge;

each_engine! {
    async fn unknown_paths_and_ids_are_not_found(edge: &Edge) {
        let client = edge.client();
        client.get("/api/v1/nothing/").await.expect_refusal(404, "not_found");
        client.get("/api/v1/open/7/").await.expect_refusal(404, "not_found");
        client.get("/api/v1/open/%7B0197a3c0-0000-7000-8000-000000000001%7D/").await.expect_refusal(404, "not_found");
        client.get("/api/v1/open/0197a3c0-0000-7000-8000-000000000001").await.expect_status(200);
        let wave = client.get("/api/v1/tickets/9").await.expect_status(404);
        assert_eq!(wave.json(), json!({"error": "not_found", "message": "Not found."}));
        let loomal = client.get("/v0/nothing").await.expect_status(404);
        assert_eq!(loomal.json(), json!({"error": "not_found", "message": "Not found.", "status": 404}));
        assert_eq!(client.get("/mcp/x").await.expect_status(404).at("/error/code"), -32601);
        assert!(client.get("/console/x").await.expect_status(404).text().contains("<h1>Not found.</h1>"));
    }

    async fn a_wrong_method_is_told_the_right_ones(edge: &Edge) {
        let answer = edge.client().request(Method::PATCH, "/api/v1/open/").await.expect_refusal(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
        assert_eq!(answer.text_at("/error/message"), "Method \"PATCH\" not allowed.");
    }

    async fn head_is_get_without_its_body(edge: &Edge) {
        let get = edge.client().get("/api/v1/pages").await.expect_status(200);
        let head = edge.client().request(Method::HEAD, "/api/v1/pages").await.expect_status(200);
        assert!(head.body.is_empty());
        assert_eq!(head.header("content-length").unwrap(), get.body.len().to_string());
    }

    async fn options_describes_and_preflights(edge: &Edge) {
        let told = edge.client().request(Method::OPTIONS, "/api/v1/open/").await.expect_status(200);
        assert_eq!(told.at("/renders/0"), "application/json");
        assert_eq!(told.at("/parses/0"), "application/json");
        assert_eq!(told.at("/actions/POST/operation_id"), "open_post");
        let ask = |origin: &str| {
            edge.client()
                .request(Method::OPTIONS, "/api/v1/open/")
                .header("origin", origin)
                .header("access-control-request-method", "POST")
        };
        let allowed = ask("https://app.example.com").await.expect_status(204);
        assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example.com"));
        let headers = allowed.header("access-control-allow-headers").unwrap();
        for name in ["X-Company-ID", "X-Workspace-ID", "X-LOOP-APP-ID", "X-LOOP-API-KEY", "If-Match", "Idempotency-Key"] {
            assert!(headers.contains(name), "{name}");
        }
        for header in [None, Some("https://evil.example.com"), Some("https://app.example.com")] {
            let client = edge.client();
            let answer = match header {
                Some(origin) => client.get("/api/v1/open/").header("origin", origin).await,
                None => client.get("/api/v1/open/").await,
            };
            assert_eq!(answer.header("vary"), Some("Origin"), "{header:?}: answers differ by origin");
        }
        assert_eq!(ask("https://evil.example.com").await.header("access-control-allow-origin"), None);
        let plain = edge.client().get("/api/v1/nothing/").header("origin", "https://app.example.com").await;
        assert_eq!(plain.header("access-control-allow-origin"), Some("https://app.example.com"), "refusals can be read too");
    }

    async fn bodies_are_checked_before_anybody_is_asked_who_they_are(edge: &Edge) {
        let client = edge.client();
        let broken = client.post("/api/v1/open/").body("application/json", "{\"a\":").await;
        let broken = broken.expect_refusal(400, "parse_error");
        assert!(broken.text_at("/error/message").starts_with("JSON parse error - "));
        client.post("/api/v1/booking/things/").body("application/json", "[").await.expect_refusal(400, "parse_error");
        let text = client.post("/api/v1/open/").body("text/plain", "x").await.expect_refusal(415, "unsupported_media_type");
        assert_eq!(text.text_at("/error/message"), "Unsupported media type \"text/plain\" in request.");
        client.post("/api/v1/open/").json(&json!({"a": "x\u{0}y"})).await.expect_field("a", "null_characters_not_allowed");
        client.post("/api/v1/open/").json(&json!({"a": "\\u0000"})).await.expect_status(201);
        client.get("/api/v1/pages/?page=%00").await.expect_field("page", "null_characters_not_allowed");
    }

    async fn size_time_accept_and_format_have_limits(edge: &Edge) {
        let client = edge.client();
        client.post("/api/v1/small/").body("text/plain", "x".repeat(64)).await.expect_status(200);
        client.post("/api/v1/small/").body("text/plain", "x".repeat(65)).await.expect_refusal(413, "payload_too_large");
        client.post("/api/v1/open/").body("application/json", " ".repeat(1024 * 1024 + 1)).await.expect_refusal(413, "payload_too_large");
        client.get("/api/v1/slow/").await.expect_refusal(504, "timeout");
        client.get("/api/v1/open/").header("accept", "image/png").await.expect_refusal(406, "not_acceptable");
        client.get("/api/v1/open/?format=xml").await.expect_refusal(404, "not_found");
        client.get("/api/v1/open/?format=csv").await.expect_refusal(404, "not_found");
        client.get("/api/v1/pages/?format=csv").await.expect_status(200);
    }

    async fn faults_and_panics_keep_their_cause_to_themselves(edge: &Edge) {
        let client = edge.client();
        for request in [client.get("/api/v1/panics/"), client.post("/api/v1/panics/"), client.get("/api/v1/broken/")] {
            let answer = request.header("x-request-id", "ask-me-7").await.expect_refusal(500, "server_error");
            assert_eq!(answer.text_at("/error/request_id"), "ask-me-7");
            assert_eq!(answer.header("x-request-id"), Some("ask-me-7"));
            assert!(!answer.text().contains("secret") && !answer.text().contains("hunter2"), "{}", answer.text());
        }
        client.get("/api/v1/open/").await.expect_status(200);
        let mut metrics = String::new();
        edge.app.metrics().render(&mut metrics);
        assert!(metrics.contains("loopd_http_panics_total 2\n"), "{metrics}");
    }

    async fn a_request_id_is_taken_over_only_when_it_is_harmless(edge: &Edge) {
        let client = edge.client();
        let made = client.get("/api/v1/open/").await;
        assert_eq!(made.header("x-request-id").unwrap().len(), 36);
        for bad in ["a b", "<script>", "", &"x".repeat(129)] {
            let answer = client.get("/api/v1/open/").header("x-request-id", bad).await;
            assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{bad}");
        }
    }

    async fn every_answer_carries_the_secure_headers(edge: &Edge) {
        for path in ["/api/v1/open/", "/nothing", "/"] {
            let answer = edge.client().get(path).await;
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(answer.header("x-frame-options"), Some("DENY"));
            assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
            assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"));
            assert_eq!(answer.header("strict-transport-security"), None, "plain http");
        }
        let page = edge.client().get("/").await;
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
        let https = edge.client().get("/").header("x-forwarded-proto", "https").await;
        assert!(https.header("strict-transport-security").is_some());
    }

    async fn proxies_are_believed_one_hop_at_a_time(edge: &Edge) {
        let answer = edge
            .client()
            .get("/api/v1/open/")
            .header("x-forwarded-for", "1.1.1.1, 203.0.113.9")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "api.example.com")
            .await;
        assert_eq!(answer.text_at("/address"), "203.0.113.9");
        assert_eq!(answer.text_at("/url"), "https://api.example.com/api/v1/open/");
        let page = edge.client().get("/api/v1/pages/?page_size=3&page=2").await.expect_status(200);
        let base = edge.client().base();
        assert_eq!(page.json(), json!({
            "count": 7, "next": format!("{base}/api/v1/pages/?page=3&page_size=3"),
            "previous": format!("{base}/api/v1/pages/?page_size=3"), "results": [3, 4, 5],
        }));
        edge.client().get("/api/v1/pages/?page=99").await.expect_refusal(404, "not_found");
        edge.client().get("/api/v1/pages/?colour=red").await.expect_field("colour", "unknown_parameter");
    }
}
