//! The log: commit order, cursors, filters, and who sees what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopd_testkit::{Client, each_engine, json};
use serde_json::Value;

use super::EVENTS;
use crate::support::{Actor, World};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

async fn appointment(owner: &Actor, title: &str) -> String {
    owner.make(APPOINTMENTS, json!({"title": title})).await
}

fn kinds(page: &Value) -> Vec<&str> {
    page["results"].as_array().expect("results").iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

fn positions(page: &Value) -> Vec<i64> {
    page["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|event| event["position"].as_i64().expect("a position"))
        .collect()
}

async fn page(client: &Client, query: &str) -> Value {
    client.get(&format!("{EVENTS}?{query}")).await.expect_status(200).json()
}

each_engine! {
    async fn what_happens_is_told_with_the_record_as_it_was(world: &World) {
        let owner = world.owner().await;
        let id = appointment(&owner, "Tea").await;
        owner.post(&format!("{APPOINTMENTS}{id}/cancel/")).json(&json!({})).await.expect_status(200);
        let page = page(&owner, "type=booking.*").await;
        assert_eq!(kinds(&page), ["booking.appointments.created", "booking.appointments.cancelled"]);
        let event = &page["results"][0];
        assert_eq!(event["data"]["title"], "Tea");
        assert_eq!(event["subject"], format!("booking/appointments/{id}"));
        assert_eq!((&event["company"], &event["actor"]), (&json!("001"), &json!(owner.user)));
        let same = owner.get(&format!("{EVENTS}{}/", event["position"])).await.expect_status(200).json();
        assert_eq!(&same, event);
    }

    async fn a_cursor_goes_on_where_it_stopped_and_skips_nothing(world: &World) {
        let owner = world.owner().await;
        for number in 0..7 {
            appointment(&owner, &format!("A {number}")).await;
        }
        let whole = positions(&page(&owner, "limit=1000").await);
        let (mut seen, mut cursor) = (Vec::new(), 0);
        loop {
            let page = page(&owner, &format!("limit=3&after={cursor}")).await;
            seen.extend(positions(&page));
            cursor = page["cursor"].as_i64().expect("a cursor");
            if page["has_more"] == false {
                break;
            }
        }
        assert_eq!(seen, whole);
        assert_eq!(whole, (1..=whole.len() as i64).collect::<Vec<_>>(), "positions rise by one");
        let mut backwards = positions(&page(&owner, "ordering=-position&limit=4").await);
        assert_eq!(backwards.len(), 4);
        let before = backwards.last().copied().expect("four");
        backwards.extend(positions(&page(&owner, &format!("ordering=-position&before={before}&limit=1000")).await));
        backwards.reverse();
        assert_eq!(backwards, whole);
        let end = page(&owner, &format!("after={cursor}")).await;
        assert_eq!((&end["results"], &end["has_more"], &end["cursor"]), (&json!([]), &json!(false), &json!(cursor)));
    }

    async fn filters_narrow_and_nonsense_is_refused(world: &World) {
        let owner = world.owner().await;
        let (one, _) = (appointment(&owner, "One").await, appointment(&owner, "Two").await);
        assert_eq!(positions(&page(&owner, &format!("subject=booking/appointments/{one}")).await).len(), 1);
        assert_eq!(positions(&page(&owner, "subject=booking/appointments").await).len(), 2);
        assert_eq!(positions(&page(&owner, "subject=booking/appoint").await).len(), 0);
        assert_eq!(kinds(&page(&owner, "type=booking.appointments.created,core.user.*&limit=1000").await).len(), 3);
        let all = positions(&page(&owner, "").await).len();
        let now = world.kernel.now().to_string();
        assert_eq!(positions(&page(&owner, &format!("created_at__lte={now}")).await).len(), all);
        world.clock.advance(1);
        let later = world.kernel.now().to_string();
        assert_eq!(positions(&page(&owner, &format!("created_at__gte={later}")).await).len(), 0);
        for (query, field) in [
            ("type=booking", "type"), ("after=-1", "after"), ("after=x", "after"), ("limit=0", "limit"), ("limit=1001", "limit"),
            ("ordering=created_at", "ordering"), ("before=5", "before"), ("ordering=-position&after=5", "after"),
            ("created_at__gte=never", "created_at__gte"), ("page=2", "page"),
        ] {
            let refusal = owner.get(&format!("{EVENTS}?{query}")).await.expect_refusal(400, "validation_error");
            assert!(refusal.at("/error/details")[field].is_array(), "{query}: {}", refusal.text());
        }
        owner.get(&format!("{EVENTS}999999/")).await.expect_refusal(404, "not_found");
        owner.get(&format!("{EVENTS}0/")).await.expect_refusal(404, "not_found");
        owner.get(&format!("{EVENTS}x/")).await.expect_refusal(404, "not_found");
    }

    async fn everybody_sees_the_events_of_records_that_they_may_see(world: &World) {
        let owner = world.owner().await;
        let role = world.role(&owner, &["core.platform-events.view", "booking.appointments.view"]).await;
        let member = world.member(&owner, "grace", &role).await;
        appointment(&owner, "Tea").await;
        owner.make("/api/v1/booking/services/", json!({"title": "Cut", "name": "Cut", "duration_minutes": 30, "price": "10.00"})).await;
        let all = page(&owner, "limit=1000").await;
        assert!(kinds(&all).contains(&"booking.services.created") && kinds(&all).contains(&"core.membership.created"), "{all:#}");
        let theirs = page(&member, "limit=1000").await;
        assert_eq!(kinds(&theirs), ["booking.appointments.created"]);
        assert_eq!(theirs["cursor"], all["cursor"], "what is not shown is passed over all the same");
        let hidden = all["results"].as_array().unwrap().iter().find(|event| event["type"] == "booking.services.created").unwrap();
        member.get(&format!("{EVENTS}{}/", hidden["position"])).await.expect_refusal(404, "not_found");
        let (_, key) = world.key(&owner, &["core.platform-events.view", "booking.services.view"]).await;
        assert_eq!(kinds(&page(&key, "limit=1000").await), ["booking.services.created"], "a key sees through its scopes");
    }

    async fn who_is_limited_to_a_workspace_sees_its_events_and_those_of_none(world: &World) {
        let owner = world.owner().await;
        let role = world.role(&owner, &["core.platform-events.view", "core.memberships.view", "booking.*"]).await;
        let member = world.member(&owner, "grace", &role).await;
        let places = [owner.make("/api/v1/workspaces/", json!({"name": "Huye"})).await, owner.make("/api/v1/workspaces/", json!({"name": "Musanze"})).await];
        owner.post(&format!("/api/v1/workspaces/{}/add-member/", places[0])).json(&json!({"membership": member.membership().await})).await.expect_status(200);
        let after = page(&owner, "limit=1000").await["cursor"].clone();
        for (title, workspace) in [("here", &json!(places[0])), ("there", &json!(places[1])), ("nowhere", &Value::Null)] {
            owner.make(APPOINTMENTS, json!({"title": title, "workspace": workspace})).await;
        }
        let theirs = page(&member, &format!("after={after}")).await;
        let titles: Vec<&str> = theirs["results"].as_array().unwrap().iter().map(|event| event["data"]["title"].as_str().unwrap()).collect();
        assert_eq!(titles, ["here", "nowhere"]);
    }

    async fn another_companys_events_are_not_there(world: &World) {
        let (owner, stranger) = world.strangers().await;
        appointment(&owner, "Secret").await;
        let theirs = stranger.get(&format!("{EVENTS}?limit=1000")).await.expect_status(200);
        assert!(!theirs.text().contains("Secret") && !theirs.text().contains(&owner.user));
        stranger.in_company("001").get(EVENTS).await.expect_refusal(403, "company_access_denied");
    }

    /// A reader that follows while many write must see every position once, in order: on PostgreSQL an event that commits late must not
    /// have a number that a reader has passed.
    async fn a_reader_never_passes_an_event_that_is_not_committed_yet(world: &World) {
        let owner = world.owner().await;
        let done = Arc::<AtomicBool>::default();
        let reader = {
            let (owner, done) = (owner.clone(), done.clone());
            tokio::spawn(async move {
                let (mut seen, mut cursor, mut is_last) = (Vec::new(), 0, false);
                loop {
                    let page = page(&owner, &format!("limit=5&after={cursor}")).await;
                    seen.extend(positions(&page));
                    cursor = page["cursor"].as_i64().expect("a cursor");
                    if page["has_more"] == false {
                        if is_last {
                            return seen;
                        }
                        // one look more after the writers have ended
                        is_last = done.load(Ordering::SeqCst);
                    }
                }
            })
        };
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..6 {
            let owner = owner.clone();
            writers.spawn(async move {
                for number in 0..12 {
                    appointment(&owner, &format!("{writer}-{number}")).await;
                }
            });
        }
        writers.join_all().await;
        done.store(true, Ordering::SeqCst);
        let seen = reader.await.expect("the reader ends");
        assert_eq!(seen, (1..=seen.len() as i64).collect::<Vec<_>>());
        assert!(seen.len() >= 72);
    }
}
