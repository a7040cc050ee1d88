//! What a seller answered, as our own answers hold it: always inside of JSON, because nobody is to take it for ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use loopd_kernel::egress::Answer;
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

/// Bytes of a seller's answer that are handed on.
pub const MOST: usize = 1024 * 1024;

/// Adds the content: JSON as `content`, text as `contentText`, anything else in base64.
pub fn write(answer: &Answer, out: &mut Json) {
    let kind = answer.header("content-type");
    out["contentType"] = json!(kind);
    let is_json = kind.is_some_and(|kind| kind.contains("json"));
    let parsed = is_json.then(|| serde_json::from_slice::<Json>(&answer.body).ok()).flatten();
    match (parsed, std::str::from_utf8(&answer.body)) {
        (Some(value), _) => out["content"] = value,
        (None, Ok(text)) => out["contentText"] = json!(text),
        (None, Err(_)) => out["contentBase64"] = json!(STANDARD.encode(&answer.body)),
    }
    if answer.is_cut {
        out["contentCut"] = json!(true);
    }
}

/// The members that [`write`] adds.
pub fn fields() -> [(&'static str, Json); 5] {
    [
        ("content", schema::any()),
        ("contentText", schema::string()),
        ("contentBase64", schema::string()),
        ("contentCut", schema::boolean().describe("Whether there was more than a mebibyte.")),
        ("contentType", schema::string().nullable()),
    ]
}
