//! Cross-origin calls from browsers: which origins, headers and methods (spec/loop.md 4.11, the last sentence).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::Reply;

/// LOOP's four headers and what our own rules read besides. `X-LOOP-API-KEY` is a server's key that browsers must not hold;
/// it is listed because the documents name all four, and refusing it here would protect nobody.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "Accept, Authorization, Content-Digest, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Mcp-Method, Mcp-Name, MCP-Protocol-Version, Range, Repr-Digest, \
     Tus-Resumable, Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset, X-API-Key, X-Company-ID, X-LOOP-API-KEY, \
     X-LOOP-APP-ID, X-Request-ID, X-Visitor-Token, X-Workspace-ID",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Content-Disposition, Content-Range, ETag, Idempotency-Replayed, Location, Tus-Resumable, Tus-Version, \
     Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, \
     Retry-After, X-Count-Exact, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-ID",
);

/// The value of `Access-Control-Allow-Origin` for this request, when it comes from an allowed origin.
fn allowed_origin(headers: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    if allowed.iter().any(|known| known == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let text = origin.to_str().ok()?;
    allowed.iter().any(|known| known.trim_end_matches('/').eq_ignore_ascii_case(text)).then(|| origin.clone())
}

/// Whether OPTIONS is a browser asking before it calls.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight; `methods` is the route's `Allow`.
pub(crate) fn preflight(methods: &HeaderValue) -> Reply {
    let mut reply = Reply::no_content();
    reply.headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
    reply.headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
    reply.headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    reply
}

/// As [`dress`], for an operation that pages of every origin may call: it reads no credentials that a browser adds by itself.
pub(crate) fn open(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// Adds what lets the browser hand the answer to the page, and tells caches that answers differ by origin where they do: also
/// when this request has none, else its answer would be kept for the pages of an allowed one.
pub(crate) fn dress(headers: &mut HeaderMap, request: &HeaderMap, allowed: &[String]) {
    if !allowed.is_empty() && !allowed.iter().any(|known| known == "*") {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = allowed_origin(request, allowed) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
