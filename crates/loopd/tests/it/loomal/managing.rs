//! `/api/v1/loomal/…`: the same things, for signed-in people.

use loopd_testkit::{each_engine, json};

use super::stage::Wallet;
use crate::support::{World, eventually};

each_engine! {
    async fn owners_manage_what_their_keys_use(world: &World) {
        let owner = world.owner().await;
        let made = owner.post("/api/v1/loomal/projects/").json(&json!({"name": "Sun", "purpose": "SELLER"})).await.expect_status(201);
        let (id, key) = (made.text_at("/id"), made.text_at("/key"));
        let project = world.client().with_token(&key);
        project.get("/v0/whoami").await.expect_status(200);
        let one = format!("/api/v1/loomal/projects/{id}/");
        let outside = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
        let changed = owner.patch(&one).json(&json!({"pay_to": outside, "scopes": ["payments:accept", "identity:sign"]})).await.expect_status(200);
        assert_eq!((changed.text_at("/pay_to"), changed.at("/scopes")), (outside.to_owned(), json!(["payments:accept", "identity:sign"])));
        owner.patch(&one).json(&json!({"pay_to": "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266"})).await.expect_field("pay_to", "invalid");
        owner.patch(&one).json(&json!({"scopes": ["root"]})).await.expect_field("scopes", "invalid_choice");
        let challenge = project.post("/v0/payments/challenge").json(&json!({"amount": "1", "resource": "x"})).await.expect_status(200).json();
        assert_eq!(challenge["accepts"][0]["payTo"], outside);
        let paid = Wallet::number(30).pay(world, &challenge, 1);
        let body = json!({"paymentHeader": paid, "amount": "1", "network": "base", "resource": "x"});
        assert_eq!(project.post("/v0/payments/redeem").json(&body).await.expect_status(200).at("/ok"), json!(true));
        let payments = owner.get("/api/v1/loomal/payments/").query("status", "settled").await.expect_status(200);
        assert_eq!((payments.at("/count"), payments.text_at("/results/0/recipient")), (json!(1), outside.to_owned()));
        let wallets = owner.get("/api/v1/loomal/wallets/").await.expect_status(200);
        assert_eq!((wallets.text_at("/results/0/balance_usdc"), wallets.at("/results/0/sandbox")), ("1000.00".to_owned(), json!(true)));
        let rotated = owner.post(&format!("{one}rotate-key/")).await.expect_status(201);
        project.get("/v0/whoami").await.expect_status(401);
        let project = world.client().with_token(&rotated.text_at("/key"));
        project.get("/v0/whoami").await.expect_status(200);
        owner.delete(&one).await.expect_status(204);
        project.get("/v0/whoami").await.expect_status(401);
        owner.get(&one).await.expect_refusal(404, "not_found");
    }

    async fn the_figures_tell_calls_revenue_and_refusals(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (project, other, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "SELLER").await, Wallet::number(31));
        for nonce in 1..=3 {
            project.sell(world, &buyer, "0.05", "tool", nonce).await;
        }
        other.sell(world, &Wallet::number(32), "1", "tool", 9).await;
        for _ in 0..4 {
            project.redeem("%%%", "1", "tool").await.expect_status(200);
        }
        let analytics = "/api/v1/loomal/analytics/";
        eventually("refusals are written", async || owner.get(analytics).await.at("/refused") == json!(4)).await;
        let all = owner.get(analytics).await.expect_status(200).json();
        assert_eq!((&all["calls"], &all["revenue_micros"], &all["payers"]), (&json!(4), &json!(1_150_000), &json!(2)));
        assert_eq!(all["refusals"], json!([{"stage": "verify", "reason": "invalid_payload", "count": 4}]));
        assert_eq!(all["days"], json!([{"day": "2026-06-22", "calls": 4, "revenue_micros": 1_150_000, "refused": 4}]));
        assert!(all["time_to_settle_us"]["p99"].is_i64(), "{all}");
        let found = owner.get("/api/v1/loomal/projects/").query("identity", &project.id).await;
        let one = owner.get(analytics).query("project", &found.text_at("/results/0/id")).query("days", "1").await.expect_status(200).json();
        assert_eq!((&one["calls"], &one["refused"], &one["since"]), (&json!(3), &json!(4), &json!("2026-06-22")));
        owner.get(analytics).query("days", "0").await.expect_field("days", "invalid");
        owner.get(analytics).query("project", "x").await.expect_field("project", "invalid");
        let theirs = stranger.get(analytics).await.expect_status(200).json();
        assert_eq!((&theirs["calls"], &theirs["refused"]), (&json!(0), &json!(0)));
    }

    async fn platform_keys_are_made_shown_once_and_revoked(world: &World) {
        let owner = world.owner().await;
        let made = owner.post("/api/v1/loomal/platform-keys/").json(&json!({"name": "Console"})).await.expect_status(201);
        let (id, key) = (made.text_at("/id"), made.text_at("/key"));
        let platform = world.client().with_token(&key);
        platform.get("/v0/platform/identities").await.expect_status(200);
        let listed = owner.get("/api/v1/loomal/platform-keys/").await.expect_status(200);
        assert!(listed.at("/count") == json!(1) && !listed.text().contains(&key[13..]));
        owner.post(&format!("/api/v1/loomal/platform-keys/{id}/revoke/")).await.expect_status(200);
        platform.get("/v0/platform/identities").await.expect_status(401);
        let audit = owner.get("/api/v1/audit-logs/").query("module", "loomal").await.expect_status(200);
        assert_eq!(audit.at("/count"), json!(2));
    }

    async fn a_platform_key_is_bound_and_gets_a_successor(world: &World) {
        let owner = world.owner().await;
        let base = "/api/v1/loomal/platform-keys/";
        let away = json!({"name": "Far", "allowed_networks": ["198.51.100.0/24"]});
        let far = owner.post(base).json(&away).await.expect_status(201);
        let refused = world.client().with_token(&far.text_at("/key")).get("/v0/platform/identities").await.expect_status(403);
        assert!(refused.text().contains("may not be used from your address"), "{}", refused.text());
        let made = owner.post(base).json(&json!({"name": "Console", "expires_at": "2999-01-01T00:00:00Z"})).await.expect_status(201);
        let rotate = format!("{base}{}/rotate/", made.text_at("/id"));
        let next = owner.post(&rotate).json(&json!({"grace_seconds": 0})).await.expect_status(201);
        assert_eq!((next.at("/rotated_from"), next.at("/expires_at")), (made.at("/id"), made.at("/expires_at")));
        world.client().with_token(&made.text_at("/key")).get("/v0/platform/identities").await.expect_status(401);
        world.client().with_token(&next.text_at("/key")).get("/v0/platform/identities").await.expect_status(200);
        owner.post(&rotate).await.expect_refusal(409, "key_rotated");
    }

    async fn strangers_and_small_roles_see_and_do_nothing(world: &World) {
        let (ada, bob) = world.strangers().await;
        let made = ada.post("/api/v1/loomal/projects/").json(&json!({"name": "Sun", "purpose": "SELLER"})).await.expect_status(201);
        let one = format!("/api/v1/loomal/projects/{}/", made.text_at("/id"));
        bob.get(&one).await.expect_refusal(404, "not_found");
        bob.patch(&one).json(&json!({"name": "x"})).await.expect_refusal(404, "not_found");
        bob.delete(&one).await.expect_refusal(404, "not_found");
        let viewer = world.member(&ada, "eve", "viewer").await;
        viewer.post("/api/v1/loomal/platform-keys/").json(&json!({"name": "x"})).await.expect_refusal(403, "permission_denied");
        viewer.post(&format!("{one}rotate-key/")).await.expect_refusal(403, "permission_denied");
    }
}
