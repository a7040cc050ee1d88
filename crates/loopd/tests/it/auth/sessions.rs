//! Tokens and sessions: renewal, rotation, sign-out, expiry, change of password.

use loopd_testkit::{Answer, Client, each_engine, json};
use loopd_types::{DAY_US, MINUTE_US, SECOND_US};

use crate::support::World;

const ME: &str = "/api/v1/auth/me/";

async fn renew(client: &Client, refresh: &str) -> Answer {
    client.anonymous().post("/api/v1/auth/refresh/").json(&json!({"refresh": refresh})).await
}

each_engine! {
    async fn an_access_token_ends_after_thirty_minutes(world: &World) {
        let owner = world.owner().await;
        world.clock.advance(30 * MINUTE_US - SECOND_US);
        owner.get(ME).await.expect_status(200);
        world.clock.advance(SECOND_US);
        let answer = owner.get(ME).await.expect_refusal(401, "token_not_valid");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"api\""));
        let renewed = renew(&owner, &owner.refresh).await.expect_status(200);
        owner.with_token(&renewed.text_at("/access")).get(ME).await.expect_status(200);
    }

    async fn a_refresh_token_ends_after_fourteen_days(world: &World) {
        let owner = world.owner().await;
        world.clock.advance(14 * DAY_US);
        renew(&owner, &owner.refresh).await.expect_refusal(401, "token_not_valid");
    }

    async fn a_refresh_token_is_rotated_and_reuse_ends_the_family(world: &World) {
        let owner = world.owner().await;
        let second = renew(&owner, &owner.refresh).await.expect_status(200);
        let third = renew(&owner, &second.text_at("/refresh")).await.expect_status(200);
        owner.with_token(&third.text_at("/access")).get(ME).await.expect_status(200);
        // Somebody shows a token that was exchanged before: one of the two is a thief, so both are out.
        renew(&owner, &owner.refresh).await.expect_refusal(401, "token_not_valid");
        renew(&owner, &third.text_at("/refresh")).await.expect_refusal(401, "token_not_valid");
        for access in [&owner.access, &second.text_at("/access"), &third.text_at("/access")] {
            owner.with_token(access).get(ME).await.expect_refusal(401, "token_not_valid");
        }
        // Another session of the same person is none of it.
        world.sign_in(&owner.email, "001").await.get(ME).await.expect_status(200);
    }

    async fn two_exchanges_at_once_leave_at_most_one_pair(world: &World) {
        let owner = world.owner().await;
        let (one, two) = tokio::join!(renew(&owner, &owner.refresh), renew(&owner, &owner.refresh));
        let good = [&one, &two].iter().filter(|answer| answer.status == 200).count();
        assert!(good <= 1, "{} and {}", one.text(), two.text());
    }

    async fn an_access_token_cannot_be_used_for_renewal_nor_a_refresh_token_for_calls(world: &World) {
        let owner = world.owner().await;
        renew(&owner, &owner.access).await.expect_refusal(401, "token_not_valid");
        owner.with_token(&owner.refresh).get(ME).await.expect_refusal(401, "token_not_valid");
        let verify = json!({"token": owner.refresh});
        owner.anonymous().post("/api/v1/auth/token/verify/").json(&verify).await.expect_refusal(401, "token_not_valid");
        let verify = json!({"token": owner.access});
        owner.anonymous().post("/api/v1/auth/token/verify/").json(&verify).await.expect_status(200);
    }

    async fn signing_out_ends_the_session_at_the_next_request(world: &World) {
        let owner = world.owner().await;
        let other = world.sign_in(&owner.email, "001").await;
        owner.post("/api/v1/auth/logout/").json(&json!({"refresh": owner.refresh})).await.expect_status(204);
        owner.get(ME).await.expect_refusal(401, "token_not_valid");
        renew(&owner, &owner.refresh).await.expect_refusal(401, "token_not_valid");
        other.get(ME).await.expect_status(200);
    }

    async fn a_new_password_ends_every_other_session(world: &World) {
        let owner = world.owner().await;
        let other = world.sign_in(&owner.email, "001").await;
        let change = |old: &str, new: &str| json!({"old_password": old, "new_password": new});
        let path = "/api/v1/auth/password/change/";
        owner.post(path).json(&change("wrongpass123", "anotherpass456")).await.expect_field("old_password", "invalid");
        owner.post(path).json(&change("strongpass123", "short")).await.expect_field("new_password", "password_too_short");
        owner.post(path).json(&change("strongpass123", "anotherpass456")).await.expect_status(204);
        owner.get(ME).await.expect_status(200);
        other.get(ME).await.expect_refusal(401, "token_not_valid");
        renew(&other, &other.refresh).await.expect_refusal(401, "token_not_valid");
        let login = |password: &str| json!({"email": owner.email, "password": password});
        let client = world.client();
        client.post("/api/v1/auth/login/").json(&login("strongpass123")).await.expect_refusal(401, "no_active_account");
        client.post("/api/v1/auth/login/").json(&login("anotherpass456")).await.expect_status(200);
    }

    async fn a_token_signed_by_somebody_else_is_refused(world: &World) {
        let owner = world.owner().await;
        let (head, signature) = owner.access.rsplit_once('.').expect("a JWT has three parts");
        let flipped: String = signature.chars().rev().collect();
        // alg "none", as of {"alg":"none","typ":"JWT"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", head.split('.').nth(1).expect("claims"));
        for token in [format!("{head}.{flipped}"), format!("{head}."), unsigned, "x".into(), "a.b.c".into()] {
            owner.with_token(&token).get(ME).await.expect_refusal(401, "token_not_valid");
        }
    }

    async fn what_is_no_bearer_token_counts_as_the_specification_says(world: &World) {
        let owner = world.owner().await;
        let client = world.client();
        for (header, code) in [
            ("Bearer", "not_authenticated"),
            ("Bearer ", "not_authenticated"),
            ("Basic ZGV2OmRldg==", "not_authenticated"),
            ("Bearer a b", "authentication_failed"),
        ] {
            client.with_header("authorization", header).get(ME).await.expect_refusal(401, code);
        }
        // A wrong key is refused even beside a good token.
        owner.with_key("loop_ik_wrong").get(ME).await.expect_refusal(401, "invalid_api_key");
        // Public endpoints ask nobody.
        client.with_header("authorization", "Bearer a b").get("/health/").await.expect_status(200);
        client.with_token("nonsense").get("/api/v1/protector/public-verify/IHEMATST1/").await.expect_status(200);
    }
}
