//! What must hold whatever is done in whatever order. Chance comes from a seed that a failure shows.

use loopd_testkit::{each_engine, json};
use loopd_types::{MINUTE_US, Rng, SeededRng, Timestamp};
use serde_json::Value as Json;

use crate::support::{START, World};

struct Dice(SeededRng);

impl Dice {
    fn below(&self, n: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % n
    }
    fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

const LIVE: [&str; 3] = ["pending", "confirmed", "checked_in"];
const STATES: [&str; 7] = ["draft", "pending", "confirmed", "checked_in", "completed", "cancelled", "no_show"];
const ACTIONS: [&str; 8] = ["confirm", "reschedule", "assign", "check-in", "complete", "cancel", "no-show", "remind"];

/// A beginning within a few hours around now, on a grid of ten minutes: crowded on purpose.
fn some_time(dice: &Dice) -> String {
    START.plus((dice.below(30) as i64 - 6) * 10 * MINUTE_US).to_string()
}

async fn all(world: &World) -> Vec<Json> {
    let mut found = Vec::new();
    for page in 1.. {
        let answer = world
            .owner
            .get("/api/v1/booking/appointments/")
            .query("page_size", "100")
            .query("page", &page.to_string())
            .await
            .expect_status(200)
            .json();
        found.extend(answer["results"].as_array().unwrap().iter().cloned());
        if answer["next"].is_null() {
            break;
        }
    }
    found
}

/// No two live appointments take one staff member at once, and none is in a state that nobody declared.
fn assert_sound(appointments: &[Json], capacity: usize, seed: u64) {
    let time = |record: &Json, field: &str| Timestamp::parse(record[field].as_str().unwrap_or_default());
    let live: Vec<&Json> = appointments.iter().filter(|a| LIVE.contains(&a["status"].as_str().unwrap())).collect();
    for a in appointments {
        assert!(STATES.contains(&a["status"].as_str().unwrap()), "seed {seed}: {a}");
        assert_eq!(a["status"] == "draft", a["starts_at"].is_null() && a["status"] != "cancelled", "seed {seed}: {a}");
    }
    for a in &live {
        assert!(time(a, "starts_at") < time(a, "ends_at"), "seed {seed}: {a}");
        let overlapping = |field: &str| {
            let (from, until) = (time(a, "blocked_from"), time(a, "blocked_until"));
            live.iter()
                .filter(|b| !a[field].is_null() && a[field] == b[field] && a["id"] != b["id"])
                .filter(|b| time(b, "blocked_from") < until && from < time(b, "blocked_until"))
                .count()
        };
        assert_eq!(overlapping("staff"), 0, "seed {seed}: {a}");
        // at the beginning of each at most so many meet
        let from = time(a, "blocked_from");
        let meeting = live
            .iter()
            .filter(|b| {
                !a["resource"].is_null()
                    && a["resource"] == b["resource"]
                    && time(b, "blocked_from") <= from
                    && from < time(b, "blocked_until")
            })
            .count();
        assert!(meeting <= capacity, "seed {seed}: {meeting} at {a}");
    }
}

each_engine! {
    async fn no_sequence_of_acts_books_twice(world: &World) {
        let seed = u64::from(std::process::id());
        let dice = Dice(SeededRng::new(seed));
        let staff = [world.make("staff-members", json!({"title": "Ann"})).await, world.make("staff-members", json!({"title": "Ben"})).await];
        let room = world.make("resources", json!({"title": "Room", "capacity": 2})).await;
        let services = [
            world.make("services", json!({"title": "Short", "duration_min": 20})).await,
            world.make("services", json!({"title": "Long", "duration_min": 50, "buffer_before_min": 5, "buffer_after_min": 10})).await,
        ];
        let mut ids: Vec<String> = Vec::new();
        for step in 0..220 {
            let what = dice.below(10);
            let answer = if ids.len() < 4 || what < 3 {
                let mut body = json!({"title": format!("Visit {step}"), "service": dice.one(&services)});
                if dice.below(8) > 0 {
                    body["starts_at"] = json!(some_time(&dice));
                }
                if dice.below(4) > 0 {
                    body["staff"] = json!(dice.one(&staff));
                }
                if dice.below(2) > 0 {
                    body["resource"] = json!(room);
                }
                world.owner.post("/api/v1/booking/appointments/").json(&body).await
            } else {
                let path = format!("/api/v1/booking/appointments/{}/", dice.one(&ids));
                match what {
                    3 => world.owner.patch(&path).json(&json!({"starts_at": some_time(&dice)})).await,
                    4 => world.owner.patch(&path).json(&json!({"staff": dice.one(&staff), "resource": room, "service": dice.one(&services)})).await,
                    5 if dice.below(2) == 0 => world.owner.delete(&path).await,
                    5 => world.owner.post(&format!("{path}restore/")).await,
                    6 => {
                        world.clock.advance(10 * MINUTE_US);
                        continue;
                    }
                    _ => {
                        let action = dice.one(&ACTIONS);
                        let body = match *action {
                            "reschedule" => json!({"starts_at": some_time(&dice)}),
                            "assign" => json!({"staff": dice.one(&staff), "resource": room}),
                            _ => json!({}),
                        };
                        world.owner.post(&format!("{path}{action}/")).json(&body).await
                    }
                }
            };
            assert!([200, 201, 204, 400, 404, 409].contains(&answer.status), "seed {seed} step {step}: {} {}", answer.status, answer.text());
            if answer.status == 201 {
                ids.push(answer.text_at("/id"));
            }
        }
        let appointments = all(world).await;
        assert!(appointments.iter().any(|a| LIVE.contains(&a["status"].as_str().unwrap())), "seed {seed}: nothing was booked");
        assert_sound(&appointments, 2, seed);
    }

    async fn what_is_offered_can_be_had(world: &World) {
        let seed = u64::from(std::process::id());
        let dice = Dice(SeededRng::new(seed));
        world.set_zone("Europe/Berlin").await;
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let ben = world.make("staff-members", json!({"title": "Ben", "working_hours": {"tue": [["22:00", "03:00"]], "wed": [["09:00", "12:00"]]}})).await;
        let room = world.make("resources", json!({"title": "Room", "capacity": 2})).await;
        world.make("schedules", json!({"staff": ann, "weekly_hours": {"mon": [["13:00", "18:00"]], "tue": [["08:10", "12:00"], ["12:00", "13:30"]], "wed": [["08:00", "16:00"]]}, "exceptions": [{"date": "2026-06-24", "hours": [["10:00", "14:00"]]}]})).await;
        world.make("schedules", json!({"resource": room, "weekly_hours": {"mon": [["00:00", "24:00"]], "tue": [["00:00", "24:00"]], "wed": [["00:00", "11:00"]]}})).await;
        let off = world.make("time-off", json!({"staff": ann, "starts_at": "2026-06-23T07:00:00Z", "ends_at": "2026-06-23T08:00:00Z"})).await;
        world.act("time-off", &off, "approve", json!({})).await.expect_status(200);
        let services = [
            world.make("services", json!({"title": "Short", "duration_min": 25, "buffer_after_min": 10})).await,
            world.make("services", json!({"title": "Class", "duration_min": 60, "capacity": 4})).await,
            world.make("services", json!({"title": "Only Ann", "duration_min": 45, "buffer_before_min": 15, "staff": [ann]})).await,
        ];
        let mut booked = 0;
        for round in 0..60 {
            let service = dice.one(&services);
            let party = (1 + dice.below(2)).to_string();
            let mut query = vec![("service", service.as_str()), ("from", "2026-06-22"), ("to", "2026-06-25"), ("party_size", party.as_str())];
            match dice.below(4) {
                0 => query.push(("staff", ann.as_str())),
                1 => query.push(("staff", ben.as_str())),
                _ => {}
            }
            if dice.below(2) == 0 {
                query.push(("resource", room.as_str()));
            }
            let mut request = world.owner.get("/api/v1/booking/availability/").query("limit", "1000");
            for (name, value) in &query {
                request = request.query(name, value);
            }
            let answer = request.await.expect_status(200).json();
            let slots = answer["slots"].as_array().unwrap();
            if slots.is_empty() {
                continue;
            }
            let slot = dice.one(slots);
            let body = json!({"title": "x", "service": service, "staff": slot["staff"], "resource": slot["resource"], "starts_at": slot["starts_at"], "party_size": party.parse::<i64>().unwrap()});
            let answer = world.owner.post("/api/v1/booking/appointments/").json(&body).await;
            assert_eq!(answer.status, 201, "seed {seed} round {round}: {slot} {}", answer.text());
            assert_eq!(answer.at("/ends_at"), slot["ends_at"], "seed {seed}");
            booked += 1;
        }
        assert!(booked > 20, "seed {seed}: only {booked}");
    }
}
