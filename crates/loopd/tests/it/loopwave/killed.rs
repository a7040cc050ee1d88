//! `kill -9` at every step of a message's way out and of a broadcast, and two nodes on one PostgreSQL: nothing is lost, and nobody gets
//! anything twice. What was really handed over is what the simulated telephones hold.

use std::time::{Duration, Instant};

use loopd_testkit::{Client, Database, Engine, json};
use serde_json::Value;

use crate::support::{Backdoor, Program, eventually};

const NUMBERS: &str = "/api/v1/loopwave/numbers/";
const BROADCASTS: &str = "/api/v1/loopwave/broadcasts/";
/// How often each person holds how many messages: the most that one of them holds of the same text, and all together.
const HELD: &str = "SELECT COALESCE(MAX(n), 0), COALESCE(SUM(n), 0), COUNT(*) FROM \
     (SELECT CAST(COUNT(*) AS BIGINT) AS n FROM wave_sandbox_messages GROUP BY jid, CAST(content AS TEXT)) AS held";

/// A linked number of the sandbox that sends as fast as it can, whatever the hour: its id.
async fn line(owner: &Client) -> String {
    let made = owner.post(NUMBERS).json(&json!({"label": "Sales", "engine": "sandbox"})).await.expect_status(201);
    let id = made.text_at("/id");
    owner.post(&format!("{NUMBERS}{id}/connect/")).await.expect_status(200);
    let scan = owner.post(&format!("{NUMBERS}{id}/sandbox/scan/")).json(&json!({"phone": "250788000001"})).await;
    scan.expect_status(200);
    let pacing = json!({
        "gap_min_seconds": 0, "gap_max_seconds": 0, "warm_up_start": 1_000, "daily_cap": 1_000, "quiet_from_hour": 0, "quiet_to_hour": 0,
    });
    owner.patch("/api/v1/loopwave/preferences/").json(&json!({"pacing": pacing})).await.expect_status(200);
    id
}

/// Starts a broadcast to so many people.
async fn broadcast(owner: &Client, name: &str, people: usize) -> String {
    let recipients: Vec<Value> = (1..=people).map(|n| json!({"chat_id": format!("25078812{n:04}")})).collect();
    let body = json!({"name": name, "message": format!("{name} for you"), "recipients": recipients});
    let id = owner.post(BROADCASTS).json(&body).await.expect_status(201).text_at("/id");
    owner.post(&format!("{BROADCASTS}{id}/start/")).await.expect_status(200);
    id
}

async fn is_done(client: &Client, id: &str) -> bool {
    client.get(&format!("{BROADCASTS}{id}/")).await.expect_status(200).at("/status") == "completed"
}

/// Most of the same to one person, messages in all, and people with their texts.
async fn held(db: &Backdoor) -> (i64, i64, i64) {
    let as_numbers = |row: &loopd_store::Row<'_>| Ok((row.i64(0)?, row.i64(1)?, row.i64(2)?));
    db.rows(HELD, as_numbers).await[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_once_at_whatever_step_the_server_dies() {
    for (program, database) in Program::on_every_engine().await {
        let server = program.serve();
        let owner = server.owner().await;
        line(&owner).await;
        server.kill();
        let db = Backdoor::to(&database).await;
        let mut program = program;
        for (count, step) in (1..).zip(["handing", "handed"]) {
            program = program.with("LOOPD_FAILPOINT", step);
            let server = program.serve();
            let owner = server.owner_again().await;
            // It may die before it answers: then the caller asks again, under the same key.
            let ask = |owner: Client| async move {
                let body = json!({"to": "250788123456", "text": step});
                owner.post("/api/v1/loopwave/chats/").header("idempotency-key", step).json(&body).await.status
            };
            let asked = tokio::spawn(ask(owner.clone()));
            assert!(!server.ended().success(), "{step}");
            let _ = asked.await;
            program = program.with("LOOPD_FAILPOINT", "");
            let server = program.serve();
            let owner = server.owner_again().await;
            assert_eq!(ask(owner.clone()).await, 201, "{step}");
            let chat = owner.get("/api/v1/loopwave/chats/").await.expect_status(200).text_at("/results/0/id");
            let thread = format!("/api/v1/loopwave/chats/{chat}/messages/");
            eventually("it is delivered", async || {
                let newest = owner.get(&thread).await.expect_status(200).json()["results"][0].clone();
                newest["text"] == step && ["delivered", "read"].contains(&newest["status"].as_str().unwrap_or_default())
            })
            .await;
            assert_eq!(held(&db).await, (1, count, count), "{step}");
            assert_eq!(db.numbers("SELECT COUNT(*) FROM wave_outgoing").await, [0], "{step}");
            server.kill();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_goes_on_at_whatever_step_the_server_dies() {
    for (program, database) in Program::on_every_engine().await {
        let server = program.serve();
        line(&server.owner().await).await;
        server.kill();
        let db = Backdoor::to(&database).await;
        let mut program = program;
        for (round, step) in (1..).zip(["turned", "handing", "handed"]) {
            program = program.with("LOOPD_FAILPOINT", step);
            let server = program.serve();
            let owner = server.owner_again().await;
            let made = tokio::spawn(async move { broadcast(&owner, step, 3).await });
            assert!(!server.ended().success(), "{step}");
            // The broadcast is older than its first step: it was answered, or its answer was lost.
            let _ = made.await;
            program = program.with("LOOPD_FAILPOINT", "");
            let server = program.serve();
            let owner = server.owner_again().await;
            let found = owner.get(&format!("{BROADCASTS}?name={step}")).await.expect_status(200);
            assert_eq!(found.at("/count"), json!(1), "{step}");
            let id = found.text_at("/results/0/id");
            eventually("it is completed", async || is_done(&owner, &id).await).await;
            let row = owner.get(&format!("{BROADCASTS}{id}/")).await;
            assert_eq!((row.at("/sent_count"), row.at("/failed_count")), (json!(3), json!(0)), "{step}");
            assert_eq!(held(&db).await, (1, 3 * round, 3 * round), "{step}");
            server.kill();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_a_broadcast_and_one_goes_on_when_the_other_is_killed() {
    const PEOPLE: usize = 24;
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url());
    let one = program.serve();
    let owner = one.owner().await;
    let line = line(&owner).await;
    let two = program.serve();
    let theirs = owner.at(&two.base);
    let db = Backdoor::to(&database).await;
    let id = broadcast(&owner, "News", PEOPLE).await;
    eventually("it is under way", async || held(&db).await.1 >= 6).await;
    one.kill();
    let died = Instant::now();
    let before = held(&db).await.1;
    eventually("the other goes on", async || held(&db).await.1 > before).await;
    assert!(died.elapsed() < Duration::from_secs(10), "it took {:?}", died.elapsed());
    eventually("it is completed", async || is_done(&theirs, &id).await).await;
    let people = i64::try_from(PEOPLE).expect("few");
    assert_eq!(held(&db).await, (1, people, people), "everybody, and nobody twice");
    let row = theirs.get(&format!("{BROADCASTS}{id}/")).await;
    assert_eq!(
        (row.at("/sent_count"), row.at("/failed_count"), row.at("/total")),
        (json!(people), json!(0), json!(people))
    );
    let number = theirs.get(&format!("{NUMBERS}{line}/")).await;
    assert_eq!(number.at("/sent_count"), json!(people), "each is counted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sleeps_over_its_lease_sends_nothing_twice() {
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url());
    let one = program.serve();
    let owner = one.owner().await;
    line(&owner).await;
    let two = program.serve();
    let theirs = owner.at(&two.base);
    let db = Backdoor::to(&database).await;
    let id = broadcast(&owner, "News", 20).await;
    eventually("it is under way", async || held(&db).await.1 >= 4).await;
    one.pause();
    let before = held(&db).await.1;
    eventually("the other goes on", async || held(&db).await.1 > before + 4).await;
    one.wake();
    eventually("it is completed", async || is_done(&theirs, &id).await).await;
    assert_eq!(held(&db).await, (1, 20, 20), "everybody, and nobody twice");
}
