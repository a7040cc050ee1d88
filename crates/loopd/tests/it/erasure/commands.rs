//! `loopd user erase`, and a server that is killed in the middle of an erasure.

use loopd_testkit::{assert_json, json};

use crate::support::{Program, eventually};

fn people(program: &Program) {
    program.json(&["user", "create", "root@example.com", "--password", "strongpass123", "--superuser"]);
    program.json(&["user", "create", "mia@example.com", "--password", "strongpass123"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_asks_before_it_erases_and_says_what_it_did() {
    for (program, _database) in Program::on_every_engine().await {
        people(&program);
        assert!(program.refused(&["user", "erase", "nobody@example.com", "--yes"]).contains("nobody@example.com"));
        let wrong = program.run_with(&["user", "erase", "mia@example.com"], "no\n");
        assert!(!wrong.status.success(), "{}", String::from_utf8_lossy(&wrong.stdout));
        assert!(program.refused(&["user", "erase", "root@example.com", "--yes"]).contains("superuser"));
        let report = program.json(&["user", "erase", "MIA@example.com", "--yes"]);
        assert_json!(report, {"kind": "account", "asked_through": "command line", "asked_by": null});
        assert!(!report.to_string().contains("mia"), "{report}");
        assert!(program.refused(&["user", "erase", "mia@example.com", "--yes"]).contains("no user"));
        program.json(&["audit", "verify"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_was_cut_short_by_a_kill_is_finished_by_the_next_start() {
    for (program, _database) in Program::on_every_engine().await {
        people(&program);
        let server = program.serve();
        let login = json!({"email": "root@example.com", "password": "strongpass123"});
        let root = server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200);
        let root = server.client().with_token(&root.text_at("/access"));
        let found = root.get("/api/v1/users/").query("email", "mia@example.com").await.expect_status(200);
        let path = format!("/api/v1/users/{}/erase/", found.text_at("/results/0/id"));
        let begun = root.post(&path).json(&json!({"email": "mia@example.com"})).await.expect_status(202);
        let id = begun.text_at("/id");
        assert_eq!(begun.at("/state"), json!("running"));
        server.kill();
        let server = program.serve();
        let root = server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200);
        let root = server.client().with_token(&root.text_at("/access"));
        // A lease of the killed process may have to run out only where it had begun: the letter's and the erasure's job are both young.
        let path = format!("/api/v1/erasures/{id}/");
        eventually("the erasure is finished", async || root.get(&path).await.at("/state") == "done").await;
        let left = root.get("/api/v1/mail-messages/").query("search", "mia").await.expect_status(200);
        assert_eq!(left.at("/count"), json!(0), "{}", left.text());
    }
}
