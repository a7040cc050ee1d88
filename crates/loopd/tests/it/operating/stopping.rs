//! Starting, being ready, and stopping: politely, at once, and never not at all.

use std::time::{Duration, Instant};

use loopd_testkit::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Program, Served, eventually};

async fn connect(server: &Served) -> TcpStream {
    TcpStream::connect(server.base.trim_start_matches("http://")).await.expect("the server listens")
}

/// A request whose body never comes: it runs until its body's time is over.
async fn hang(server: &Served) -> TcpStream {
    let mut stream = connect(server).await;
    let head =
        "POST /api/v1/auth/login/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_says_what_it_looked_at_and_live_says_only_that_it_lives() {
    for (program, _database) in Program::on_every_engine().await {
        let server = program.serve();
        let client = server.client();
        assert_eq!(client.get("/health/live").await.expect_status(200).text(), "live\n");
        let ready = client.get("/health/ready").await.expect_status(200).text().to_owned();
        assert_eq!(ready, "ready\ndatabase: ok\nmigrations: current\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_is_not_ready_while_it_still_answers() {
    let program = Program::fresh().with("LOOP_SHUTDOWN_DELAY", "60");
    let server = program.serve();
    let client = server.client();
    client.get("/health/ready").await.expect_status(200);
    server.terminate();
    eventually("the server says that it stops", async || client.get("/health/ready").await.status == 503).await;
    assert_eq!(client.get("/health/ready").await.text(), "stopping\n");
    client.get("/health/live").await.expect_status(200);
    client.get("/api/v1/auth/me/").await.expect_refusal(401, "not_authenticated");
    // The second signal ends the delay, too.
    server.terminate();
    server.ended();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_nobody_reads_any_more_works_and_stops() {
    let program = Program::fresh();
    let server = program.serve_unheard();
    server.client().get("/health/live").await.expect_status(200);
    // Nobody reads its access log either.
    server.owner().await.get("/api/v1/auth/me/").await.expect_status(200);
    server.terminate();
    assert!(server.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_end_is_cut_when_its_time_is_over() {
    let program = Program::fresh().with("LOOP_SHUTDOWN_TIMEOUT", "1").with("LOOP_BODY_TIMEOUT", "600");
    let server = program.serve();
    let mut hanging = hang(&server).await;
    server.client().get("/health/live").await.expect_status(200);
    let began = Instant::now();
    server.terminate();
    assert!(server.ended().success());
    assert!(began.elapsed() < Duration::from_secs(20), "the deadline is one second");
    let mut rest = Vec::new();
    let _ = hanging.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let program = Program::fresh().with("LOOP_SHUTDOWN_TIMEOUT", "600").with("LOOP_BODY_TIMEOUT", "600");
    let server = program.serve();
    let _hanging = hang(&server).await;
    let client = server.client();
    client.get("/health/live").await.expect_status(200);
    server.terminate();
    eventually("new connections are refused", async || {
        TcpStream::connect(server.base.trim_start_matches("http://")).await.is_err()
    })
    .await;
    server.terminate();
    server.ended();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_said_at_the_start_by_doctor_and_by_ready_and_shuts_nobody_out() {
    // A port on which nobody listens: taken once and given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let program =
        Program::fresh().with("LOOP_REDIS_URL", &format!("redis://:hunter2@{free}")).with("LOOP_RATE_LIMITS", "on");
    let server = program.serve();
    let client = server.client();
    let ready = client.get("/health/ready").await.expect_status(200).text().to_owned();
    assert!(ready.contains("redis: does not answer"), "{ready}");
    client.get("/api/v1/auth/me/").await.expect_refusal(401, "not_authenticated");
    let doctor = program.json(&["doctor"]);
    let findings = doctor["findings"].as_array().expect("findings");
    let redis = findings.iter().find(|finding| finding["what"] == "Redis").expect("Redis was looked at");
    assert_eq!(redis["level"], json!("warn"), "{redis}");
    let log = server.log();
    assert!(log.contains("LOOP_REDIS_URL does not answer"), "{log}");
    assert!(!log.contains("hunter2") && !doctor.to_string().contains("hunter2"), "{log}{doctor}");
}
