//! Booking by strangers.

use loopd_testkit::{each_engine, json};

use crate::support::{World, starts};

const BOOK: &str = "/api/v1/booking/public/001/appointments/";
const FREE: &str = "/api/v1/booking/public/001/availability/";

each_engine! {
    async fn a_stranger_books_with_whoever_is_free(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let ben = world.make("staff-members", json!({"title": "Ben"})).await;
        let cut = world.make("services", json!({"title": "Cut", "duration_min": 60, "staff": [ann, ben]})).await;
        let hidden = world.make("services", json!({"title": "Secret"})).await;
        world.act("services", &hidden, "deactivate", json!({})).await.expect_status(200);
        let stranger = world.owner.anonymous();
        let shown = stranger.get("/api/v1/booking/public/001/services/").await.expect_status(200).json();
        assert_eq!((&shown["count"], &shown["results"][0]["title"]), (&json!(1), &json!("Cut")));
        assert!(shown["results"][0].get("staff").is_none());

        let free = stranger.get(FREE).query("service", &cut).query("from", "2026-06-23").query("limit", "4").await.expect_status(200).json();
        let first = starts(&free)[0].clone();
        assert!(free["slots"][0].get("staff").is_none());
        let body = |name: &str| json!({"service": cut, "starts_at": format!("{first}:00Z"), "name": name, "email": format!("{name}@example.com"), "notes": "first time"});
        let receipt = stranger.post(BOOK).json(&body("aline")).await.expect_status(201).json();
        let keys: Vec<&String> = receipt.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 6, "{keys:?}");
        let second = stranger.post(BOOK).json(&body("bob")).await.expect_status(201).json();
        let third = stranger.post(BOOK).json(&body("carl")).await.expect_refusal(409, "slot_unavailable");
        assert_eq!(third.at("/error/details/next_free").as_array().unwrap().len(), 3);
        let made = world.get("appointments", receipt["id"].as_str().unwrap()).await;
        assert_eq!((&made["status"], &made["channel"], &made["notes"]), (&json!("pending"), &json!("public"), &json!("first time")));
        let other = world.get("appointments", second["id"].as_str().unwrap()).await;
        assert_ne!(made["staff"], other["staff"]);
        assert_eq!(world.get("customers", made["customer"].as_str().unwrap()).await["email"], "aline@example.com");
    }

    async fn nothing_leaks_and_nothing_floods(world: &World) {
        let cut = world.make("services", json!({"title": "Cut"})).await;
        let known = world.make("customers", json!({"name": "Real Name", "phone": "+250788000001"})).await;
        let stranger = world.owner.anonymous();
        let body = |day: i64| json!({"service": cut, "starts_at": format!("2026-07-{day:02}T08:00:00Z"), "name": "Somebody", "phone": "+250788000001"});
        for day in 1..=5 {
            let receipt = stranger.post(BOOK).json(&body(day)).await.expect_status(201);
            assert!(!receipt.text().contains("Real Name"));
        }
        stranger.post(BOOK).json(&body(6)).await.expect_refusal(409, "too_many_requests_pending");
        assert_eq!(world.get("customers", &known).await["name"], "Real Name");
        // a program that fills in everything believes that it succeeded
        let mut trapped = body(7);
        trapped["website"] = json!("https://spam.example");
        let receipt = stranger.post(BOOK).json(&trapped).await.expect_status(201).json();
        assert_eq!(receipt.as_object().unwrap().len(), 6);
        let count = world.owner.get("/api/v1/booking/appointments/").await.at("/count");
        assert_eq!(count, 5);

        let mut past = body(8);
        past["starts_at"] = json!("2026-06-22T09:00:00Z");
        past["phone"] = json!("+250788000009");
        stranger.post(BOOK).json(&past).await.expect_field("starts_at", "invalid");
        stranger.post(BOOK).json(&json!({"service": cut, "starts_at": "2026-07-09T08:00:00Z", "name": "x"})).await.expect_field("phone", "required");
        stranger.post(BOOK).json(&json!({"service": cut, "starts_at": "2026-07-09T08:00:00Z", "name": "x", "phone": "+250788000010", "notes": "n".repeat(2_001)})).await.expect_field("notes", "max_length");
        // what the company has not opened is not there
        for company in ["999", "x"] {
            stranger.post(&format!("/api/v1/booking/public/{company}/appointments/")).json(&body(10)).await.expect_status(404);
        }
        world.set_up(json!({"public": false})).await;
        stranger.post(BOOK).json(&body(10)).await.expect_status(404);
        stranger.get(FREE).query("service", &cut).await.expect_status(404);
    }

    async fn a_company_that_lets_no_strangers_in_has_no_doors(world: &World) {
        let cut = world.make("services", json!({"title": "Cut"})).await;
        let stranger = world.owner.anonymous();
        const SERVICES: &str = "/api/v1/booking/public/001/services/";
        world.set_up(json!({"public": false})).await;
        // whatever is asked, well or badly: the answer is that of a company that does not exist
        for path in [SERVICES.to_owned(), FREE.to_owned(), format!("{FREE}?service={cut}")] {
            let closed = stranger.get(&path).await.expect_refusal(404, "not_found");
            let nobody = stranger.get(&path.replace("/001/", "/999/")).await.expect_refusal(404, "not_found");
            assert_eq!(closed.at("/error/message"), nobody.at("/error/message"));
        }
        for body in [json!({}), json!({"service": cut, "starts_at": "2026-07-01T08:00:00Z", "name": "x", "phone": "+250788000001"})] {
            stranger.post(BOOK).json(&body).await.expect_refusal(404, "not_found");
        }
        // those inside work on
        world.booked(json!({"service": cut, "starts_at": "2026-07-01T08:00:00Z"})).await;
        world.set_up(json!({"public": true})).await;
        assert_eq!(stranger.get(SERVICES).await.expect_status(200).at("/count"), 1);
    }

    async fn strangers_race_too(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let cut = world.make("services", json!({"title": "Cut", "staff": [ann]})).await;
        let mut racing = tokio::task::JoinSet::new();
        for n in 0..10 {
            let body = json!({"service": cut, "starts_at": "2026-07-01T08:00:00Z", "name": "x", "email": format!("racer{n}@example.com")});
            let request = world.owner.anonymous().post(BOOK).json(&body);
            racing.spawn(async move { request.await.status });
        }
        let statuses = racing.join_all().await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 9, "{statuses:?}");
        // the losers left nothing behind
        assert_eq!(world.owner.get("/api/v1/booking/customers/").await.at("/count"), 1);
    }
}
