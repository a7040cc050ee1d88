//! What content is, by its own first bytes. A client's word is taken only between kinds of plain text, and never for what a browser
//! would run.

/// How much of the beginning is looked at.
pub(crate) const HEAD_BYTES: usize = 8 * 1024;
const UNKNOWN: &str = "application/octet-stream";

/// The type of content that begins so. `claimed` is what the client called it.
pub(crate) fn sniff(head: &[u8], claimed: &str) -> String {
    let claimed = claimed.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match text_of(head) {
        // Markup is looked for before magic numbers: "GIF89a=1;<script>" is not what it begins as to every browser, but text is text.
        Some(text) if looks_like_svg(text) => "image/svg+xml".to_owned(),
        Some(text) if looks_like_html(text) => "text/html".to_owned(),
        Some(text) => plain(text, &claimed),
        None => infer::get(head).map_or_else(|| UNKNOWN.to_owned(), |known| known.mime_type().to_owned()),
    }
}

/// The beginning as text, if it is text: UTF-8, without control characters. A letter cut off at the end does not count.
fn text_of(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && head.len() >= HEAD_BYTES - 4 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = text.chars().all(|letter| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t' | '\u{c}'));
    // A PDF may begin with text alone.
    (is_text && !text.starts_with("%PDF-")).then_some(text)
}

fn looks_like_svg(text: &str) -> bool {
    text.to_ascii_lowercase().contains("<svg")
}

/// The tags by which browsers tell HTML (WHATWG MIME Sniffing, 7.1), anywhere and not only at the start: too careful harms nobody.
fn looks_like_html(text: &str) -> bool {
    const TAGS: [&str; 12] = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<script",
        "<iframe",
        "<img",
        "<style",
        "<a href",
        "<table",
        "<div",
        "<object",
    ];
    let text = text.to_ascii_lowercase();
    TAGS.iter().any(|tag| text.contains(tag))
}

/// Among plain texts the client knows best.
fn plain(text: &str, claimed: &str) -> String {
    const TEXTS: [&str; 9] = [
        "text/plain",
        "text/csv",
        "text/markdown",
        "text/calendar",
        "text/vcard",
        "text/tab-separated-values",
        "application/json",
        "application/x-ndjson",
        "application/yaml",
    ];
    if TEXTS.contains(&claimed) {
        return claimed.to_owned();
    }
    if text.trim_start().starts_with("<?xml") { "application/xml".to_owned() } else { "text/plain".to_owned() }
}

/// Whether a browser that opens it would run what is in it.
pub fn is_active(content_type: &str) -> bool {
    matches!(content_type, "text/html" | "image/svg+xml" | "application/xml" | "text/xml" | "application/xhtml+xml")
        || content_type.contains("javascript")
}

/// Whether it may be shown in place: pictures, sound, film, plain text and PDF. Everything else is only ever saved.
pub fn may_show_inline(content_type: &str) -> bool {
    if is_active(content_type) {
        return false;
    }
    let kind = content_type.split('/').next().unwrap_or("");
    matches!(kind, "image" | "audio" | "video") || matches!(content_type, "text/plain" | "application/pdf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_says_what_it_is_whatever_it_is_called() {
        for (head, claimed, is) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "text/html", "image/png"),
            (b"%PDF-1.7\n", "image/png", "application/pdf"),
            (b"<!DOCTYPE html><p>", "image/png", "text/html"),
            (b"\n <svg xmlns=''><script/></svg>", "image/png", "image/svg+xml"),
            (b"<?xml version='1.0'?><svg/>", "image/svg+xml", "image/svg+xml"),
            (b"GIF89a=1;//<script>alert(1)</script>", "image/gif", "text/html"),
            (b"a;b\n1;2\n", "text/csv; charset=utf-8", "text/csv"),
            (b"a;b\n1;2\n", "text/html", "text/plain"),
            (b"alert(1)", "text/javascript", "text/plain"),
            (b"{\"a\":1}", "application/json", "application/json"),
            (b"\x00\x01\x02\x03", "image/png", UNKNOWN),
            (b"", "image/png", "text/plain"),
        ] {
            assert_eq!(sniff(head, claimed), is, "{:?} as {claimed}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn nothing_that_runs_is_shown() {
        for active in ["text/html", "image/svg+xml", "application/xml", "text/javascript", "application/octet-stream"] {
            assert!(!may_show_inline(active), "{active}");
        }
        for shown in ["image/png", "application/pdf", "text/plain", "video/mp4"] {
            assert!(may_show_inline(shown), "{shown}");
        }
    }
}
