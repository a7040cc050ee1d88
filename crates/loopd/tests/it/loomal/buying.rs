//! Mandates and `POST /v0/payments/pay`.

use std::sync::atomic::Ordering;

use loopd_testkit::{Answer, each_engine, json};
use loopd_types::{DAY_US, HOUR_US};
use serde_json::Value;

use super::stage::{Manner, Project, Seller};
use crate::support::{World, eventually};

const MANDATES: &str = "/v0/payments/mandates";

async fn mandate(project: &Project, per_call: &str, daily: &str) -> Value {
    let body = json!({"maxPerCallUsdc": per_call, "dailyCapUsdc": daily});
    project.client.post(MANDATES).json(&body).await.expect_status(200).json()
}

async fn pay(project: &Project, url: &str) -> Answer {
    project.client.post("/v0/payments/pay").json(&json!({"url": url})).await
}

#[track_caller]
fn refused(answer: Answer, status: u16, code: &str) -> Value {
    let out = answer.expect_status(status).json();
    assert_eq!((&out["ok"], &out["code"]), (&json!(false), &json!(code)), "{out}");
    out
}

each_engine! {
    async fn a_call_is_paid_within_its_mandate_and_counted(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
        let shop = Seller::open(&seller, "0.05", Manner::Honest).await;
        refused(pay(&buyer, &shop.url).await, 402, "mandate_not_found");
        let made = mandate(&buyer, "0.10", "0.12").await;
        let dry = buyer.client.post("/v0/payments/pay").json(&json!({"url": shop.url, "dryRun": true})).await.expect_status(200).json();
        assert_eq!((&dry["ok"], &dry["txHash"], &dry["cost"]["amountUsdc"]), (&json!(true), &json!(null), &json!("0.05")));
        assert_eq!(shop.paid_calls.load(Ordering::Relaxed), 0);
        let paid = pay(&buyer, &shop.url).await.expect_status(200).json();
        assert_eq!((&paid["ok"], &paid["content"]["sky"], &paid["status"]), (&json!(true), &json!("sunny"), &json!(200)));
        assert_eq!((&paid["balanceAfter"]["usdc"], &paid["mandate"]["remainingTodayUsdcRaw"]), (&json!("999.95"), &json!("70000")));
        assert!(paid["txHash"].as_str().unwrap().starts_with("0x"));
        let received = seller.client.get("/v0/payments").await.json();
        assert_eq!((&received["count"], &received["payments"][0]["txHash"]), (&json!(1), &paid["txHash"]));
        let activity = buyer.client.get("/v0/payments/activity").await.json();
        assert_eq!((&activity["activity"][0]["direction"], &activity["activity"][0]["status"]), (&json!("out"), &json!("settled")));
        pay(&buyer, &shop.url).await.expect_status(200);
        let late = refused(pay(&buyer, &shop.url).await, 402, "mandate_daily_cap_exceeded");
        assert!(late["retryAfterMs"].as_i64().unwrap() > 0);
        let now = buyer.client.get(&format!("{MANDATES}/{}", made["mandateId"].as_str().unwrap())).await.expect_status(200).json();
        assert_eq!((&now["spentTodayUsdc"], &now["callCount"]), (&json!("0.10"), &json!(2)));
        world.clock.advance(DAY_US);
        pay(&buyer, &shop.url).await.expect_status(200);
    }

    async fn many_calls_at_once_never_pass_the_daily_cap(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
        let shop = Seller::open(&seller, "0.05", Manner::Honest).await;
        mandate(&buyer, "0.05", "0.25").await;
        let calls = futures_util::future::join_all((0..12).map(|_| pay(&buyer, &shop.url))).await;
        let paid = calls.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(paid, 5, "{:?}", calls.iter().map(|answer| answer.status).collect::<Vec<_>>());
        assert_eq!(seller.client.get("/v0/payments").await.at("/count"), json!(5));
    }

    async fn every_way_not_to_pay_has_its_code(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
        let stranger = world.project(&owner, "BUYER").await;
        let made = mandate(&buyer, "0.10", "2000").await;
        let dear = Seller::open(&seller, "0.50", Manner::Honest).await;
        let out = refused(pay(&buyer, &dear.url).await, 402, "mandate_per_call_exceeded");
        assert_eq!(out["message"], "Price 0.50 USDC exceeds maxPerCallUsdc 0.10");
        assert_eq!(out["cost"]["amountUsdc"], "0.50");
        refused(pay(&buyer, &format!("{}/health/", world.base)).await, 402, "url_not_x402");
        refused(pay(&buyer, "http://127.0.0.1:1/").await, 402, "url_not_x402");
        refused(pay(&buyer, "http://10.1.2.3/x").await, 402, "url_not_x402");
        refused(pay(&buyer, "file:///etc/passwd").await, 402, "url_not_x402");
        refused(buyer.client.post("/v0/payments/pay").json(&json!({})).await, 400, "bad_request");
        // Clients read `ok` whatever happens.
        refused(world.client().post("/v0/payments/pay").json(&json!({"url": dear.url})).await, 401, "unauthorized");
        refused(seller.client.post("/v0/payments/pay").json(&json!({"url": dear.url})).await, 403, "unauthorized");
        mandate(&buyer, "2000", "2000").await;
        let huge = Seller::open(&seller, "1000.01", Manner::Honest).await;
        refused(pay(&buyer, &huge.url).await, 402, "balance_insufficient");
        let revoked = buyer.client.delete(&format!("{MANDATES}/{}", made["mandateId"].as_str().unwrap())).await.expect_status(200);
        assert!(revoked.at("/revokedAt").is_string());
        assert_eq!(buyer.client.get(MANDATES).await.at("/mandates").as_array().unwrap().len(), 2);
        world.clock.advance(8 * DAY_US);
        refused(pay(&buyer, &dear.url).await, 402, "mandate_expired");
        stranger.client.delete(&format!("{MANDATES}/{}", made["mandateId"].as_str().unwrap())).await.expect_status(404);
    }

    async fn a_seller_that_takes_the_money_and_fails_is_shown_the_same_payment_again(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
        let shop = Seller::open(&seller, "0.05", Manner::TakesAndFails).await;
        mandate(&buyer, "0.10", "1").await;
        for _ in 0..3 {
            let request = buyer.client.post("/v0/payments/pay").header("idempotency-key", "order-7").json(&json!({"url": shop.url}));
            refused(request.await, 402, "settle_failed");
        }
        assert_eq!(shop.paid_calls.load(Ordering::Relaxed), 3);
        assert_eq!(seller.client.get("/v0/payments").await.at("/count"), json!(1));
        let activity = buyer.client.get("/v0/payments/activity").await.json();
        assert_eq!((&activity["count"], &activity["activity"][0]["status"]), (&json!(1), &json!("settled")));
    }

    async fn what_a_seller_never_took_goes_back_to_the_mandate(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
        let shop = Seller::open(&seller, "0.05", Manner::Refuses).await;
        let made = mandate(&buyer, "0.10", "1").await;
        refused(pay(&buyer, &shop.url).await, 402, "settle_failed");
        let one = format!("{MANDATES}/{}", made["mandateId"].as_str().unwrap());
        // The seller holds an authorization that is still good: it counts until it is not.
        assert_eq!(buyer.client.get(&one).await.text_at("/spentTodayUsdc"), "0.05");
        world.clock.advance(HOUR_US);
        eventually("the spend is looked up", async || buyer.client.get(&one).await.text_at("/spentTodayUsdc") == "0.00").await;
        let activity = buyer.client.get("/v0/payments/activity").await.json();
        assert_eq!(activity["activity"][0]["status"], "failed");
    }

    async fn a_seller_that_delivers_without_taking_the_money_is_on_record_as_such(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
        let shop = Seller::open(&seller, "0.05", Manner::Lies).await;
        mandate(&buyer, "0.10", "1").await;
        let paid = pay(&buyer, &shop.url).await.expect_status(200).json();
        assert_eq!((&paid["content"]["sky"], &paid["txHash"]), (&json!("grey"), &json!(null)));
        let activity = buyer.client.get("/v0/payments/activity").await.json();
        assert_eq!(activity["activity"][0]["status"], "verified");
    }

    async fn a_seller_that_redirects_or_floods_is_followed_nowhere_and_read_to_no_end(world: &World) {
        let owner = world.owner().await;
        let (seller, buyer) = (world.project(&owner, "SELLER").await, world.project(&owner, "BUYER").await);
        mandate(&buyer, "0.10", "1").await;
        let elsewhere = Seller::open(&seller, "0.05", Manner::Redirects).await;
        let out = refused(pay(&buyer, &elsewhere.url).await, 402, "settle_failed");
        assert_eq!(out["message"], "The seller answers 307 to the payment: no reason given");
        let flood = Seller::open(&seller, "0.05", Manner::Floods).await;
        let paid = pay(&buyer, &flood.url).await.expect_status(200).json();
        assert_eq!((&paid["contentCut"], paid["contentText"].as_str().map(str::len)), (&json!(true), Some(1 << 20)));
        let activity = buyer.client.get("/v0/payments/activity").await.json();
        assert_eq!((&activity["activity"][0]["status"], &activity["activity"][1]["status"]), (&json!("verified"), &json!("verified")));
        assert_eq!(seller.client.get("/v0/payments").await.at("/count"), json!(0));
    }

    async fn a_mandate_says_what_is_wrong_with_it(world: &World) {
        let owner = world.owner().await;
        let buyer = world.project(&owner, "BUYER").await;
        for body in [
            json!({}),
            json!({"maxPerCallUsdc": "1", "dailyCapUsdc": "0.5"}),
            json!({"maxPerCallUsdc": "0", "dailyCapUsdc": "1"}),
            json!({"maxPerCallUsdc": 1, "dailyCapUsdc": "1"}),
            json!({"maxPerCallUsdc": "1", "dailyCapUsdc": "1", "network": "dogecoin"}),
            json!({"maxPerCallUsdc": "1", "dailyCapUsdc": "1", "validUntil": "2001-01-01T00:00:00Z"}),
        ] {
            assert_eq!(buyer.client.post(MANDATES).json(&body).await.expect_status(400).text_at("/error"), "bad_request", "{body}");
        }
    }
}
