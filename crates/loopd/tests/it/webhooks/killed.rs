//! `kill -9` at every step of a delivery, on both engines: nothing is lost, and what is repeated is the same.
//!
//! The process is held at a step by its database, through a connection of the test's own, or by the receiver; then it is killed.

use std::sync::mpsc;

use loopd_testkit::json;

use super::{DELIVERIES, appointment, endpoint};
use crate::support::{Backdoor, Program, Reaction, Received, Receiver, eventually};

impl Backdoor {
    /// A killed node's leases run out.
    pub async fn leases_run_out(&self) {
        self.run("UPDATE webhook_lanes SET lease_until = 0 WHERE lease_until IS NOT NULL").await;
    }

    /// Until every event has become deliveries, and nobody works a lane.
    pub async fn rests(&self) {
        let sql = "SELECT COUNT(*) FROM event_logs l JOIN counters c ON c.company_id = l.company_id AND c.name = 'events' \
                   WHERE l.handed_to < c.value OR EXISTS (SELECT 1 FROM webhook_lanes WHERE lease_owner IS NOT NULL)";
        eventually("all is handed over and delivered", async || self.numbers(sql).await == [0]).await;
    }

    /// Locks what an outcome is written to until the answer is dropped; on SQLite that is everything.
    async fn hold_outcomes(&self) -> mpsc::Sender<()> {
        self.hold("UPDATE webhook_deliveries SET attempts = attempts WHERE status = 'pending'").await
    }
}

fn titled(received: &[Received], title: &str) -> Vec<(String, String, String)> {
    let of = received.iter().filter(|one| one.json()["data"]["title"] == title);
    let known = |one: &Received| {
        (one.header("loop-event-id").to_owned(), one.header("loop-delivery-id").to_owned(), one.body.clone())
    };
    of.map(known).collect()
}

/// So many requests came for this event, all of them the same.
fn came(received: &[Received], title: &str, times: usize) {
    let found = titled(received, title);
    assert_eq!(found.len(), times, "{title}: {found:?}");
    assert!(found.iter().all(|one| *one == found[0]), "{title}: a repeat is the same: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_at_whatever_step_is_delivered() {
    for (program, database) in Program::on_every_engine().await {
        let program = program.with("LOOP_EGRESS_ALLOW", "127.0.0.1");
        let (receiver, mut server) = (Receiver::start().await, program.serve());
        let mut owner = server.owner().await;
        let db = Backdoor::to(&database).await;
        endpoint(&owner, &receiver, json!({"concurrency": 1})).await;

        // The event is committed, and not handed over: the log's reader is made to believe that it is ahead.
        db.rests().await;
        db.run("UPDATE event_logs SET handed_to = handed_to + 1000").await;
        appointment(&owner, "committed").await;
        server.kill();
        assert_eq!(db.numbers("SELECT COUNT(*) FROM webhook_deliveries").await, [0]);
        db.run("UPDATE event_logs SET handed_to = handed_to - 1000").await;
        server = program.serve();
        came(&receiver.wait(1).await, "committed", 1);

        // Its delivery is made, and not attempted: somebody else seems to work the lane.
        owner = server.owner_again().await;
        db.rests().await;
        db.run("UPDATE webhook_lanes SET lease_owner = 'another', lease_until = 9000000000000000").await;
        appointment(&owner, "made").await;
        let pending = "SELECT COUNT(*) FROM webhook_deliveries WHERE status = 'pending'";
        eventually("the delivery is made", async || db.numbers(pending).await == [1]).await;
        server.kill();
        assert_eq!(receiver.count(), 1);
        db.leases_run_out().await;
        server = program.serve();
        came(&receiver.wait(2).await, "made", 1);

        // It is attempted, and not answered.
        owner = server.owner_again().await;
        receiver.react([Reaction::Wait]);
        appointment(&owner, "attempted").await;
        receiver.wait(3).await;
        server.kill();
        db.leases_run_out().await;
        server = program.serve();
        came(&receiver.wait(4).await, "attempted", 2);

        // It is answered, and the answer not written: one at a time are sent, so the next one shows that the answer has come.
        owner = server.owner_again().await;
        db.rests().await;
        receiver.react([Reaction::Wait, Reaction::Wait]);
        appointment(&owner, "answered").await;
        appointment(&owner, "next").await;
        receiver.wait(5).await;
        eventually("both deliveries are made", async || db.numbers(pending).await == [2]).await;
        let hold = db.hold_outcomes().await;
        receiver.go_on();
        receiver.wait(6).await;
        server.kill();
        drop(hold);
        assert_eq!(db.numbers(pending).await, [2], "no answer was written");
        db.leases_run_out().await;
        server = program.serve();
        let received = receiver.wait(8).await;
        came(&received, "answered", 2);
        came(&received, "next", 2);

        // It is written: nothing is sent again.
        owner = server.owner_again().await;
        appointment(&owner, "written").await;
        receiver.wait(9).await;
        eventually("it is written", async || db.numbers(pending).await == [0]).await;
        server.kill();
        db.leases_run_out().await;
        server = program.serve();
        owner = server.owner_again().await;
        appointment(&owner, "last").await;
        let received = receiver.wait(10).await;
        came(&received, "written", 1);
        came(&received, "last", 1);
        eventually("all are told", async || {
            owner.get(&format!("{DELIVERIES}?status=succeeded")).await.expect_status(200).at("/count") == 7
        })
        .await;
        assert_eq!(receiver.count(), 10);
        assert_eq!(db.numbers("SELECT attempts FROM webhook_deliveries WHERE attempts <> 1").await, [0; 0]);
        server.terminate();
        assert!(server.ended().success());
    }
}
