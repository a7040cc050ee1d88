//! What follows from what, the moves, and the guards on them.

use loopd_testkit::{each_engine, json};
use loopd_types::{HOUR_US, MINUTE_US};

use crate::support::World;

each_engine! {
    async fn the_portal_s_two_fields_make_a_draft(world: &World) {
        let draft = world.booked(json!({"title": "First visit", "description": "From the portal"})).await;
        assert_eq!((&draft["status"], &draft["starts_at"], &draft["timezone"]), (&json!("draft"), &json!(null), &json!("Africa/Kigali")));
        let id = draft["id"].as_str().unwrap();
        world.act("appointments", id, "confirm", json!({})).await.expect_field("starts_at", "required");
        world.book(json!({"ends_at": "2026-06-23T09:00:00Z"})).await.expect_field("starts_at", "required");
        let timed = world.act("appointments", id, "reschedule", json!({"starts_at": "2026-06-23T08:00:00Z"})).await.expect_status(200).json();
        assert_eq!((&timed["status"], &timed["ends_at"]), (&json!("pending"), &json!("2026-06-23T08:30:00.000000Z")));
    }

    async fn end_and_price_follow_from_the_service(world: &World) {
        let cut = world.make("services", json!({"title": "Cut", "duration_min": 45, "price": "12.50", "currency": "USD"})).await;
        let colour = world.make("services", json!({"title": "Colour", "duration_min": 90, "price": "8000"})).await;
        let booked = world.booked(json!({"service": cut, "starts_at": "2026-06-23T08:00:00Z"})).await;
        assert_eq!(booked["ends_at"], "2026-06-23T08:45:00.000000Z");
        assert_eq!((&booked["price"], &booked["currency"]), (&json!("12.50"), &json!("USD")));
        assert_eq!(booked["status"], "pending");
        let own = world.booked(json!({"service": cut, "starts_at": "2026-06-23T08:00:00Z", "ends_at": "2026-06-23T08:10:00Z", "price": 5, "currency": "EUR"})).await;
        assert_eq!((&own["price"], &own["currency"], &own["ends_at"]), (&json!("5.00"), &json!("EUR"), &json!("2026-06-23T08:10:00.000000Z")));

        let path = format!("/api/v1/booking/appointments/{}/", booked["id"].as_str().unwrap());
        let changed = world.owner.patch(&path).json(&json!({"service": colour})).await.expect_status(200).json();
        assert_eq!((&changed["ends_at"], &changed["price"], &changed["currency"]), (&json!("2026-06-23T09:30:00.000000Z"), &json!("8000"), &json!("RWF")));
        let moved = world.owner.patch(&path).json(&json!({"starts_at": "2026-06-23T10:00:00Z"})).await.expect_status(200).json();
        assert_eq!(moved["ends_at"], "2026-06-23T11:30:00.000000Z");
        world.owner.patch(&path).json(&json!({"starts_at": null})).await.expect_field("starts_at", "null");
        world.owner.patch(&path).json(&json!({"ends_at": "2026-06-23T09:00:00Z"})).await.expect_field("ends_at", "invalid");
    }

    async fn moves_have_their_time(world: &World) {
        let booked = world.booked(json!({"starts_at": "2026-06-22T12:00:00Z"})).await;
        let id = booked["id"].as_str().unwrap();
        let refused = world.act("appointments", id, "complete", json!({})).await.expect_refusal(409, "invalid_transition");
        assert_eq!(refused.at("/error/details/from"), "pending");
        world.act("appointments", id, "no-show", json!({})).await.expect_refusal(409, "too_early");
        world.act("appointments", id, "confirm", json!({})).await.expect_status(200);
        world.act("appointments", id, "complete", json!({})).await.expect_refusal(409, "too_early");
        let reminded = world.act("appointments", id, "remind", json!({})).await.expect_status(200);
        assert_eq!(reminded.at("/reminded_at"), "2026-06-22T10:00:00.000000Z");
        world.act("appointments", id, "check-in", json!({})).await.expect_status(200);
        world.clock.advance(3 * HOUR_US);
        let done = world.act("appointments", id, "complete", json!({})).await.expect_status(200);
        assert_eq!(done.at("/status"), "completed");
        let refused = world.owner.patch(&format!("/api/v1/booking/appointments/{id}/")).json(&json!({"starts_at": "2026-07-01T08:00:00Z"})).await;
        refused.expect_refusal(409, "appointment_closed");
        world.owner.patch(&format!("/api/v1/booking/appointments/{id}/")).json(&json!({"notes": "was late"})).await.expect_status(200);

        let late = world.booked(json!({"starts_at": "2026-06-22T12:30:00Z"})).await;
        let late = late["id"].as_str().unwrap();
        world.act("appointments", late, "remind", json!({})).await.expect_refusal(409, "too_late");
        let missed = world.act("appointments", late, "no-show", json!({})).await.expect_status(200);
        assert_eq!(missed.at("/status"), "no_show");
        assert_eq!(world.events("booking.appointments.no_show").await, 1);
    }

    async fn cancelling_has_a_window(world: &World) {
        world.set_up(json!({"cancellation_window_min": 120})).await;
        let strict = world.make("services", json!({"title": "Surgery", "cancellation_window_min": 1440})).await;
        let free = world.make("services", json!({"title": "Talk", "cancellation_window_min": 0})).await;
        let soon = world.booked(json!({"starts_at": "2026-06-22T11:00:00Z"})).await;
        let later = world.booked(json!({"starts_at": "2026-06-22T13:00:00Z"})).await;
        let surgery = world.booked(json!({"starts_at": "2026-06-22T18:00:00Z", "service": strict})).await;
        let talk = world.booked(json!({"starts_at": "2026-06-22T10:01:00Z", "service": free})).await;
        let id = |record: &serde_json::Value| record["id"].as_str().unwrap().to_owned();
        let refused = world.act("appointments", &id(&soon), "cancel", json!({"reason": "ill"})).await.expect_refusal(409, "cancellation_window");
        assert_eq!(refused.at("/error/details/cancellable_until"), "2026-06-22T09:00:00.000000Z");
        let forced = world.act("appointments", &id(&soon), "cancel", json!({"reason": "ill", "force": true})).await.expect_status(200);
        assert_eq!((forced.at("/status"), forced.at("/cancel_reason")), (json!("cancelled"), json!("ill")));
        world.act("appointments", &id(&later), "cancel", json!({})).await.expect_status(200);
        world.act("appointments", &id(&surgery), "cancel", json!({})).await.expect_refusal(409, "cancellation_window");
        world.act("appointments", &id(&talk), "cancel", json!({})).await.expect_status(200);
        world.clock.advance(-MINUTE_US);
    }

    async fn services_and_people_that_are_away_cannot_be_booked(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let ben = world.make("staff-members", json!({"title": "Ben"})).await;
        let service = world.make("services", json!({"title": "Cut", "staff": [ann]})).await;
        world.book(json!({"service": service, "staff": ben, "starts_at": "2026-06-23T08:00:00Z"})).await.expect_field("staff", "invalid");
        let booked = world.booked(json!({"service": service, "staff": ann, "starts_at": "2026-06-23T08:00:00Z"})).await;
        world.act("services", &service, "deactivate", json!({})).await.expect_status(200);
        world.book(json!({"service": service, "staff": ann, "starts_at": "2026-06-23T12:00:00Z"})).await.expect_field("service", "invalid");
        // what is booked stays booked and can go on
        let id = booked["id"].as_str().unwrap();
        world.act("appointments", id, "confirm", json!({})).await.expect_status(200);
        world.act("appointments", id, "reschedule", json!({"starts_at": "2026-06-23T09:00:00Z"})).await.expect_status(200);
        world.owner.patch(&format!("/api/v1/booking/staff-members/{ben}/")).json(&json!({"status": "archived"})).await.expect_status(200);
        world.book(json!({"staff": ben, "starts_at": "2026-06-23T08:00:00Z"})).await.expect_field("staff", "invalid");
        world.act("appointments", id, "assign", json!({})).await.expect_field("staff", "required");
    }

    async fn what_appointments_need_stays(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let room = world.make("resources", json!({"title": "Room"})).await;
        let cut = world.make("services", json!({"title": "Cut"})).await;
        let booked = world.booked(json!({"service": cut, "staff": ann, "resource": room, "starts_at": "2026-06-22T12:00:00Z"})).await;
        let paths = [format!("staff-members/{ann}"), format!("resources/{room}"), format!("services/{cut}")];
        for path in &paths {
            let refused = world.owner.delete(&format!("/api/v1/booking/{path}/")).await.expect_refusal(409, "in_use");
            assert_eq!(refused.at("/error/details/appointments"), 1);
        }
        world.clock.advance(3 * HOUR_US);
        for path in &paths {
            world.owner.delete(&format!("/api/v1/booking/{path}/")).await.expect_status(204);
        }
        // what took place can still be told
        let id = booked["id"].as_str().unwrap();
        world.act("appointments", id, "confirm", json!({})).await.expect_status(200);
        world.act("appointments", id, "complete", json!({})).await.expect_status(200);
    }

    async fn definitions_of_hours_are_checked(world: &World) {
        let send = |resource: &'static str, body: serde_json::Value| world.owner.post(&format!("/api/v1/booking/{resource}/")).json(&body).into_future();
        use std::future::IntoFuture as _;
        send("services", json!({"title": "x", "duration_min": 0})).await.expect_field("duration_min", "min_value");
        send("services", json!({"title": "x", "buffer_after_min": 1441})).await.expect_field("buffer_after_min", "max_value");
        send("schedules", json!({"weekly_hours": {"mon": [["9", "10"]]}})).await.expect_field("weekly_hours", "invalid");
        send("schedules", json!({"weekly": {"mon": [["09:00", "10:00"]]}})).await.expect_field("weekly_hours", "required");
        send("schedules", json!({"weekly_hours": {}, "exceptions": {"2026-07-01": []}})).await.expect_field("exceptions", "invalid");
        send("schedules", json!({"weekly_hours": {}, "valid_from": "2026-07-02", "valid_until": "2026-07-01"})).await.expect_field("valid_until", "invalid");
        send("staff-members", json!({"title": "x", "working_hours": {"day": []}})).await.expect_field("working_hours", "invalid");
        send("time-off", json!({"starts_at": "2026-07-02T00:00:00Z", "ends_at": "2026-07-01T00:00:00Z"})).await.expect_field("ends_at", "invalid");
    }
}
