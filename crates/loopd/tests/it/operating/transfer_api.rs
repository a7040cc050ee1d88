//! A company arrives over the API: `/company-imports/`, for the operator.

use std::path::Path;
use std::time::Duration;

use loopd_testkit::{Client, Engine, assert_json, json};
use serde_json::Value;

use super::transfer::{assert_same, export, large, members, pack, register, two_companies};
use super::transfer_files::stored;
use super::transfer_killed::noise;
use crate::files::shelve;
use crate::support::{Backdoor, PASSWORD, Program, Served, eventually};

const IMPORTS: &str = "/api/v1/company-imports/";
const UPLOADS: &str = "/api/v1/files/uploads/";

/// An installation with an operator, who acts in company 001 of somebody else.
async fn installation(program: &Program) -> (Served, Client) {
    program.json(&["user", "create", "root@example.com", "--password", PASSWORD, "--superuser"]);
    let server = program.serve();
    register(&server, "first").await;
    let root = operator(&server).await;
    (server, root)
}

async fn operator(server: &Served) -> Client {
    let login = json!({"email": "root@example.com", "password": PASSWORD});
    let signed_in = server.client().post("/api/v1/auth/login/").json(&login).await.expect_status(200);
    server.client().with_token(&signed_in.text_at("/access")).company("001")
}

/// Puts an archive on the shelf in pieces; gives its id.
async fn upload(root: &Client, archive: &[u8]) -> String {
    let begun = root.post(UPLOADS).header("tus-resumable", "1.0.0").header("upload-length", &archive.len().to_string());
    let begun = begun.await.expect_status(201);
    let place = begun.header("location").expect("where it goes on").replace(&root.base(), "");
    let mut offset = 0;
    for piece in archive.chunks(archive.len() / 2 + 1) {
        let sent = root.patch(&place).header("tus-resumable", "1.0.0").header("upload-offset", &offset.to_string());
        sent.body("application/offset+octet-stream", piece.to_vec()).await.expect_status(204);
        offset += piece.len();
    }
    place.trim_end_matches('/').rsplit('/').next().expect("an id").to_owned()
}

async fn row(root: &Client, id: &str) -> Value {
    root.get(&format!("{IMPORTS}{id}/")).await.expect_status(200).json()
}

/// Waits until an import is no longer under way, and gives its row.
async fn ended(root: &Client, id: &str) -> Value {
    let mut found = Value::Null;
    eventually("the import has ended", async || {
        found = row(root, id).await;
        found["state"] != "queued" && found["state"] != "running"
    })
    .await;
    found
}

async fn ask(root: &Client, file: &str, dry_run: bool) -> String {
    let asked = root.post(IMPORTS).json(&json!({"file": file, "dry_run": dry_run})).await.expect_status(202);
    let id = asked.text_at("/id");
    assert_eq!(asked.header("location"), Some(&*format!("{IMPORTS}{id}/")));
    id
}

async fn companies(root: &Client) -> Value {
    root.without("x-company-id").get("/api/v1/companies/").await.expect_status(200).at("/count")
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).expect("an archive can be read")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_tries_an_archive_and_brings_it_in() {
    let home = Program::fresh();
    two_companies(&home).await;
    let archive = export(&home, "001", "out.tar.gz");
    for (program, database) in Program::on_every_engine().await {
        let ((server, root), db) = (installation(&program).await, Backdoor::to(&database).await);
        // Known by the address that the archive's owner has, and has proved to read it.
        let owner = register(&server, "owner").await;
        db.run("UPDATE users SET email_verified_at = joined_at WHERE email = 'owner@example.com'").await;
        let file = upload(&root, &read(&archive)).await;

        let tried = ended(&root, &ask(&root, &file, true).await).await;
        assert_json!(tried, {"state": "finished", "dry_run": true, "company": "003", "code_before": "001", "name": "owner Ltd",
            "people_known": 1, "people_made": 1, "error_code": null, "file_company": "001"});
        assert_eq!((companies(&root).await, stored(&program).len()), (json!(2), 1), "nothing came");
        assert_eq!(db.numbers("SELECT COUNT(*) FROM users WHERE email = 'ours@example.com'").await, [0]);
        assert_eq!(db.numbers("SELECT COUNT(*) FROM file_blobs").await, [0]);

        let id = ask(&root, &file, false).await;
        let came = ended(&root, &id).await;
        assert_json!(came, {"state": "finished", "dry_run": false, "company": "003", "people_known": 1, "people_made": 1, "phase": ""});
        assert!(came["rows_done"].as_i64() > Some(100) && came["rows_done"] == came["rows_total"], "{came}");
        assert_eq!(came["rows_done"], tried["rows_done"]);
        // Whose company it was is its owner here at once, with the same account.
        let theirs = owner.company("003");
        let found = theirs.get("/api/v1/files/?name=large.bin").await.expect_status(200);
        let content = format!("/api/v1/files/{}/content/", found.text_at("/results/0/id"));
        assert!(theirs.get(&content).await.expect_status(200).body == large("ours"));
        let first = server
            .client()
            .post("/api/v1/auth/login/")
            .json(&json!({"email": "first@example.com", "password": PASSWORD}));
        let first = server.client().with_token(&first.await.expect_status(200).text_at("/access"));
        first.company("003").get("/api/v1/files/").await.expect_refusal(403, "company_access_denied");

        let again = ended(&root, &ask(&root, &file, false).await).await;
        assert_json!(again, {"state": "failed", "error_code": "company_exists", "error_message": "This company is here already, as 003."});
        root.post(&format!("{IMPORTS}{id}/cancel/")).await.expect_refusal(409, "invalid_transition");
        let log = root.without("x-company-id").get("/api/v1/audit-logs/?resource=company-imports&ordering=at").await;
        let log = log.expect_status(200).json();
        let acts: Vec<&str> =
            log["results"].as_array().unwrap().iter().filter_map(|act| act["action"].as_str()).collect();
        assert_eq!(acts, ["create", "finish", "create", "finish", "create", "fail"]);
        for door in [
            owner.get(IMPORTS),
            owner.get(&format!("{IMPORTS}{id}/")),
            owner.post(IMPORTS).json(&json!({"file": file})),
            owner.post(&format!("{IMPORTS}{id}/cancel/")),
        ] {
            door.await.expect_refusal(403, "permission_denied");
        }
        server.terminate();
        assert!(server.ended().success());
        assert_eq!(db.numbers("SELECT COUNT(*) FROM file_blobs").await, [0]);

        // It left home as it arrives there again, by the number that it had.
        let back = export(&program, "003", "back.tar.gz");
        let third = Program::fresh();
        third.json(&["import", back.to_str().expect("a path")]);
        assert!(members(&back).iter().any(|(name, _)| name == "tables/booking_customers.ndjson"));
        let there = export(&third, "003", "there.tar.gz");
        assert_same(&back, &there);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_come_says_why_and_leaves_nothing() {
    let home = Program::fresh();
    let server = home.serve();
    let owner = register(&server, "owner").await;
    let site = json!({"name": "Ours", "domain": "www.example.rw"});
    owner.post("/api/v1/cms/sites/").json(&site).await.expect_status(201);
    shelve(&owner, "a.txt", b"hello").await;
    drop(server);
    let archive = export(&home, "001", "out.tar.gz");
    let mut altered = members(&archive);
    let place = altered.iter().position(|(name, _)| name.starts_with("files/")).expect("a content");
    altered[place].1 = b"olleh".to_vec();
    let forged = home.folder().join("forged.tar.gz");
    pack(&forged, &altered);
    let whole = read(&archive);
    for (program, database) in Program::on_every_engine().await {
        let ((server, root), db) = (installation(&program).await, Backdoor::to(&database).await);
        let cases = [
            ("cut.tar.gz", whole[..whole.len() / 2].to_vec(), "cannot be imported"),
            ("words.tar.gz", b"no archive".to_vec(), "it is damaged or no archive at all"),
            ("forged.tar.gz", read(&forged), "was altered after the export"),
        ];
        for (name, content, words) in cases {
            let file = shelve(&root, name, &content).await["id"].as_str().expect("an id").to_owned();
            for dry_run in [true, false] {
                let failed = ended(&root, &ask(&root, &file, dry_run).await).await;
                assert_json!(failed, {"state": "failed", "error_code": "archive_invalid", "company": null});
                assert!(failed["error_message"].as_str().unwrap().contains(words), "{name}: {failed}");
            }
        }
        // What another company has already, and may be there once.
        root.post("/api/v1/cms/sites/").json(&site).await.expect_status(201);
        let file = shelve(&root, "out.tar.gz", &whole).await["id"].as_str().expect("an id").to_owned();
        for dry_run in [true, false] {
            let failed = ended(&root, &ask(&root, &file, dry_run).await).await;
            assert_json!(failed, {"state": "failed", "error_code": "archive_conflict"});
            assert!(failed["error_message"].as_str().unwrap().contains("domain"), "{failed}");
        }
        assert_eq!(companies(&root).await, 1);
        assert_eq!(stored(&program).len(), 4, "the archives alone");
        assert_eq!(db.numbers("SELECT COUNT(*) FROM file_blobs").await, [0]);

        root.post(IMPORTS).json(&json!({})).await.expect_field("file", "required");
        root.post(IMPORTS).json(&json!({"file": "x"})).await.expect_field("file", "invalid");
        let nobody = json!({"file": "019eeec5-c900-7033-a82a-970c29d39031"});
        root.post(IMPORTS).json(&nobody).await.expect_field("file", "does_not_exist");
        // One at a time; one that nobody works at can be cancelled.
        let last = "UPDATE company_imports SET state = 'running' WHERE id = (SELECT id FROM company_imports ORDER BY id DESC LIMIT 1)";
        db.run(last).await;
        let refused = root.post(IMPORTS).json(&json!({"file": file})).await.expect_refusal(409, "import_under_way");
        let id = refused.text_at("/error/details/import");
        let cancelled = root.post(&format!("{IMPORTS}{id}/cancel/")).await.expect_status(200);
        assert_json!(cancelled.json(), {"state": "cancelled"});
        // A file that is gone when its turn comes, and a person who is no operator any more.
        root.delete(&format!("/api/v1/files/{file}/")).await.expect_status(204);
        root.post(IMPORTS).json(&json!({"file": file})).await.expect_field("file", "does_not_exist");
        let turn = "UPDATE jobs SET state = 'queued', run_at = 0, attempts = 0 WHERE kind = 'companies.import'";
        db.run(last).await;
        db.run(turn).await;
        assert_json!(ended(&root, &id).await, {"state": "failed", "error_code": "file_gone"});
        db.run("UPDATE users SET is_superuser = FALSE WHERE email = 'root@example.com'").await;
        db.run(last).await;
        db.run(turn).await;
        let why = "SELECT error_code FROM company_imports ORDER BY id DESC LIMIT 1";
        eventually("it is refused", async || {
            db.rows(why, |row| Ok(row.text(0)?.to_owned())).await == ["permission_denied"]
        })
        .await;
        assert_eq!(db.numbers("SELECT COUNT(*) FROM companies").await, [1]);
        server.terminate();
        assert!(server.ended().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_is_done_once_and_one_that_is_cancelled_not_at_all() {
    let home = Program::fresh();
    let (server, noise) = (home.serve(), noise());
    shelve(&register(&server, "owner").await, "noise.bin", &noise).await;
    drop(server);
    let archive = read(&export(&home, "001", "out.tar.gz"));
    for (program, database) in Program::on_every_engine().await {
        let ((mut server, mut root), db) = (installation(&program).await, Backdoor::to(&database).await);
        let file = upload(&root, &archive).await;
        let running = async |root: &Client, id: &str| {
            eventually("it is being done", async || row(root, id).await["state"] == "running").await;
        };
        let id = ask(&root, &file, false).await;
        running(&root, &id).await;
        assert_json!(root.post(&format!("{IMPORTS}{id}/cancel/")).await.expect_status(200).json(), {"state": "cancelled"});
        eventually("nothing of it is left", async || {
            stored(&program).len() == 1 && db.numbers("SELECT COUNT(*) FROM file_blobs").await == [0]
        })
        .await;
        assert_json!(row(&root, &id).await, {"state": "cancelled", "company": null});

        // Killed while it is being done, and on PostgreSQL once more where all is there but the commit. One that was over before it could
        // be stopped has come, and another is asked for.
        let mut came_before = 0;
        let id = loop {
            let id = ask(&root, &file, false).await;
            while db.numbers("SELECT COUNT(*) FROM company_imports WHERE state = 'queued'").await == [1] {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.pause();
            if db.numbers("SELECT COUNT(*) FROM company_imports WHERE state = 'running'").await == [1] {
                break id;
            }
            server.wake();
            ended(&root, &id).await;
            came_before += 1;
            assert!(came_before < 10, "it is always over before it can be stopped");
        };
        let mut kills = 1;
        server.kill();
        if database.engine() == Engine::Postgres {
            db.run("UPDATE jobs SET lease_until = 0 WHERE state = 'running'").await;
            (server, kills) = (program.serve(), 2);
            let attempt = "SELECT attempt FROM company_imports WHERE state = 'running'";
            eventually("it is done again", async || db.numbers(attempt).await == [2]).await;
            let hold = db.hold("UPDATE company_imports SET attempt = attempt WHERE state = 'running'").await;
            let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                         AND query LIKE '%company_imports SET state = ''finished''%'";
            eventually("it is all there, and waits", async || db.numbers(waits).await == [1]).await;
            server.kill();
            drop(hold);
        }
        assert_eq!(db.numbers("SELECT COUNT(*) FROM companies").await, [1 + came_before], "nothing of it is there");
        if database.engine() == Engine::Postgres {
            db.run("UPDATE jobs SET lease_until = 0 WHERE state = 'running'").await;
        }
        server = program.serve();
        root = operator(&server).await;
        let came = ended(&root, &id).await;
        assert_json!(came, {"state": "finished", "code_before": "001", "bytes_done": noise.len()});
        // The number that a killed one had kept may be left out.
        let theirs = root.company(came["company"].as_str().expect("a code"));
        assert_eq!(db.numbers("SELECT attempt FROM company_imports ORDER BY id DESC LIMIT 1").await, [kills + 1]);
        assert_eq!(companies(&root).await, 2 + came_before);
        let found = theirs.get("/api/v1/files/?name=noise.bin").await.expect_status(200);
        assert_json!(found.json(), {"count": 1, "results": [{"size_bytes": noise.len()}]});
        let content = format!("/api/v1/files/{}/content/", found.text_at("/results/0/id"));
        assert!(theirs.get(&content).await.expect_status(200).body == noise);
        // What the killed ones had written is in the ledger, for the sweep of the day after.
        server.kill();
        db.run("UPDATE file_blobs SET due_at = 0").await;
        server = program.serve();
        eventually("only what has a row is left", async || {
            stored(&program).len() as i64 == 2 + came_before
                && db.numbers("SELECT COUNT(*) FROM file_blobs").await == [0]
        })
        .await;
        server.terminate();
        assert!(server.ended().success());
    }
}
