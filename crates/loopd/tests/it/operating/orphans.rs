//! Jobs of a process that was killed: where nobody else can be at them they are done at once, and else when their leases have run out.

use loopd_store::Engine;

use crate::support::{Backdoor, Program, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_servers_jobs_are_done_at_the_next_start_where_no_other_can_hold_them() {
    for (program, database) in Program::on_every_engine().await {
        let (server, db) = (program.serve(), Backdoor::to(&database).await);
        let done = "SELECT COUNT(*) FROM jobs WHERE state = 'done' AND kind = 'audit-seals'";
        server.owner().await;
        // A job as a process leaves it that is killed at its work: with a lease that runs for a long time yet.
        db.run(
            "INSERT INTO jobs (id, kind, company_id, payload, state, run_at, created_at) \
                VALUES ('01890000-0000-7000-8000-000000000001', 'audit-seals', 0, '{}', 'queued', 0, 0)",
        )
        .await;
        eventually("the job is done", async || db.numbers(done).await != [0]).await;
        server.kill();
        db.run(
            "UPDATE jobs SET state = 'running', lease_owner = 'gone', lease_until = 9000000000000000 \
                WHERE id = '01890000-0000-7000-8000-000000000001'",
        )
        .await;
        let server = program.serve();
        let done = "SELECT COUNT(*) FROM jobs WHERE id = '01890000-0000-7000-8000-000000000001' AND state = 'done'";
        let held =
            "SELECT COUNT(*) FROM jobs WHERE id = '01890000-0000-7000-8000-000000000001' AND lease_owner = 'gone'";
        if database.engine() == Engine::Sqlite {
            eventually("it is done again", async || db.numbers(done).await == [1]).await;
        } else {
            server.owner_again().await;
            assert_eq!(db.numbers(held).await, [1], "another node may be at it");
        }
    }
}
