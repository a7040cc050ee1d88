//! Content that is brought: to be sent, and to be shown with a template.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use loopd_testkit::json;

use super::Inner;
use super::answers::{error, respond_json};

impl Inner {
    pub fn upload(&mut self, head: &http::request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
        let text = String::from_utf8_lossy(body);
        let sent = head.headers.get("content-type").and_then(|it| it.to_str().ok()).unwrap_or_default();
        let boundary = sent.strip_prefix("multipart/form-data; boundary=").unwrap_or("?");
        let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
        let has = |name: &str, value: &str| {
            let named = format!("name=\"{name}\"");
            parts.iter().any(|part| part.contains(&named) && part.trim_end().ends_with(value))
        };
        let file = parts.iter().find(|part| part.contains("name=\"file\""));
        let known = head.headers.get("content-length").is_some();
        if !has("messaging_product", "whatsapp") || file.is_none() || !known || !text.trim_end().ends_with("--") {
            self.complaints.push(format!("a bad upload: {text}"));
            return error(400, 100, "Invalid parameter");
        }
        let file = file.copied().unwrap_or_default();
        let content_type =
            file.split("content-type: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
        let content = between(body, b"name=\"file\"", format!("\r\n--{boundary}--").as_bytes());
        let id = format!("20{}", self.media.len() + 1);
        self.media.insert(id.clone(), (content_type.to_owned(), content));
        self.uploads += 1;
        respond_json(200, &json!({"id": id}))
    }

    /// Opens a session, of the app that the token belongs to: what it is for is said beforehand.
    pub fn open_session(&mut self, query: &str) -> Response<Full<Bytes>> {
        let named = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        let (length, kind) = (named("file_length"), named("file_type"));
        let known = ["image%2Fjpeg", "image%2Fpng", "video%2Fmp4", "application%2Fpdf"];
        let (Some(length), Some(_)) = (length.and_then(|it| it.parse().ok()), kind.filter(|it| known.contains(it)))
        else {
            self.complaints.push(format!("a bad session: {query}"));
            return error(400, 100, "Invalid parameter");
        };
        let session = format!("upload:MTphd{}==?sig=ARZ", self.sessions.len());
        self.sessions.insert(session.clone(), length);
        respond_json(200, &json!({"id": session}))
    }

    /// Takes the content of a session, once and whole, and gives the handle of it.
    pub fn pour(&mut self, head: &http::request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
        let target = head.uri.path_and_query().map(http::uri::PathAndQuery::as_str).unwrap_or_default();
        let session = target.rsplit('/').next().unwrap_or_default();
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if header("authorization") != format!("OAuth {}", self.token) {
            return error(401, 190, "Invalid OAuth access token.");
        }
        let is_whole = self.sessions.remove(session) == Some(body.len());
        if !is_whole || header("file_offset") != "0" {
            self.complaints.push(format!("a bad upload to {target}: {} bytes", body.len()));
            return error(400, 100, "Invalid parameter");
        }
        let handle = format!("4::aW{}", self.handles.len());
        self.handles.insert(handle.clone(), body.clone());
        respond_json(200, &json!({"h": handle}))
    }
}

/// What follows the empty line after `begin`, up to `end`.
fn between(body: &Bytes, begin: &[u8], end: &[u8]) -> Bytes {
    let find =
        |from: usize, what: &[u8]| body[from..].windows(what.len()).position(|it| it == what).map(|at| from + at);
    let head = find(0, begin).and_then(|at| find(at, b"\r\n\r\n")).map(|at| at + 4);
    let Some((from, to)) = head.and_then(|from| Some((from, find(from, end)?))) else { return Bytes::new() };
    body.slice(from..to)
}
