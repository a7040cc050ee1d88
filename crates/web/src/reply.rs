//! [`Reply`]: what a handler answers: status, headers, body. The edge adds the headers that every answer carries.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::StreamBody;
use loopd_types::{Problem, Result};
use serde::Serialize;

use crate::{BoxError, Payload};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer of a handler.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Payload,
}

impl Reply {
    /// `value` as compact JSON. `status` is one of the HTTP success statuses, written as a number for brevity.
    ///
    /// # Errors
    /// `server_error` when the value cannot be written as JSON or `status` is no HTTP status: both are our mistake.
    pub fn json(status: u16, value: &impl Serialize) -> Result<Self> {
        let bytes =
            serde_json::to_vec(value).map_err(|error| Problem::internal(format!("answer is no JSON: {error}")))?;
        Ok(Self::json_bytes(status, bytes))
    }

    /// JSON that is rendered already.
    pub fn json_bytes(status: u16, bytes: impl Into<Bytes>) -> Self {
        Self::of(status, JSON, bytes)
    }

    /// 200 with JSON that is rendered already and has this tag; 304 when the caller's `If-None-Match` names it.
    pub fn json_unless_known(if_none_match: Option<&str>, tag: &str, bytes: impl Into<Bytes>) -> Self {
        let reply = if names_tag(if_none_match, tag) {
            Self { status: StatusCode::NOT_MODIFIED, ..Self::no_content() }
        } else {
            Self::json_bytes(200, bytes)
        };
        reply.with_etag(tag)
    }

    /// 204 without a body.
    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Payload::empty() }
    }

    /// A page.
    pub fn html(status: u16, page: impl Into<String>) -> Self {
        Self::of(status, HTML, page.into())
    }

    /// Plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::of(status, TEXT, text.into())
    }

    /// Bytes of a content type of the caller's choice.
    pub fn bytes(status: u16, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        Self::of(status, header_value(content_type), bytes)
    }

    /// 303: look there with GET.
    pub fn see_other(location: &str) -> Self {
        Self { status: StatusCode::SEE_OTHER, ..Self::no_content() }.with_header(LOCATION, location)
    }

    /// A body that is sent as it comes: large exports.
    pub fn stream<S, E>(status: u16, content_type: &str, chunks: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let mut reply = Self::of(status, header_value(content_type), Bytes::new());
        reply.body = Payload::Stream(http_body_util::BodyExt::boxed_unsync(StreamBody::new(
            chunks.map(|chunk| chunk.map(http_body::Frame::data).map_err(Into::into)),
        )));
        reply
    }

    /// A body of `length` bytes that is sent as it comes: files. Clients see the length beforehand, and a source that gives
    /// more or less breaks the connection instead of a file.
    pub fn stream_of<S, E>(status: u16, content_type: &str, length: u64, chunks: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let mut reply = Self::stream(status, content_type, chunks);
        if let Payload::Stream(body) = reply.body {
            reply.body = Payload::sized(body, length);
        }
        reply
    }

    /// Server-sent events: chunks that are `event:`/`data:` lines already. Never cached and never buffered by a proxy.
    ///
    /// The stream is dropped when the client goes away. When the server stops, [`crate::Ending::begun`] tells its producer, which
    /// then has a few seconds for its last event before the stream is ended for it.
    pub fn events<S, E>(chunks: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::stream(200, "text/event-stream; charset=utf-8", chunks)
            .with_header(CACHE_CONTROL, "no-store")
            .with_header(HeaderName::from_static("x-accel-buffering"), "no")
    }

    /// Sets a header; a value that no header can carry (control characters) becomes empty.
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.insert(name, header_value(value));
        self
    }

    /// Adds a header beside those of the same name (`Set-Cookie`, `Link`).
    pub fn and_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.append(name, header_value(value));
        self
    }

    /// `ETag: "<tag>"`, strong.
    pub fn with_etag(self, tag: &str) -> Self {
        let quoted = format!("\"{tag}\"");
        self.with_header(ETAG, &quoted)
    }

    /// Makes the browser save the body under `name`.
    pub fn as_download(self, name: &str) -> Self {
        self.with_header(CONTENT_DISPOSITION, &disposition("attachment", name))
    }

    /// Lets the browser show the body in place, and save it under `name`.
    pub fn as_shown(self, name: &str) -> Self {
        self.with_header(CONTENT_DISPOSITION, &disposition("inline", name))
    }

    fn of(status: u16, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(CONTENT_TYPE, content_type);
        Self { status: status_code(status), headers, body: Payload::Ready(body.into()) }
    }
}

/// Whether an `If-None-Match` names this tag, which is given without its quotes; weak and strong alike (RFC 9110, 13.1.2).
pub fn names_tag(if_none_match: Option<&str>, tag: &str) -> bool {
    let mut tags = if_none_match.unwrap_or_default().split(',').map(str::trim);
    tags.any(|one| {
        let known = one.strip_prefix("W/").unwrap_or(one);
        one == "*" || known.strip_prefix('"').and_then(|known| known.strip_suffix('"')) == Some(tag)
    })
}

/// `Content-Disposition` of RFC 6266: a name for old clients, in which anything but letters, digits, `.`, `-`, `_` is replaced, and
/// where that lost something the name itself in RFC 8187's encoding.
fn disposition(kind: &str, name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    let mut text = format!("{kind}; filename=\"{safe}\"");
    if safe != name {
        text.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => text.push(byte as char),
                other => text.push_str(&format!("%{other:02X}")),
            }
        }
    }
    text
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::{disposition, names_tag};

    #[test]
    fn names_are_told_in_both_ways_and_break_out_of_neither() {
        assert_eq!(disposition("inline", "a-1.pdf"), "inline; filename=\"a-1.pdf\"");
        assert_eq!(
            disposition("attachment", "été 1\"; x=\r\n.pdf"),
            "attachment; filename=\"_t__1___x___.pdf\"; filename*=UTF-8''%C3%A9t%C3%A9%201%22%3B%20x%3D%0D%0A.pdf"
        );
    }

    #[test]
    fn a_tag_is_found_among_others() {
        for known in ["\"7\"", "W/\"7\"", "\"6\", \"7\"", "*", "\"6\",W/\"7\""] {
            assert!(names_tag(Some(known), "7"), "{known}");
        }
        for other in ["\"77\"", "7\"", "", "\"\"", "w/\"7\"", "\"6\", \"8\""] {
            assert!(!names_tag(Some(other), "7"), "{other}");
        }
        assert!(!names_tag(None, "7"));
    }
}
