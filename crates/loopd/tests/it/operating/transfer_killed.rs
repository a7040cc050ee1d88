//! `kill -9` of the node that makes an archive, while another lives on the same PostgreSQL: the other one makes it, whole.

use loopd_testkit::{Client, Database, Engine, assert_json, json};
use loopd_types::sha256_hex;
use serde_json::Value;

use super::transfer::{members, path};
use super::transfer_files::stored;
use crate::files::shelve;
use crate::support::{Backdoor, Program, eventually};

const EXPORTS: &str = "/api/v1/company-exports/";

async fn row(owner: &Client, id: &str) -> Value {
    owner.get(&format!("{EXPORTS}{id}/")).await.expect_status(200).json()
}

/// Nothing that gets smaller, and so much of it that an archive takes its time.
pub(super) fn noise() -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..16_000_000).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_node_makes_the_archive_of_one_that_is_killed() {
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url());
    let (mut one, db, noise) = (program.serve(), Backdoor::to(&database).await, noise());
    let mut owner = one.owner().await;
    shelve(&owner, "noise.bin", &noise).await;
    for at_its_end in [false, true] {
        // The second node sleeps until the first has begun.
        let two = program.serve();
        let theirs = owner.at(&two.base);
        two.pause();
        let id = owner.post(EXPORTS).await.expect_status(202).text_at("/id");
        let states = "SELECT COUNT(*) FROM company_exports WHERE state = 'running'";
        eventually("the first node makes the archive", async || db.numbers(states).await == [1]).await;
        if at_its_end {
            // The archive is written, and its row cannot say so: somebody holds what its event is numbered by.
            let hold = db.hold("UPDATE counters SET value = value WHERE company_id = 1 AND name = 'events'").await;
            let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                         AND query LIKE '%counters%'";
            eventually("the first node waits with the archive", async || db.numbers(waits).await == [1]).await;
            one.kill();
            drop(hold);
        } else {
            one.kill();
        }
        two.wake();
        assert_json!(row(&theirs, &id).await, {"state": "running", "size_bytes": null});
        db.run("UPDATE jobs SET lease_until = 0 WHERE state = 'running' AND kind = 'companies.export'").await;
        eventually("the other node has made it", async || row(&theirs, &id).await["state"] == "ready").await;
        let ready = row(&theirs, &id).await;
        let archive = theirs.get(&format!("{EXPORTS}{id}/content/")).await.expect_status(200).body;
        assert_eq!(
            (json!(archive.len()), json!(sha256_hex(&archive))),
            (ready["size_bytes"].clone(), ready["sha256"].clone())
        );
        let file = program.folder().join(format!("{id}.tar.gz"));
        std::fs::write(&file, &archive).expect("a file can be written");
        assert_json!(program.json(&["import", "--check", path(&file)]), {"whole": true, "company": {"code": "001"}});
        let content = format!("files/{}", sha256_hex(&noise));
        assert!(members(&file).iter().any(|(name, bytes)| *name == content && *bytes == noise));
        assert_eq!(db.numbers("SELECT attempt FROM company_exports ORDER BY id DESC LIMIT 1").await, [2]);
        one = two;
        owner = theirs;
    }
    // What the killed ones had written is known for the sweep, which removes it when no upload can be under way so long any more.
    let left = "SELECT COUNT(*) FROM file_blobs WHERE state = 'writing'";
    assert_eq!(db.numbers(left).await, [2]);
    db.run("UPDATE file_blobs SET due_at = 0 WHERE state = 'writing'").await;
    // Nor does anybody read all of the company's files any more.
    db.run("UPDATE file_accounts SET held_until = 0").await;
    assert!(stored(&program).len() >= 3, "the file and two archives at least");
    one.terminate();
    assert!(one.ended().success());
    let again = program.serve();
    eventually("only what has a row is left", async || stored(&program).len() == 3 && db.numbers(left).await == [0])
        .await;
    again.terminate();
    assert!(again.ended().success());
}
