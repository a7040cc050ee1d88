//! Reports: what was written, and how long customers waited.

use loopd_testkit::{each_engine, json};
use loopd_types::{DAY_US, HOUR_US, MINUTE_US, SECOND_US, Timestamp};
use serde_json::Value;

use crate::support::{Actor, World};

const REPORTS: &str = "/api/v1/loopwave/reports/";

async fn report(actor: &Actor, query: &[(&str, &str)]) -> Value {
    query
        .iter()
        .fold(actor.get(REPORTS), |request, (name, value)| request.query(name, value))
        .await
        .expect_status(200)
        .json()
}

/// Whether a time is told to within 5 % and a second.
fn is_about(told: &Value, seconds: i64) -> bool {
    told.as_i64().is_some_and(|told| (told - seconds).abs() as f64 <= seconds as f64 * 0.05 + 1.0)
}

each_engine! {
    async fn sums_say_what_was_written_and_how_long_it_took(world: &World) {
        // Early in a quarter of an hour in the morning, so that nothing below crosses one, or a day, by chance.
        let now = world.kernel.now().0;
        world.clock.advance(DAY_US + 9 * HOUR_US + MINUTE_US - now.rem_euclid(DAY_US));
        let (owner, stranger) = world.strangers().await;
        let agent = world.member(&owner, "ada", "staff").await;
        let (line, other) = (world.line(&owner, "250788000001").await, world.line(&owner, "250788000002").await);
        let begin = world.kernel.now();
        let chat = line.receive(&owner, "250788123456", "Hi").await["chat"].as_str().expect("a chat").to_owned();
        let item = format!("/api/v1/loopwave/chats/{chat}/");
        world.clock.advance(100 * SECOND_US);
        line.receive(&owner, "250788123456", "Hello?").await;
        let say = async |actor: &Actor| { actor.post(&format!("{item}messages/")).json(&json!({"text": "Yes"})).await.expect_status(202); };
        say(&agent).await;
        say(&agent).await;
        agent.post(&format!("{item}assign/")).json(&json!({"assignee": "me"})).await.expect_status(200);
        world.clock.advance(200 * SECOND_US);
        owner.post(&format!("{item}resolve/")).await.expect_status(200);
        owner.post(&format!("{item}resolve/")).await.expect_status(200);
        other.receive(&owner, "250788123457", "Hi").await;
        let ticket = owner.make("/api/v1/loopwave/tickets/", json!({"subject": "No parcel"})).await;
        world.clock.advance(60 * SECOND_US);
        for status in ["resolved", "closed"] {
            owner.patch(&format!("/api/v1/loopwave/tickets/{ticket}/")).json(&json!({"status": status})).await.expect_status(200);
        }
        let all = report(&owner, &[("by", "number")]).await;
        let total = &all["total"];
        assert_eq!((&total["received"], &total["sent"], &total["sent_by"]["agent"], &total["tickets_opened"]), (&json!(3), &json!(2), &json!(2), &json!(1)));
        assert_eq!((&total["first_response"]["count"], &total["first_response"]["average"]), (&json!(1), &json!(100)));
        assert_eq!((&total["resolution"]["count"], &total["resolution"]["average"], &total["tickets_done"]["count"]), (&json!(1), &json!(300), &json!(1)));
        assert!(is_about(&total["first_response"]["median"], 100) && is_about(&total["resolution"]["p90"], 300), "{total}");
        let by = |rows: &Value, key: &str| rows["results"].as_array().expect("rows").iter().find(|row| row["key"] == key).cloned().unwrap_or_default();
        assert_eq!((by(&all, &line.number)["received"].clone(), by(&all, &other.number)["received"].clone()), (json!(2), json!(1)));
        let agents = report(&agent, &[("by", "agent")]).await;
        let ada = by(&agents, &agent.user);
        assert_eq!((&ada["label"], &ada["sent"], &ada["first_response"]["count"], &ada["resolution"]["count"]), (&json!("ada"), &json!(2), &json!(1), &json!(1)));
        // Kathmandu is 5:45 ahead: its hours begin at our quarters.
        let hours = report(&owner, &[("by", "hour"), ("timezone", "Asia/Kathmandu")]).await;
        let local = Timestamp(begin.0 + 5 * HOUR_US + 45 * MINUTE_US).to_string();
        assert_eq!(by(&hours, &format!("{}:00:00+05:45", &local[..13]))["received"], json!(3), "{hours}");
        let days = report(&owner, &[("timezone", "Pacific/Kiritimati")]).await;
        let local = Timestamp(begin.0 + 14 * HOUR_US).to_string();
        assert_eq!(by(&days, &local[..10])["received"], json!(3), "{days}");
        // A bare day is a day there.
        let days = [0, 1, 2].map(|days| Timestamp(begin.0 + 14 * HOUR_US + days * DAY_US).to_string()[..10].to_owned());
        for (from, received) in [(0, 3), (1, 0)] {
            let there = [("timezone", "Pacific/Kiritimati"), ("from", &*days[from]), ("to", &*days[from + 1])];
            assert_eq!(report(&owner, &there).await["total"]["received"], json!(received), "{days:?}");
        }
        assert_eq!(report(&owner, &[("number", &other.number)]).await["total"]["received"], json!(1));
        assert_eq!(report(&owner, &[("agent", &agent.user)]).await["total"]["received"], json!(0));
        let later = world.kernel.now().plus(HOUR_US);
        let (later, end) = (later.to_string(), later.plus(HOUR_US).to_string());
        assert_eq!(report(&owner, &[("from", &later), ("to", &end)]).await["total"]["received"], json!(0));
        assert_eq!(report(&stranger, &[]).await["total"]["received"], json!(0));
        let csv = owner.get(REPORTS).query("format", "csv").query("by", "number").await.expect_status(200).text();
        assert!(csv.starts_with("key,label,received,sent,sent_by_agent,") && csv.contains(&format!("{},Sales,2,2,2,", line.number)), "{csv}");
        for (name, value) in [("by", "moon"), ("timezone", "Kigali"), ("from", "2020-01-01T00:00:00Z"), ("to", "1970-01-01T00:00:00Z")] {
            let query = [("from", "1970-01-02T00:00:00Z"), (name, value)];
            let query = if name == "to" { &query[..] } else { &query[1..] };
            let request = query.iter().fold(owner.get(REPORTS), |request, (name, value)| request.query(name, value));
            request.await.expect_refusal(400, "validation_error");
        }
        // A conversation that begins again is another.
        line.receive(&owner, "250788123456", "Again").await;
        world.clock.advance(10 * SECOND_US);
        owner.post(&format!("{item}resolve/")).await.expect_status(200);
        assert_eq!(report(&owner, &[]).await["total"]["resolution"]["count"], json!(2));
    }

    async fn messages_at_once_and_repeated_count_once(world: &World) {
        let owner = world.owner().await;
        let line = world.line(&owner, "250788000001").await;
        let write = |from: String| {
            let (owner, path) = (owner.clone(), format!("/api/v1/loopwave/numbers/{}/sandbox/receive/", line.id));
            tokio::spawn(async move { owner.post(&path).json(&json!({"from": from, "text": "Hi"})).await.expect_status(200); })
        };
        let at_once: Vec<_> = (0..20).map(|place| write(format!("2507881230{:02}", place % 7))).collect();
        for one in at_once {
            one.await.expect("it was taken");
        }
        assert_eq!(report(&owner, &[]).await["total"]["received"], json!(20));
        assert_eq!(world.rows("wave_messages").await, 20);
    }
}
