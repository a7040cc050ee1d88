//! Payment links under the limits that keep strangers from ringing telephones.

use loopd_testkit::{each_engine, json};

use crate::support::{Shut, Throttled, Whole};

const LINKS: &str = "/api/v1/payments/payment-links/";

each_engine! {
    async fn a_company_that_lets_no_strangers_in_is_paid_by_nobodys_link(world: &Whole) {
        let (owner, stranger) = (&world.0.owner, world.0.owner.anonymous());
        let body = json!({"title": "Tea", "amount": 500, "currency": "RWF"});
        let token = owner.post(LINKS).json(&body).await.expect_status(201).text_at("/token");
        let page = format!("/api/v1/payments/public/001/payment-links/{token}/");
        let phone = json!({"payer_phone": "250788000001"});
        for (is_public, [shown, paid]) in [(false, [404, 404]), (true, [200, 201])] {
            let settings = json!({"settings": {"payments": {"public": is_public}}});
            owner.patch("/api/v1/companies/001/").json(&settings).await.expect_status(200);
            stranger.get(&page).await.expect_status(shown);
            stranger.post(&format!("{page}pay/")).json(&phone).await.expect_status(paid);
            // badly asked is not told apart either
            stranger.post(&format!("{page}pay/")).json(&json!({})).await.expect_status(if is_public { 400 } else { 404 });
        }
        assert_eq!(owner.get("/api/v1/payments/payments/").await.at("/count"), 1);
    }

    async fn a_definition_may_keep_strangers_out_until_a_company_lets_them_in(world: &Shut) {
        let (owner, stranger) = (&world.0.owner, world.0.owner.anonymous());
        let product = json!({"title": "Tea", "sku": "TEA-1", "price": "500", "currency": "RWF"});
        owner.post("/api/v1/shop/products/").json(&product).await.expect_status(201);
        let (list, one, orders) = ("/api/v1/shop/public/001/products/", "/api/v1/shop/public/001/products/TEA-1/", "/api/v1/shop/public/001/orders/");
        let statuses = async || {
            let order = stranger.post(orders).json(&json!({"title": "One tea"})).await.status;
            [stranger.get(list).await.status, stranger.get(one).await.status, order]
        };
        assert_eq!(statuses().await, [404, 404, 404], "nobody has chosen, so the definition has");
        for (is_public, expected) in [(true, [200, 200, 201]), (false, [404, 404, 404])] {
            let settings = json!({"settings": {"shop": {"public": is_public}}});
            owner.patch("/api/v1/companies/001/").json(&settings).await.expect_status(200);
            assert_eq!(statuses().await, expected, "{is_public}");
        }
    }

    async fn strangers_ask_a_telephone_a_few_times_only(world: &Throttled) {
        let owner = &world.0.owner;
        let mut doors = Vec::new();
        for _ in 0..3 {
            let body = json!({"title": "Tea", "amount": 500, "currency": "RWF"});
            let token = owner.post(LINKS).json(&body).await.expect_status(201).text_at("/token");
            doors.push(format!("/api/v1/payments/public/001/payment-links/{token}/pay/"));
        }
        let stranger = owner.anonymous();
        let pay = |door: &str, phone: &str| stranger.post(door).json(&json!({"payer_phone": phone}));
        // one telephone by three links, however its number is written
        for (door, phone) in doors.iter().zip(["250788000001", "+250 788 000 001", "0788000001"]) {
            pay(door, phone).await.expect_status(201);
        }
        let refused = pay(&doors[0], "250788000001").await;
        assert!(refused.header("retry-after").is_some());
        refused.expect_refusal(429, "throttled");
        // one link for many telephones: two askings are counted already
        for last in 2..5 {
            pay(&doors[0], &format!("25078800000{last}")).await.expect_status(201);
        }
        pay(&doors[0], "250788000009").await.expect_refusal(429, "throttled");
        pay(&doors[1], "250788000009").await.expect_status(201);
    }
}
