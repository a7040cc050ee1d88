//! What the settings say of the edge holds in the real binary: connections of one address, and a line for each request.

use loopd_testkit::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Program, Served, eventually};

/// One request on a connection that stays open; `false` when the server has closed it.
async fn ask(stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(b"GET /health/ HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut buffer = [0; 4_096];
    stream.read(&mut buffer).await.unwrap_or(0) > 0
}

async fn connect(server: &Served) -> TcpStream {
    TcpStream::connect(server.base.trim_start_matches("http://")).await.expect("the server listens")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_as_many_connections_as_the_operator_says() {
    let server = Program::fresh().with("LOOP_MAX_CONNECTIONS_PER_ADDRESS", "2").serve();
    let (mut first, mut second) = (connect(&server).await, connect(&server).await);
    assert!(ask(&mut first).await && ask(&mut second).await);
    assert!(!ask(&mut connect(&server).await).await, "a third is closed");
    assert!(ask(&mut second).await, "the others stay open");
    drop(first);
    eventually("a place is free again", async || ask(&mut connect(&server).await).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_number_are_refused_by_name() {
    for name in ["LOOP_MAX_CONNECTIONS", "LOOP_MAX_CONNECTIONS_PER_ADDRESS"] {
        let complaint = Program::fresh().with(name, "0").refused(&["check"]);
        assert!(complaint.contains(name), "{complaint}");
    }
}

/// Makes three requests, and gives what the server said on standard error from its start to its end.
async fn log_of(program: &Program) -> String {
    let server = program.serve();
    let client = server.client();
    client.get("/api/v1/companies/").header("x-request-id", "asked-1").await.expect_refusal(401, "not_authenticated");
    client.get("/api/v1/nowhere/?token=secret").header("x-request-id", "asked-2").await.expect_status(404);
    let body = json!({"email": "dev@example.com", "password": "secret-password"});
    client.post("/api/v1/auth/login/").header("x-request-id", "asked-3").json(&body).await.expect_status(401);
    server.log()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_one_line_of_json_with_its_id() {
    let program = Program::fresh().with("LOOP_LOG", "info").with("LOOP_LOG_FORMAT", "json");
    let log = log_of(&program).await;
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} is no JSON"))).collect();
    let of = |id: &str| {
        lines.iter().filter(|line| line["request_id"] == id && line["target"] == "loopd::access").collect::<Vec<_>>()
    };
    for (id, method, path, status) in [
        ("asked-1", "GET", "/api/v1/companies/", 401),
        ("asked-2", "GET", "", 404),
        ("asked-3", "POST", "/api/v1/auth/login/", 401),
    ] {
        let found = of(id);
        assert_eq!(found.len(), 1, "{id} in {log}");
        assert_eq!((&found[0]["method"], &found[0]["status"]), (&json!(method), &json!(status)), "{log}");
        if !path.is_empty() {
            assert_eq!(found[0]["path"], path, "{log}");
        }
    }
    assert!(!log.contains("secret"), "a query or a body is in {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_one_line_of_text_with_its_id() {
    let log = log_of(&Program::fresh().with("LOOP_LOG", "info").with("LOOP_LOG_FORMAT", "pretty")).await;
    for (id, words) in [("asked-1", "401 GET /api/v1/companies/"), ("asked-3", "401 POST /api/v1/auth/login/")] {
        let found: Vec<_> = log.lines().filter(|line| line.contains(&format!("request_id={id} "))).collect();
        assert_eq!(found.len(), 1, "{id} in {log}");
        assert!(found[0].contains(words), "{}", found[0]);
    }
    assert!(!log.contains("secret"), "a query or a body is in {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_lines_can_be_left_out_and_the_rest_of_the_log_stays() {
    for format in ["json", "pretty"] {
        let program = Program::fresh().with("LOOP_LOG", "info,loopd::access=off").with("LOOP_LOG_FORMAT", format);
        let log = log_of(&program).await;
        assert!(!log.contains("asked-1") && !log.contains("/api/v1/companies/"), "{log}");
        assert!(log.contains("stopping: running requests are finished first"), "{log}");
    }
}
