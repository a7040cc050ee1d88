//! Reminders, the waiting list, customers.

use loopd_testkit::{each_engine, json};
use loopd_types::{DAY_US, HOUR_US};

use crate::support::{World, register};

each_engine! {
    async fn a_reminder_falls_due_once_and_for_the_right_time(world: &World) {
        let booked = world.booked(json!({"starts_at": "2026-06-25T10:00:00Z"})).await;
        let id = booked["id"].as_str().unwrap();
        world.booked(json!({"starts_at": "2026-06-22T20:00:00Z"})).await;
        world.act("appointments", id, "reschedule", json!({"starts_at": "2026-06-26T10:00:00Z"})).await.expect_status(200);
        let cancelled = world.booked(json!({"starts_at": "2026-06-26T10:00:00Z"})).await;
        world.act("appointments", cancelled["id"].as_str().unwrap(), "cancel", json!({})).await.expect_status(200);
        world.clock.advance(2 * DAY_US + HOUR_US);
        world.work().await;
        assert_eq!(world.events("booking.appointments.reminder_due").await, 0);
        world.clock.advance(DAY_US);
        world.work().await;
        assert_eq!(world.events("booking.appointments.reminder_due").await, 1);
        let due = world.get("appointments", id).await;
        assert_eq!(due["reminder_due_at"], "2026-06-25T11:00:00.000000Z");

        let list = world.owner.get("/api/v1/booking/reminders/due/").await.expect_status(200).json();
        assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(1), &json!(id)));
        world.act("appointments", id, "remind", json!({})).await.expect_status(200);
        assert_eq!(world.owner.get("/api/v1/booking/reminders/due/").await.at("/count"), 0);
        // another time is another reminder
        world.act("appointments", id, "reschedule", json!({"starts_at": "2026-06-30T10:00:00Z"})).await.expect_status(200);
        let moved = world.get("appointments", id).await;
        assert_eq!((&moved["reminded_at"], &moved["reminder_due_at"]), (&json!(null), &json!(null)));
        world.clock.advance(4 * DAY_US);
        world.work().await;
        assert_eq!(world.events("booking.appointments.reminder_due").await, 2);
        assert_eq!(world.owner.get("/api/v1/booking/reminders/due/").query("within_min", "1").await.at("/count"), 0);
    }

    async fn a_company_may_want_no_reminders(world: &World) {
        world.set_up(json!({"reminder_min": 0})).await;
        world.booked(json!({"starts_at": "2026-06-25T10:00:00Z"})).await;
        world.clock.advance(3 * DAY_US - HOUR_US);
        assert_eq!(world.work().await, 0);
        assert_eq!(world.owner.get("/api/v1/booking/reminders/due/").await.at("/count"), 0);
    }

    async fn who_waits_is_offered_a_time_and_books_it(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let cut = world.make("services", json!({"title": "Cut", "duration_min": 60})).await;
        let customer = world.make("customers", json!({"name": "Aline"})).await;
        let entry = world.make("waitlist-entries", json!({"service": cut, "customer": customer, "window_starts_at": "2026-06-23T00:00:00Z", "window_ends_at": "2026-06-24T00:00:00Z"})).await;
        let busy = world.booked(json!({"staff": ann, "starts_at": "2026-06-23T08:00:00Z"})).await;
        let offer = json!({"starts_at": "2026-06-23T08:00:00Z", "staff": ann});
        world.act("waitlist-entries", &entry, "book", json!({})).await.expect_field("starts_at", "required");
        world.act("waitlist-entries", &entry, "offer", offer.clone()).await.expect_refusal(409, "slot_unavailable");
        world.act("waitlist-entries", &entry, "offer", json!({"starts_at": "2026-06-25T08:00:00Z"})).await.expect_field("starts_at", "invalid");
        world.act("appointments", busy["id"].as_str().unwrap(), "cancel", json!({})).await.expect_status(200);
        let offered = world.act("waitlist-entries", &entry, "offer", offer.clone()).await.expect_status(200);
        // an offer does not outlive the time
        assert_eq!(offered.at("/offer_expires_at"), "2026-06-23T08:00:00.000000Z");
        let taken = world.act("waitlist-entries", &entry, "book", json!({})).await.expect_status(200);
        assert_eq!(taken.at("/status"), "booked");
        let made = world.get("appointments", &taken.text_at("/appointment")).await;
        assert_eq!((&made["customer"], &made["staff"], &made["starts_at"], &made["ends_at"]), (&json!(customer), &json!(ann), &json!("2026-06-23T08:00:00.000000Z"), &json!("2026-06-23T09:00:00.000000Z")));
        assert_eq!((&made["status"], &made["title"]), (&json!("pending"), &json!("Cut")));

        // an offer that nobody takes ends
        let other = world.make("waitlist-entries", json!({"service": cut})).await;
        world.act("waitlist-entries", &other, "offer", json!({"starts_at": "2026-06-23T12:00:00Z", "staff": ann, "offer_expires_at": "2026-06-22T12:00:00Z"})).await.expect_status(200);
        world.clock.advance(3 * HOUR_US);
        world.act("waitlist-entries", &other, "book", json!({})).await.expect_refusal(409, "offer_expired");
        world.work().await;
        assert_eq!(world.get("waitlist-entries", &other).await["status"], "expired");
        world.act("waitlist-entries", &other, "offer", json!({})).await.expect_status(200);
        world.act("waitlist-entries", &other, "book", json!({"starts_at": "2026-06-23T08:30:00Z", "staff": ann})).await.expect_refusal(409, "slot_unavailable");
        world.act("waitlist-entries", &other, "book", json!({"starts_at": "2026-06-23T09:00:00Z", "staff": ann})).await.expect_status(200);
    }

    async fn two_customers_become_one(world: &World) {
        let keep = world.make("customers", json!({"name": "Aline", "email": "aline@example.com"})).await;
        let gone = world.make("customers", json!({"name": "Aline U.", "phone": "+250788123456", "email": "other@example.com"})).await;
        let past = world.booked(json!({"customer": gone, "starts_at": "2026-06-20T10:00:00Z"})).await;
        let missed = world.booked(json!({"customer": gone, "starts_at": "2026-06-21T10:00:00Z"})).await;
        for (record, action) in [(&past, "confirm"), (&past, "complete"), (&missed, "no-show")] {
            world.act("appointments", record["id"].as_str().unwrap(), action, json!({})).await.expect_status(200);
        }
        world.booked(json!({"customer": gone, "starts_at": "2026-06-25T10:00:00Z"})).await;
        world.make("waitlist-entries", json!({"customer": gone})).await;
        let before = world.get("customers", &gone).await;
        assert_eq!((&before["visits"], &before["no_shows"]), (&json!(1), &json!(1)));
        // a schedule made later does not undo what is past
        world.make("schedules", json!({"weekly_hours": {"mon": [["08:00", "09:00"]]}})).await;

        world.act("customers", &keep, "merge", json!({})).await.expect_field("duplicate", "required");
        world.act("customers", &keep, "merge", json!({"duplicate": keep})).await.expect_field("duplicate", "invalid");
        let merged = world.act("customers", &keep, "merge", json!({"duplicate": gone})).await.expect_status(200).json();
        assert_eq!((&merged["email"], &merged["phone"]), (&json!("aline@example.com"), &json!("+250788123456")));
        assert_eq!((&merged["visits"], &merged["no_shows"]), (&json!(1), &json!(1)));
        world.owner.get(&format!("/api/v1/booking/customers/{gone}/")).await.expect_status(404);
        for resource in ["appointments", "waitlist-entries"] {
            let count = |customer: &str| world.owner.get(&format!("/api/v1/booking/{resource}/")).query("customer", customer);
            assert_eq!(count(&gone).await.at("/count"), 0, "{resource}");
            assert_ne!(count(&keep).await.at("/count"), 0, "{resource}");
        }
    }

    async fn companies_do_not_meet(world: &World) {
        let stranger = register(&world.owner, "stranger").await;
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let gone = world.make("customers", json!({"name": "Aline"})).await;
        let body = json!({"title": "x", "staff": ann, "starts_at": "2026-06-23T08:00:00Z"});
        stranger.post("/api/v1/booking/appointments/").json(&body).await.expect_field("staff", "does_not_exist");
        stranger.get("/api/v1/booking/availability/").query("staff", &ann).await.expect_field("staff", "does_not_exist");
        let own = stranger.post("/api/v1/booking/customers/").json(&json!({"name": "Bob"})).await.expect_status(201).text_at("/id");
        stranger.post(&format!("/api/v1/booking/customers/{own}/merge/")).json(&json!({"duplicate": gone})).await.expect_field("duplicate", "does_not_exist");
        world.booked(body).await;
        assert_eq!(stranger.get("/api/v1/booking/reminders/due/").await.at("/count"), 0);
    }
}
