//! HTTP/2 in clear text by prior knowledge, as a proxy on the same machine speaks it: one connection, many streams, the same answers.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use loopd_testkit::{each_engine, json};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::world::Edge;

/// One connection; every request on it is a stream of its own.
struct Connection(SendRequest<Full<Bytes>>);

struct Answer {
    version: Version,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?} is no JSON", self.body))
    }
}

impl Connection {
    async fn open(edge: &Edge) -> Self {
        let stream = TcpStream::connect(edge.address).await.expect("the server listens");
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("the server speaks HTTP/2");
        tokio::spawn(connection);
        Self(sender)
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://shop.example.com{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request");
        let (parts, body) = self.0.clone().send_request(request).await.expect("the stream is answered").into_parts();
        let body = body.collect().await.expect("the answer ends").to_bytes();
        Answer { version: parts.version, status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }
}

each_engine! {
    async fn requests_work_and_links_name_the_authority(edge: &Edge) {
        let connection = Connection::open(edge).await;
        let answer = connection.ask(Method::GET, "/api/v1/open/", &[("x-request-id", "r-7")], "").await;
        assert_eq!((answer.version, answer.status), (Version::HTTP_2, StatusCode::OK));
        assert_eq!((answer.header("x-request-id"), answer.header("content-type")), ("r-7", "application/json; charset=utf-8"));
        assert_eq!(answer.json()["url"], "http://shop.example.com/api/v1/open/");
        // RFC 9113, 8.2.2: what is about a connection has no place on a stream.
        for name in ["connection", "keep-alive", "transfer-encoding", "upgrade"] {
            assert!(!answer.headers.contains_key(name), "{name} in {:?}", answer.headers);
        }
        let json_body = [("content-type", "application/json")];
        let made = connection.ask(Method::POST, "/api/v1/open/", &json_body, r#"{"a": "é"}"#).await;
        assert_eq!((made.status, made.json()), (StatusCode::CREATED, json!({"a": "é"})));
        let head = connection.ask(Method::HEAD, "/api/v1/open/", &[], "").await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    }

    async fn credentials_company_and_idempotency_key_count_as_ever(edge: &Edge) {
        let (token, code) = edge.member("ada").await;
        let connection = Connection::open(edge).await;
        let bearer = format!("Bearer {token}");
        let who = connection.ask(Method::GET, "/api/v1/whoami/", &[("authorization", &bearer)], "").await;
        assert_eq!(who.json(), json!({"email": "ada@example.com", "auth": "jwt"}));
        let headers = [("authorization", bearer.as_str()), ("x-company-id", &code), ("idempotency-key", "one")];
        let first = connection.ask(Method::POST, "/api/v1/booking/things/", &headers, "").await;
        let again = connection.ask(Method::POST, "/api/v1/booking/things/", &headers, "").await;
        assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
        assert_eq!((again.json(), again.header("idempotency-replayed")), (first.json(), "true"));
    }

    async fn streams_of_one_connection_run_side_by_side(edge: &Edge) {
        let (token, code) = edge.member("ada").await;
        let connection = Connection::open(edge).await;
        // A stream that never ends holds nobody up.
        let endless = Request::get("http://shop.example.com/api/v1/stream/").body(Full::default()).expect("a request");
        let endless = connection.0.clone().send_request(endless).await.expect("an event stream begins");
        assert_eq!(endless.status(), StatusCode::OK);
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("x-company-id", &code)];
        let asked = (0..60).map(|_| connection.ask(Method::POST, "/api/v1/booking/things/", &headers, ""));
        let mut numbers: Vec<i64> = futures_util::future::join_all(asked)
            .await
            .iter()
            .map(|answer| answer.json()["n"].as_i64().unwrap_or_else(|| panic!("{} {:?}", answer.status, answer.body)))
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=60).collect::<Vec<i64>>(), "every stream had its own effect, once");
        drop(endless);
    }

    async fn refusals_are_word_for_word_those_of_http_1(edge: &Edge) {
        let connection = Connection::open(edge).await;
        let json_type = ("content-type", "application/json");
        let large = "x".repeat(65);
        for (method, path, body, status) in [
            (Method::GET, "/api/v1/nowhere/", "", 404),
            (Method::GET, "/api/v1/nowhere", "", 404),
            (Method::DELETE, "/api/v1/open/", "", 405),
            (Method::POST, "/api/v1/open/", "{", 400),
            (Method::POST, "/api/v1/small/", large.as_str(), 413),
            (Method::GET, "/api/v1/whoami/", "", 401),
            // The dialect of a sibling's paths.
            (Method::GET, "/api/v1/chats", "", 401),
            (Method::GET, "/api/v1/slow/", "", 504),
            (Method::GET, "/api/v1/broken/", "", 500),
            (Method::GET, "/api/v1/panics/", "", 500),
        ] {
            let headers = [json_type, ("x-request-id", "r-1")];
            let second = connection.ask(method.clone(), path, &headers, body).await;
            assert_eq!(second.status.as_u16(), status, "{method} {path}: {:?}", second.body);
            let request = edge.client().with_header("x-request-id", "r-1").request(method.clone(), path);
            let first = if body.is_empty() { request } else { request.body(json_type.1, body.to_owned()) }.await;
            assert_eq!((first.status, &first.body), (status, &second.body), "{method} {path}");
            for name in ["content-type", "allow", "www-authenticate", "x-request-id"] {
                assert_eq!(first.header(name).unwrap_or_default(), second.header(name), "{name} of {method} {path}");
            }
        }
        // And the connection has survived all of it.
        assert_eq!(connection.get("/api/v1/open/").await.status, StatusCode::OK);
    }
}
