//! Usage is counted once, told of, and ends where the plan says; seats too.

use loopd_kernel::billing::usage;
use loopd_testkit::{Answer, assert_json, each_engine, json};
use loopd_types::DAY_US;
use serde_json::Value;

use super::{APPOINTMENTS, INVOICES, Shop, standard};
use crate::support::{PASSWORD, World};

const INVITATIONS: &str = "/api/v1/invitations/";
const USAGE: &str = "/api/v1/billing/usage/";

/// Booking by the appointment: two are free, told from three on, refused from five on.
async fn metered(world: &World) -> Shop<'_> {
    let root = world.superuser_named("first").await;
    let meter = json!({"code": "appointments", "product": "booking", "name": "Appointments", "unit": "appointment",
        "kinds": ["booking.appointments.created"], "guards": ["booking.appointments.create"]});
    root.post("/api/v1/billing/meters/").json(&meter).await.expect_status(201);
    let mut plan = standard();
    plan["metered"] = json!([{"meter": "appointments", "included": 2, "soft_limit": 3, "hard_limit": 5, "currency": "RWF",
        "tiers": [{"up_to": 1, "amount_minor": 100}, {"amount_minor": 70}]}]);
    let shop = Shop::open_with(world, plan).await;
    shop.buy(json!({"plan": "standard"})).await;
    shop
}

async fn book(shop: &Shop<'_>, count: usize) {
    for _ in 0..count {
        shop.owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
    }
    // Twice at once, as two nodes would.
    let (one, two) = tokio::join!(usage::count_all(&shop.world.kernel), usage::count_all(&shop.world.kernel));
    for counted in [one, two] {
        counted.expect("counted");
    }
}

async fn used(shop: &Shop<'_>) -> Value {
    shop.owner.get(&format!("{USAGE}?meter=appointments")).await.expect_status(200).at("/results/0/value")
}

each_engine! {
    async fn events_are_counted_once_and_billed_by_the_month(world: &World) {
        let mut shop = metered(world).await;
        book(&shop, 2).await;
        book(&shop, 2).await;
        usage::count_all(&world.kernel).await.expect("counted");
        assert_eq!(used(&shop).await, 4);
        let told = shop.owner.get(APPOINTMENTS).await.expect_status(200);
        assert_eq!(told.header("loop-usage-warning"), None, "reading uses nothing");
        let paid = shop.bills().await[0]["id"].as_str().unwrap().to_owned();
        shop.desk().post(&format!("{}{paid}/mark-paid/", INVOICES)).await.expect_status(200);
        shop.days(10).await;
        let bills = shop.bills().await;
        assert_eq!(bills.len(), 2);
        let bill = shop.bill(&bills[1]).await;
        // Four less two: one at 100, one at 70.
        assert_json!(bill, {"total_minor": 170, "lines": [{"kind": "usage", "quantity": 4}]});
        assert_json!(shop.owner.get(&format!("{USAGE}?meter=appointments")).await.json(), {"results": [{"value": 4, "is_billed": true, "month": "2026-06-01T00:00:00.000000Z"}]});
        shop.ledger_balances().await;
    }

    async fn a_soft_limit_warns_and_a_hard_one_refuses(world: &World) {
        let mut shop = metered(world).await;
        book(&shop, 3).await;
        let warned = shop.owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
        let words = warned.header("loop-usage-warning").expect("a warning").to_owned();
        assert!(words.contains("appointments") && words.contains("limit=3"), "{words}");
        book(&shop, 1).await;
        let refused = shop.owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_refusal(402, "usage_limit_reached");
        assert_json!(refused.json(), {"error": {"details": {"meter": "appointments", "limit": 5, "used": 5, "resets_at": "2026-07-01T00:00:00.000000Z"}}});
        shop.owner.get(APPOINTMENTS).await.expect_status(200);
        shop.owner.post("/api/v1/booking/services/").json(&json!({"title": "Cut", "duration_min": 30})).await.expect_status(201);
        shop.days(9).await;
        shop.owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
    }

    async fn a_hard_limit_refuses_exactly_however_many_come_at_once(world: &World) {
        let mut shop = metered(world).await;
        book(&shop, 1).await;
        let burst = async |shop: &Shop<'_>, count: usize| {
            let many = (0..count).map(|_| async { shop.owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await });
            let answers = futures_util::future::join_all(many).await;
            let made = answers.iter().filter(|answer| answer.status == 201).count();
            for answer in answers.into_iter().filter(|answer| answer.status != 201) {
                let refused = answer.expect_refusal(402, "usage_limit_reached");
                assert_json!(refused.json(), {"error": {"details": {"meter": "appointments", "limit": 5, "used": 5}}});
            }
            made
        };
        // Four are left, whatever is counted by now.
        assert_eq!(burst(&shop, 12).await, 4);
        assert_eq!(shop.owner.get(APPOINTMENTS).await.expect_status(200).at("/count"), 5);
        // What was taken back used nothing, and the log's count comes to the same.
        book(&shop, 0).await;
        assert_eq!(used(&shop).await, 5);
        world.letter(&shop.owner.email, "usage-reached").await;
        // A new month begins at nothing.
        shop.days(9).await;
        assert_eq!(burst(&shop, 6).await, 5);
    }

    async fn calls_are_counted_once_by_company_and_product_and_end_at_the_plans_limit(world: &World) {
        let mut plan = standard();
        plan["metered"] = json!([{"meter": "api_calls.booking", "included": 2, "soft_limit": 3, "hard_limit": 5, "currency": "RWF",
            "tiers": [{"amount_minor": 10}]}]);
        let shop = Shop::open_with(world, plan).await;
        shop.buy(json!({"plan": "standard"})).await;
        let counted = async |meter: &str| {
            for _ in 0..2 {
                world.kernel.flush_calls().await.expect("counted");
            }
            shop.owner.get(&format!("{USAGE}?meter={meter}")).await.expect_status(200).json()["results"][0]["value"].as_i64().unwrap_or(0)
        };
        let before = counted("api_calls").await;
        assert!(before > 0, "buying a plan is a call, too");
        assert_eq!(counted("api_calls.booking").await, 0);
        for _ in 0..4 {
            shop.owner.get(APPOINTMENTS).await.expect_status(200);
        }
        assert_eq!(counted("api_calls.booking").await, 4);
        world.letter(&shop.owner.email, "usage-near").await;
        assert!(counted("api_calls").await >= before + 4);
        // Nobody else's, and nobody's who was not let in.
        let stranger = world.register("stranger").await;
        stranger.get(APPOINTMENTS).await.expect_status(200);
        shop.owner.anonymous().get(APPOINTMENTS).await.expect_refusal(401, "not_authenticated");
        assert_eq!(counted("api_calls.booking").await, 4);
        shop.owner.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201);
        assert_eq!(counted("api_calls.booking").await, 5);
        let refused = shop.owner.get(APPOINTMENTS).await.expect_refusal(402, "usage_limit_reached");
        assert_json!(refused.json(), {"error": {"details": {"meter": "api_calls.booking", "limit": 5, "used": 5}}});
        world.letter(&shop.owner.email, "usage-reached").await;
        // What a company needs to buy more stays open.
        shop.owner.get("/api/v1/plans/").await.expect_status(200);
        shop.owner.get("/api/v1/product-subscriptions/").await.expect_status(200);
        let meter = json!({"code": "api_calls.own", "product": "booking", "name": "x", "kinds": ["x.y.z"]});
        world.superuser_named("second").await.post("/api/v1/billing/meters/").json(&meter).await.expect_field("code", "reserved");
    }

    async fn an_open_invitation_holds_a_seat_until_it_ends(world: &World) {
        let mut plan = standard();
        plan["limits"] = json!({"seats": 2});
        let mut shop = Shop::open_with(world, plan).await;
        shop.buy(json!({"plan": "standard"})).await;
        async fn invite(shop: &Shop<'_>, name: &str) -> Answer {
            let body = json!({"email": format!("{name}@example.com"), "role": "staff"});
            shop.owner.post(INVITATIONS).json(&body).await
        }
        let refused = async |shop: &Shop<'_>| {
            let full = invite(shop, "late").await.expect_refusal(402, "seat_limit_reached");
            assert_json!(full.json(), {"error": {"details": {"limit": 2, "used": 2}}});
        };
        // Declined.
        invite(&shop, "one").await.expect_status(201);
        refused(&shop).await;
        let outsider = world.person("outsider").await;
        let body = json!({"user": outsider.user, "role": "staff"});
        shop.owner.post("/api/v1/memberships/").json(&body).await.expect_refusal(402, "seat_limit_reached");
        let token = world.letter("one@example.com", "invitation").await.token();
        shop.owner.anonymous().post(&format!("{INVITATIONS}decline/")).json(&json!({"token": token})).await.expect_status(204);
        // Revoked.
        let two = invite(&shop, "two").await.expect_status(201).text_at("/id");
        refused(&shop).await;
        shop.owner.post(&format!("{INVITATIONS}{two}/revoke/")).await.expect_status(200);
        // Sent again it stays one; fewer seats than that are refused.
        let three = invite(&shop, "three").await.expect_status(201).text_at("/id");
        shop.owner.post(&format!("{INVITATIONS}{three}/resend/")).await.expect_status(200);
        refused(&shop).await;
        let item = shop.item().await;
        let fewer = shop.owner.post(&format!("{item}change-plan/")).json(&json!({"seats": 3})).await;
        fewer.expect_status(200);
        invite(&shop, "four").await.expect_status(201);
        let fewer = shop.owner.post(&format!("{item}change-plan/")).json(&json!({"seats": 2, "when": "now"})).await;
        assert_json!(fewer.expect_refusal(409, "seats_in_use").json(), {"error": {"details": {"limit": 2, "used": 3}}});
        // Over: listed as what it is at that moment, and told of once.
        world.clock.advance(7 * DAY_US);
        shop.wait(0).await;
        let listed = shop.owner.get(&format!("{INVITATIONS}?status=expired")).await.expect_status(200);
        assert_json!(listed.json(), {"count": 2, "results": [{"email": "four@example.com"}, {"email": "three@example.com"}]});
        assert_eq!(shop.owner.get(&format!("{INVITATIONS}?status=pending")).await.at("/count"), 0);
        shop.owner.get(&format!("{INVITATIONS}{three}/")).await.expect_status(200);
        let told = async || shop.owner.get("/api/v1/platform-events/?type=core.invitation.expired").await.at("/results");
        assert_eq!(told().await.as_array().expect("events").len(), 2);
        // Accepted: the seat that was held is taken, though none is free.
        invite(&shop, "five").await.expect_status(201);
        invite(&shop, "six").await.expect_status(201);
        invite(&shop, "late").await.expect_refusal(402, "seat_limit_reached");
        for name in ["five", "six"] {
            let token = world.letter(&format!("{name}@example.com"), "invitation").await.token();
            let body = json!({"token": token, "username": name, "password": PASSWORD});
            shop.owner.anonymous().post(&format!("{INVITATIONS}accept/")).json(&body).await.expect_status(200);
        }
        invite(&shop, "late").await.expect_refusal(402, "seat_limit_reached");
    }

    async fn the_last_seat_is_taken_once(world: &World) {
        let mut plan = standard();
        plan["limits"] = json!({"seats": 2});
        let shop = Shop::open_with(world, plan).await;
        shop.buy(json!({"plan": "standard"})).await;
        let mut people = Vec::new();
        for number in 0..4 {
            people.push(world.person(&format!("person{number}")).await);
        }
        let join = people.iter().map(|person| async {
            let body = json!({"user": person.user, "role": "staff"});
            shop.owner.post("/api/v1/memberships/").json(&body).await
        });
        let answers = futures_util::future::join_all(join).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            assert_json!(answer.expect_refusal(402, "seat_limit_reached").json(), {"error": {"details": {"limit": 2, "used": 2}}});
        }
        // Bought seats are there at once, and those that are taken cannot be given back.
        let change = format!("{}change-plan/", shop.item().await);
        shop.owner.post(&change).json(&json!({"seats": 3})).await.expect_status(200);
        let joined = shop.owner.get("/api/v1/memberships/?role=staff").await.at("/results/0/user");
        let person = people.iter().find(|person| joined != person.user.as_str()).expect("somebody outside");
        let body = json!({"user": person.user, "role": "staff"});
        shop.owner.post("/api/v1/memberships/").json(&body).await.expect_status(201);
        shop.owner.post(&change).json(&json!({"seats": 1, "when": "now"})).await.expect_refusal(409, "seats_in_use");
    }
}
