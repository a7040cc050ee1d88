//! No double booking, by whatever door it comes.

use loopd_testkit::{each_engine, json};

use crate::support::World;

each_engine! {
    async fn one_staff_member_serves_one_at_a_time(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let first = world.booked(json!({"staff": ann, "starts_at": "2026-06-23T08:00:00Z", "ends_at": "2026-06-23T09:00:00Z"})).await;
        let refused = world.book(json!({"staff": ann, "starts_at": "2026-06-23T08:30:00Z", "ends_at": "2026-06-23T09:30:00Z"})).await.expect_refusal(409, "slot_unavailable");
        assert_eq!(refused.at("/error/details/conflict"), json!({"with": "staff", "starts_at": "2026-06-23T08:00:00.000000Z", "ends_at": "2026-06-23T09:00:00.000000Z"}));
        let offers = refused.at("/error/details/next_free");
        assert_eq!(offers.as_array().unwrap().len(), 3);
        assert_eq!(offers[0], json!({"starts_at": "2026-06-23T09:00:00.000000Z", "ends_at": "2026-06-23T10:00:00.000000Z"}));
        // beside it, and with somebody else or nobody, is free
        let second = world.booked(json!({"staff": ann, "starts_at": "2026-06-23T09:00:00Z"})).await;
        world.booked(json!({"starts_at": "2026-06-23T08:00:00Z"})).await;

        // every other door
        let second = second["id"].as_str().unwrap();
        let path = format!("/api/v1/booking/appointments/{second}/");
        world.owner.patch(&path).json(&json!({"starts_at": "2026-06-23T08:45:00Z"})).await.expect_refusal(409, "slot_unavailable");
        world.act("appointments", second, "reschedule", json!({"starts_at": "2026-06-23T08:45:00Z"})).await.expect_refusal(409, "slot_unavailable");
        world.act("appointments", second, "reschedule", json!({"starts_at": "2026-06-23T09:15:00Z"})).await.expect_status(200);
        let other = world.booked(json!({"starts_at": "2026-06-23T08:00:00Z"})).await;
        let other = other["id"].as_str().unwrap();
        world.act("appointments", other, "assign", json!({"staff": ann})).await.expect_refusal(409, "slot_unavailable");
        let draft = world.booked(json!({"staff": ann})).await;
        world.owner.patch(&format!("/api/v1/booking/appointments/{}/", draft["id"].as_str().unwrap())).json(&json!({"starts_at": "2026-06-23T08:15:00Z"})).await.expect_refusal(409, "slot_unavailable");
        let upsert = world.owner.put("/api/v1/booking/appointments/by-external-id/x-1/").json(&json!({"title": "x", "staff": ann, "starts_at": "2026-06-23T08:15:00Z"})).await;
        upsert.expect_refusal(409, "slot_unavailable");

        // what is cancelled or deleted leaves its time
        let first = first["id"].as_str().unwrap();
        let path = format!("/api/v1/booking/appointments/{first}/");
        world.owner.delete(&path).await.expect_status(204);
        world.act("appointments", other, "assign", json!({"staff": ann})).await.expect_status(200);
        world.owner.post(&format!("{path}restore/")).await.expect_refusal(409, "slot_unavailable");
        world.act("appointments", other, "cancel", json!({})).await.expect_status(200);
        world.owner.post(&format!("{path}restore/")).await.expect_status(200);
    }

    async fn bulk_keeps_the_same_rule(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let create = |start: &str| json!({"op": "create", "body": {"title": "x", "staff": ann, "starts_at": start}});
        let operations = json!([create("2026-06-23T08:00:00Z"), create("2026-06-23T08:15:00Z"), create("2026-06-23T08:30:00Z")]);
        let path = "/api/v1/booking/appointments/bulk/";
        world.owner.post(path).json(&json!({"operations": operations})).await.expect_refusal(409, "slot_unavailable");
        let each = world.owner.post(path).json(&json!({"operations": operations, "atomic": false})).await.expect_status(200);
        assert_eq!((each.at("/succeeded"), each.at("/failed")), (json!(2), json!(1)));
        assert_eq!(each.at("/results/1/error/code"), "slot_unavailable");
    }

    async fn buffers_keep_visits_apart(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let service = world.make("services", json!({"title": "Massage", "duration_min": 60, "buffer_before_min": 10, "buffer_after_min": 20})).await;
        let booked = world.booked(json!({"service": service, "staff": ann, "starts_at": "2026-06-23T08:00:00Z"})).await;
        assert_eq!((&booked["blocked_from"], &booked["blocked_until"]), (&json!("2026-06-23T07:50:00.000000Z"), &json!("2026-06-23T09:20:00.000000Z")));
        world.book(json!({"staff": ann, "starts_at": "2026-06-23T09:00:00Z"})).await.expect_refusal(409, "slot_unavailable");
        world.book(json!({"service": service, "staff": ann, "starts_at": "2026-06-23T09:25:00Z"})).await.expect_refusal(409, "slot_unavailable");
        world.booked(json!({"service": service, "staff": ann, "starts_at": "2026-06-23T09:30:00Z"})).await;
    }

    async fn a_resource_takes_as_many_as_it_can(world: &World) {
        let room = world.make("resources", json!({"title": "Room", "capacity": 2})).await;
        let at = |start: &str| json!({"resource": room, "starts_at": start});
        world.booked(at("2026-06-23T08:00:00Z")).await;
        world.booked(at("2026-06-23T08:15:00Z")).await;
        let refused = world.book(at("2026-06-23T08:10:00Z")).await.expect_refusal(409, "slot_unavailable");
        assert_eq!(refused.at("/error/details/conflict/with"), "resource");
        world.booked(at("2026-06-23T08:30:00Z")).await;
        world.book(at("2026-06-23T08:20:00Z")).await.expect_refusal(409, "slot_unavailable");
    }

    async fn a_group_fills_up(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let hall = world.make("resources", json!({"title": "Hall"})).await;
        let yoga = world.make("services", json!({"title": "Yoga", "duration_min": 60, "capacity": 5})).await;
        let at = |start: &str, party: i64| json!({"service": yoga, "staff": ann, "resource": hall, "starts_at": start, "party_size": party});
        world.book(at("2026-06-23T08:00:00Z", 6)).await.expect_field("party_size", "max_value");
        world.booked(at("2026-06-23T08:00:00Z", 3)).await;
        let refused = world.book(at("2026-06-23T08:00:00Z", 3)).await.expect_refusal(409, "slot_unavailable");
        assert_eq!((refused.at("/error/details/conflict/with"), refused.at("/error/details/seats_left")), (json!("session"), json!(2)));
        let last = world.booked(at("2026-06-23T08:00:00Z", 2)).await;
        world.book(at("2026-06-23T08:00:00Z", 1)).await.expect_refusal(409, "slot_unavailable");
        world.book(at("2026-06-23T08:30:00Z", 1)).await.expect_refusal(409, "slot_unavailable");
        let path = format!("/api/v1/booking/appointments/{}/", last["id"].as_str().unwrap());
        world.owner.patch(&path).json(&json!({"party_size": 3})).await.expect_refusal(409, "slot_unavailable");
        world.owner.patch(&path).json(&json!({"party_size": 1})).await.expect_status(200);
        world.booked(at("2026-06-23T08:00:00Z", 1)).await;
        // without anybody to lead it the service itself is what fills up
        let loose = |party: i64| json!({"service": yoga, "starts_at": "2026-06-24T08:00:00Z", "party_size": party});
        world.booked(loose(4)).await;
        world.book(loose(2)).await.expect_refusal(409, "slot_unavailable");
    }

    async fn of_twenty_at_once_one_wins(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let room = world.make("resources", json!({"title": "Room"})).await;
        let yoga = world.make("services", json!({"title": "Yoga", "capacity": 3})).await;
        for (day, body, winners) in [
            ("2026-06-23", json!({"staff": ann}), 1),
            ("2026-06-24", json!({"resource": room}), 1),
            ("2026-06-25", json!({"staff": ann, "resource": room}), 1),
            ("2026-06-26", json!({"service": yoga}), 3),
        ] {
            let mut racing = tokio::task::JoinSet::new();
            for n in 0..20 {
                let mut body = body.clone();
                body["title"] = json!(format!("Racer {n}"));
                body["starts_at"] = json!(format!("{day}T08:00:00Z"));
                let request = world.owner.post("/api/v1/booking/appointments/").json(&body);
                racing.spawn(async move { request.await });
            }
            let mut made = 0;
            while let Some(answer) = racing.join_next().await {
                let answer = answer.unwrap();
                match answer.status {
                    201 => made += 1,
                    _ => {
                        answer.expect_refusal(409, "slot_unavailable");
                    }
                }
            }
            assert_eq!(made, winners, "{day}");
        }
    }

    async fn two_ways_into_one_time_race_as_well(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        for hour in 8..13 {
            let start = format!("2026-06-23T{hour:02}:00:00Z");
            let one = world.booked(json!({"starts_at": start})).await;
            let two = world.booked(json!({"staff": ann, "starts_at": format!("2026-07-01T{hour:02}:00:00Z")})).await;
            let path = |record: &serde_json::Value, action: &str| format!("/api/v1/booking/appointments/{}/{action}/", record["id"].as_str().unwrap());
            let assigned = world.owner.post(&path(&one, "assign")).json(&json!({"staff": ann}));
            let moved = world.owner.post(&path(&two, "reschedule")).json(&json!({"starts_at": start}));
            let made = world.owner.post("/api/v1/booking/appointments/").json(&json!({"title": "x", "staff": ann, "starts_at": start}));
            let (a, b, c) = tokio::join!(async { assigned.await }, async { moved.await }, async { made.await });
            let won = [&a, &b, &c].iter().filter(|answer| answer.status < 300).count();
            assert_eq!(won, 1, "{} {} {}", a.text(), b.text(), c.text());
        }
    }
}
