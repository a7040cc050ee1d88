//! What an answer is besides its words: compressed for who takes it, a page for people, "close" when the server stops.

use std::io::Read as _;

use loopd_testkit::each_engine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{Edge, LARGE};

/// One request over a raw socket: the head in lower case, and the body. The test's client would unpack it.
async fn ask(edge: &Edge, path: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    let end = read.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&read[..end]).to_lowercase(), read[end + 4..].to_vec())
}

const BROWSER: &str = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

each_engine! {
    async fn large_answers_are_compressed_for_who_takes_them(edge: &Edge) {
        let (head, packed) = ask(edge, "/api/v1/large/", "accept-encoding: gzip\r\n").await;
        assert!(head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"), "{head}");
        assert!(head.contains(&format!("content-length: {}", packed.len())), "{head}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert!(text.len() > LARGE && packed.len() < text.len() / 2);
        let (head, plain) = ask(edge, "/api/v1/large/", "").await;
        assert!(!head.contains("content-encoding") && head.contains("vary: accept-encoding"), "{head}");
        assert_eq!(plain, text.as_bytes());
        for (path, headers) in [
            ("/api/v1/open/", "accept-encoding: gzip\r\n"),
            ("/api/v1/large/", "accept-encoding: gzip;q=0\r\n"),
            ("/api/v1/large/", "accept-encoding: br\r\n"),
        ] {
            let (head, _) = ask(edge, path, headers).await;
            assert!(!head.contains("content-encoding"), "{path} {headers}: {head}");
        }
    }

    async fn a_browser_sees_a_page_where_nothing_is_and_an_api_client_json(edge: &Edge) {
        for (path, status) in [("/nowhere/", "404"), ("/api/v1/nowhere/", "404"), ("/api/v1/small/", "405")] {
            let (head, body) = ask(edge, path, BROWSER).await;
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(head.starts_with(&format!("http/1.1 {status}")) && head.contains("text/html"), "{path}: {head}");
            assert!(body.contains("<h1>") && body.contains("href=\"/\"") && body.contains("<code>"), "{path}: {body}");
            assert!(head.contains("style-src 'sha256-") && head.contains("vary: accept"), "{head}");
            assert!(status != "405" || head.contains("allow: "), "{head}");
            for accept in ["", "accept: */*\r\n", "accept: application/json\r\n", "accept: text/html, application/json\r\n"] {
                let (head, body) = ask(edge, path, accept).await;
                assert!(head.starts_with(&format!("http/1.1 {status}")), "{path}: {head}");
                assert!(head.contains("content-type: application/json"), "{path} {accept}: {head}");
                assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
            }
        }
        // It is an API all the same: whoever may not look is told so in its own dialect.
        let (head, _) = ask(edge, "/api/v1/whoami/", "accept: */*\r\n").await;
        assert!(head.starts_with("http/1.1 401") && head.contains("application/json"), "{head}");
    }

    async fn a_server_that_is_told_to_stop_sends_its_clients_elsewhere(edge: &Edge) {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        let mut buffer = [0; 4_096];
        for (phase, closes) in [(loopd_web::Phase::Serving, false), (loopd_web::Phase::Draining, true)] {
            edge.app.lifecycle().advance(phase);
            stream.write_all(b"GET /api/v1/open/ HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let length = stream.read(&mut buffer).await.unwrap();
            let answer = String::from_utf8_lossy(&buffer[..length]).to_lowercase();
            assert!(answer.starts_with("http/1.1 200"), "{answer}");
            assert_eq!(answer.contains("connection: close"), closes, "{answer}");
        }
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0, "and closes");
        edge.client().get("/api/v1/open/").await.expect_status(200);
    }
}
