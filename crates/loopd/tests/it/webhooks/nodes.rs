//! Two nodes on one PostgreSQL: they share endpoints, one goes on for the other that is killed or asleep, and order holds.

use std::collections::{BTreeMap, BTreeSet};

use loopd_testkit::{Client, Database, Engine, json};

use super::{DELIVERIES, appointment, state};
use crate::support::{Backdoor, Program, Reaction, Received, Receiver, eventually};

/// Makes an endpoint at a path of the receiver; gives its id.
async fn endpoint(owner: &Client, receiver: &Receiver, path: &str, ordered: bool) -> String {
    let body = json!({"url": format!("{}{path}", receiver.url), "events": ["booking.appointments.created"], "ordered": ordered});
    owner.post(super::ENDPOINTS).json(&body).await.expect_status(201).text_at("/id")
}

/// Positions in the order in which they came to this path.
fn positions(received: &[Received], path: &str) -> Vec<i64> {
    received.iter().filter(|one| one.path.ends_with(path)).map(Received::position).collect()
}

/// Who works how many lanes.
async fn owners(db: &Backdoor) -> BTreeMap<String, usize> {
    let mut owners = BTreeMap::new();
    let sql = "SELECT lease_owner FROM webhook_lanes WHERE lease_owner IS NOT NULL";
    for owner in db.rows(sql, |row| Ok(row.text(0)?.to_owned())).await {
        *owners.entry(owner).or_default() += 1;
    }
    owners
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nodes_endpoints_are_worked_by_the_other() {
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url()).with("LOOP_EGRESS_ALLOW", "127.0.0.1");
    let (receiver, one) = (Receiver::start().await, program.serve());
    let (owner, db) = (one.owner().await, Backdoor::to(&database).await);
    for (path, ordered) in [("/one-ordered", true), ("/one-loose", false)] {
        receiver.always(&format!("/hook{path}"), Reaction::Wait);
        endpoint(&owner, &receiver, path, ordered).await;
    }
    appointment(&owner, "first").await;
    receiver.wait(2).await;
    // The first node has its hands full; while it sleeps for a moment the second takes what is new.
    let two = program.serve();
    let theirs = owner.at(&two.base);
    endpoint(&theirs, &receiver, "/two-ordered", true).await;
    receiver.always("/hook/two-ordered", Reaction::Wait);
    one.pause();
    appointment(&theirs, "second").await;
    eventually("the second node works a lane", async || {
        receiver.received().iter().any(|got| got.path.ends_with("/two-ordered"))
    })
    .await;
    one.wake();
    eventually("both work", async || {
        owners(&db).await.values().copied().collect::<BTreeSet<_>>() == BTreeSet::from([1, 2])
    })
    .await;
    // Handed over by the second node, which cannot ring the first: that one looks by itself, with requests under way.
    for number in 0..10 {
        appointment(&theirs, &format!("more {number}")).await;
    }
    // Eight at once to the endpoint without order, one to each other.
    let waiting = async || receiver.received().iter().filter(|got| got.path.ends_with("/one-loose")).count() == 8;
    eventually("the first node's hands are full again", waiting).await;
    let in_flight: BTreeSet<_> =
        receiver.received().iter().map(|got| got.header("loop-delivery-id").to_owned()).collect();
    one.kill();
    for path in ["/one-ordered", "/one-loose", "/two-ordered"] {
        receiver.always(&format!("/hook{path}"), Reaction::Status(200));
    }
    receiver.go_on();
    eventually("every delivery is told", async || {
        theirs.get(&format!("{DELIVERIES}?status=succeeded")).await.expect_status(200).at("/count") == 35
    })
    .await;
    let received = receiver.received();
    let all: BTreeSet<i64> = positions(&received, "/one-ordered").into_iter().collect();
    assert_eq!(all.len(), 12);
    for path in ["/one-ordered", "/one-loose", "/two-ordered"] {
        let came = positions(&received, path);
        let wanted: BTreeSet<i64> =
            if path == "/two-ordered" { all.iter().copied().skip(1).collect() } else { all.clone() };
        assert_eq!(came.iter().copied().collect::<BTreeSet<_>>(), wanted, "{path}: nothing is lost");
        if path.ends_with("ordered") {
            assert!(came.is_sorted(), "{path}: order holds, repeats included: {came:?}");
        }
    }
    let mut seen = BTreeSet::new();
    for one in &received {
        let id = one.header("loop-delivery-id").to_owned();
        assert!(seen.insert(id.clone()) || in_flight.contains(&id), "only what was under way is repeated");
    }
    assert_eq!(positions(&received, "/two-ordered").len(), 11, "the node that lives repeats nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_wakes_after_its_lease_changes_nothing() {
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url()).with("LOOP_EGRESS_ALLOW", "127.0.0.1");
    let (receiver, one) = (Receiver::start().await, program.serve());
    let owner = one.owner().await;
    let id = endpoint(&owner, &receiver, "/ordered", true).await;
    // The sleeper's own request, then the second node's, refused for now.
    receiver.react([Reaction::Wait, Reaction::Status(503)]);
    appointment(&owner, "first").await;
    receiver.wait(1).await;
    let two = program.serve();
    let theirs = owner.at(&two.base);
    one.pause();
    appointment(&theirs, "second").await;
    receiver.wait(2).await;
    state(&theirs, &id, "the refusal is written", |row| !row["last_failure_at"].is_null()).await;
    // It wakes with a 200 in its hands, and no right to say so: the other node's refusal stands, and so does its next attempt.
    receiver.go_on();
    one.wake();
    let received = receiver.wait(4).await;
    let came = positions(&received, "/ordered");
    assert_eq!((came[0], came[1]), (came[0], came[0]));
    assert_eq!(came[2], came[0], "the first is told before the second: {came:?}");
    assert!(came[3] > came[0], "{came:?}");
    eventually("both are told", async || {
        theirs.get(&format!("{DELIVERIES}?status=succeeded")).await.expect_status(200).at("/count") == 2
    })
    .await;
    let rows = theirs.get(&format!("{DELIVERIES}?ordering=position")).await.expect_status(200).json();
    eventually("what the sleeper did is remembered", async || {
        theirs.get(&format!("{DELIVERIES}{}/", rows["results"][0]["id"].as_str().unwrap())).await.at("/attempts") == 3
    })
    .await;
    // Both live on, and everything comes once.
    for number in 0..6 {
        appointment(if number % 2 == 0 { &owner } else { &theirs }, &format!("more {number}")).await;
    }
    let came = positions(&receiver.wait(10).await, "/ordered");
    assert!(came.is_sorted() && came[3..].windows(2).all(|two| two[0] < two[1]), "{came:?}");
    assert_eq!(receiver.count(), 10);
}
