//! Rate limits (spec/loop.md 5.11): 429 with `Retry-After` after the limit, and headers that tell before it.

use loopd_testkit::{Answer, each_engine, json};
use loopd_types::MINUTE_US;

use crate::support::Limited;

fn number(answer: &Answer, name: &str) -> u32 {
    answer.header(name).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{}: no {name}", answer.what))
}

each_engine! {
    async fn sign_ins_are_limited_by_address(world: &Limited) {
        let client = world.client();
        for attempt in 1..=10 {
            // Another email each time, so that no other limit is met first.
            let body = json!({"email": format!("a{attempt}@example.com"), "password": "wrongpass123"});
            let answer = client.post("/api/v1/auth/login/").json(&body).await.expect_refusal(401, "no_active_account");
            assert_eq!(number(&answer, "ratelimit-limit"), 10);
            assert_eq!(number(&answer, "ratelimit-remaining"), 10 - attempt);
        }
        let body = json!({"email": "b@example.com", "password": "wrongpass123"});
        let refused = client.post("/api/v1/auth/login/").json(&body).await.expect_refusal(429, "throttled");
        // The tests' clock stands at the beginning of a minute.
        assert_eq!(number(&refused, "retry-after"), 60);
        assert_eq!((number(&refused, "ratelimit-remaining"), number(&refused, "ratelimit-reset")), (0, 60));
        assert_eq!(refused.text_at("/error/message"), "Request was throttled. Expected available in 60 seconds.");
        world.client().post("/api/v1/auth/login/").json(&body).await.expect_refusal(401, "no_active_account");
        world.clock.advance(MINUTE_US);
        client.post("/api/v1/auth/login/").json(&body).await.expect_refusal(401, "no_active_account");
    }

    async fn an_address_that_nobody_trusted_names_is_not_believed(world: &Limited) {
        // From outside the trusted proxy the header is a lie; here every request comes through it, so only the last hop counts.
        let client = world.client();
        let mut refused = 0;
        for attempt in 0..12 {
            let forged = client.with_header("x-forwarded-for", &format!("1.2.3.{attempt}, 10.9.9.9"));
            let answer = forged.post("/api/v1/auth/token/verify/").json(&json!({"token": "x"})).await;
            refused += u32::from(answer.status == 429);
        }
        assert_eq!(refused, 2, "a client that invents hops before its own gets no further budget");
    }

    async fn public_verification_is_limited_by_address(world: &Limited) {
        let client = world.client();
        let path = "/api/v1/protector/public-verify/IHEMATST1/";
        for _ in 0..60 {
            client.get(path).await.expect_status(200);
        }
        client.get(path).await.expect_refusal(429, "throttled");
        world.client().get(path).await.expect_status(200);
    }

    async fn people_and_keys_have_budgets_of_their_own(world: &Limited) {
        let owner = world.owner().await;
        let answer = owner.get("/api/v1/workspaces/").await.expect_status(200);
        assert_eq!(number(&answer, "ratelimit-limit"), 600);
        let (_, key) = world.key(&owner, &["*"]).await;
        let answer = key.get("/api/v1/workspaces/").await.expect_status(200);
        assert_eq!((number(&answer, "ratelimit-limit"), number(&answer, "ratelimit-remaining")), (1200, 1199));
    }

    async fn advice_is_limited_by_company(world: &Limited) {
        let owner = world.owner().await;
        let member = world.member(&owner, "grace", "admin").await;
        for asked in 0..20 {
            let who = if asked % 2 == 0 { &owner } else { &member };
            who.post("/api/v1/ai/business-advice/").json(&json!({"prompt": "How was the week?"})).await.expect_status(200);
        }
        for who in [&owner, &member] {
            let answer = who.post("/api/v1/ai/business-advice/").json(&json!({"prompt": "And now?"})).await.expect_refusal(429, "throttled");
            assert!(number(&answer, "retry-after") > 0);
        }
    }

    async fn a_caller_over_budget_is_told_so_until_the_window_ends(world: &Limited) {
        let owner = world.owner().await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let client = owner.clone();
            calls.spawn(async move {
                let mut allowed = 0;
                for _ in 0..80 {
                    allowed += u32::from(client.get("/api/v1/products/").await.status == 200);
                }
                allowed
            });
        }
        let allowed: u32 = calls.join_all().await.into_iter().sum();
        assert_eq!(allowed, 600, "exactly the budget, also under concurrent calls");
        owner.get("/api/v1/products/").await.expect_refusal(429, "throttled");
        world.clock.advance(MINUTE_US);
        owner.get("/api/v1/products/").await.expect_status(200);
    }

    async fn health_is_never_limited(world: &Limited) {
        let client = world.client();
        for _ in 0..130 {
            client.get("/health/").await.expect_status(200);
        }
    }
}
