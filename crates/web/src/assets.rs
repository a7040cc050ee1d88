//! Static assets out of the binary: strong ETags, 304, long lives for names that carry a hash.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use loopd_types::{Problem, Result, sha256_hex};

use crate::operation::{Operation, Param, RateClass};
use crate::reply::header_value;
use crate::{Content, Payload, Reply, ResponseDoc, schema};

/// A folder of assets, by their path below it.
pub struct Assets {
    by_path: HashMap<Cow<'static, str>, Asset>,
}

struct Asset {
    bytes: Bytes,
    etag: HeaderValue,
    content_type: HeaderValue,
    cache: HeaderValue,
}

impl Assets {
    /// Takes embedded files: path below the folder (`logo.svg`, `js/app.3f9a1c2b.js`), bytes.
    pub fn new(files: impl IntoIterator<Item = (impl Into<Cow<'static, str>>, impl Into<Bytes>)>) -> Self {
        let by_path = files
            .into_iter()
            .map(|(path, bytes)| {
                let (path, bytes) = (path.into(), bytes.into());
                let etag = header_value(&format!("\"{}\"", &sha256_hex(&bytes)[..32]));
                let cache =
                    if is_hashed(&path) { "public, max-age=31536000, immutable" } else { "public, max-age=300" };
                let content_type = HeaderValue::from_static(content_type(&path));
                (path, Asset { bytes, etag, content_type, cache: HeaderValue::from_static(cache) })
            })
            .collect();
        Self { by_path }
    }

    /// The paths, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.by_path.keys().map(AsRef::as_ref).collect();
        paths.sort_unstable();
        paths
    }

    /// Answers a request for `path`; 304 when `If-None-Match` names its ETag.
    ///
    /// # Errors
    /// 404 `not_found`.
    pub fn reply(&self, path: &str, request: &HeaderMap) -> Result<Reply> {
        let asset = self.by_path.get(path).ok_or_else(Problem::not_found)?;
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(ETAG, asset.etag.clone());
        headers.insert(CACHE_CONTROL, asset.cache.clone());
        if matches_etag(request, &asset.etag) {
            return Ok(Reply { status: StatusCode::NOT_MODIFIED, headers, body: Payload::empty() });
        }
        headers.insert(CONTENT_TYPE, asset.content_type.clone());
        Ok(Reply { status: StatusCode::OK, headers, body: Payload::Ready(asset.bytes.clone()) })
    }

    /// The operation that serves the folder: `path` ends in `{*path}`.
    pub fn operation(self: Arc<Self>, id: &str, path: &str) -> Operation {
        Operation::get(id, path, move |call| {
            let reply = self.reply(call.param("path"), &call.headers);
            async move { reply }
        })
        .summary("A static asset")
        .rate(RateClass::Unlimited)
        .param(Param::path("path", schema::string()))
        .response(ResponseDoc::empty(200, "The asset.").with(Content::of("*/*", schema::any())))
        .responds_empty(304, "Not modified.")
    }
}

/// RFC 9110, 13.1.2: a list of tags or `*`, compared weakly.
fn matches_etag(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let etag = etag.to_str().unwrap_or_default();
    let lines = request.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// Whether a part of the file's name between dots or dashes is a hash: eight or more hex digits, one of them a digit.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split(['.', '-']).any(|part| {
        part.len() >= 8 && part.bytes().all(|b| b.is_ascii_hexdigit()) && part.bytes().any(|b| b.is_ascii_digit())
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashed_names_live_long() {
        assert!(is_hashed("js/app.3f9a1c2b.js"));
        assert!(is_hashed("app-0123456789abcdef.css"));
        assert!(!is_hashed("swagger-ui-bundle.js"));
        assert!(!is_hashed("deadbeef/logo.svg"));
        assert!(!is_hashed("defaced-facade.png"));
    }

    #[test]
    fn an_unchanged_asset_is_not_sent_again() {
        let assets = Assets::new([("logo.svg", &b"<svg/>"[..])]);
        let first = assets.reply("logo.svg", &HeaderMap::new()).unwrap();
        assert_eq!((first.status.as_u16(), first.headers[CONTENT_TYPE].as_bytes()), (200, &b"image/svg+xml"[..]));
        let mut request = HeaderMap::new();
        request.insert(IF_NONE_MATCH, format!("\"x\", W/{}", first.headers[ETAG].to_str().unwrap()).parse().unwrap());
        assert_eq!(assets.reply("logo.svg", &request).unwrap().status, 304);
        assert_eq!(assets.reply("nothing", &request).unwrap_err().status(), 404);
    }
}
