//! A finished answer: status, headers and bytes, with the content security policy that belongs to the page.

use std::borrow::Cow;

use maud::Markup;
use serde::Serialize;

/// An answer that only has to be written out. Header names are in lower case.
#[derive(Debug, Clone)]
pub struct Document {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// Embedded files are lent, pages are owned.
    pub body: Cow<'static, [u8]>,
}

/// Our own pages: one style sheet, two scripts, pictures; all of them files of ours. Nothing inline.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Files may be opened on their own (an SVG is a document too) and then may do nothing at all.
pub(super) const FILE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

impl Document {
    /// An HTML page under `policy`. Pages are cheap to make and change with the settings, so browsers ask each time.
    pub(super) fn html(markup: Markup, policy: &str) -> Document {
        let headers = vec![
            ("content-type", "text/html; charset=utf-8".to_owned()),
            ("cache-control", "no-cache".to_owned()),
            ("content-security-policy", policy.to_owned()),
            ("referrer-policy", "same-origin".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ];
        Document { status: 200, headers, body: Cow::Owned(markup.into_string().into_bytes()) }
    }

    /// A JSON body with two-space indentation: these are read by people in a terminal.
    pub(super) fn json(value: &impl Serialize) -> Document {
        let mut body = serde_json::to_vec_pretty(value).expect("portal values have string keys only");
        body.push(b'\n');
        let headers = vec![("content-type", "application/json".to_owned()), ("cache-control", "no-cache".to_owned())];
        Document { status: 200, headers, body: Cow::Owned(body) }
    }

    /// Adds a header and gives the document back.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Document {
        self.headers.push((name, value.into()));
        self
    }
}
