//! Files of records, as the server holds them while they come: on the disk, without a name.

use std::io::Write as _;
use std::net::TcpStream;

use loopd_testkit::{Engine, assert_json, json};

use crate::support::{Program, Served, eventually};

const IMPORT: &str = "/api/v1/booking/customers/import/";

/// As much text as makes a row of a few kilobytes.
fn words() -> String {
    "some words of a note ".repeat(190)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_in_memory_nowhere() {
    const ROWS: usize = 22_000;
    let words = words();
    let mut csv = "external_id,name,description\n".to_owned();
    let mut rows = String::new();
    for number in 0..ROWS {
        csv.push_str(&format!("a-{number},Customer {number},{words}\n"));
        let comma = if number == 0 { "" } else { "," };
        rows.push_str(&format!(r#"{comma}{{"external_id":"b-{number}","name":"B","description":"{words}"}}"#));
    }
    let body = format!(r#"{{"rows":[{rows}]}}"#);
    assert!(csv.len() > 85_000_000 && body.len() > 85_000_000);
    for (program, database) in Program::on_every_engine().await {
        // What SQLite's writer keeps of pages that it read or wrote, in MiB.
        let cache = if database.engine() == Engine::Sqlite { 64 } else { 0 };
        let server = program.serve();
        let owner = server.owner().await;
        // What every import needs once.
        owner.post(IMPORT).body("text/csv", "name\nAda\n").await.expect_status(200);
        let before = server.resident();
        for (kind, content) in [("text/csv", &csv), ("application/json", &body)] {
            let answer = owner.post(IMPORT).query("dry_run", "true").body(kind, content.clone()).await;
            assert_json!(answer.expect_status(202).json(), {"state": "queued", "total": ROWS});
            let grown = server.most_resident().saturating_sub(before) >> 20;
            assert!(grown < 36 + cache, "{} MB of {kind} cost {grown} MiB of memory", content.len() / 1_000_000);
        }
        eventually("nothing is left of them", async || server.nameless_files() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_off_leaves_nothing_behind() {
    for (program, _database) in Program::on_every_engine().await {
        let folder = program.folder().join("temporary");
        std::fs::create_dir(&folder).expect("a folder can be made");
        let program = program.with("TMPDIR", folder.to_str().expect("a path in letters"));
        let server = program.serve();
        let owner = server.owner().await;
        assert_eq!(server.nameless_files(), 0);
        for (kind, begun) in [("text/csv", "name\n"), ("application/json", "{\"rows\": [{\"name\": \"")] {
            let mut line = begin(&server, owner.token(), kind);
            line.write_all(begun.as_bytes()).expect("the server reads");
            line.write_all("Ada\n".repeat(500_000).as_bytes()).expect("the server reads");
            eventually("some of it is on the disk", async || server.nameless_files() == 1).await;
            drop(line);
            eventually("it is gone", async || server.nameless_files() == 0).await;
        }
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
        assert_json!(owner.get("/api/v1/imports/").await.expect_status(200).json(), {"count": 0});
        assert_json!(owner.get("/api/v1/booking/customers/").await.expect_status(200).json(), {"count": 0});
    }
}

/// A request whose body of 50 MB is still to come.
fn begin(server: &Served, token: &str, kind: &str) -> TcpStream {
    let address = server.base.trim_start_matches("http://");
    let mut line = TcpStream::connect(address).expect("the server listens");
    write!(
        line,
        "POST {IMPORT} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nx-company-id: 001\r\n\
         content-type: {kind}\r\ncontent-length: 50000000\r\n\r\n"
    )
    .expect("the server reads");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_keeps_nothing_of_a_file_and_says_so() {
    let program = Program::fresh();
    let server = program.serve_on_a_small_disk();
    let owner = server.owner().await;
    let csv = format!("name\n{}", "Ada\n".repeat(90_000));
    server.let_files_grow(Some(100_000));
    let refused = owner.post(IMPORT).body("text/csv", csv.clone()).await;
    refused.expect_refusal(507, "storage_full");
    server.let_files_grow(None);
    eventually("nothing is left of it", async || server.nameless_files() == 0).await;
    let answer = owner.post(IMPORT).body("text/csv", csv).await.expect_status(202);
    assert_json!(answer.json(), {"total": 90_000});
    assert_json!(owner.get("/api/v1/imports/").await.expect_status(200).json(), json!({"count": 1}));
}
