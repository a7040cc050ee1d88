//! Broadcasts: paced, capped, stopped when something is wrong, and counted to the last one.

use loopd_testkit::{Client, each_engine, json};
use loopd_types::{HOUR_US, SECOND_US};
use serde_json::Value;

use crate::support::{Actor, World, eventually};

pub const BASE: &str = "/api/v1/loopwave/broadcasts/";

/// `count` people who are on WhatsApp.
fn people(count: usize) -> Vec<Value> {
    (1..=count).map(|n| json!({"chatId": format!("25078812{n:04}"), "name": format!("P{n}")})).collect()
}

async fn publish(key: &Client, recipients: &[Value]) -> String {
    let body = json!({"name": "News", "message": "Muraho {{name}}!", "recipients": recipients});
    let made = key.post("/api/v1/broadcasts").json(&body).await.expect_status(201);
    assert_eq!((made.text_at("/status"), made.at("/total")), ("queued".to_owned(), json!(recipients.len())));
    made.text_at("/id")
}

pub async fn pace(owner: &Actor, pacing: Value) {
    owner.patch("/api/v1/loopwave/preferences/").json(&json!({"pacing": pacing})).await.expect_status(200);
}

pub async fn row(owner: &Actor, id: &str) -> Value {
    owner.get(&format!("{BASE}{id}/")).await.expect_status(200).json()
}

/// Waits, while `step` microseconds pass again and again, until the broadcast is as `wanted`.
pub async fn until(
    world: &World,
    owner: &Actor,
    id: &str,
    step: i64,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    eventually(what, async || {
        world.clock.advance(step);
        wanted(&row(owner, id).await)
    })
    .await;
    row(owner, id).await
}

/// Gives the workers time enough to do what they would do at this moment.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
}

each_engine! {
    async fn everybody_is_written_to_once_with_pauses_between(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["*"]).await;
        world.line(&owner, "250788000001").await;
        pace(&owner, json!({"gap_min_seconds": 30, "gap_max_seconds": 40})).await;
        let mut recipients = people(3);
        recipients.push(recipients[0].clone());
        let body = json!({"name": "News", "message": "Muraho {{name}}!", "recipients": recipients});
        let made = key.post("/api/v1/broadcasts").json(&body).await.expect_status(201);
        assert_eq!(made.at("/total"), json!(3), "who is named twice is written to once");
        let id = made.text_at("/id");
        until(world, &owner, &id, 0, "the first is sent", |it| it["sent_count"] == 1).await;
        settle().await;
        assert_eq!(row(&owner, &id).await["sent_count"], 1, "the second waits for the pause");
        let done = until(world, &owner, &id, 10 * SECOND_US, "all are sent", |it| it["status"] == "completed").await;
        assert_eq!((&done["sent_count"], &done["failed_count"], &done["total"]), (&json!(3), &json!(0), &json!(3)));
        assert_eq!(world.rows("wave_sandbox_messages").await, 3);
        let thread = key.get("/api/v1/chats/250788120002/messages").await.expect_status(200).json();
        assert_eq!((&thread["data"][0]["text"], &thread["data"][0]["origin"]), (&json!("Muraho P2!"), &json!("broadcast")));
        let log = owner.get("/api/v1/platform-events/").query("type", "loopwave.broadcasts.progress").query("limit", "1000").await.json();
        let last = log["results"].as_array().expect("events").last().expect("one").clone();
        let data = &last["data"];
        assert_eq!((&data["id"], &data["status"], &data["sentCount"], &data["failedCount"], &data["total"]), (&json!(id), &json!("completed"), &json!(3), &json!(0), &json!(3)));
    }

    async fn a_broadcast_waits_where_the_subscription_ends(world: &World) {
        let owner = world.owner().await;
        let root = world.superuser().await;
        let key = world.wave_key(&owner, &["*"]).await;
        world.line(&owner, "250788000001").await;
        pace(&owner, json!({"gap_min_seconds": 30, "gap_max_seconds": 40})).await;
        let id = publish(&key, &people(3)).await;
        until(world, &owner, &id, 0, "the first is sent", |it| it["sent_count"] == 1).await;
        let one = owner.get("/api/v1/product-subscriptions/").query("product", "loopwave").await.text_at("/results/0/id");
        let operator = root.in_company(&owner.code);
        operator.post(&format!("/api/v1/product-subscriptions/{one}/suspend/")).await.expect_status(200);
        let held = until(world, &owner, &id, 10 * SECOND_US, "it waits", |it| it["status"] == "paused").await;
        assert_eq!(held["sent_count"], 1);
        assert!(held["pause_reason"].as_str().is_some_and(|reason| reason.contains("subscription")), "{held}");
        owner.post(&format!("{BASE}{id}/resume/")).await.expect_refusal(402, "subscription_suspended");
        operator.post(&format!("/api/v1/product-subscriptions/{one}/resume/")).await.expect_status(200);
        owner.post(&format!("{BASE}{id}/resume/")).await.expect_status(200);
        let done = until(world, &owner, &id, 10 * SECOND_US, "all are sent", |it| it["status"] == "completed").await;
        assert_eq!((&done["sent_count"], &done["failed_count"]), (&json!(3), &json!(0)));
    }

    async fn a_run_of_failures_pauses_and_failed_ones_can_be_tried_again(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["broadcasts:write"]).await;
        world.line(&owner, "250788000001").await;
        pace(&owner, json!({"gap_min_seconds": 0, "gap_max_seconds": 0})).await;
        let mut recipients: Vec<Value> = (1..=6).map(|n| json!({"chatId": format!("2507{n}8880000")})).collect();
        recipients.push(json!({"chatId": "250788123456"}));
        let id = publish(&key, &recipients).await;
        let paused = until(world, &owner, &id, SECOND_US, "it is paused", |it| it["status"] == "paused").await;
        assert!(paused["pause_reason"].as_str().is_some_and(|words| words.contains("no_whatsapp")), "{paused}");
        assert_eq!((&paused["sent_count"], &paused["resumes_at"]), (&json!(0), &json!(null)), "a person has to look");
        owner.post(&format!("{BASE}{id}/resume/")).await.expect_status(200);
        let done = until(world, &owner, &id, SECOND_US, "it is done", |it| it["status"] == "completed").await;
        assert_eq!((&done["sent_count"], &done["failed_count"]), (&json!(1), &json!(6)));
        let page = owner.get(&format!("{BASE}{id}/recipients/")).query("status", "failed").await.expect_status(200);
        assert_eq!((page.at("/count"), page.text_at("/results/0/reason")), (json!(6), "no_whatsapp".to_owned()));
        owner.post(&format!("{BASE}{id}/retry-failed/")).await.expect_status(200);
        let again = until(world, &owner, &id, SECOND_US, "it is paused again", |it| it["status"] == "paused").await;
        assert_eq!(again["sent_count"], 1, "who has it is not written to again: {again}");
        owner.post(&format!("{BASE}{id}/start/")).await.expect_refusal(409, "invalid_transition");
    }

    async fn what_a_ban_has_paused_goes_on_by_itself_when_it_is_over_once(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["broadcasts:write"]).await;
        let line = world.line(&owner, "250788000001").await;
        let ban = async |owner: &Actor, minutes: i64| {
            let path = format!("/api/v1/loopwave/numbers/{}/sandbox/ban/", line.id);
            owner.post(&path).json(&json!({"minutes": minutes})).await.expect_status(200).text_at("/banned_until")
        };
        let lift = async |owner: &Actor| {
            owner.post(&format!("/api/v1/loopwave/numbers/{}/sandbox/lift/", line.id)).await.expect_status(200);
        };
        pace(&owner, json!({"gap_min_seconds": 30, "gap_max_seconds": 40})).await;
        let id = publish(&key, &people(5)).await;
        until(world, &owner, &id, 0, "the first is sent", |it| it["sent_count"] == 1).await;
        let end = ban(&owner, 30).await;
        let is_paused = |it: &Value| it["status"] == "paused";
        let paused = until(world, &owner, &id, 10 * SECOND_US, "it is paused", is_paused).await;
        assert_eq!((&paused["resumes_at"], &paused["next_at"]), (&json!(end), &json!(end)));
        assert!(paused["pause_reason"].as_str().is_some_and(|words| words.contains("banned")), "{paused}");
        // The ban is longer than was said first.
        let end = ban(&owner, 60).await;
        world.clock.advance(40 * 60 * SECOND_US);
        let owner = world.sign_in(&owner.email, &owner.code).await;
        let rests = until(world, &owner, &id, 0, "it rests on", |it| it["resumes_at"] == json!(end)).await;
        assert_eq!((&rests["status"], &rests["sent_count"]), (&json!("paused"), &json!(1)));
        world.clock.advance(25 * 60 * SECOND_US);
        let owner = world.sign_in(&owner.email, &owner.code).await;
        let next = until(world, &owner, &id, 0, "it goes on", |it| it["sent_count"] == 2).await;
        assert_eq!((&next["status"], &next["resumes_at"], &next["pause_reason"]), (&json!("sending"), &json!(null), &json!(null)));
        settle().await;
        assert_eq!(row(&owner, &id).await["sent_count"], 2, "with pauses, as before");
        let log = owner.get("/api/v1/loopwave/activity/").query("target", &id).query("action", "resume").await.expect_status(200);
        assert_eq!(log.json()["results"].as_array().map(Vec::len), Some(1), "{}", log.text());
        // Banned again, it waits for a person; who goes on has looked, and it may go on by itself once more.
        ban(&owner, 30).await;
        let again = until(world, &owner, &id, 10 * SECOND_US, "it is paused again", is_paused).await;
        assert_eq!((&again["resumes_at"], &again["next_at"]), (&json!(null), &json!(null)));
        lift(&owner).await;
        settle().await;
        assert_eq!(row(&owner, &id).await["status"], "paused");
        owner.post(&format!("{BASE}{id}/resume/")).await.expect_status(200);
        until(world, &owner, &id, 10 * SECOND_US, "the third is sent", |it| it["sent_count"] == 3).await;
        ban(&owner, 30).await;
        until(world, &owner, &id, 10 * SECOND_US, "it will go on", |it| it["resumes_at"].is_string()).await;
        // Lifted early, it goes on at once; paused by hand, it does not.
        owner.post(&format!("{BASE}{id}/pause/")).await.expect_status(200);
        assert_eq!(row(&owner, &id).await["resumes_at"], json!(null));
        owner.post(&format!("{BASE}{id}/pause/")).await.expect_refusal(409, "invalid_transition");
        owner.post(&format!("{BASE}{id}/resume/")).await.expect_status(200);
        until(world, &owner, &id, 0, "it rests", |it| it["resumes_at"].is_string()).await;
        lift(&owner).await;
        let done = until(world, &owner, &id, 10 * SECOND_US, "it is done", |it| it["status"] == "completed").await;
        assert_eq!((&done["sent_count"], &done["failed_count"]), (&json!(5), &json!(0)), "{done}");
    }

    async fn a_cancelled_broadcast_leaves_the_rest_alone(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["broadcasts:write"]).await;
        world.line(&owner, "250788000001").await;
        let id = publish(&key, &people(4)).await;
        until(world, &owner, &id, 0, "the first is sent", |it| it["sent_count"] == 1).await;
        owner.post(&format!("{BASE}{id}/cancel/")).await.expect_status(200);
        world.clock.advance(10 * 60 * SECOND_US);
        settle().await;
        let cancelled = row(&owner, &id).await;
        assert_eq!((&cancelled["status"], &cancelled["sent_count"]), (&json!("cancelled"), &json!(1)));
        let rest = owner.get(&format!("{BASE}{id}/recipients/")).query("status", "pending").await;
        assert_eq!(rest.at("/count"), json!(3));
        owner.post(&format!("{BASE}{id}/resume/")).await.expect_refusal(409, "invalid_transition");
    }

    async fn a_new_number_sends_few_and_nothing_at_night(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["broadcasts:write"]).await;
        world.line(&owner, "250788000001").await;
        pace(&owner, json!({"gap_min_seconds": 0, "gap_max_seconds": 0, "warm_up_start": 2})).await;
        let id = publish(&key, &people(4)).await;
        until(world, &owner, &id, 0, "two are sent", |it| it["sent_count"] == 2).await;
        settle().await;
        let waiting = row(&owner, &id).await;
        assert_eq!((&waiting["sent_count"], &waiting["status"]), (&json!(2), &json!("sending")));
        assert!(waiting["pause_reason"].as_str().is_some_and(|why| why.contains("2 that it may send today")), "{waiting}");
        // The tests' day is 22 June, noon in Kigali: the next day begins at ten in the evening UTC, and its quiet hours end at six.
        let owner_again = async |hours: i64| {
            world.clock.advance(hours * HOUR_US);
            world.sign_in(&owner.email, &owner.code).await
        };
        let owner = owner_again(13).await;
        settle().await;
        let night = row(&owner, &id).await;
        assert_eq!(night["sent_count"], 2, "it is night");
        assert!(night["pause_reason"].as_str().is_some_and(|why| why.starts_with("Quiet hours")), "{night}");
        world.clock.advance(8 * HOUR_US);
        let owner = world.sign_in(&owner.email, &owner.code).await;
        until(world, &owner, &id, 0, "the others are sent", |it| it["status"] == "completed").await;
    }

    async fn a_broadcast_that_waits_looks_again_when_what_held_it_changes(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["broadcasts:write"]).await;
        let line = world.line(&owner, "250788000001").await;
        // It is noon in Kigali.
        pace(&owner, json!({"gap_min_seconds": 0, "gap_max_seconds": 0, "quiet_from_hour": 10, "quiet_to_hour": 18})).await;
        let waiting = publish(&key, &people(2)).await;
        until(world, &owner, &waiting, 0, "it waits", |it| !it["pause_reason"].is_null()).await;
        pace(&owner, json!({"quiet_from_hour": 20, "quiet_to_hour": 8, "warm_up_start": 1})).await;
        until(world, &owner, &waiting, 0, "it begins", |it| it["sent_count"] == 1).await;
        pace(&owner, json!({"warm_up_start": 3})).await;
        let done = until(world, &owner, &waiting, 0, "it goes on", |it| it["status"] == "completed").await;
        assert_eq!((&done["sent_count"], &done["pause_reason"]), (&json!(2), &json!(null)));
        // Without its number it cannot go on by itself.
        let body = json!({"name": "More", "message": "Hi", "recipients": people(3), "from": line.number});
        let other = key.post("/api/v1/broadcasts").json(&body).await.expect_status(201).text_at("/id");
        until(world, &owner, &other, 0, "it waits for tomorrow", |it| !it["pause_reason"].is_null()).await;
        owner.delete(&format!("/api/v1/loopwave/numbers/{}/", line.id)).await.expect_status(204);
        pace(&owner, json!({"warm_up_start": 5})).await;
        let paused = until(world, &owner, &other, 0, "it is paused", |it| it["status"] == "paused").await;
        assert_eq!(paused["pause_reason"], "Its number is no longer linked.");
    }

    async fn what_is_no_broadcast_is_refused(world: &World) {
        let owner = world.owner().await;
        let key = world.wave_key(&owner, &["broadcasts:write"]).await;
        let send = async |recipients: Vec<Value>| key.post("/api/v1/broadcasts").json(&json!({"name": "N", "message": "M", "recipients": recipients})).await;
        for bad in [Vec::new(), vec![json!({"chatId": "moses"})], people(5_001)] {
            let answer = send(bad).await;
            assert_eq!((answer.status, answer.text_at("/error")), (400, "invalid_input".to_owned()));
        }
        send(people(5_000)).await.expect_status(201);
        let agent = world.member(&owner, "ada", "staff").await;
        let draft = json!({"name": "N", "message": "M", "recipients": [{"chat_id": "250788123456"}]});
        agent.post(BASE).json(&draft).await.expect_refusal(403, "permission_denied");
        owner.post(BASE).json(&json!({"name": "N", "message": "M", "audience": {"tags": ["nobody"]}})).await.expect_field("audience", "empty");
        owner.patch("/api/v1/loopwave/preferences/").json(&json!({"pacing": {"gap_min_seconds": 50, "gap_max_seconds": 10}})).await.expect_field("pacing", "invalid");
        for message in ["Hi {{nme}}", "Hi {{phone}}"] {
            let body = json!({"name": "N", "message": message, "recipients": [{"chat_id": "250788123456"}]});
            owner.post(BASE).json(&body).await.expect_field("message", "unknown_word");
        }
        let past = json!({"name": "N", "message": "M", "recipients": [{"chat_id": "250788123456"}], "scheduled_at": "2020-01-01T00:00:00Z"});
        owner.post(BASE).json(&past).await.expect_field("scheduled_at", "invalid");
        let made = owner.post(BASE).json(&draft).await.expect_status(201);
        assert_eq!(made.text_at("/status"), "draft");
        agent.post(&format!("{BASE}{}/start/", made.text_at("/id"))).await.expect_refusal(403, "permission_denied");
    }
}
