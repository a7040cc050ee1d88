//! Bodies that are read as they come, and answers that are sent as they come: over HTTP/1.1 and HTTP/2, to their end or to a cut.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use loopd_testkit::{each_engine, json};
use loopd_types::{Problem, Result};
use loopd_web::{Call, Content, Operation, Query, Reply, schema};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use crate::world::Edge;

const MIB: usize = 1024 * 1024;
const IDLE: Duration = Duration::from_secs(2);

/// Says a word when it is dropped: the producer of a stream learns of its end like that.
struct Producer(UnboundedSender<String>);

impl Drop for Producer {
    fn drop(&mut self) {
        let _ = self.0.send("dropped".into());
    }
}

pub fn operations(tell: &UnboundedSender<String>) -> Vec<Operation> {
    let (uploads, events) = (tell.clone(), tell.clone());
    let any = || Content::of("*/*", schema::any());
    vec![
        Operation::post("upload", "/api/v1/upload/", move |call| {
            let tell = uploads.clone();
            async move {
                let outcome = measure(&call).await;
                let _ = tell.send(outcome.as_ref().map_or_else(|problem| problem.code().to_owned(), u64::to_string));
                Reply::json(200, &json!({"bytes": outcome?}))
            }
        })
        .summary("Measures")
        .without_effect()
        .streams_body(4 * MIB as u64, IDLE)
        .timeout(IDLE)
        .accepts(true, any())
        .responds(200, "Its size.", schema::free_object()),
        Operation::post("upload_refused", "/api/v1/upload/refused/", |_| async {
            Err(Problem::conflict("full", "No."))
        })
        .summary("Refuses unread")
        .without_effect()
        .streams_body(1024 * MIB as u64, IDLE)
        .accepts(true, any())
        .responds_empty(204, "Never."),
        Operation::post("upload_closed", "/api/v1/upload/closed/", |_| async { Ok(Reply::no_content()) })
            .summary("Asks who it is first")
            .authenticated()
            .streams_body(1024 * MIB as u64, IDLE)
            .accepts(true, Content::of("image/png", schema::any()))
            .responds_empty(204, "Never."),
        Operation::get("download", "/api/v1/download/", |call| async move { download(call.query()) })
            .summary("Many zeros")
            .timeout(Duration::from_millis(200))
            .undocumented(),
        Operation::get("events_watching", "/api/v1/stream/watching/", move |call| {
            let producer = Producer(events.clone());
            async move {
                let ending = call.ending().clone();
                let goodbye = stream::once(async move {
                    ending.begun().await;
                    Ok(Bytes::from_static(b"event: bye\ndata: {}\n\n"))
                });
                let hello = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"data: hello\n\n"))]);
                Ok(Reply::events(hello.chain(goodbye).map(move |chunk| {
                    let _alive = &producer;
                    chunk
                })))
            }
        })
        .summary("Says goodbye")
        .undocumented(),
    ]
}

async fn measure(call: &Call) -> Result<u64> {
    let mut upload = call.upload()?;
    let mut bytes = 0;
    while let Some(chunk) = upload.chunk().await? {
        bytes += chunk.len() as u64;
    }
    Ok(bytes)
}

/// Two MiB in chunks, the last after the operation's deadline. `?short` gives less than was announced.
fn download(query: &Query) -> Result<Reply> {
    let chunks = if query.get("short").is_some() { 31 } else { 32 };
    let zeros = stream::iter(0..chunks).then(move |n| async move {
        if n == 30 {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        Ok::<_, std::io::Error>(Bytes::from_static(&[0; 64 * 1024]))
    });
    Ok(Reply::stream_of(200, "application/octet-stream", 2 * MIB as u64, zeros.boxed()))
}

/// Writes a request as its client likes to.
async fn begin(edge: &Edge, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(edge.address).await.expect("the server listens");
    stream.write_all(format!("{head}\r\nhost: x\r\n\r\n").as_bytes()).await.expect("a request is taken");
    stream
}

async fn read_until(stream: &mut TcpStream, word: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(word) {
        let mut buffer = [0; 4096];
        let count = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
        let count = count.unwrap_or_else(|_| panic!("{word} never comes")).expect("the answer can be read");
        assert!(count > 0, "closed before {word}: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(read).expect("text")
}

fn metric(edge: &Edge, name: &str) -> i64 {
    let mut text = String::new();
    edge.app.metrics().render(&mut text);
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).expect("a known metric");
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

each_engine! {
    async fn a_body_is_read_as_it_comes(edge: &Edge) {
        let answer = edge.client().post("/api/v1/upload/").body("text/plain", vec![b'x'; 3 * MIB]).await.expect_status(200);
        assert_eq!(answer.at("/bytes"), 3 * MIB);
        edge.client().post("/api/v1/upload/").await.expect_status(200);
        // Slower than any deadline, but never silent for long.
        let mut stream = begin(edge, "POST /api/v1/upload/ HTTP/1.1\r\ntransfer-encoding: chunked").await;
        for _ in 0..4 {
            tokio::time::sleep(IDLE / 3).await;
            stream.write_all(b"3\r\nabc\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        assert!(read_until(&mut stream, "}").await.contains("{\"bytes\":12}"));
    }

    async fn too_much_too_slow_and_cut_short_are_refused(edge: &Edge) {
        let client = edge.client();
        let large = client.post("/api/v1/upload/").body("text/plain", vec![b'x'; 4 * MIB + 1]).await;
        assert_eq!(large.expect_refusal(413, "payload_too_large").at("/error/details/limit_bytes"), 4 * MIB);
        let mut stream = begin(edge, "POST /api/v1/upload/ HTTP/1.1\r\ntransfer-encoding: chunked").await;
        for _ in 0..5 {
            let chunk = [format!("{MIB:x}\r\n").into_bytes(), vec![b'x'; MIB], b"\r\n".to_vec()].concat();
            stream.write_all(&chunk).await.unwrap();
        }
        assert!(read_until(&mut stream, "}").await.contains("payload_too_large"));
        assert_eq!(edge.hear().await, "payload_too_large");
        let mut stream = begin(edge, "POST /api/v1/upload/ HTTP/1.1\r\ncontent-length: 10").await;
        stream.write_all(b"abc").await.unwrap();
        assert!(read_until(&mut stream, "}}").await.contains("\"status\":"), "silence is answered");
        assert_eq!(edge.hear().await, "body_timeout");
        for half in ["content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
            let mut stream = TcpStream::connect(edge.address).await.unwrap();
            stream.write_all(format!("POST /api/v1/upload/ HTTP/1.1\r\nhost: x\r\n{half}").as_bytes()).await.unwrap();
            drop(stream);
            assert_eq!(edge.hear().await, "body_incomplete", "{half}");
        }
    }

    async fn a_refusal_is_read_by_a_client_that_is_still_writing(edge: &Edge) {
        let large = Bytes::from(vec![b'x'; 16 * MIB]);
        edge.client().post("/api/v1/upload/refused/").body("text/plain", large.clone()).await.expect_refusal(409, "full");
        let closed = edge.client().post("/api/v1/upload/closed/");
        closed.body("image/png", large.clone()).await.expect_status(401);
        let (token, _) = edge.member("ada").await;
        let closed = edge.client().with_token(&token).post("/api/v1/upload/closed/");
        closed.body("text/plain", large).await.expect_refusal(415, "unsupported_media_type");
        // Who asks first is spared the sending.
        let mut asks = begin(edge, "POST /api/v1/upload/refused/ HTTP/1.1\r\ncontent-length: 10\r\nexpect: 100-continue").await;
        assert!(read_until(&mut asks, "}}").await.starts_with("HTTP/1.1 409"));
    }

    async fn an_answer_is_sent_as_it_comes_with_everything_that_answers_carry(edge: &Edge) {
        let answer = edge.client().get("/api/v1/download/").header("origin", "https://app.example.com").await.expect_status(200);
        assert_eq!(answer.body.len(), 2 * MIB, "no deadline cuts an answer that has begun");
        for (name, value) in [
            ("content-length", "2097152"),
            ("x-content-type-options", "nosniff"),
            ("access-control-allow-origin", "https://app.example.com"),
        ] {
            assert_eq!(answer.header(name), Some(value));
        }
        assert!(answer.header("x-request-id").is_some());
        let head = edge.client().request(Method::HEAD, "/api/v1/download/").await.expect_status(200);
        assert_eq!((head.header("content-length"), head.body.len()), (Some("2097152"), 0));
        assert!(metric(edge, "loopd_http_sent_bytes_total") >= 2 * MIB as i64);
        // A source that gives less breaks the connection: nobody takes half a file for a whole one.
        let mut short = begin(edge, "GET /api/v1/download/?short=1 HTTP/1.1").await;
        let mut read = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), short.read_to_end(&mut read)).await.expect("it is closed");
        assert!(read.len() < 2 * MIB, "{}", read.len());
    }

    async fn streams_work_over_http_2(edge: &Edge) {
        let stream = TcpStream::connect(edge.address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let ask = async |method: Method, path: &str, body: Vec<u8>| {
            let request = Request::builder().method(method).uri(format!("http://x{path}"));
            let answer = sender.clone().send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
            let status = answer.status().as_u16();
            (status, answer.into_body().collect().await.map(|body| body.to_bytes()))
        };
        let (status, body) = ask(Method::POST, "/api/v1/upload/", vec![b'x'; 3 * MIB]).await;
        assert_eq!((status, body.unwrap()), (200, Bytes::from(format!("{{\"bytes\":{}}}", 3 * MIB))));
        let (status, body) = ask(Method::GET, "/api/v1/download/", Vec::new()).await;
        assert_eq!((status, body.unwrap().len()), (200, 2 * MIB));
        assert!(ask(Method::GET, "/api/v1/download/?short=1", Vec::new()).await.1.is_err());
        let watched = Request::get("http://x/api/v1/stream/watching/").body(Full::default()).unwrap();
        let mut watched = sender.clone().send_request(watched).await.unwrap().into_body();
        assert!(watched.frame().await.unwrap().unwrap().data_ref().unwrap().ends_with(b"hello\n\n"));
        assert_eq!(metric(edge, "loopd_http_streams"), 1);
        drop(watched);
        while edge.hear().await != "dropped" {}
    }

    async fn a_producer_learns_that_its_client_went_away(edge: &Edge) {
        let mut stream = begin(edge, "GET /api/v1/stream/watching/ HTTP/1.1").await;
        let head = read_until(&mut stream, "hello").await;
        assert!(head.contains("cache-control: no-store") && head.contains("x-accel-buffering: no"), "{head}");
        drop(stream);
        assert_eq!(edge.hear().await, "dropped");
    }

    async fn a_stream_says_goodbye_when_the_server_stops(edge: &Edge) {
        let mut watching = begin(edge, "GET /api/v1/stream/watching/ HTTP/1.1").await;
        read_until(&mut watching, "hello").await;
        edge.stop();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), watching.read_to_end(&mut rest)).await.expect("it is closed").unwrap();
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.contains("event: bye") && rest.ends_with("0\r\n\r\n"), "ended, not cut: {rest:?}");
    }
}
