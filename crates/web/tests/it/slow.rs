//! Clients that are slow on purpose: with raw sockets, because no good client behaves like this.

use std::time::{Duration, Instant};

use loopd_testkit::{Boot as _, Database, Engine};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw::{GOAWAY, PING, connect, frame, request};
use crate::world::Edge;

async fn edge(tune: impl FnOnce(&mut loopd_web::Settings)) -> Edge {
    let database = Database::prepared::<Edge>(Engine::Sqlite).await.expect("SQLite is always there");
    Edge::with(database, |settings| {
        settings.idle_timeout = Duration::from_millis(400);
        settings.body_timeout = Duration::from_millis(300);
        settings.write_timeout = Duration::from_millis(400);
        tune(settings);
    })
    .await
}

/// Reads until the other side closes. Waits far longer than any limit of these tests, so that only a missing limit fails.
async fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut read)).await;
    assert!(closed.is_ok(), "the connection stays open: {:?}", String::from_utf8_lossy(&read));
    read
}

/// Whether a GOAWAY is among the frames.
fn says_goodbye(mut bytes: &[u8]) -> bool {
    while bytes.len() >= 9 {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        if bytes[3] == GOAWAY {
            return true;
        }
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_is_cut_however_it_drips() {
    let edge = edge(|_| {}).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        writer.write_all(b"GET /api/v1/open/ HTTP/1.1\r\nhost: x\r\n").await?;
        loop {
            writer.write_all(b"x-a: b\r\n").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut read = Vec::new();
    tokio::select! {
        dripped = drip => { let _: std::io::Result<()> = dripped; }
        closed = reader.read_to_end(&mut read) => { let _ = closed; }
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("a head that never ends keeps the connection"),
    }
    assert!(!read.starts_with(b"HTTP/1.1 2"));
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_refused_in_words() {
    let edge = edge(|_| {}).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let head =
        "POST /api/v1/open/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut read = [0; 4_096];
    let length = tokio::select! {
        () = drip => 0,
        length = reader.read(&mut read) => length.unwrap_or(0),
        () = tokio::time::sleep(Duration::from_secs(20)) => 0,
    };
    let answer = String::from_utf8_lossy(&read[..length]);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("body_timeout"), "{answer}");
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_between_requests() {
    let edge = edge(|_| {}).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(b"GET /api/v1/open/ HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let read = read_to_close(&mut stream).await;
    assert!(read.starts_with(b"HTTP/1.1 200"));
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_is_given_up() {
    let edge = edge(|_| {}).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    // More answers than the buffers between us hold, and none is read.
    let request = b"GET /api/v1/large/ HTTP/1.1\r\nhost: x\r\n\r\n".repeat(4);
    stream.write_all(&request).await.unwrap();
    let open = || edge.app.metrics().open_connections();
    let began = Instant::now();
    while open() > 0 || began.elapsed() < Duration::from_millis(100) {
        assert!(began.elapsed() < Duration::from_secs(20), "an unread answer is held for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_that_reads_gets_all_of_it() {
    let edge = edge(|_| {}).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(b"GET /api/v1/large/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let (mut read, mut buffer) = (0, vec![0; 512 * 1024]);
    loop {
        // Slower than the idle and write timeouts as a whole, never as slow between two reads.
        tokio::time::sleep(Duration::from_millis(40)).await;
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            length => read += length,
        }
    }
    assert!(read > crate::world::LARGE, "{read} bytes arrived");
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_do_not_keep_an_idle_http2_connection_open() {
    let edge = edge(|_| {}).await;
    let mut stream = connect(&edge, 65_535).await;
    stream.write_all(&request(1, "/api/v1/open/")).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let ping = async {
        while writer.write_all(&frame(PING, 0, 0, &[7; 8])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut read = Vec::new();
    tokio::select! {
        () = ping => {}
        closed = reader.read_to_end(&mut read) => { let _ = closed; }
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("pings keep the connection open"),
    }
    assert!(says_goodbye(&read), "the client is told to leave");
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_window_that_stays_shut_is_not_waited_for() {
    let edge = edge(|_| {}).await;
    let mut stream = connect(&edge, 1).await;
    for number in 0..20 {
        stream.write_all(&request(1 + 2 * number, "/api/v1/large/")).await.unwrap();
    }
    read_to_close(&mut stream).await;
    edge.close().await;
}
