//! Following the log: resuming, filters, rights that end, slow readers, a server that stops.

use loopd_testkit::{Client, Streamed, each_engine, json};
use serde_json::Value;

use super::EVENTS;
use crate::support::{Actor, Program, World, eventually};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

async fn follow(client: &Client, query: &str) -> Streamed {
    let stream = client.get(&format!("{EVENTS}stream/?{query}")).open().await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.headers["content-type"], "text/event-stream; charset=utf-8");
    stream
}

async fn resume(client: &Client, id: &str) -> Streamed {
    let stream = client.get(&format!("{EVENTS}stream/?type=booking.*")).header("last-event-id", id).open().await;
    assert_eq!(stream.status, 200);
    stream
}

/// The id of somebody's membership, as the owner finds it.
async fn membership_of(owner: &Client, member: &Actor) -> String {
    owner.get("/api/v1/memberships/").query("user", &member.user).await.expect_status(200).text_at("/results/0/id")
}

async fn appointment(owner: &Client, title: &str) {
    owner.post(APPOINTMENTS).json(&json!({"title": title})).await.expect_status(201);
}

async fn titles(stream: &mut Streamed, count: usize) -> Vec<String> {
    let mut titles = Vec::new();
    while titles.len() < count {
        titles.push(stream.data().await.1["data"]["title"].as_str().expect("a title").to_owned());
    }
    titles
}

/// Reads to the last event of a stream and gives what it says.
async fn end(stream: &mut Streamed) -> Value {
    let mut last = String::new();
    while let Some(event) = stream.event().await {
        last = event;
    }
    assert!(last.contains("event: end\n"), "{last}");
    let data = last.lines().find_map(|line| line.strip_prefix("data: ")).expect("the end says why");
    serde_json::from_str(data).expect("JSON")
}

each_engine! {
    async fn what_happens_is_sent_as_it_happens(world: &World) {
        let owner = world.owner().await;
        appointment(&owner, "before").await;
        let mut stream = follow(&owner, "type=booking.*").await;
        let opening = stream.event().await.expect("an opening");
        assert!(opening.starts_with("retry: ") && opening.contains("\nid: "), "a client has a cursor before the first event: {opening}");
        for title in ["one", "two", "three"] {
            appointment(&owner, title).await;
        }
        let (id, event) = stream.data().await;
        assert_eq!((event["data"]["title"].as_str(), event["position"].to_string()), (Some("one"), id));
        assert_eq!(event, owner.get(&format!("{EVENTS}{}/", event["position"])).await.json(), "the same event everywhere");
        assert_eq!(titles(&mut stream, 2).await, ["two", "three"]);
    }

    async fn a_stream_is_resumed_after_the_last_event_that_was_seen(world: &World) {
        let owner = world.owner().await;
        let mut stream = follow(&owner, "type=booking.*").await;
        appointment(&owner, "one").await;
        let (id, _) = stream.data().await;
        drop(stream);
        for title in ["two", "three"] {
            appointment(&owner, title).await;
        }
        let mut stream = resume(&owner, &id).await;
        assert_eq!(titles(&mut stream, 2).await, ["two", "three"]);
        appointment(&owner, "four").await;
        assert_eq!(titles(&mut stream, 1).await, ["four"]);
        let mut whole = follow(&owner, "after=0&type=booking.appointments.created").await;
        assert_eq!(titles(&mut whole, 4).await, ["one", "two", "three", "four"]);
        // A cursor from the future begins at the end.
        let mut ahead = resume(&owner, "999999").await;
        appointment(&owner, "five").await;
        assert_eq!(titles(&mut ahead, 1).await, ["five"]);
        for id in ["x", "-1", "1.5"] {
            owner.get(&format!("{EVENTS}stream/")).header("last-event-id", id).await.expect_field("Last-Event-ID", "invalid");
        }
        owner.get(&format!("{EVENTS}stream/?ordering=position")).await.expect_refusal(400, "validation_error");
    }

    /// Everything that is written while streams come and go reaches each of them once, in order.
    async fn streams_that_come_while_others_write_miss_nothing(world: &World) {
        let owner = world.owner().await;
        let start = owner.get(&format!("{EVENTS}?limit=1000")).await.at("/cursor");
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let owner = owner.clone();
                tokio::spawn(async move {
                    for number in 0..15 {
                        appointment(&owner, &format!("{writer}-{number}")).await;
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..6)
            .map(|_| {
                let (owner, start) = (owner.clone(), start.clone());
                tokio::spawn(async move {
                    let mut stream = follow(&owner, &format!("after={start}")).await;
                    let mut seen = Vec::new();
                    while seen.len() < 60 {
                        seen.push(stream.data().await.1["position"].as_i64().expect("a position"));
                    }
                    seen
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("writers end");
        }
        let first = start.as_i64().expect("a cursor") + 1;
        for reader in readers {
            assert_eq!(reader.await.expect("readers end"), (first..first + 60).collect::<Vec<_>>());
        }
        eventually("every stream is closed", async || world.kernel.streams.open(loopd_types::CompanyId(1)) == 0).await;
    }

    async fn a_stream_shows_what_its_caller_may_see(world: &World) {
        let owner = world.owner().await;
        let role = world.role(&owner, &["core.platform-events.view", "booking.appointments.view"]).await;
        let member = world.member(&owner, "grace", &role).await;
        let (mut theirs, mut all) = (follow(&member, "").await, follow(&owner, "").await);
        owner.make("/api/v1/booking/services/", json!({"title": "Cut", "name": "Cut", "duration_minutes": 30, "price": "10.00"})).await;
        appointment(&owner, "Tea").await;
        assert_eq!(all.data().await.1["type"], "booking.services.created");
        assert_eq!(all.data().await.1["type"], "booking.appointments.created");
        assert_eq!(theirs.data().await.1["type"], "booking.appointments.created");
        let (_, stranger) = (0, world.register("stranger").await);
        let mut elsewhere = follow(&stranger, "").await;
        appointment(&owner, "Coffee").await;
        appointment(&stranger, "Own").await;
        assert_eq!(elsewhere.data().await.1["data"]["title"], "Own");
    }

    async fn a_right_that_ends_ends_the_stream(world: &World) {
        let owner = world.owner().await;
        let (id, key) = world.key(&owner, &["core.*", "booking.*"]).await;
        let member = world.member(&owner, "grace", "admin").await;
        let left = world.member(&owner, "aline", "admin").await;
        let (mut of_key, mut of_member, mut of_left) = (follow(&key, "").await, follow(&member, "").await, follow(&left, "").await);
        owner.post(&format!("/api/v1/internal-api-keys/{id}/revoke/")).json(&json!({})).await.expect_status(200);
        member.post("/api/v1/auth/logout/").json(&json!({})).await.expect_status(204);
        owner.post(&format!("/api/v1/memberships/{}/suspend/", membership_of(&owner, &left).await)).json(&json!({})).await.expect_status(200);
        appointment(&owner, "Secret").await;
        for (stream, reason) in [(&mut of_key, "invalid_api_key"), (&mut of_member, "token_not_valid"), (&mut of_left, "company_access_denied")] {
            let mut last = String::new();
            while let Some(event) = stream.event().await {
                assert!(!event.contains("Secret"), "nothing is sent after the right has ended");
                last = event;
            }
            assert!(last.contains(&format!("\"reason\":\"{reason}\"")), "{last}");
        }
    }

    async fn a_stream_may_end_at_the_end_of_the_log(world: &World) {
        let owner = world.owner().await;
        appointment(&owner, "Tea").await;
        let head = owner.get(&format!("{EVENTS}?limit=1000")).await.at("/cursor");
        let mut stream = follow(&owner, "after=0&follow=false").await;
        let end = end(&mut stream).await;
        assert_eq!((&end["reason"], &end["after"]), (&json!("caught_up"), &head));
    }

    async fn the_edge_counts_streams_of_a_company(world: &World) {
        let owner = world.owner().await;
        let company = loopd_types::CompanyId(1);
        let streams = [follow(&owner, "").await, follow(&owner, "").await];
        eventually("both are open", async || world.kernel.streams.open(company) == 2).await;
        drop(streams);
        eventually("their places are given back", async || world.kernel.streams.open(company) == 0).await;
    }
}

/// A server of its own with few streams: 429 beyond, and a place that is given back is taken again.
#[tokio::test(flavor = "multi_thread")]
async fn a_company_has_so_many_streams_and_a_stopping_server_ends_them_politely() {
    let program = Program::fresh().with("LOOP_EVENT_STREAMS", "2");
    let server = program.serve();
    let owner = server.owner().await;
    let mut one = follow(&owner, "type=booking.*").await;
    let two = follow(&owner, "").await;
    let refused = owner.get(&format!("{EVENTS}stream/")).await.expect_refusal(429, "too_many_streams");
    assert!(refused.header("retry-after").is_some());
    drop(two);
    eventually("a place is given back", async || {
        owner.get(&format!("{EVENTS}stream/?follow=false")).await.status == 200
    })
    .await;
    appointment(&owner, "Tea").await;
    let (id, _) = one.data().await;
    server.terminate();
    let said = end(&mut one).await;
    assert_eq!((&said["reason"], said["after"].to_string()), (&json!("server_stopping"), id));
    assert!(server.ended().success());
}
