//! Content negotiation: `Accept`, `?format=`, and the content type of request bodies (spec/loop.md 4.1, 4.2, 4.5).

use loopd_types::{Kind, Problem, Result};

use crate::operation::RequestBody;

/// Checks that one of the types the operation answers with satisfies `Accept`. Absent, empty and `*/*` accept everything.
///
/// # Errors
/// 406 `not_acceptable`.
pub(crate) fn check_accept(accept: Option<&str>, produces: &[String]) -> Result<()> {
    let Some(accept) = accept.map(str::trim).filter(|accept| !accept.is_empty() && *accept != "*/*") else {
        return Ok(());
    };
    let is_met = accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let wanted = parts.next().unwrap_or("");
        let refused = parts.any(|part| {
            part.strip_prefix("q=").is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        });
        !refused && produces.iter().any(|offered| matches(wanted, offered))
    });
    if is_met {
        return Ok(());
    }
    Err(Problem::new(Kind::NotAcceptable, "not_acceptable", "Could not satisfy the request Accept header."))
}

/// Whether `Accept` is a browser's that navigates: it names pages, and not JSON.
pub(crate) fn prefers_page(accept: Option<&str>) -> bool {
    let named = |wanted: &str| {
        accept.unwrap_or_default().split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted)) && !parts.any(|part| part == "q=0")
        })
    };
    named("text/html") && !named("application/json")
}

/// Checks `?format=`: a renderer that the operation does not have is not found.
///
/// # Errors
/// 404 `not_found`.
pub(crate) fn check_format(format: Option<&str>, produces: &[String]) -> Result<()> {
    let Some(format) = format else { return Ok(()) };
    let known = format == "json" || produces.iter().any(|offered| format_name(offered) == format);
    if known { Ok(()) } else { Err(Problem::not_found()) }
}

/// What `?format=` calls a content type.
fn format_name(content_type: &str) -> &str {
    match content_type {
        "text/html" => "html",
        "text/csv" => "csv",
        "text/plain" => "txt",
        "application/json" => "json",
        "application/vnd.oai.openapi" | "application/yaml" => "yaml",
        other => other.rsplit(['/', '+']).next().unwrap_or(other),
    }
}

/// Checks that a body that is there has a type the operation reads. True when it is JSON.
///
/// # Errors
/// 415 `unsupported_media_type`.
pub(crate) fn check_content_type(content_type: Option<&str>, request: &RequestBody) -> Result<bool> {
    let sent = content_type.unwrap_or("");
    let essence = sent.split(';').next().unwrap_or("").trim();
    if !request.content.iter().any(|known| matches(&known.content_type, essence)) {
        let words = format!("Unsupported media type \"{}\" in request.", printable(sent));
        return Err(Problem::new(Kind::UnsupportedMediaType, "unsupported_media_type", words));
    }
    Ok(essence.eq_ignore_ascii_case("application/json")
        && request.content.iter().any(|known| known.content_type.eq_ignore_ascii_case("application/json")))
}

/// Whether a range (`*/*`, `text/*`, `text/html`) covers a type.
fn matches(range: &str, offered: &str) -> bool {
    if range == "*/*" {
        return true;
    }
    match (range.split_once('/'), offered.split_once('/')) {
        (Some((kind, "*")), Some((offered_kind, _))) => kind.eq_ignore_ascii_case(offered_kind),
        _ => range.eq_ignore_ascii_case(offered),
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_weights_and_formats() {
        let offered = vec!["application/json".to_owned(), "text/csv".to_owned()];
        for accept in
            ["*/*", "", "application/json", "text/html, application/*;q=0.2", "TEXT/CSV", "text/html,*/*;q=0.1"]
        {
            assert!(check_accept(Some(accept), &offered).is_ok(), "{accept}");
        }
        for accept in ["text/html", "application/json;q=0", "image/*", "nonsense"] {
            assert_eq!(check_accept(Some(accept), &offered).unwrap_err().status(), 406, "{accept}");
        }
        assert!(check_format(Some("csv"), &offered).is_ok());
        assert_eq!(check_format(Some("xml"), &offered).unwrap_err().status(), 404);
    }
}
