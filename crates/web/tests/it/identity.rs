//! The order of spec/loop.md 5.1: who, which company, product, permission, budget.

use loopd_testkit::{each_engine, json};

use crate::world::Edge;

each_engine! {
    async fn public_operations_do_not_look_at_credentials(edge: &Edge) {
        edge.client()
            .with_header("authorization", "Bearer nonsense and more")
            .with_key("wrong")
            .company("does not exist")
            .workspace(loopd_types::Uuid::nil())
            .get("/api/v1/open/")
            .await
            .expect_status(200);
    }

    async fn credentials_are_read_as_documented(edge: &Edge) {
        let (token, _) = edge.member("ada").await;
        let client = edge.client();
        let nobody = client.get("/api/v1/whoami/").await.expect_refusal(401, "not_authenticated");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"api\""));
        for empty in ["Bearer ", "Bearer"] {
            client.get("/api/v1/whoami/").header("authorization", empty).await.expect_refusal(401, "not_authenticated");
        }
        client.with_token("junk").get("/api/v1/whoami/").await.expect_refusal(401, "token_not_valid");
        let me = client.with_token(&token).get("/api/v1/whoami/").await.expect_status(200);
        assert_eq!(me.json(), json!({"email": "ada@example.com", "auth": "jwt"}));
        assert_eq!(me.header("cache-control"), Some("no-store"));
        assert_eq!(me.header("ratelimit-limit"), Some("600"));
        assert_eq!(me.header("ratelimit-remaining"), Some("599"));
        let wrong_key = client.with_token(&token).with_key("wrong").get("/api/v1/whoami/").await;
        wrong_key.expect_refusal(401, "invalid_api_key");
        client.with_token(&token).get("/api/v1/all/").await.expect_refusal(403, "permission_denied");
    }

    async fn companies_products_and_permissions_are_asked_in_order(edge: &Edge) {
        let (ada, code) = edge.member("ada").await;
        let (_, other) = edge.member("bob").await;
        let client = edge.client().with_token(&ada);
        let path = "/api/v1/booking/things/";
        assert_eq!(client.get(path).await.json(), json!({"companies": [code], "union": true}));
        assert_eq!(client.company(&code).get(path).await.json(), json!({"companies": [code], "union": false}));
        let foreign = client.company(&other).get(path).await.expect_refusal(403, "company_access_denied");
        let unknown = client.company("777").get(path).await.expect_refusal(403, "company_access_denied");
        assert_eq!(foreign.text_at("/error/message"), unknown.text_at("/error/message"));
        client.company("\u{e9}").get(path).await.expect_refusal(403, "company_access_denied");
        client.workspace(loopd_types::Uuid::nil()).post(path).await.expect_refusal(403, "workspace_access_denied");
        client.post("/api/v1/chess/games/").await.expect_refusal(403, "product_not_subscribed");
        edge.client().post(path).await.expect_refusal(401, "not_authenticated");
    }

    async fn wrong_credentials_run_out_and_good_ones_do_not(edge: &Edge) {
        let (token, _) = edge.member("ada").await;
        let client = edge.client();
        for _ in 0..300 {
            client.with_token("junk").get("/api/v1/whoami/").await.expect_refusal(401, "token_not_valid");
        }
        client.with_token("junk").get("/api/v1/whoami/").await.expect_refusal(429, "throttled");
        client.with_key("loop_ik_wrong").get("/api/v1/whoami/").await.expect_refusal(429, "throttled");
        client.get("/api/v1/whoami/").await.expect_refusal(401, "not_authenticated");
        client.with_token(&token).get("/api/v1/whoami/").await.expect_status(200);
    }

    async fn budgets_are_told_and_kept(edge: &Edge) {
        for left in (0..10).rev() {
            let answer = edge.client().post("/api/v1/auth/try/").await.expect_status(204);
            assert_eq!(answer.header("ratelimit-remaining"), Some(left.to_string().as_str()));
        }
        let refused = edge.client().post("/api/v1/auth/try/").await.expect_refusal(429, "throttled");
        let wait = refused.header("retry-after").unwrap();
        assert_eq!(refused.text_at("/error/message"), format!("Request was throttled. Expected available in {wait} seconds."));
        assert_eq!(refused.header("ratelimit-limit"), Some("10"));
        // Another client behind the same trusted proxy has its own budget.
        edge.client().post("/api/v1/auth/try/").header("x-forwarded-for", "203.0.113.9").await.expect_status(204);
    }
}
