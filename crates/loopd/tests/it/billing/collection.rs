//! Collecting bills: attempts, refusals, answers that are lost.

use loopd_testkit::{assert_json, each_engine, json};

use super::{INVOICES, Shop};
use crate::support::{World, eventually};

const ACCOUNT: &str = "/api/v1/billing/account/";

async fn payer(shop: &Shop<'_>, payer: &str) {
    let body = json!({"payment_method": "sandbox", "payer": payer});
    shop.owner.patch(ACCOUNT).json(&body).await.expect_status(200);
}

each_engine! {
    async fn a_bill_is_collected_by_the_accounts_method(world: &World) {
        let shop = Shop::open(world).await;
        shop.owner.patch(ACCOUNT).json(&json!({"payment_method": "gold"})).await.expect_field("payment_method", "invalid_choice");
        payer(&shop, "anna").await;
        shop.buy(json!({"plan": "standard"})).await;
        let paid = shop.settled("LB-000001", "paid").await;
        assert_json!(paid, {"paid_minor": 30_000, "due_minor": 0});
        shop.owner.post(&format!("{INVOICES}{}/pay/", paid["id"].as_str().unwrap())).await.expect_refusal(409, "invalid_transition");
        shop.ledger_balances().await;
    }

    async fn an_answer_that_is_lost_is_asked_for_and_not_paid_for_again(world: &World) {
        let shop = Shop::open(world).await;
        payer(&shop, "lost").await;
        shop.buy(json!({"plan": "standard"})).await;
        eventually("the attempt was sent", async || {
            shop.owner.get("/api/v1/billing/payments/?status=sent").await.at("/count") == 1
        })
        .await;
        let bill = shop.bills().await[0]["id"].as_str().unwrap().to_owned();
        // Nobody settles it by another way while nobody knows.
        shop.owner.post(&format!("{INVOICES}{bill}/pay/")).await.expect_refusal(409, "payment_running");
        shop.desk().post(&format!("{INVOICES}{bill}/mark-paid/")).await.expect_refusal(409, "payment_running");
        shop.desk().post(&format!("{INVOICES}{bill}/void/")).await.expect_refusal(409, "payment_running");
        world.clock.advance(loopd_types::MINUTE_US);
        shop.settled("LB-000001", "paid").await;
        assert_json!(shop.owner.get("/api/v1/billing/payments/").await.json(), {"count": 1, "results": [{"status": "succeeded"}]});
        shop.ledger_balances().await;
    }

    async fn a_refusal_is_tried_again_with_pauses_and_then_left_to_people(world: &World) {
        let mut shop = Shop::open(world).await;
        let patient = json!({"retry_days": [1, 2], "grace_days": 30});
        shop.operator.patch("/api/v1/billing/seller/").json(&patient).await.expect_status(200);
        payer(&shop, "decline").await;
        shop.buy(json!({"plan": "standard"})).await;
        for attempts in 1..=3 {
            eventually(&format!("attempt {attempts} failed"), async || {
                shop.owner.get("/api/v1/billing/payments/?status=failed").await.at("/count") == attempts
            })
            .await;
            assert_eq!(shop.status().await, "past_due");
            shop.wait(2).await;
        }
        let bill = &shop.bills().await[0];
        assert_json!(bill, {"status": "open", "next_attempt_at": null, "due_minor": 30_000});
        // Another method, and the owner asks for it.
        payer(&shop, "anna").await;
        shop.owner.post(&format!("{INVOICES}{}/pay/", bill["id"].as_str().unwrap())).await.expect_status(200);
        shop.settled("LB-000001", "paid").await;
        assert_eq!(shop.status().await, "active");
        shop.ledger_balances().await;
    }
}
