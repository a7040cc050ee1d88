//! The small pages that links in letters open. They work without script, fetch nothing from elsewhere, tell no other site where the
//! reader came from (the address holds a token), and change nothing until a button is pressed: mail programs open links by themselves.

mod words;

use maud::{DOCTYPE, Markup, html};
pub use words::{Words, words};

use super::assets;
use super::components::wordmark;
use super::document::Document;

/// As the portal's, but for scripts: there are none. Our own address is the only one that a form may send to.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A page with one subject.
pub struct Page<'p> {
    pub words: &'static Words,
    pub status: u16,
    pub title: &'p str,
    /// What went wrong with what was sent, in the reader's language or the API's.
    pub complaints: &'p [String],
    pub main: Markup,
}

impl Page<'_> {
    /// The finished answer. Never kept by a browser or a proxy, and never named to another site.
    pub fn render(self) -> Document {
        let Page { words, status, title, complaints, main } = self;
        let markup = html! {
            (DOCTYPE)
            html lang=(words.language) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · LOOP" }
                    link rel="icon" href="/favicon.ico" sizes="32x32";
                    link rel="stylesheet" href=(assets::url("portal.css")) integrity=(assets::integrity("portal.css"));
                }
                body.letter-page {
                    main #main {
                        p.mark { (wordmark()) }
                        section.card aria-labelledby="title" {
                            h1 #title { (title) }
                            @if !complaints.is_empty() {
                                ul.complaints role="alert" { @for complaint in complaints { li { (complaint) } } }
                            }
                            (main)
                        }
                    }
                }
            }
        };
        let mut document =
            Document::html(markup, POLICY).with("cache-control", "no-store").with("referrer-policy", "no-referrer");
        document.status = status;
        document
    }
}

/// A form that sends a token with whatever else it asks for.
pub fn form(path: &str, token: &str, inside: Markup) -> Markup {
    html! {
        form.stack method="post" action=(path) {
            input type="hidden" name="token" value=(token);
            (inside)
        }
    }
}

/// A labelled field. `kind` is the input's type and `complete` what browsers fill in.
pub fn field(name: &str, label: &str, kind: &str, complete: &str, value: &str) -> Markup {
    html! {
        label { span { (label) }
            input type=(kind) name=(name) autocomplete=(complete) value=(value) required maxlength="1024";
        }
    }
}

/// The button that does it.
pub fn button(words: &str) -> Markup {
    html! { button.button type="submit" { (words) } }
}

/// Terms and what they are, one below the other.
pub fn facts(rows: &[(&str, &str)]) -> Markup {
    html! { dl.facts { @for (term, fact) in rows { dt { (term) } dd { (fact) } } } }
}

/// A sentence on its own.
pub fn sentence(words: &str) -> Markup {
    html! { p { (words) } }
}
