//! The paginated envelope `{count, next, previous, results}` (spec/loop.md 4.3), written straight into one buffer.

use std::io::Write as _;

use loopd_types::Result;

use crate::query::{PageNumber, PageRequest, Query, encode, invalid_page, write_pairs};

/// Writes a page's envelope around rows that are JSON already.
pub struct PageWriter {
    out: Vec<u8>,
    rows: usize,
}

impl PageWriter {
    /// Opens the envelope. `base` is the absolute URL of the list without its query; links keep every other parameter.
    ///
    /// `page` is the resolved page number ([`resolve`]) and `count` the number of all rows.
    pub fn new(base: &str, query: &Query, page: u32, size: u32, count: u64) -> Self {
        let mut out = Vec::with_capacity(512 + size as usize * 1_024);
        let _ = write!(out, "{{\"count\":{count}");
        let pages = page_count(count, size);
        write_link(&mut out, "next", (u64::from(page) < pages).then(|| page + 1), base, query);
        write_link(&mut out, "previous", (page > 1).then(|| page - 1), base, query);
        out.extend_from_slice(b",\"results\":[");
        Self { out, rows: 0 }
    }

    /// Hands out the buffer for the next row; write exactly one JSON value.
    pub fn row(&mut self) -> &mut Vec<u8> {
        if self.rows > 0 {
            self.out.push(b',');
        }
        self.rows += 1;
        &mut self.out
    }

    /// Closes the envelope.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"]}");
        self.out
    }
}

/// How many pages `count` rows make: at least one, because an empty first page is a page.
pub fn page_count(count: u64, size: u32) -> u64 {
    count.div_ceil(u64::from(size.max(1))).max(1)
}

/// The page number and the offset of its first row.
///
/// # Errors
/// 404 "Invalid page." when there is no such page.
pub fn resolve(request: PageRequest, count: u64) -> Result<(u32, u64)> {
    let pages = page_count(count, request.size);
    let page = match request.page {
        PageNumber::Last => u32::try_from(pages).unwrap_or(u32::MAX),
        PageNumber::Number(page) if u64::from(page) <= pages => page,
        PageNumber::Number(_) => return Err(invalid_page()),
    };
    Ok((page, u64::from(page - 1) * u64::from(request.size)))
}

fn write_link(out: &mut Vec<u8>, name: &str, page: Option<u32>, base: &str, query: &Query) {
    let _ = write!(out, ",\"{name}\":");
    let Some(page) = page else {
        out.extend_from_slice(b"null");
        return;
    };
    let mut link = String::with_capacity(base.len() + 32);
    link.push_str(base);
    let kept = query.pairs().filter(|(key, _)| *key != "page");
    let mut text = String::new();
    // The link to page 1 drops `page`, as DRF's does.
    if page > 1 {
        text.push_str("page=");
        encode(&mut text, &page.to_string());
    }
    let mut rest = String::new();
    write_pairs(&mut rest, kept);
    if !text.is_empty() && !rest.is_empty() {
        text.push('&');
    }
    text.push_str(&rest);
    if !text.is_empty() {
        link.push('?');
        link.push_str(&text);
    }
    // The base comes from a checked host and percent-encoded path, but a JSON string is written by a JSON writer.
    if serde_json::to_writer(&mut *out, &link).is_err() {
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(raw: &str, count: u64, rows: &[&str]) -> String {
        let query = Query::parse(Some(raw)).unwrap();
        let request = query.page().unwrap();
        let (page, _) = resolve(request, count).unwrap();
        let mut writer = PageWriter::new("https://host/api/v1/companies/", &query, page, request.size, count);
        for row in rows {
            writer.row().extend_from_slice(row.as_bytes());
        }
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn the_envelope_is_drfs() {
        assert_eq!(
            page("page=2&page_size=1&search=a b", 3, &["{}"]),
            r#"{"count":3,"next":"https://host/api/v1/companies/?page=3&page_size=1&search=a%20b","previous":"https://host/api/v1/companies/?page_size=1&search=a%20b","results":[{}]}"#
        );
        assert_eq!(page("", 0, &[]), r#"{"count":0,"next":null,"previous":null,"results":[]}"#);
        assert_eq!(
            page("page=last", 26, &["1", "2"]),
            r#"{"count":26,"next":null,"previous":"https://host/api/v1/companies/","results":[1,2]}"#
        );
    }

    #[test]
    fn a_page_beyond_the_end_is_not_found() {
        let beyond = PageRequest { page: PageNumber::Number(3), size: 25 };
        assert_eq!(resolve(beyond, 50).unwrap_err().message(), "Invalid page.");
        assert_eq!(resolve(beyond, 51).unwrap(), (3, 50));
    }
}
