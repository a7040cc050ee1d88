//! Connections that say nothing, say it slowly, or stay for ever.

use std::time::{Duration, Instant};

use loopd_testkit::{Boot as _, Database, Engine, each_engine};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::Edge;

/// Reads until the other side closes; `None` when it does not within two seconds.
async fn read_to_close(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    match tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut read)).await {
        Ok(Ok(_)) => Some(read),
        Ok(Err(_)) => Some(read),
        Err(_) => None,
    }
}

each_engine! {
    async fn silence_and_half_a_head_are_cut(edge: &Edge) {
        for start in ["", "P", "PRI * HT", "GET /api/v1/open/ HTTP/1.1\r\nhost: x\r\n"] {
            let mut stream = TcpStream::connect(edge.address).await.unwrap();
            stream.write_all(start.as_bytes()).await.unwrap();
            let began = Instant::now();
            assert!(read_to_close(&mut stream).await.is_some(), "{start:?} keeps the connection open");
            assert!(began.elapsed() < Duration::from_secs(1), "{start:?}");
        }
    }

    async fn a_connection_that_has_asked_may_stay(edge: &Edge) {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        for _ in 0..2 {
            stream.write_all(b"GET /api/v1/open/ HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut buffer = [0; 2048];
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    async fn stopping_ends_event_streams_and_finishes_running_requests(edge: &Edge) {
        let (token, _) = edge.member("ada").await;
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        stream.write_all(b"GET /api/v1/stream/ HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let client = edge.client().with_token(&token);
        let running = tokio::spawn(async move { client.post("/api/v1/booking/slow/").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        edge.stop();
        running.await.unwrap().expect_status(201);
        let read = read_to_close(&mut stream).await.expect("an event stream ends when the server stops");
        assert!(String::from_utf8_lossy(&read).contains("text/event-stream"));
        assert!(TcpStream::connect(edge.address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_and_no_more() {
    let database = Database::prepared::<Edge>(Engine::Sqlite).await.expect("SQLite is always there");
    let edge = Edge::with(database, |settings| {
        settings.max_connections_per_address = 2;
        settings.trusted_proxies.clear();
    })
    .await;
    let ask = async |stream: &mut TcpStream| {
        let _ = stream.write_all(b"GET /api/v1/open/ HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut buffer = [0; 2048];
        stream.read(&mut buffer).await.unwrap_or(0) > 0
    };
    let mut first = TcpStream::connect(edge.address).await.unwrap();
    let mut second = TcpStream::connect(edge.address).await.unwrap();
    assert!(ask(&mut first).await && ask(&mut second).await);
    let mut third = TcpStream::connect(edge.address).await.unwrap();
    assert!(!ask(&mut third).await, "a third is closed");
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut again = TcpStream::connect(edge.address).await.unwrap();
    assert!(ask(&mut again).await, "a place is free again");
    edge.close().await;
}
