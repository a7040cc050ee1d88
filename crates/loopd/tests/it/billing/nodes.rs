//! Units are given once and counted once: by two nodes that race for the last one, by servers that are killed, and where the answer to a
//! commit is lost.

use loopd_kernel::billing::usage;
use loopd_testkit::{Boot as _, Client, Database, Engine, assert_json, json};
use serde_json::Value;

use super::{APPOINTMENTS, PLANS, standard};
use crate::support::{Backdoor, Line, PASSWORD, Program, Served, World, eventually};

const USAGE: &str = "/api/v1/billing/usage/";
const LIMIT: usize = 5;

/// Sells Booking by the appointment, five a month, through the operator of an installation whose server runs.
async fn sell(server: &Served) {
    let client = server.client();
    let body = json!({"email": "root@example.com", "password": PASSWORD});
    let root =
        client.with_token(&client.post("/api/v1/auth/login/").json(&body).await.expect_status(200).text_at("/access"));
    let meter = json!({"code": "appointments", "product": "booking", "name": "Appointments",
        "kinds": ["booking.appointments.created"], "guards": ["booking.appointments.create"]});
    root.post("/api/v1/billing/meters/").json(&meter).await.expect_status(201);
    let mut plan = standard();
    plan["metered"] = json!([{"meter": "appointments", "included": LIMIT, "hard_limit": LIMIT}]);
    root.post(PLANS).json(&plan).await.expect_status(201);
}

/// Somebody with a company of their own that bought the plan.
async fn buyer(server: &Served, name: &str) -> Client {
    let body =
        json!({"email": format!("{name}@example.com"), "username": name, "password": PASSWORD, "company_name": name});
    let registered = server.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    let client =
        server.client().with_token(&registered.text_at("/access")).company(&registered.text_at("/company/code"));
    let found = client.get("/api/v1/product-subscriptions/?product=booking").await.text_at("/results/0/id");
    let activate = format!("/api/v1/product-subscriptions/{found}/activate/");
    client.post(&activate).json(&json!({"plan": "standard"})).await.expect_status(200);
    client
}

async fn book(client: &Client) -> loopd_testkit::Answer {
    client.post(APPOINTMENTS).json(&json!({"title": "x"})).await
}

/// What a meter has come to; none is nothing.
async fn counted(client: &Client, meter: &str) -> i64 {
    let found = client.get(&format!("{USAGE}?meter={meter}")).await.expect_status(200).json();
    found.pointer("/results/0/value").and_then(Value::as_i64).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_unit_is_given_once_by_two_nodes_that_race_for_it() {
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url());
    program.json(&["user", "create", "root@example.com", "--password", PASSWORD, "--superuser"]);
    let one = program.serve();
    sell(&one).await;
    let mut buyers = Vec::new();
    for name in ["anna", "ben", "carl", "dora", "eve"] {
        buyers.push(buyer(&one, name).await);
    }
    // It starts when all is bought, so that it goes by the limit from its first call on.
    let two = program.serve();
    for (used, ours) in buyers.iter().enumerate() {
        let theirs = ours.at(&two.base);
        // From none to all but one: the first of a month begin the sum, and race for that as well.
        for number in 0..used {
            book(if number % 2 == 0 { ours } else { &theirs }).await.expect_status(201);
        }
        let race = (0..8).map(|number| book(if number % 2 == 0 { ours } else { &theirs }));
        let answers = futures_util::future::join_all(race).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, LIMIT - used, "{used} were used before");
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            let refused = answer.expect_refusal(402, "usage_limit_reached");
            assert_json!(refused.json(), {"error": {"details": {"meter": "appointments", "limit": LIMIT, "used": LIMIT}}});
        }
        for node in [ours, &theirs] {
            assert_eq!(node.get(APPOINTMENTS).await.expect_status(200).at("/count"), LIMIT);
        }
        eventually("the log's count is the same", async || counted(&theirs, "appointments").await == 5).await;
    }
    for node in [one, two] {
        node.terminate();
        assert!(node.ended().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_once_by_servers_that_are_killed() {
    for (program, database) in Program::on_every_engine().await {
        let (mut server, booking) = (program.serve(), "api_calls.booking");
        let (mut owner, db) = (server.owner().await, Backdoor::to(&database).await);
        let call = async |owner: &Client, count: usize| {
            for _ in 0..count {
                owner.get(APPOINTMENTS).await.expect_status(200);
            }
        };
        // Written while the server lives and has nothing else to do: a killed one has lost what came since, and no more.
        call(&owner, 7).await;
        eventually("the calls are written", async || counted(&owner, booking).await == 7).await;

        // A batch cannot be written, because somebody holds what it adds to.
        let hold = db.hold("UPDATE usage_counters SET value = value WHERE meter = 'api_calls.booking'").await;
        call(&owner, 4).await;
        if database.engine() == Engine::Postgres {
            let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                         AND query LIKE '%usage_counters%'";
            eventually("the batch waits in its transaction", async || db.numbers(waits).await == [1]).await;
        }
        server.kill();
        drop(hold);
        server = program.serve();
        owner = server.owner_again().await;
        let kept = counted(&owner, booking).await;
        assert_eq!(kept, 7, "{:?}: it was not committed, so it is nowhere", database.engine());

        // The next server's batches begin anew, and are not taken for those of the one before.
        for more in 1..=2 {
            call(&owner, 3).await;
            eventually("the calls are written", async || counted(&owner, booking).await == kept + 3 * more).await;
        }
        // Killed in the moment in which they are: once, or lost as a whole.
        call(&owner, 5).await;
        server.kill();
        server = program.serve();
        owner = server.owner_again().await;
        let kept = counted(&owner, booking).await;
        assert!((13..=18).contains(&kept), "{kept}");
        call(&owner, 1).await;
        eventually("the last call is written", async || counted(&owner, booking).await == kept + 1).await;
        server.terminate();
        assert!(server.ended().success());
        // What all calls come to is the sum of what products' calls do, after whatever happened.
        let sums = "SELECT SUM(CASE WHEN meter = 'api_calls' THEN value ELSE -value END) FROM usage_counters \
                    WHERE meter = 'api_calls' OR meter LIKE 'api_calls.%'";
        assert_eq!(db.numbers(sums).await, [0]);
    }
}

/// On PostgreSQL, where an answer has a way to go; SQLite answers in the process.
#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_once_where_the_answer_to_a_commit_is_lost() {
    let Some(database) = Database::prepared::<World>(Engine::Postgres).await else { return };
    let (line, db) = (Line::to(database.url()).await, Backdoor::to(&database).await);
    let world = World::start(database, &[("LOOP_DATABASE_URL", &line.url)]).await;
    let owner = world.owner().await;
    let written = async || db.numbers("SELECT value FROM usage_counters WHERE meter = 'api_calls.booking'").await;
    line.lose_commits(true);
    for _ in 0..4 {
        owner.get(APPOINTMENTS).await.expect_status(200);
    }
    for _ in 0..3 {
        let unsure = world.kernel.flush_calls().await.expect_err("nobody heard that it was written");
        assert_eq!(unsure.status(), 503, "{unsure:?}");
        assert_eq!(written().await, [4], "it was, and is not written again");
    }
    assert!(line.lost() >= 3);
    // Called meanwhile: these wait for the batch before them.
    owner.get(APPOINTMENTS).await.expect_status(200);
    line.lose_commits(false);
    world.kernel.flush_calls().await.expect("written before");
    world.kernel.flush_calls().await.expect("written now");
    assert_eq!(written().await, [5]);
    usage::count_all(&world.kernel).await.expect("counted");
    assert_eq!(counted(&owner, "api_calls.booking").await, 5);
    world.close().await;
}
