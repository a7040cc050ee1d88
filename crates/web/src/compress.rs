//! gzip of larger answers. Small ones are left alone: they fit a packet or two, and the check costs one comparison of lengths.
//!
//! Streams are never touched (an event must not wait in a compressor), nor is an answer with an `ETag`: the tag of a record comes
//! back in `If-Match`, and another representation would need another tag (RFC 9110, 8.8.3).

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderValue, StatusCode};

use crate::{Payload, Reply};

/// Shorter bodies are sent as they are.
const LEAST: usize = 8 * 1024;
/// Longer ones are compressed off the async threads: this many take about a millisecond.
const AT_ONCE: usize = 64 * 1024;

/// Whether an `Accept-Encoding` allows gzip: named, or by `*`, and not with a weight of zero (RFC 9110, 12.5.3).
pub fn accepts_gzip(header: Option<&str>) -> bool {
    let weight = |wanted: &str| {
        header.unwrap_or_default().split(',').find_map(|offer| {
            let mut parts = offer.split(';').map(str::trim);
            let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            is_it.then(|| weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0)))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

/// Compresses what is read often and made once.
pub fn gzip_small(bytes: &[u8]) -> Bytes {
    gzip(bytes, Compression::best())
}

fn gzip(bytes: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    // A vector takes everything that is written to it.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("a vector takes everything that is written to it").into()
}

/// Compresses the body of an answer that is worth it, for a client that takes it.
pub(crate) async fn compress(reply: &mut Reply, accept_encoding: Option<&str>) {
    let Some(bytes) = reply.body.bytes().filter(|bytes| bytes.len() >= LEAST) else { return };
    if reply.status == StatusCode::PARTIAL_CONTENT || !is_compressible(&reply.headers) {
        return;
    }
    reply.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if !accepts_gzip(accept_encoding) {
        return;
    }
    // Level 1: on JSON within a tenth of level 6's size, for a third of its time.
    let packed = if bytes.len() <= AT_ONCE {
        gzip(bytes, Compression::fast())
    } else {
        let bytes = bytes.clone();
        match tokio::task::spawn_blocking(move || gzip(&bytes, Compression::fast())).await {
            Ok(packed) => packed,
            // The runtime ends: the plain body is as good.
            Err(_) => return,
        }
    };
    reply.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    reply.body = Payload::Ready(packed);
}

fn is_compressible(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) || headers.contains_key(ETAG) {
        return false;
    }
    let forbids = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("no-transform"));
    if headers.get(CACHE_CONTROL).is_some_and(forbids) {
        return false;
    }
    let Some(content_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence != "text/event-stream"
        && (essence.starts_with("text/")
            || essence.ends_with("json")
            || essence.ends_with("xml")
            || ["application/javascript", "application/yaml", "application/vnd.oai.openapi"].contains(&essence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read() {
        for header in ["gzip", "br, gzip", "GZIP;q=0.5", "*", "deflate, *;q=0.1", "br;q=1.0, gzip ; q=0.8"] {
            assert!(accepts_gzip(Some(header)), "{header}");
        }
        for header in ["", "br", "gzip;q=0", "*, gzip;q=0", "identity", "gzip;q=0.0, *"] {
            assert!(!accepts_gzip(Some(header)), "{header}");
        }
        assert!(!accepts_gzip(None));
    }

    #[tokio::test]
    async fn only_large_untagged_texts_that_are_no_streams() {
        let large = "x".repeat(LEAST);
        let packed = async |mut reply: Reply, accept: Option<&str>| {
            compress(&mut reply, accept).await;
            (reply.headers.contains_key(CONTENT_ENCODING), reply.headers.contains_key(VARY))
        };
        assert_eq!(packed(Reply::text(200, large.clone()), Some("gzip")).await, (true, true));
        assert_eq!(packed(Reply::text(200, "x".repeat(LEAST * 20)), Some("gzip")).await, (true, true));
        assert_eq!(packed(Reply::text(200, large.clone()), None).await, (false, true));
        assert_eq!(packed(Reply::text(200, "x".repeat(LEAST - 1)), Some("gzip")).await, (false, false));
        assert_eq!(packed(Reply::text(200, large.clone()).with_etag("7"), Some("gzip")).await, (false, false));
        assert_eq!(packed(Reply::bytes(200, "image/png", large.clone()), Some("gzip")).await, (false, false));
        let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(large))]);
        assert_eq!(packed(Reply::stream(200, "text/csv", chunks), Some("gzip")).await, (false, false));
    }
}
