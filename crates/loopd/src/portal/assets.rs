//! The embedded files of `ui/dist`: brand pictures under plain names, the pages' own files under hashed ones.
//!
//! Both live below `/api/assets/`. A hashed file never changes, so browsers keep it for a year without asking; a brand
//! file is linked from other people's pages and is asked for again after a day. Texts lie there compressed already.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

use super::document::{Document, FILE_POLICY};

include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

/// Where all files are served.
pub const PREFIX: &str = "/api/assets/";

const FOREVER: &str = "public, max-age=31536000, immutable";
const A_DAY: &str = "public, max-age=86400";

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let bytes = embedded("manifest.json").expect("build.rs refuses a ui/dist without manifest.json");
    serde_json::from_slice(bytes).expect("ui/build.mjs writes the manifest that this file reads")
});

/// What `ui/build.mjs` wrote down about the files.
#[derive(Deserialize)]
struct Manifest {
    files: Vec<File>,
    #[serde(rename = "static")]
    linked: HashMap<String, Linked>,
    brand: Vec<Brand>,
}

#[derive(Deserialize)]
struct File {
    path: String,
    content_type: String,
    sha256: String,
    encodings: Vec<String>,
}

/// A file that pages link under its short name.
#[derive(Deserialize)]
struct Linked {
    path: String,
    integrity: String,
}

/// One picture (or list of pictures) that a client of LOOP may use.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Brand {
    /// File name, e.g. `icon-192.png`.
    pub name: String,
    /// `logo`, `wordmark`, `favicon`, `app-icon`, `app-icon-maskable`, `social` or `manifest`.
    pub kind: String,
    pub content_type: String,
    /// Pixels; for SVG the natural size; null for the web manifest.
    pub width: Option<u32>,
    pub height: Option<u32>,
}

/// The brand files in the order in which they are shown.
pub fn brand() -> &'static [Brand] {
    &MANIFEST.brand
}

/// The address of a hashed file by its short name, e.g. `portal.css`.
pub(super) fn url(name: &str) -> String {
    format!("{PREFIX}{}", linked(name).path)
}

/// The subresource integrity of a hashed file.
pub(super) fn integrity(name: &str) -> &'static str {
    &linked(name).integrity
}

/// Answers `GET /api/assets/<path>`; `path` is what stands after [`PREFIX`] (or `favicon.ico` for the root's).
///
/// `accept_encoding` and `if_none_match` are the request's headers as they came. `None` when there is no such file.
pub fn serve(path: &str, accept_encoding: Option<&str>, if_none_match: Option<&str>) -> Option<Document> {
    let file = MANIFEST.files.iter().find(|file| file.path == path)?;
    let encoding = choose_encoding(file, accept_encoding.unwrap_or_default());
    // The compressed twin is another representation, so it has another tag (RFC 9110 section 8.8.3).
    let tag = format!("{}{}", &file.sha256[..20], encoding.map(|name| format!("-{name}")).unwrap_or_default());
    let is_known = loopd_web::names_tag(if_none_match, &tag);
    let cache = if file.path.starts_with("static/") { FOREVER } else { A_DAY };
    let mut headers = vec![
        ("content-type", file.content_type.clone()),
        ("cache-control", cache.to_owned()),
        ("etag", format!("\"{tag}\"")),
        ("content-security-policy", FILE_POLICY.to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        // Logos and icons are there to be shown on other people's pages.
        ("cross-origin-resource-policy", "cross-origin".to_owned()),
    ];
    if !file.encodings.is_empty() {
        headers.push(("vary", "accept-encoding".to_owned()));
    }
    if is_known {
        return Some(Document { status: 304, headers, body: Cow::Borrowed(&[]) });
    }
    let stored = match encoding {
        Some("br") => format!("{path}.br"),
        Some(_) => format!("{path}.gz"),
        None => path.to_owned(),
    };
    if let Some(name) = encoding {
        headers.push(("content-encoding", name.to_owned()));
    }
    Some(Document { status: 200, headers, body: Cow::Borrowed(embedded(&stored)?) })
}

/// The best encoding that the client takes and the file has. A weight of zero is a refusal; other weights are not
/// compared, as every client that names Brotli prefers it.
fn choose_encoding<'f>(file: &'f File, accepted: &str) -> Option<&'f str> {
    let is_accepted = |name: &str| {
        accepted.split(',').any(|offer| {
            let (coding, weight) = offer.split_once(";q=").unwrap_or((offer, "1"));
            coding.trim().eq_ignore_ascii_case(name) && weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0)
        })
    };
    file.encodings.iter().map(String::as_str).find(|name| is_accepted(name))
}

fn linked(name: &str) -> &'static Linked {
    MANIFEST.linked.get(name).unwrap_or_else(|| panic!("ui/dist has no {name}: build it again"))
}

fn embedded(path: &str) -> Option<&'static [u8]> {
    FILES.binary_search_by(|(name, _)| (*name).cmp(path)).ok().map(|index| FILES[index].1)
}
