//! Time off and appointments keep out of each other's way, in whatever order they come.

use loopd_testkit::{Answer, each_engine, json};
use serde_json::Value as Json;

use crate::support::World;

/// A time off from one hour of 2026-06-23 to another.
fn off(of: &Json, from: u32, to: u32) -> Json {
    let mut body = of.clone();
    body["starts_at"] = json!(format!("2026-06-23T{from:02}:00:00Z"));
    body["ends_at"] = json!(format!("2026-06-23T{to:02}:00:00Z"));
    body
}

async fn approved(world: &World, body: Json) -> String {
    let id = world.make("time-off", body).await;
    world.act("time-off", &id, "approve", json!({})).await.expect_status(200);
    id
}

async fn change(world: &World, id: &str, body: Json) -> Answer {
    world.owner.patch(&format!("/api/v1/booking/time-off/{id}/")).json(&body).await
}

/// Sends all of it at once.
async fn at_once(requests: Vec<loopd_testkit::Request>) -> Vec<Answer> {
    let mut racing = tokio::task::JoinSet::new();
    for request in requests {
        racing.spawn(async move { request.await });
    }
    racing.join_all().await
}

each_engine! {
    async fn an_approved_time_off_is_changed_as_carefully_as_it_is_approved(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let ben = world.make("staff-members", json!({"title": "Ben"})).await;
        let room = world.make("resources", json!({"title": "Room"})).await;
        let at = |who: Json, hour: u32| off(&who, hour, hour + 1);
        world.booked(at(json!({"staff": ann}), 8)).await;
        world.booked(at(json!({"staff": ben}), 12)).await;
        world.booked(at(json!({"resource": room}), 14)).await;
        let id = approved(world, off(&json!({"staff": ann}), 10, 11)).await;
        for (body, count) in [
            (off(&json!({}), 8, 11), 1),
            (off(&json!({"staff": ben}), 12, 13), 1),
            (off(&json!({"staff": null, "resource": room}), 14, 15), 1),
            (off(&json!({"staff": null}), 8, 15), 3),
        ] {
            let refused = change(world, &id, body.clone()).await.expect_refusal(409, "has_appointments");
            assert_eq!(refused.at("/error/details/appointments"), count, "{body}");
        }
        // what it does not touch does not hold it up
        change(world, &id, json!({"reason": "Dentist"})).await.expect_status(200);
        change(world, &id, off(&json!({}), 9, 12)).await.expect_status(200);
        world.book(at(json!({"staff": ann}), 9)).await.expect_refusal(409, "slot_unavailable");

        // what was approved over appointments may become less, not more
        let forced = world.make("time-off", off(&json!({"staff": ben}), 12, 15)).await;
        world.act("time-off", &forced, "approve", json!({"force": true})).await.expect_status(200);
        change(world, &forced, off(&json!({}), 12, 13)).await.expect_status(200);
        world.booked(at(json!({"staff": ben}), 14)).await;
        let refused = change(world, &forced, off(&json!({}), 12, 15)).await.expect_refusal(409, "has_appointments");
        assert_eq!(refused.at("/error/details/appointments"), 1);

        // one that waits for a decision is nobody's obstacle
        let asked = world.make("time-off", off(&json!({"staff": ann}), 20, 21)).await;
        change(world, &asked, off(&json!({}), 8, 9)).await.expect_status(200);
    }

    async fn a_restored_time_off_is_looked_at_anew(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let id = approved(world, off(&json!({"staff": ann}), 8, 9)).await;
        let path = format!("/api/v1/booking/time-off/{id}/");
        world.owner.delete(&path).await.expect_status(204);
        let booked = world.booked(off(&json!({"staff": ann}), 8, 9)).await;
        world.owner.post(&format!("{path}restore/")).await.expect_refusal(409, "has_appointments");
        world.act("appointments", booked["id"].as_str().unwrap(), "cancel", json!({})).await.expect_status(200);
        world.owner.post(&format!("{path}restore/")).await.expect_status(200);
    }

    async fn a_closure_races_with_bookings(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let room = world.make("resources", json!({"title": "Room", "capacity": 9})).await;
        let service = world.make("services", json!({"title": "Cut", "duration_min": 30})).await;
        for round in 0..12 {
            let day = format!("2026-07-{:02}", round + 1);
            let body = json!({"starts_at": format!("{day}T00:00:00Z"), "ends_at": format!("{day}T23:00:00Z")});
            let id = world.make("time-off", body).await;
            let start = format!("{day}T08:00:00Z");
            let book = |who: Json| {
                let mut body = who;
                body["title"] = json!("Visit");
                body["starts_at"] = json!(start);
                world.owner.post("/api/v1/booking/appointments/").json(&body)
            };
            let stranger = json!({"service": service, "starts_at": format!("{day}T12:00:00Z"), "name": "x", "email": format!("racer{round}@example.com")});
            let mut requests = vec![
                book(json!({"staff": ann})),
                book(json!({"resource": room})),
                book(json!({})),
                world.owner.anonymous().post("/api/v1/booking/public/001/appointments/").json(&stranger),
                book(json!({"service": service})),
            ];
            let approve = world.owner.post(&format!("/api/v1/booking/time-off/{id}/approve/")).json(&json!({}));
            requests.insert(round % 6, approve);
            let answers = at_once(requests).await;
            let (closing, booking): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.what.contains("approve"));
            let made = booking.iter().filter(|answer| answer.status == 201).count();
            match closing[0].status {
                200 => assert_eq!(made, 0, "round {round}: booked on a day that was closed"),
                _ => assert_ne!(made, 0, "round {round}: {}", closing[0].text()),
            }
            for answer in booking {
                assert!(matches!(answer.status, 201 | 409), "round {round}: {}", answer.text());
            }
        }
    }

    async fn a_time_off_that_moves_races_with_bookings(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        for round in 0..8 {
            let id = approved(world, off(&json!({"staff": ann}), 2 * round, 2 * round + 1)).await;
            // over to a day of its own: one person's, then everybody's
            let day = format!("2026-07-{:02}", round + 1);
            let mut moved = json!({"starts_at": format!("{day}T00:00:00Z"), "ends_at": format!("{day}T23:00:00Z")});
            if round % 2 == 1 {
                moved["staff"] = Json::Null;
            }
            let body = json!({"title": "Visit", "staff": ann, "starts_at": format!("{day}T08:00:00Z")});
            let answers = at_once(vec![
                world.owner.patch(&format!("/api/v1/booking/time-off/{id}/")).json(&moved),
                world.owner.post("/api/v1/booking/appointments/").json(&body),
            ]).await;
            let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            statuses.sort_unstable();
            assert!(matches!(statuses[..], [200 | 201, 409]), "round {round}: {} {}", answers[0].text(), answers[1].text());
        }
    }
}
