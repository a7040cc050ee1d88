//! A client with credentials, over a real socket: tests come through the door that people use.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use loopd_types::{NON_FIELD, Uuid};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Somebody who calls the server: an address and the headers that say who it is. Cheap to clone and to vary.
///
/// `client.with_token(&token).company("001").get("/api/v1/companies/").await.expect_status(200)`
#[derive(Clone, Debug)]
pub struct Client {
    authority: String,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A caller without credentials. `base` is `http://127.0.0.1:8000`, with or without a final slash.
    pub fn new(base: &str) -> Self {
        let authority = base.strip_prefix("http://").expect("tests speak plain http").trim_end_matches('/').to_owned();
        Self { authority, headers: Vec::new() }
    }

    /// The address that this client calls, without a final slash.
    pub fn base(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The same caller, at another server.
    pub fn at(&self, base: &str) -> Self {
        Self { headers: self.headers.clone(), ..Self::new(base) }
    }
    /// The same server, nobody in particular: no header is kept.
    pub fn anonymous(&self) -> Self {
        Self { authority: self.authority.clone(), headers: Vec::new() }
    }
    /// With `Authorization: Bearer`.
    pub fn with_token(&self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }
    /// The token that this client shows; panics when it shows none.
    pub fn token(&self) -> &str {
        let found = self.headers.iter().find(|(name, _)| name == "authorization");
        found.and_then(|(_, value)| value.strip_prefix("Bearer ")).expect("a client with a token")
    }
    /// With `X-LOOP-API-KEY`.
    pub fn with_key(&self, key: &str) -> Self {
        self.with_header("x-loop-api-key", key)
    }
    /// With `X-Company-ID`.
    pub fn company(&self, code: &str) -> Self {
        self.with_header("x-company-id", code)
    }
    /// With `X-Workspace-ID`.
    pub fn workspace(&self, id: Uuid) -> Self {
        self.with_header("x-workspace-id", &id.to_string())
    }
    /// With any header; a header of the same name is replaced.
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut next = self.without(name);
        next.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        next
    }
    /// Without this header.
    pub fn without(&self, name: &str) -> Self {
        let mut next = self.clone();
        next.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        next
    }

    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }
    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }
    pub fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }
    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }
    /// A request by any method. `path` begins with a slash, or is an address of this server as answers print them (`next`).
    pub fn request(&self, method: Method, path: &str) -> Request {
        let path = path.strip_prefix(&self.base()).unwrap_or(path);
        assert!(path.starts_with('/'), "{path} is not a path of {}", self.base());
        Request { client: self.clone(), method, path: path.to_owned(), body: Bytes::new() }
    }
}

/// A request being written; awaiting it sends it.
#[must_use = "a request is sent by awaiting it"]
pub struct Request {
    client: Client,
    method: Method,
    path: String,
    body: Bytes,
}

impl Request {
    /// A JSON body, with its content type.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }
    /// A body of another kind, or a broken one.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.client = self.client.with_header(name, value);
        self
    }
    /// Adds a query parameter, percent-encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        encode(&mut self.path, name);
        self.path.push('=');
        encode(&mut self.path, value);
        self
    }

    /// Sends it and gives the answer as it comes: for streams, which do not end by themselves.
    pub async fn open(self) -> Streamed {
        let (what, head, body, connection) = self.begin().await;
        Streamed { what, status: head.status.as_u16(), headers: head.headers, body, connection, unread: String::new() }
    }

    async fn send(self) -> Answer {
        let (what, head, body, connection) = self.begin().await;
        let body = body.collect().await.unwrap_or_else(|error| panic!("{what}: {error}")).to_bytes();
        connection.abort();
        Answer { what, status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn begin(self) -> (String, http::response::Parts, Incoming, JoinHandle<()>) {
        let what = format!("{} {}", self.method, self.path);
        let failed = |error: &dyn fmt::Display| -> ! { panic!("{what}: {error}") };
        // One connection a request: tests want no memory of the last one, and loopback connections cost nothing.
        let stream = TcpStream::connect(&self.client.authority).await.unwrap_or_else(|error| failed(&error));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap_or_else(|error| failed(&error));
        let connection = tokio::spawn(async move { drop(connection.await) });
        let mut request =
            http::Request::builder().method(self.method).uri(&self.path).header("host", &self.client.authority);
        for (name, value) in &self.client.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body)).unwrap_or_else(|error| failed(&error));
        let (head, body) = sender.send_request(request).await.unwrap_or_else(|error| failed(&error)).into_parts();
        (what, head, body, connection)
    }
}

/// An answer that is being received.
pub struct Streamed {
    what: String,
    pub status: u16,
    pub headers: HeaderMap,
    body: Incoming,
    connection: JoinHandle<()>,
    unread: String,
}

impl Streamed {
    /// The next server-sent event, as its lines without the blank one; `None` when the stream is over. Comments are passed over.
    pub async fn event(&mut self) -> Option<String> {
        loop {
            while let Some((event, rest)) = self.unread.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.unread = rest;
                if !event.starts_with(':') {
                    return Some(event);
                }
            }
            let more = tokio::time::timeout(Duration::from_secs(30), self.body.frame()).await;
            let frame =
                more.unwrap_or_else(|_| panic!("{}: nothing came for long; unread: {:?}", self.what, self.unread))?;
            let frame = frame.unwrap_or_else(|error| panic!("{}: {error}", self.what));
            if let Some(data) = frame.data_ref() {
                self.unread
                    .push_str(std::str::from_utf8(data).expect("events are UTF-8, and no chunk ends within a letter"));
            }
        }
    }

    /// The next event's `id` and its `data` as JSON; panics when the stream is over.
    pub async fn data(&mut self) -> (String, Value) {
        loop {
            let event = self.event().await.unwrap_or_else(|| panic!("{}: the stream is over", self.what));
            let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = line("data: ") {
                let data = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{}: {error}: {data}", self.what));
                return (line("id: ").unwrap_or_default(), data);
            }
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl IntoFuture for Request {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Percent-encoding of RFC 3986, 2.3: what is not unreserved is encoded.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request in words, for messages.
    pub what: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as text; what is not UTF-8 is shown as such.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; `None` when it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{}: {} answered no JSON ({error}): {}", self.what, self.status, self.text()),
        }
    }

    /// The value at a JSON pointer, as `/results/0/id`.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        let body = self.json();
        body.pointer(pointer).cloned().unwrap_or_else(|| panic!("{}: no {pointer} in {body:#}", self.what))
    }

    /// The text at a JSON pointer.
    #[track_caller]
    pub fn text_at(&self, pointer: &str) -> String {
        let value = self.at(pointer);
        value.as_str().unwrap_or_else(|| panic!("{}: {pointer} is no text but {value}", self.what)).to_owned()
    }

    /// Passes the answer on when it has this status, and shows it when it has not.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert!(self.status == status, "{}: expected {status}, got {}: {}", self.what, self.status, self.text());
        self
    }

    /// Passes the answer on when it is a refusal with this status and code in LOOP's envelope (spec/loop.md 5.6), all of it.
    #[track_caller]
    pub fn expect_refusal(self, status: u16, code: &str) -> Self {
        let answer = self.expect_status(status);
        let error = answer.at("/error");
        let expected = serde_json::json!({
            "code": code, "message": "[any]", "status": status, "details": "[any]", "request_id": "[any]",
        });
        if let Some(difference) = crate::find_difference(&error, &expected) {
            panic!("{}: {difference}\nin {error:#}", answer.what);
        }
        assert!(
            error["message"].as_str().is_some_and(|words| !words.is_empty()),
            "{}: no words in {error:#}",
            answer.what
        );
        assert!(error["details"].is_object(), "{}: details are no object in {error:#}", answer.what);
        assert!(
            error["request_id"].as_str().is_some_and(|id| !id.is_empty()),
            "{}: no request id in {error:#}",
            answer.what
        );
        answer
    }

    /// Passes the answer on when it refuses this field with this code; the field `""` is the request as a whole.
    #[track_caller]
    pub fn expect_field(self, field: &str, code: &str) -> Self {
        let answer = self.expect_refusal(400, "validation_error");
        let details = answer.at("/error/details");
        let complaints = &details[if field.is_empty() { NON_FIELD } else { field }];
        let found = complaints.as_array().is_some_and(|list| list.iter().any(|complaint| complaint["code"] == code));
        assert!(found, "{}: no {code} for {field:?} in {details:#}", answer.what);
        answer
    }
}
