//! Webhooks through `kill -9`: whatever was answered with 201 is delivered, at least once, with the same id and bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopd_testkit::{Client, json};

use crate::support::{Program, Reaction, Received, Receiver, Served, eventually};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const ENDPOINTS: &str = "/api/v1/webhook-endpoints/";

async fn sign_in(server: &Served) -> Client {
    let body = json!({"email": "dev@example.com", "password": "strongpass123"});
    let answer = server.client().post("/api/v1/auth/login/").json(&body).await.expect_status(200);
    server.client().with_token(&answer.text_at("/access")).company("001")
}

/// Books appointments until the server is gone; gives the titles that were answered with 201.
fn write(owner: &Client, round: usize) -> tokio::task::JoinHandle<Vec<String>> {
    let owner = owner.clone();
    tokio::spawn(async move {
        let mut titles = Vec::new();
        for number in 0.. {
            let (owner, title) = (owner.clone(), format!("{round}-{number}"));
            let body = json!({"title": title});
            // The killed server ends the connection; the testkit's client panics at that, in a task of its own.
            match tokio::spawn(async move { owner.post(APPOINTMENTS).json(&body).await }).await {
                Ok(answer) if answer.status == 201 => titles.push(title),
                Ok(answer) => assert!(answer.status == 503, "{}", answer.text()),
                Err(_) => break,
            }
        }
        titles
    })
}

/// What came, by title: every request that told of it.
fn by_title(received: Vec<Received>) -> BTreeMap<String, Vec<Received>> {
    let mut all = BTreeMap::<String, Vec<Received>>::new();
    for one in received {
        let title = one.json()["data"]["title"].as_str().expect("a title").to_owned();
        all.entry(title).or_default().push(one);
    }
    all
}

/// The server is killed again and again, at whatever it is doing: writing an event, handing over, taking a lease, sending, waiting for
/// an answer, writing the outcome. The receiver answers slowly, fails, hangs up, so that every step is met.
async fn killed_while_delivering(program: &Program, more: serde_json::Value) {
    let receiver = Receiver::start().await;
    let server = program.serve();
    let person = json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo Company"});
    server.client().post("/api/v1/auth/register/").json(&person).await.expect_status(201);
    let owner = sign_in(&server).await;
    let mut body = json!({"url": receiver.url, "events": ["booking.appointments.created"]});
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let endpoint = owner.post(ENDPOINTS).json(&body).await.expect_status(201).text_at("/id");
    drop(server);
    let (mut known, mut goal) = (BTreeSet::new(), 0);
    for round in 0..6 {
        let server = program.serve();
        let owner = sign_in(&server).await;
        // At some requests the server is killed while it waits for the answer.
        if round % 2 == 1 {
            receiver.react((0..3).map(|_| Reaction::Hangup));
            receiver.react([Reaction::Wait]);
        }
        let writing = write(&owner, round);
        goal = receiver.count().max(goal) + 7 + round * 5;
        let stop = Arc::<AtomicBool>::default();
        eventually("enough was delivered", async || receiver.count() >= goal || stop.load(Ordering::SeqCst)).await;
        server.kill();
        receiver.go_on();
        known.extend(writing.await.expect("the writer ends"));
    }
    let server = program.serve();
    let owner = sign_in(&server).await;
    // A pause after a failure is seconds; all the same, nobody should have to wait for them here.
    eventually("nothing waits", async || {
        receiver.go_on();
        let list = owner
            .get(&format!("/api/v1/webhook-deliveries/?status=pending&endpoint={endpoint}"))
            .await
            .expect_status(200)
            .json();
        for row in list["results"].as_array().expect("rows").iter().filter(|row| row["attempts"] != 0) {
            owner.post(&format!("/api/v1/webhook-deliveries/{}/replay/", row["id"].as_str().expect("an id"))).await;
        }
        let told = by_title(receiver.received());
        list["count"] == 0 && known.iter().all(|title| told.contains_key(title))
    })
    .await;
    let told = by_title(receiver.received());
    for (title, requests) in &told {
        let first = &requests[0];
        for other in &requests[1..] {
            assert_eq!(
                (other.header("loop-event-id"), &other.body),
                (first.header("loop-event-id"), &first.body),
                "{title}: a repeat is the same"
            );
        }
    }
    let ids: BTreeSet<&str> = told.values().map(|requests| requests[0].header("loop-event-id")).collect();
    assert_eq!(ids.len(), told.len(), "no two events share an id");
    assert!(known.len() >= 40, "the test wrote enough: {}", known.len());
    let failed = owner.get("/api/v1/webhook-deliveries/?status__in=failed,cancelled").await.expect_status(200);
    assert_eq!(failed.at("/count"), 0);
    server.terminate();
    assert!(server.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_answered_is_delivered_through_kill_9() {
    killed_while_delivering(&Program::fresh().with("LOOP_EGRESS_ALLOW", "127.0.0.1"), json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_endpoint_is_told_first_of_what_came_first_through_kill_9() {
    let program = Program::fresh().with("LOOP_EGRESS_ALLOW", "127.0.0.1");
    let receiver = Receiver::start().await;
    let server = program.serve();
    let person = json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo Company"});
    server.client().post("/api/v1/auth/register/").json(&person).await.expect_status(201);
    let owner = sign_in(&server).await;
    let body = json!({"url": receiver.url, "events": ["booking.appointments.created"], "ordered": true});
    owner.post(ENDPOINTS).json(&body).await.expect_status(201);
    drop(server);
    let mut known = BTreeSet::new();
    for round in 0..4 {
        let server = program.serve();
        let owner = sign_in(&server).await;
        let writing = write(&owner, round);
        let goal = receiver.count() + 15;
        eventually("enough was delivered", async || receiver.count() >= goal).await;
        server.kill();
        known.extend(writing.await.expect("the writer ends"));
    }
    let _server = program.serve();
    eventually("all are told", async || known.iter().all(|title| by_title(receiver.received()).contains_key(title)))
        .await;
    // Each event's first telling comes in the log's order; what is told again after a crash goes back no further than what was not written.
    let (mut seen, mut firsts) = (BTreeSet::new(), Vec::new());
    for one in receiver.received() {
        if seen.insert(one.position()) {
            firsts.push(one.position());
        }
    }
    let mut sorted = firsts.clone();
    sorted.sort_unstable();
    assert_eq!(firsts, sorted);
}
