//! `POST /auth/login/`

use loopd_testkit::{Client, assert_json, each_engine, json};
use loopd_types::MINUTE_US;

use crate::support::World;

const LOGIN: &str = "/api/v1/auth/login/";

async fn try_with(client: &Client, email: &str, password: &str) -> loopd_testkit::Answer {
    client.post(LOGIN).json(&json!({"email": email, "password": password})).await
}

each_engine! {
    async fn the_right_password_gives_tokens_and_companies(world: &World) {
        let owner = world.owner().await;
        let answer = try_with(&world.client(), "OWNER@example.com", "strongpass123").await.expect_status(200);
        assert_json!(answer.json(), {
            "user": {"id": owner.user, "email": "owner@example.com", "username": "owner"},
            "companies": [{"code": "001", "name": "owner Ltd", "role": "owner"}],
            "access": "[token]", "refresh": "[token]", "access_token": "[token]", "refresh_token": "[token]",
            "token_type": "Bearer", "expires_in": 1800,
        });
    }

    async fn an_unknown_email_and_a_wrong_password_get_the_same_answer(world: &World) {
        let owner = world.owner().await;
        let mut bodies = Vec::new();
        for (email, password) in [("nobody@example.com", "strongpass123"), (owner.email.as_str(), "wrongpass123"), ("no address", "x")] {
            let answer = try_with(&world.client(), email, password).await.expect_refusal(401, "no_active_account");
            assert!(answer.header("www-authenticate").is_some());
            bodies.push((answer.text_at("/error/message"), answer.at("/error/details")));
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        assert!(bodies[0].0.starts_with("No active account found with the given credentials"));
    }

    async fn missing_fields_are_named(world: &World) {
        world.client().post(LOGIN).json(&json!({})).await.expect_field("email", "required").expect_field("password", "required");
    }

    async fn repeated_failures_lock_email_and_address_out_for_a_while(world: &World) {
        let owner = world.owner().await;
        let attacker = world.client();
        for _ in 0..10 {
            try_with(&attacker, &owner.email, "wrongpass123").await.expect_refusal(401, "no_active_account");
        }
        try_with(&attacker, &owner.email, "wrongpass123").await.expect_refusal(429, "throttled");
        let locked = try_with(&attacker, &owner.email, "strongpass123").await.expect_refusal(429, "throttled");
        assert_eq!(locked.header("retry-after"), Some("900"));
        // The owner, elsewhere, is not shut out by a stranger's guesses.
        try_with(&world.client(), &owner.email, "strongpass123").await.expect_status(200);
        world.clock.advance(15 * MINUTE_US + 1);
        try_with(&attacker, &owner.email, "strongpass123").await.expect_status(200);
    }

    async fn an_unknown_email_locks_out_like_a_known_one(world: &World) {
        world.owner().await;
        let attacker = world.client();
        for _ in 0..10 {
            try_with(&attacker, "nobody@example.com", "wrongpass123").await.expect_refusal(401, "no_active_account");
        }
        try_with(&attacker, "nobody@example.com", "wrongpass123").await.expect_refusal(429, "throttled");
    }

    async fn an_inactive_user_can_neither_sign_in_nor_go_on(world: &World) {
        let owner = world.owner().await;
        world.set_active(&owner, false).await;
        owner.get("/api/v1/auth/me/").await.expect_refusal(401, "user_inactive");
        try_with(&world.client(), &owner.email, "strongpass123").await.expect_refusal(401, "no_active_account");
        let refresh = json!({"refresh": owner.refresh});
        world.client().post("/api/v1/auth/refresh/").json(&refresh).await.expect_refusal(401, "user_inactive");
    }
}
