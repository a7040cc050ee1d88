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

    async fn sign_ins_are_limited_by_email_wherever_they_come_from(world: &Limited) {
        let owner = world.owner().await;
        // Each from an address of its own, in any spelling: registering and guessing count alike, and so does the right password.
        let sign_in = async |email: &str, password: &str| {
            world.client().post("/api/v1/auth/login/").json(&json!({"email": email, "password": password})).await
        };
        world.clock.advance(MINUTE_US);
        for email in ["owner@example.com", "OWNER@example.com", "Owner@Example.com", "owner@example.com"] {
            sign_in(email, "wrongpass123").await.expect_refusal(401, "no_active_account");
        }
        sign_in(&owner.email, "strongpass123").await.expect_status(200);
        for password in ["wrongpass123", "strongpass123"] {
            let refused = sign_in(&owner.email, password).await.expect_refusal(429, "throttled");
            assert_eq!(number(&refused, "retry-after"), 60);
        }
        sign_in("somebody.else@example.com", "wrongpass123").await.expect_refusal(401, "no_active_account");
        owner.get("/api/v1/auth/me/").await.expect_status(200);
        world.clock.advance(MINUTE_US);
        sign_in(&owner.email, "strongpass123").await.expect_status(200);
    }

    async fn guesses_at_the_limits_pace_still_lock_the_address_out(world: &Limited) {
        let owner = world.owner().await;
        let attacker = world.client();
        let guess = async || attacker.post("/api/v1/auth/login/").json(&json!({"email": owner.email, "password": "wrongpass123"})).await;
        for minute in 0..2 {
            world.clock.advance(MINUTE_US);
            for _ in 0..5 {
                guess().await.expect_refusal(401, "no_active_account");
            }
            let refused = guess().await.expect_refusal(429, "throttled");
            assert_eq!(number(&refused, "retry-after"), 60, "in minute {minute} it is the limit that refuses");
        }
        world.clock.advance(MINUTE_US);
        let locked = guess().await.expect_refusal(429, "throttled");
        assert_eq!(number(&locked, "retry-after"), 900, "the eleventh failure locks for a quarter of an hour");
        world.clock.advance(MINUTE_US);
        let right = json!({"email": owner.email, "password": "strongpass123"});
        let refused = attacker.post("/api/v1/auth/login/").json(&right).await.expect_refusal(429, "throttled");
        assert_eq!(number(&refused, "retry-after"), 840);
        world.client().post("/api/v1/auth/login/").json(&right).await.expect_status(200);
        world.clock.advance(14 * MINUTE_US);
        attacker.post("/api/v1/auth/login/").json(&right).await.expect_status(200);
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
