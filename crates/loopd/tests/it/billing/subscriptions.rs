//! The life of a subscription by its job, and what it costs to change it.

use loopd_testkit::{assert_json, each_engine, json};

use super::{APPOINTMENTS, INVOICES, PLANS, Shop};
use crate::support::World;

each_engine! {
    async fn a_plan_is_kept_at_the_price_that_it_was_sold_at(world: &World) {
        let mut shop = Shop::open(world).await;
        let bought = shop.buy(json!({"plan": "standard", "seats": 4})).await;
        assert_json!(bought, {"status": "active", "plan": "standard", "plan_edition": 1, "currency": "RWF", "interval": "month"});
        let dearer = json!({"prices": [{"interval": "month", "currency": "RWF", "amount_minor": 99_000}]});
        let path = format!("{PLANS}{}/", shop.plan);
        let changed = shop.operator.patch(&path).json(&dearer).await.expect_status(200);
        assert_json!(changed.json(), {"edition": 2});
        assert_json!(world.client().get(&path).await.expect_status(200).json(), {"prices": [{"amount_minor": 99_000}]});
        // Paid, so that the next period is not a matter of grace.
        let bill = &shop.bills().await[0];
        shop.desk().post(&format!("{}{}/mark-paid/", INVOICES, bill["id"].as_str().unwrap())).await.expect_status(200);
        shop.days(31).await;
        let bills = shop.bills().await;
        let totals: Vec<i64> = bills.iter().map(|bill| bill["total_minor"].as_i64().unwrap()).collect();
        assert_eq!(totals, [36_000, 36_000], "the plan and two seats beyond those that are included");
        let numbers: Vec<&str> = bills.iter().map(|bill| bill["number"].as_str().unwrap()).collect();
        assert_eq!(numbers, ["LB-000001", "LB-000002"]);
        shop.ledger_balances().await;
    }

    async fn the_job_repeated_bills_nothing_twice_and_a_month_away_is_caught_up_once(world: &World) {
        let mut shop = Shop::open(world).await;
        shop.buy(json!({"plan": "standard"})).await;
        for bill in shop.bills().await {
            shop.desk().post(&format!("{}{}/mark-paid/", INVOICES, bill["id"].as_str().unwrap())).await.expect_status(200);
        }
        shop.wait(100).await;
        for _ in 0..3 {
            shop.daily().await;
        }
        let (one, two) = tokio::join!(shop.daily(), shop.daily());
        let ((), ()) = (one, two);
        assert_eq!(shop.bills().await.len(), 2, "one for the period that runs, none for those that passed unserved");
        // A clock that goes back undoes nothing and does nothing.
        world.clock.advance(-50 * loopd_types::DAY_US);
        shop.daily().await;
        shop.wait(50).await;
        assert_eq!(shop.bills().await.len(), 2);
        assert_eq!(shop.status().await, "active");
    }

    async fn an_unpaid_bill_ends_in_reading_only_and_a_paid_one_opens_all_again(world: &World) {
        let mut shop = Shop::open(world).await;
        shop.buy(json!({"plan": "standard"})).await;
        let appointment = json!({"title": "x"});
        shop.days(13).await;
        assert_eq!(shop.status().await, "active", "due after fourteen days");
        shop.days(1).await;
        assert_eq!(shop.status().await, "past_due");
        shop.owner.post(APPOINTMENTS).json(&appointment).await.expect_status(201);
        shop.days(14).await;
        assert_eq!(shop.status().await, "suspended");
        shop.owner.get(APPOINTMENTS).await.expect_status(200);
        shop.owner.post(APPOINTMENTS).json(&appointment).await.expect_refusal(402, "subscription_suspended");
        let item = shop.item().await;
        shop.owner.post(&format!("{item}activate/")).await.expect_refusal(409, "invalid_transition");
        let bill = shop.bills().await[0]["id"].as_str().unwrap().to_owned();
        shop.desk().post(&format!("{}{bill}/mark-paid/", INVOICES)).json(&json!({"reference": "bank 7"})).await.expect_status(200);
        assert_eq!(shop.status().await, "active", "at once, not with the next job");
        shop.owner.post(APPOINTMENTS).json(&appointment).await.expect_status(201);
        shop.ledger_balances().await;
    }

    async fn a_trial_becomes_the_plan_that_was_chosen_or_ends(world: &World) {
        let mut shop = Shop::open(world).await;
        let item = shop.item().await;
        let chosen = shop.owner.post(&format!("{item}change-plan/")).json(&json!({"plan": "standard"})).await.expect_status(200);
        assert_json!(chosen.json(), {"status": "trialing", "plan": "standard"});
        assert!(shop.bills().await.is_empty(), "a trial costs nothing");
        shop.wait(31).await;
        shop.daily().await;
        assert_eq!(shop.status().await, "active");
        assert_eq!(shop.bills().await.len(), 1);
        assert_json!(shop.subscription("cms").await, {"status": "expired"});
        shop.owner.get("/api/v1/cms/pages/").await.expect_refusal(403, "product_not_subscribed");
    }

    async fn what_is_cancelled_stays_open_to_its_paid_end_and_can_be_taken_back(world: &World) {
        let mut shop = Shop::open(world).await;
        shop.buy(json!({"plan": "standard"})).await;
        let item = shop.item().await;
        assert_json!(shop.owner.post(&format!("{item}cancel/")).await.expect_status(200).json(), {"status": "cancelled"});
        shop.owner.get(APPOINTMENTS).await.expect_status(200);
        shop.buy(json!({})).await;
        assert_eq!(shop.bills().await.len(), 1, "what was paid for goes on");
        shop.owner.post(&format!("{item}cancel/")).await.expect_status(200);
        shop.wait(31).await;
        shop.owner.get(APPOINTMENTS).await.expect_refusal(403, "product_not_subscribed");
        shop.daily().await;
        assert_eq!(shop.status().await, "expired");
    }

    async fn a_product_that_is_sold_is_not_to_be_had_for_nothing(world: &World) {
        let mut shop = Shop::open(world).await;
        let item = shop.item().await;
        let activate = format!("{item}activate/");
        for body in [json!({}), json!({"plan": "free"}), json!({"plan": "trial"})] {
            shop.owner.post(&activate).json(&body).await.expect_field("plan", "required");
        }
        shop.owner.post(&activate).json(&json!({"plan": "gold"})).await.expect_field("plan", "invalid_choice");
        shop.owner.post(&activate).json(&json!({"plan": "standard", "currency": "USD"})).await.expect_field("currency", "invalid_choice");
        shop.wait(31).await;
        shop.daily().await;
        assert_eq!(shop.status().await, "expired");
        shop.owner.post(&format!("{item}renew/")).await.expect_field("plan", "required");
        shop.operator.post(&format!("{PLANS}{}/archive/", shop.plan)).await.expect_status(200);
        world.client().get(&format!("{PLANS}{}/", shop.plan)).await.expect_refusal(404, "not_found");
        shop.owner.post(&activate).json(&json!({"plan": "standard"})).await.expect_field("plan", "invalid_choice");
    }

    async fn more_counts_at_once_and_less_with_the_next_period(world: &World) {
        let mut shop = Shop::open(world).await;
        shop.buy(json!({"plan": "standard", "seats": 2})).await;
        let first = shop.bills().await[0]["id"].as_str().unwrap().to_owned();
        shop.desk().post(&format!("{}{first}/mark-paid/", INVOICES)).await.expect_status(200);
        shop.wait(10).await;
        let change = format!("{}change-plan/", shop.item().await);
        shop.owner.post(&change).json(&json!({"seats": 12})).await.expect_status(200);
        // June 22 to July 22 has 30 days: 20 of them at 30 000 more.
        let bills = shop.bills().await;
        assert_eq!(bills[1]["total_minor"], 20_000, "{}", shop.bill(&bills[1]).await);
        shop.desk().post(&format!("{}{}/mark-paid/", INVOICES, bills[1]["id"].as_str().unwrap())).await.expect_status(200);
        let later = shop.owner.post(&change).json(&json!({"seats": 3})).await.expect_status(200);
        assert_json!(later.json(), {"seats": 12, "next_terms": {"seats": 3}});
        // Now, because it is asked for: the rest becomes credit.
        shop.owner.post(&change).json(&json!({"seats": 2, "when": "now"})).await.expect_status(200);
        let account = shop.owner.get("/api/v1/billing/account/").await.expect_status(200);
        assert_json!(account.json(), {"credit": [{"currency": "RWF", "amount_minor": 20_000}]});
        shop.days(21).await;
        let renewed = shop.bills().await.pop().unwrap();
        assert_json!(renewed, {"total_minor": 30_000, "paid_minor": 20_000, "due_minor": 10_000});
        shop.ledger_balances().await;
    }

    async fn seats_that_are_used_are_paid_for(world: &World) {
        let mut shop = Shop::open(world).await;
        let mut members = Vec::new();
        for name in ["ann", "bob", "cat"] {
            let person = world.person(name).await;
            let body = json!({"user": person.user, "role": "staff"});
            members.push(shop.owner.post("/api/v1/memberships/").json(&body).await.expect_status(201).text_at("/id"));
        }
        let activate = format!("{}activate/", shop.item().await);
        // The trial lets four people in: no fewer seats can be bought, by a number or by the plan's own.
        for body in [json!({"plan": "standard", "seats": 3}), json!({"plan": "standard"})] {
            let refused = shop.owner.post(&activate).json(&body).await.expect_refusal(409, "seats_in_use");
            assert_json!(refused.json(), {"error": {"details": {"used": 4}}});
        }
        assert_eq!((shop.status().await, shop.bills().await.len()), ("trialing".to_owned(), 0));
        shop.buy(json!({"plan": "standard", "seats": 4})).await;
        let bill = shop.bills().await[0].clone();
        assert_eq!(bill["total_minor"], 36_000);
        shop.desk().post(&format!("{}{}/mark-paid/", INVOICES, bill["id"].as_str().unwrap())).await.expect_status(200);
        // Neither can they be for later.
        let change = format!("{}change-plan/", shop.item().await);
        for body in [json!({"seats": 3}), json!({"seats": 3, "when": "period_end"}), json!({"seats": 3, "when": "now"})] {
            shop.owner.post(&change).json(&body).await.expect_refusal(409, "seats_in_use");
        }
        assert_json!(shop.subscription("booking").await, {"seats": 4, "next_terms": null});
        shop.owner.post(&format!("/api/v1/memberships/{}/remove/", members[0])).await.expect_status(200);
        shop.owner.post(&change).json(&json!({"seats": 3})).await.expect_status(200);
        assert_json!(shop.subscription("booking").await, {"seats": 4, "next_terms": {"seats": 3}});
        // Until then there are four, and who takes the fourth keeps it: it is billed.
        let body = json!({"user": world.person("dan").await.user, "role": "staff"});
        shop.owner.post("/api/v1/memberships/").json(&body).await.expect_status(201);
        shop.days(31).await;
        let renewed = shop.bills().await.pop().expect("a bill");
        assert_eq!(renewed["total_minor"], 36_000, "{}", shop.bill(&renewed).await);
        assert_json!(shop.subscription("booking").await, {"seats": 4, "next_terms": null});
        let told = shop.owner.get("/api/v1/audit-logs/?action=keep-seats").await.expect_status(200);
        assert_json!(told.json(), {"count": 1, "results": [{"label": "booking", "changes": {"seats": [3, 4]}}]});
        shop.ledger_balances().await;
    }

    async fn the_first_charge_of_a_trial_is_told_before_it_comes(world: &World) {
        let mut shop = Shop::open(world).await;
        let coupon = json!({"code": "half", "percent_ppm": 500_000, "periods": 1});
        shop.operator.post("/api/v1/billing/coupons/").json(&coupon).await.expect_status(201);
        let rate = json!({"country": "RW", "name": "VAT", "rate_ppm": 180_000});
        shop.operator.post("/api/v1/billing/tax-rates/").json(&rate).await.expect_status(201);
        shop.owner.patch("/api/v1/billing/account/").json(&json!({"country": "RW"})).await.expect_status(200);
        let change = format!("{}change-plan/", shop.item().await);
        let chosen = json!({"plan": "standard", "seats": 3, "coupon": "half"});
        shop.owner.post(&change).json(&chosen).await.expect_status(200);
        shop.wait(26).await;
        shop.daily().await;
        assert!(world.letters_of(&shop.owner.email, "first-charge").await.is_empty(), "three days before, not four");
        shop.wait(2).await;
        shop.daily().await;
        shop.daily().await;
        let letter = world.letter(&shop.owner.email, "first-charge").await;
        // Half of 33 000, and 18 % upon it.
        assert!(letter.text.contains("RWF 19,470") || letter.text.contains("19470"), "{}", letter.text);
        assert_eq!(world.letters_of(&shop.owner.email, "first-charge").await.len(), 1);
        assert!(world.letters_of(&shop.owner.email, "trial-ending").await.is_empty(), "who has chosen need not choose");
        shop.wait(3).await;
        shop.daily().await;
        assert_eq!(shop.bills().await[0]["total_minor"], 19_470, "what was told is what is billed");
    }

    async fn coupons_take_off_what_they_say_as_long_as_they_say(world: &World) {
        let mut shop = Shop::open(world).await;
        let coupon = json!({"code": "half", "percent_ppm": 500_000, "periods": 1, "max_redemptions": 1});
        shop.operator.post("/api/v1/billing/coupons/").json(&coupon).await.expect_status(201);
        shop.buy(json!({"plan": "standard", "coupon": "Half"})).await;
        shop.owner.post(&format!("{}renew/", shop.item().await)).await.expect_status(200);
        let totals: Vec<i64> = shop.bills().await.iter().map(|bill| bill["total_minor"].as_i64().unwrap()).collect();
        assert_eq!(totals, [15_000, 30_000]);
        let other = world.register("other").await;
        let found = other.get("/api/v1/product-subscriptions/?product=booking").await.text_at("/results/0/id");
        let activate = format!("/api/v1/product-subscriptions/{found}/activate/");
        other.post(&activate).json(&json!({"plan": "standard", "coupon": "HALF"})).await.expect_field("coupon", "invalid");
        shop.wait(0).await;
        shop.ledger_balances().await;
    }

    async fn the_last_redemption_of_a_coupon_is_given_once(world: &World) {
        let shop = Shop::open(world).await;
        let coupon = json!({"code": "FEW", "amount_minor": 5_000, "currency": "RWF", "max_redemptions": 2});
        shop.operator.post("/api/v1/billing/coupons/").json(&coupon).await.expect_status(201);
        let mut calls = Vec::new();
        for number in 0..5 {
            let other = world.register(&format!("other{number}")).await;
            let found = other.get("/api/v1/product-subscriptions/?product=booking").await.text_at("/results/0/id");
            calls.push((other, format!("/api/v1/product-subscriptions/{found}/activate/")));
        }
        let body = json!({"plan": "standard", "coupon": "FEW"});
        let tries = calls.iter().map(|(other, path)| async { other.post(path).json(&body).await.status });
        let answers = futures_util::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 2, "{answers:?}");
        let row = shop.operator.get("/api/v1/billing/coupons/").await.expect_status(200);
        assert_eq!(row.at("/results/0/redemptions"), 2);
    }
}
