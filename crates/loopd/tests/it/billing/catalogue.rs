//! What the operator sells by can be corrected until somebody was promised it, and ended after that.

use loopd_testkit::{assert_json, each_engine, json};

use super::{INVOICES, Shop};
use crate::support::World;

const COUPONS: &str = "/api/v1/billing/coupons/";
const RATES: &str = "/api/v1/billing/tax-rates/";

each_engine! {
    async fn a_coupon_can_be_corrected_until_somebody_redeems_it(world: &World) {
        let mut shop = Shop::open(world).await;
        let coupon = json!({"code": "tenth", "percent_ppm": 100_000, "periods": 1, "max_redemptions": 2});
        let made = shop.operator.post(COUPONS).json(&coupon).await.expect_status(201);
        let item = format!("{COUPONS}{}/", made.text_at("/id"));
        let change = async |body: serde_json::Value| shop.operator.patch(&item).json(&body).await;
        change(json!({"amount_minor": 5_000})).await.expect_field("percent_ppm", "invalid");
        change(json!({"percent_ppm": null, "amount_minor": 5_000})).await.expect_field("currency", "invalid_choice");
        change(json!({"product": "toasters"})).await.expect_field("product", "invalid_choice");
        change(json!({"codes": "x"})).await.expect_field("codes", "unknown_field");
        shop.operator.post(COUPONS).json(&json!({"code": "OTHER", "percent_ppm": 1})).await.expect_status(201);
        change(json!({"code": "other"})).await.expect_field("code", "unique");
        let changed = change(json!({"code": "less", "percent_ppm": null, "amount_minor": 5_000, "currency": "RWF", "periods": 2})).await.expect_status(200);
        assert_json!(changed.json(), {"code": "LESS", "percent_ppm": null, "amount_minor": 5_000, "periods": 2, "max_redemptions": 2, "version": 2});
        shop.buy(json!({"plan": "standard", "coupon": "LESS"})).await;

        let change = async |body: serde_json::Value| shop.operator.patch(&item).json(&body).await;
        let promises = [json!({"amount_minor": 9_000}), json!({"currency": "USD"}), json!({"periods": null}), json!({"product": "booking"}),
            json!({"code": "MORE"}), json!({"percent_ppm": 500_000, "amount_minor": null})];
        for promised in promises {
            let refused = change(promised.clone()).await.expect_refusal(409, "coupon_in_use");
            let fields: Vec<String> = promised.as_object().unwrap().keys().cloned().collect();
            assert_json!(refused.json(), {"error": {"details": {"redemptions": 1}}});
            for field in fields {
                assert!(refused.text().contains(&format!("\"{field}\"")), "{}", refused.text());
            }
        }
        // What was read can be sent back, and what promises nothing to anybody can be changed.
        let read = shop.operator.get(&item).await.expect_status(200).json();
        change(read).await.expect_status(200);
        let offer = json!({"name": "For friends", "max_redemptions": null, "expires_at": "2027-01-01T00:00:00Z"});
        assert_json!(change(offer).await.expect_status(200).json(), {"name": "For friends", "max_redemptions": null, "expires_at": "2027-01-01T00:00:00.000000Z"});
        let audit = shop.operator.get("/api/v1/audit-logs/?resource=coupons&action=update").await.expect_status(200);
        assert_json!(audit.at("/results/0"), {"label": "LESS", "changes": {"name": ["", "For friends"], "max_redemptions": [2, null]}});
        assert_eq!(audit.at("/count"), 3, "a refusal changes nothing");

        // The bills to come are what the subscriber was promised.
        shop.owner.post(&format!("{}renew/", shop.item().await)).await.expect_status(200);
        let totals: Vec<i64> = shop.bills().await.iter().map(|bill| bill["total_minor"].as_i64().unwrap()).collect();
        assert_eq!(totals, [25_000, 25_000]);
        shop.wait(0).await;
        shop.ledger_balances().await;
    }

    async fn a_coupon_ends_and_comes_back_and_is_never_given_more_often_than_said(world: &World) {
        let mut shop = Shop::open(world).await;
        let coupon = json!({"code": "HALF", "percent_ppm": 500_000});
        let made = shop.operator.post(COUPONS).json(&coupon).await.expect_status(201);
        let item = format!("{COUPONS}{}/", made.text_at("/id"));
        let body = json!({"plan": "standard", "coupon": "HALF"});
        let mut others = Vec::new();
        for number in 0..2 {
            let other = world.register(&format!("other{number}")).await;
            let found = other.get("/api/v1/product-subscriptions/?product=booking").await.text_at("/results/0/id");
            others.push((other, format!("/api/v1/product-subscriptions/{found}/activate/")));
        }
        let (first, path) = &others[0];
        shop.operator.patch(&item).json(&json!({"expires_at": "2026-01-01T00:00:00Z"})).await.expect_status(200);
        first.post(path).json(&body).await.expect_field("coupon", "invalid");
        shop.operator.patch(&item).json(&json!({"expires_at": null})).await.expect_status(200);
        assert_json!(shop.operator.post(&format!("{item}withdraw/")).await.expect_status(200).json(), {"is_active": false});
        first.post(path).json(&body).await.expect_field("coupon", "invalid");
        assert_json!(shop.operator.post(&format!("{item}activate/")).await.expect_status(200).json(), {"is_active": true});
        first.post(path).json(&body).await.expect_status(200);
        shop.buy(body.clone()).await;
        shop.operator.patch(&item).json(&json!({"max_redemptions": 1})).await.expect_field("max_redemptions", "min_value");
        assert_json!(shop.operator.patch(&item).json(&json!({"max_redemptions": 2})).await.expect_status(200).json(), {"redemptions": 2});
        let (second, path) = &others[1];
        second.post(path).json(&body).await.expect_field("coupon", "invalid");
        shop.wait(0).await;
    }

    async fn what_a_coupon_takes_off_cannot_change_while_it_is_redeemed(world: &World) {
        let shop = Shop::open(world).await;
        let made = shop.operator.post(COUPONS).json(&json!({"code": "RACE", "percent_ppm": 500_000})).await.expect_status(201);
        let item = format!("{COUPONS}{}/", made.text_at("/id"));
        let path = format!("{}activate/", shop.item().await);
        let body = json!({"plan": "standard", "coupon": "RACE"});
        let change = json!({"percent_ppm": 100_000});
        let (bought, changed) = tokio::join!(async { shop.owner.post(&path).json(&body).await }, async { shop.operator.patch(&item).json(&change).await });
        bought.expect_status(200);
        let total = shop.bills().await[0]["total_minor"].clone();
        // Whoever came second saw what the first had done.
        match changed.status {
            200 => assert_eq!(total, 27_000),
            _ => {
                changed.expect_refusal(409, "coupon_in_use");
                assert_eq!(total, 15_000);
            }
        }
    }

    async fn a_tax_rate_can_be_corrected_until_it_is_in_force(world: &World) {
        let shop = Shop::open(world).await;
        let rate = json!({"country": "RW", "name": "VAT", "rate_ppm": 180_000, "valid_from": "2026-01-01T00:00:00Z"});
        let now = shop.operator.post(RATES).json(&rate).await.expect_status(201);
        let coming = json!({"country": "RW", "name": "VAT", "rate_ppm": 20_000, "valid_from": "2027-01-01T00:00:00Z"});
        let coming = shop.operator.post(RATES).json(&coming).await.expect_status(201);
        let (now, coming) = (format!("{RATES}{}/", now.text_at("/id")), format!("{RATES}{}/", coming.text_at("/id")));

        let change = async |item: &str, body: serde_json::Value| shop.operator.patch(item).json(&body).await;
        for body in [json!({"rate_ppm": 160_000}), json!({"inclusive": true}), json!({"country": "KE"}), json!({"valid_from": "2026-02-01T00:00:00Z"})] {
            let refused = change(&now, body).await.expect_refusal(409, "tax_rate_in_force");
            assert_json!(refused.json(), {"error": {"details": {"valid_from": "2026-01-01T00:00:00.000000Z"}}});
        }
        shop.operator.delete(&now).await.expect_refusal(409, "tax_rate_in_force");
        let read = shop.operator.get(&now).await.expect_status(200).json();
        change(&now, read).await.expect_status(200);

        change(&coming, json!({"rate_ppm": 1_000_000})).await.expect_field("rate_ppm", "max_value");
        change(&coming, json!({"country": "rw"})).await.expect_field("country", "invalid");
        change(&coming, json!({"valid_from": "2026-01-01T00:00:00Z"})).await.expect_field("valid_from", "unique");
        let corrected = change(&coming, json!({"rate_ppm": 200_000, "inclusive": true, "valid_from": "2026-08-15T00:00:00Z"})).await;
        assert_json!(corrected.expect_status(200).json(), {"rate_ppm": 200_000, "inclusive": true, "name": "VAT", "country": "RW"});

        let lines = json!({"lines": [{"description": "Help", "unit_minor": 10_000}]});
        let bill = shop.desk().post(INVOICES).json(&lines).await.expect_status(201);
        // A new name is for the bills to come; what was written keeps its words.
        change(&now, json!({"name": "TVA"})).await.expect_status(200);
        let bill = shop.owner.get(&format!("{INVOICES}{}/", bill.text_at("/id"))).await.expect_status(200).json();
        assert_json!(bill, {"tax_minor": 1_800, "lines": [{"tax_name": "VAT", "tax_ppm": 180_000}]});
        let renamed = shop.desk().post(INVOICES).json(&lines).await.expect_status(201).text_at("/id");
        let renamed = shop.owner.get(&format!("{INVOICES}{renamed}/")).await.expect_status(200);
        assert_json!(renamed.json(), {"lines": [{"tax_name": "TVA"}]});
        shop.ledger_balances().await;
    }

    async fn a_rate_to_come_can_be_taken_away(world: &World) {
        let mut shop = Shop::open(world).await;
        let rate = json!({"country": "RW", "name": "VAT", "rate_ppm": 180_000, "valid_from": "2027-01-01T00:00:00Z"});
        let made = shop.operator.post(RATES).json(&rate).await.expect_status(201);
        let item = format!("{RATES}{}/", made.text_at("/id"));
        shop.operator.delete(&item).await.expect_status(204);
        shop.operator.get(&item).await.expect_refusal(404, "not_found");
        shop.operator.patch(&item).json(&json!({"name": "x"})).await.expect_refusal(404, "not_found");
        let made = shop.operator.post(RATES).json(&rate).await.expect_status(201);
        shop.wait(400).await;
        shop.operator.delete(&format!("{RATES}{}/", made.text_at("/id"))).await.expect_refusal(409, "tax_rate_in_force");
    }

    async fn what_the_operator_sells_by_is_not_for_owners(world: &World) {
        let shop = Shop::open(world).await;
        let coupon = shop.operator.post(COUPONS).json(&json!({"code": "HALF", "percent_ppm": 500_000})).await.expect_status(201);
        let coupon = format!("{COUPONS}{}/", coupon.text_at("/id"));
        let rate = json!({"country": "RW", "name": "VAT", "rate_ppm": 1, "valid_from": "2027-01-01T00:00:00Z"});
        let rate = shop.operator.post(RATES).json(&rate).await.expect_status(201);
        let rate = format!("{RATES}{}/", rate.text_at("/id"));
        for item in [&coupon, &rate] {
            shop.owner.get(item).await.expect_refusal(403, "permission_denied");
            shop.owner.patch(item).json(&json!({"name": "Mine"})).await.expect_refusal(403, "permission_denied");
        }
        shop.owner.post(&format!("{coupon}activate/")).await.expect_refusal(403, "permission_denied");
    }
}
