//! Payment links under the limits that keep strangers from ringing telephones.

use loopd_testkit::{each_engine, json};

use crate::support::Throttled;

const LINKS: &str = "/api/v1/payments/payment-links/";

each_engine! {
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
