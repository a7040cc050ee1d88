//! Clients that are slow on purpose, and clients that are too hasty: with raw sockets, because no good client behaves like this.

use std::time::{Duration, Instant};

use loopd_testkit::{Boot as _, Database, Engine};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// `GET path` without a table: literal fields with their names indexed in HPACK's static table.
fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(&[0x01, 1, b'x']);
    block
}

/// A HTTP/2 connection whose window for answers is `window` bytes.
async fn http2(edge: &Edge, window: u32) -> TcpStream {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let mut start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut settings = vec![0, 4];
    settings.extend_from_slice(&window.to_be_bytes());
    start.extend(frame(SETTINGS, 0, 0, &settings));
    stream.write_all(&start).await.unwrap();
    stream
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
    let mut stream = http2(&edge, 65_535).await;
    stream.write_all(&frame(HEADERS, 0x05, 1, &get("/api/v1/open/"))).await.unwrap();
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
    let mut stream = http2(&edge, 1).await;
    for number in 0..20 {
        stream.write_all(&frame(HEADERS, 0x05, 1 + 2 * number, &get("/api/v1/large/"))).await.unwrap();
    }
    read_to_close(&mut stream).await;
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_ends_its_connection_and_no_other() {
    let edge = edge(|settings| settings.idle_timeout = Duration::from_secs(60)).await;
    let mut stream = http2(&edge, 65_535).await;
    let (mut reader, mut writer) = stream.split();
    let attack = async {
        for number in 0..20_000_u32 {
            let id = 1 + 2 * number;
            let mut bytes = frame(HEADERS, 0x05, id, &get("/api/v1/slow/"));
            bytes.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut read = Vec::new();
    tokio::select! {
        () = attack => {}
        closed = reader.read_to_end(&mut read) => { let _ = closed; }
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("20,000 requests were taken back and nobody minds"),
    }
    edge.client().get("/api/v1/open/").await.expect_status(200);
    edge.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_settings_and_endless_headers_cost_the_others_nothing() {
    let edge = edge(|settings| settings.idle_timeout = Duration::from_secs(60)).await;
    for flood in [
        frame(SETTINGS, 0, 0, &[]),
        frame(PING, 0, 0, &[1; 8]),
        // Never END_HEADERS (CVE-2024-27983).
        frame(CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'b'].repeat(1_000)),
    ] {
        let mut stream = http2(&edge, 65_535).await;
        if flood[3] == CONTINUATION {
            stream.write_all(&frame(HEADERS, 0, 1, &get("/api/v1/open/"))).await.unwrap();
        }
        let (_reader, mut writer) = stream.split();
        // The answers are never read: whatever the server would gather for us must be bounded, so our writes stall or are refused.
        let sent = tokio::time::timeout(Duration::from_secs(3), async {
            let mut sent = 0_usize;
            while sent < 256 * 1024 * 1024 && writer.write_all(&flood.repeat(100)).await.is_ok() {
                sent += flood.len() * 100;
            }
            sent
        })
        .await;
        if let Ok(sent) = sent {
            assert!(sent < 256 * 1024 * 1024, "a flood of {} was taken without end", flood[3]);
        }
        edge.client().get("/api/v1/open/").await.expect_status(200);
    }
    edge.close().await;
}
