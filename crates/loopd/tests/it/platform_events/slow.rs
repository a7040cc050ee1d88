//! Readers that read too slowly, a server that has enough of them, and streams that go on at another node.

use loopd_testkit::{Client, Database, Engine, Streamed, json};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::EVENTS;
use crate::support::{Program, Served, eventually};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// A stream that nobody reads yet, with room for little.
async fn unread(server: &Served, token: &str) -> TcpStream {
    let address = server.base.trim_start_matches("http://");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("a small buffer");
    let mut stream = socket.connect(address.parse().expect("an address")).await.expect("the server listens");
    let head = format!(
        "GET {EVENTS}stream/?type=booking.* HTTP/1.1\r\nhost: {address}\r\nx-company-id: 001\r\nauthorization: Bearer {token}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("the server reads");
    stream
}

/// Reads an unread stream to its end: the positions that it told, and what its last event says.
async fn drain(mut stream: TcpStream) -> (Vec<i64>, Value) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the stream ends");
    let text = unchunk(&bytes);
    let mut positions = Vec::new();
    let mut end = Value::Null;
    for event in text.split("\n\n") {
        let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
        let data: Value = serde_json::from_str(data).expect("JSON");
        match event.contains("event: end\n") {
            true => end = data,
            false => positions.push(data["position"].as_i64().expect("a position")),
        }
    }
    (positions, end)
}

/// The body of an answer in chunks (RFC 9112, 7.1).
fn unchunk(bytes: &[u8]) -> String {
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let (mut rest, mut text) = (&bytes[body..], Vec::new());
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size in hex");
        text.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
        if size == 0 {
            break;
        }
    }
    String::from_utf8(text).expect("events are UTF-8")
}

/// Books `count` appointments of about 8 KB each.
async fn fill(owner: &Client, count: usize) {
    let body = json!({"title": "x", "description": "long ".repeat(1_600)});
    for _ in 0..count / 50 {
        let operations: Vec<_> = (0..50).map(|_| json!({"op": "create", "body": body})).collect();
        owner.post(&format!("{APPOINTMENTS}bulk/")).json(&json!({"operations": operations})).await.expect_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_so_and_resumes_with_nothing_missing() {
    const READERS: usize = 12;
    for (program, _database) in Program::on_every_engine().await {
        let server = program.serve();
        let owner = server.owner().await;
        let token = owner.token();
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(unread(&server, token).await);
        }
        // All are open: each has its head in its buffer.
        for reader in &readers {
            reader.readable().await.expect("an opening");
        }
        fill(&owner, 50).await;
        let before = server.resident();
        // More than a channel remembers, and many times what sockets hold.
        fill(&owner, 3_200).await;
        let grown = server.resident().saturating_sub(before) >> 20;
        assert!(grown < 160, "{READERS} readers that do not read cost {grown} MiB for 26 MiB of events");
        let all: Vec<i64> = {
            let mut whole = open(&owner, "after=0&type=booking.*&follow=false", None).await;
            positions(&mut whole).await
        };
        assert_eq!(all.len(), 3_250);
        for (number, reader) in readers.into_iter().enumerate() {
            let (mut seen, end) = drain(reader).await;
            assert_eq!(end["reason"], "slow_reader", "{end}");
            let last = end["after"].to_string();
            assert_eq!(seen.last().copied().unwrap_or_default().to_string(), last);
            assert!(seen.len() < all.len() && all.starts_with(&seen));
            if number > 1 {
                continue;
            }
            let mut resumed = open(&owner, "type=booking.*&follow=false", Some(&last)).await;
            seen.extend(positions(&mut resumed).await);
            assert_eq!(seen, all, "nothing is missing, nothing comes twice");
        }
    }
}

async fn open(client: &Client, query: &str, last: Option<&str>) -> Streamed {
    let request = client.get(&format!("{EVENTS}stream/?{query}"));
    let stream = match last {
        Some(last) => request.header("last-event-id", last).open().await,
        None => request.open().await,
    };
    assert_eq!(stream.status, 200);
    stream
}

/// Positions to the end of a stream that ends.
async fn positions(stream: &mut Streamed) -> Vec<i64> {
    let mut positions = Vec::new();
    loop {
        let (_, data) = stream.data().await;
        match data["position"].as_i64() {
            Some(position) => positions.push(position),
            None => return positions,
        }
    }
}

/// Beyond what a node takes: 503 with when to come back, whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_so_many_streams() {
    let program = Program::fresh().with("LOOP_EVENT_STREAMS_TOTAL", "2");
    let server = program.serve();
    let owner = server.owner().await;
    let stranger =
        json!({"email": "two@example.com", "username": "two", "password": "strongpass123", "company_name": "Other"});
    let answer = server.client().post("/api/v1/auth/register/").json(&stranger).await.expect_status(201);
    let stranger = server.client().with_token(&answer.text_at("/access")).company("002");
    let (one, _two) = (open(&owner, "", None).await, open(&stranger, "", None).await);
    for client in [&owner, &stranger] {
        let refused = client.get(&format!("{EVENTS}stream/")).await.expect_refusal(503, "server_streams_full");
        assert!(refused.header("retry-after").is_some());
    }
    drop(one);
    eventually("a place is given back", async || {
        stranger.get(&format!("{EVENTS}stream/?follow=false")).await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_at_another_node() {
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url());
    let (one, two) = (program.serve(), program.serve());
    let owner = one.owner().await;
    let theirs = owner.at(&two.base);
    let book = async |client: &Client, title: String| {
        client.post(APPOINTMENTS).json(&json!({"title": title})).await.expect_status(201);
    };
    let mut stream = open(&owner, "type=booking.*", None).await;
    for number in 0..6 {
        book(if number % 2 == 0 { &owner } else { &theirs }, format!("{number}")).await;
    }
    let mut titles = Vec::new();
    let mut last = String::new();
    while titles.len() < 4 {
        let (id, event) = stream.data().await;
        titles.push(event["data"]["title"].as_str().expect("a title").to_owned());
        last = id;
    }
    one.kill();
    book(&theirs, "6".to_owned()).await;
    let mut stream = open(&theirs, "type=booking.*", Some(&last)).await;
    book(&theirs, "7".to_owned()).await;
    while titles.len() < 8 {
        titles.push(stream.data().await.1["data"]["title"].as_str().expect("a title").to_owned());
    }
    assert_eq!(titles, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}
