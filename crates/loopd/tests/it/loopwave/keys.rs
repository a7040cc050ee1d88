//! Keys of the public API: made, narrowed, switched off, revoked, counted.

use http::Method;
use loopd_testkit::{Client, Described, assert_json, each_engine, json};

use crate::support::{Limited, World};

each_engine! {
    async fn a_key_is_changed_switched_off_and_revoked_at_once(world: &World) {
        let owner = world.owner().await;
        let base = "/api/v1/loopwave/api-keys/";
        let made = owner.post(base).json(&json!({"name": "Program"})).await.expect_status(201);
        let (id, secret) = (made.text_at("/id"), made.text_at("/key"));
        assert_eq!((secret.len(), &secret[..8], made.at("/scopes")), (40, "lw_live_", json!(["*"])));
        let bearer = world.client().with_token(&secret);
        bearer.get("/api/v1/health").await.expect_status(200);
        world.client().get("/api/v1/health").header("x-api-key", &secret).await.expect_status(200);
        let one = format!("{base}{id}/");
        let changed = owner.patch(&one).json(&json!({"name": "Bot", "scopes": ["chats:read"]})).await.expect_status(200);
        assert_eq!((changed.text_at("/name"), changed.at("/scopes")), ("Bot".to_owned(), json!(["chats:read"])));
        bearer.get("/api/v1/chats").await.expect_status(200);
        bearer.post("/api/v1/messages").json(&json!({"to": "250788123456", "text": "Hi"})).await.expect_status(403);
        owner.patch(&one).json(&json!({"scopes": ["root"]})).await.expect_field("scopes", "invalid_choice");
        owner.patch(&one).json(&json!({"scopes": []})).await.expect_field("scopes", "empty");
        owner.post(base).json(&json!({"name": "Nothing", "scopes": []})).await.expect_field("scopes", "empty");
        owner.patch(&one).json(&json!({"enabled": false})).await.expect_status(200);
        let off = bearer.get("/api/v1/health").await.expect_status(401);
        assert_eq!(off.text_at("/error"), "invalid_api_key");
        owner.patch(&one).json(&json!({"enabled": true})).await.expect_status(200);
        bearer.get("/api/v1/health").await.expect_status(200);
        let agent = world.member(&owner, "ada", "staff").await;
        agent.post(base).json(&json!({"name": "Mine"})).await.expect_refusal(403, "permission_denied");
        agent.post(&format!("{one}revoke/")).await.expect_refusal(403, "permission_denied");
        owner.post(&format!("{one}revoke/")).await.expect_status(200);
        bearer.get("/api/v1/health").await.expect_status(401);
        owner.patch(&one).json(&json!({"enabled": true})).await.expect_refusal(409, "key_revoked");
    }

    async fn a_key_ends_is_bound_to_networks_and_gets_one_successor(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let base = "/api/v1/loopwave/api-keys/";
        let wrong = |body| owner.post(base).json(&body);
        wrong(json!({"name": "Bot", "expires_at": "2001-01-01T00:00:00Z"})).await.expect_field("expires_at", "invalid");
        wrong(json!({"name": "Bot", "allowed_networks": []})).await.expect_field("allowed_networks", "empty");
        wrong(json!({"name": "Bot", "allowed_networks": ["10.0.0.0/33"]})).await.expect_field("allowed_networks", "invalid");
        let bounds = json!({"name": "Bot", "scopes": ["chats:read"], "expires_at": "2999-01-01T00:00:00Z", "allowed_networks": ["198.51.100.0/24"]});
        let made = owner.post(base).json(&bounds).await.expect_status(201);
        assert_json!(made.json(), {"allowed_networks": ["198.51.100.0/24"], "expires_at": "2999-01-01T00:00:00.000000Z", "rotated_from": null});
        let (one, key) = (format!("{base}{}/", made.text_at("/id")), world.client().with_token(&made.text_at("/key")));
        let away = key.get("/api/v1/chats").await.expect_status(403);
        assert_eq!(away.text_at("/error"), "address_not_allowed");
        let moved = owner.patch(&one).json(&json!({"allowed_networks": null})).await.expect_status(200);
        assert_json!(moved.json(), {"allowed_networks": null, "expires_at": "2999-01-01T00:00:00.000000Z", "name": "Bot"});
        key.get("/api/v1/chats").await.expect_status(200);
        let told = owner.get("/api/v1/audit-logs/").query("action", "update").query("resource", "api-keys").await.expect_status(200);
        assert_eq!(told.at("/results/0/changes"), json!({"allowed_networks": [["198.51.100.0/24"], null]}));

        stranger.post(&format!("{one}rotate/")).await.expect_refusal(404, "not_found");
        let agent = world.member(&owner, "ada", "staff").await;
        agent.post(&format!("{one}rotate/")).await.expect_refusal(403, "permission_denied");
        owner.patch(&one).json(&json!({"enabled": false})).await.expect_status(200);
        owner.post(&format!("{one}rotate/")).await.expect_refusal(409, "key_disabled");
        owner.patch(&one).json(&json!({"enabled": true})).await.expect_status(200);
        owner.post(&format!("{one}rotate/")).json(&json!({"grace_seconds": -1})).await.expect_field("grace_seconds", "min_value");
        let next = owner.post(&format!("{one}rotate/")).json(&json!({"grace_seconds": 600})).await.expect_status(201);
        assert_json!(next.json(), {"name": "Bot", "scopes": ["chats:read"], "expires_at": "2999-01-01T00:00:00.000000Z", "rotated_from": made.text_at("/id")});
        let successor = world.client().with_token(&next.text_at("/key"));
        for both in [&key, &successor] {
            both.get("/api/v1/chats").await.expect_status(200);
            assert_eq!(both.get("/api/v1/contacts").await.expect_status(403).text_at("/error"), "insufficient_scope");
        }
        let again = owner.post(&format!("{one}rotate/")).await.expect_refusal(409, "key_rotated");
        assert_eq!(again.at("/error/details/successor"), next.at("/id"), "{}", again.text());
        let last = format!("{base}{}/", next.text_at("/id"));
        let at_once = owner.post(&format!("{last}rotate/")).json(&json!({"grace_seconds": 0})).await.expect_status(201);
        assert_eq!(successor.get("/api/v1/chats").await.expect_status(401).text_at("/error"), "invalid_api_key");
        owner.post(&format!("{last}rotate/")).await.expect_refusal(409, "key_rotated");
        let newest = format!("{base}{}/", at_once.text_at("/id"));
        owner.post(&format!("{newest}revoke/")).await.expect_status(200);
        owner.post(&format!("{newest}rotate/")).await.expect_refusal(409, "key_revoked");
    }

    async fn a_key_makes_no_other_that_is_used_from_further_away(world: &World) {
        let owner = world.owner().await;
        let here = json!({"name": "Here", "allowed_networks": ["10.0.0.0/8"]});
        let made = owner.post("/api/v1/internal-api-keys/").json(&here).await.expect_status(201);
        let program = world.client().with_key(&made.text_at("/key")).company("001");
        for base in ["/api/v1/loopwave/api-keys/", "/api/v1/loomal/platform-keys/"] {
            let heir = program.post(base).json(&json!({"name": "Heir"})).await.expect_status(201);
            assert_json!(heir.json(), {"allowed_networks": ["10.0.0.0/8"]});
            let wide = json!({"name": "Wide", "allowed_networks": ["0.0.0.0/0"]});
            program.post(base).json(&wide).await.expect_refusal(403, "permission_denied");
            let anywhere = owner.post(base).json(&json!({"name": "Anywhere"})).await.expect_status(201);
            let rotate = format!("{base}{}/rotate/", anywhere.text_at("/id"));
            program.post(&rotate).await.expect_refusal(403, "permission_denied");
        }
    }

    async fn the_api_describes_itself(world: &World) {
        let document = world.client().get("/api-reference/openapi.json").await.expect_status(200).json();
        let described = Described::all(&document);
        assert!(described.iter().all(|it| it.statuses.iter().any(|status| status.starts_with('2'))));
        assert!(described.iter().filter(|it| it.path.starts_with("/api/v1/")).all(|it| it.is_secured));
        let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
        for path in ["/api/v1/health", "/api/v1/messages", "/api/v1/chats", "/api/v1/chats/{chatId}/messages"] {
            assert!(paths.iter().any(|known| *known == path), "{path} is missing in {paths:?}");
        }
        assert!(!paths.iter().any(|path| path.contains("loopwave")), "{paths:?}");
        // Both ways to show a key, and no others.
        assert_eq!(
            document["components"]["securitySchemes"],
            json!({
                "loopwaveKey": {"type": "http", "scheme": "bearer"},
                "loopwaveKeyHeader": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            })
        );
        assert_eq!(
            document["paths"]["/api/v1/messages"]["post"]["security"],
            json!([{"loopwaveKey": ["messages:write"]}, {"loopwaveKeyHeader": ["messages:write"]}])
        );
        let message = &document["paths"]["/api/v1/chats/{chatId}/messages"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            ["properties"]["data"]["items"]["properties"];
        for member in ["location", "contacts", "choice", "replyTo", "mediaUrl"] {
            assert!(message[member].is_object(), "{member} is missing in {message:#}");
        }
        let house = world.client().get("/api/schema/").query("format", "json").await.expect_status(200).json();
        let mut schemes: Vec<&String> = house["components"]["securitySchemes"].as_object().expect("schemes").keys().collect();
        schemes.sort();
        assert_eq!(schemes, ["internalKey", "jwtAuth"]);
    }

    async fn any_valid_key_is_healthy_whatever_became_of_the_subscription(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["chats:read"]).await;
        let found = owner.get("/api/v1/product-subscriptions/").query("product", "loopwave").await.expect_status(200);
        let one = format!("/api/v1/product-subscriptions/{}/", found.text_at("/results/0/id"));
        owner.post(&format!("{one}cancel/")).json(&json!({"at_once": true})).await.expect_status(200);
        assert_eq!(key.get("/api/v1/chats").await.expect_status(403).text_at("/error"), "product_not_subscribed");
        assert_eq!(key.get("/api/v1/health").await.expect_status(200).json(), json!({"ok": true, "version": "1.0.0"}));
        let wrong = world.client().with_token(&format!("lw_live_{}", "a".repeat(32))).get("/api/v1/health").await;
        assert_eq!((wrong.status, wrong.text_at("/error")), (401, "invalid_api_key".to_owned()));
    }
}

each_engine! {
    async fn every_key_has_120_calls_a_minute(world: &Limited) {
        let owner = world.owner().await;
        let (key, other) = (world.wave_key(&owner, &["*"]).await, world.wave_key(&owner, &["*"]).await);
        for left in (0..120).rev() {
            let answer = key.get("/api/v1/health").await.expect_status(200);
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
        }
        let refused = key.get("/api/v1/health").await.expect_status(429);
        assert_eq!(refused.json(), json!({"error": "rate_limited", "message": "Too many requests for this key."}));
        assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
        assert!(refused.header("retry-after").and_then(|text| text.parse::<u32>().ok()).is_some_and(|s| (1..=60).contains(&s)));
        other.get("/api/v1/health").await.expect_status(200);
    }

    async fn every_answer_to_a_key_counts_and_says_what_is_left(world: &Limited) {
        let owner = world.owner().await;
        let (key, reader) = (world.wave_key(&owner, &["*"]).await, world.wave_key(&owner, &["chats:read"]).await);
        let huge = "x".repeat(3 * 1024 * 1024);
        let say = |client: &Client| client.post("/api/v1/messages");
        let asked = [
            (405, key.put("/api/v1/messages").json(&json!({}))),
            (405, key.delete("/api/v1/chats")),
            (200, key.request(Method::OPTIONS, "/api/v1/messages")),
            (406, key.get("/api/v1/chats").header("accept", "text/html")),
            (404, key.get("/api/v1/chats").query("format", "xml")),
            (404, key.get("/api/v1/messages/nothing/here")),
            (413, say(&key).body("application/json", huge.clone())),
            (415, say(&key).body("text/plain", "x")),
            (400, say(&key).body("application/json", "{")),
            (400, say(&key).json(&json!({}))),
            (409, say(&key).json(&json!({"to": "250788123456", "text": "Hi"}))),
            (200, key.get("/api/v1/health")),
        ];
        for (place, (status, request)) in asked.into_iter().enumerate() {
            let answer = request.await.expect_status(status);
            let left = answer.header("x-ratelimit-remaining").map(str::to_owned);
            assert_eq!(left, Some((119 - place).to_string()), "{}: {}", answer.what, answer.text());
        }
        // The key comes first, then its budget, its scope, and the body last.
        let unknown = world.client().with_token(&format!("lw_live_{}", "a".repeat(32)));
        for request in [unknown.put("/api/v1/messages"), unknown.get("/api/v1/chats").header("accept", "text/html"), say(&unknown).body("application/json", huge.clone())] {
            assert_eq!(request.await.expect_status(401).text_at("/error"), "invalid_api_key");
        }
        assert_eq!(say(&reader).body("application/json", huge.clone()).await.expect_status(403).text_at("/error"), "insufficient_scope");
        for left in (0..119).rev() {
            let answer = reader.put("/api/v1/messages").await.expect_status(405);
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
        }
        for request in [reader.put("/api/v1/messages"), reader.get("/api/v1/chats").header("accept", "text/html"), say(&reader).body("application/json", huge)] {
            let refused = request.await.expect_status(429);
            assert_eq!((refused.text_at("/error"), refused.header("x-ratelimit-remaining")), ("rate_limited".to_owned(), Some("0")));
            assert!(refused.header("retry-after").is_some());
        }
        // Nobody shows a key: nothing is counted, and the way of asking is what is wrong.
        let nobody = world.client().put("/api/v1/messages").await.expect_status(405);
        assert_eq!(nobody.header("x-ratelimit-remaining"), None);
        world.client().get("/api/v1/messages/nothing/here").await.expect_status(404);
        // Paths that take no key do not look at one.
        unknown.get("/api/health").await.expect_status(200);
    }
}
