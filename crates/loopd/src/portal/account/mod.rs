//! The small pages that links in letters open. They work without script, fetch nothing from elsewhere, tell no other site where the
//! reader came from (the address holds a token), and change nothing until a button is pressed: mail programs open links by themselves.

mod complaint;
mod security;
mod words;

pub use complaint::{Complaint, complaints};
use maud::{DOCTYPE, Markup, Render, html};
pub use security::security;
pub use words::{Words, words};

use super::assets;
use super::components::wordmark;
use super::document::Document;

/// As the portal's, but for scripts: there are none. Our own address is the only one that a form may send to.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// For a page with one script of ours, which speaks to this server alone.
const SCRIPTED: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// What the head of every such page says.
fn head(title: impl Render) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="robots" content="noindex";
        meta name="color-scheme" content="light dark";
        title { (title) " · LOOP" }
        link rel="icon" href="/favicon.ico" sizes="32x32";
        link rel="stylesheet" href=(assets::url("portal.css")) integrity=(assets::integrity("portal.css"));
    }
}

/// A page with one subject.
pub struct Page<'p> {
    pub words: &'static Words,
    pub status: u16,
    pub title: &'p str,
    /// What went wrong with what was sent; those of a field stand beside it and are its form's to show.
    pub complaints: &'p [Complaint],
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
                    (head(html! { @if !complaints.is_empty() { (words.error) ": " } (title) }))
                }
                body.letter-page {
                    main #main {
                        p.mark { (wordmark()) }
                        section.card aria-labelledby="title" {
                            h1 #title { (title) }
                            @for complaint in complaints.iter().filter(|complaint| complaint.field.is_none()) {
                                p.complaint role="alert" { (complaint.words) }
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

/// A page whose card its maker draws, title and all, and which a script of ours may move; it is whole without. Never kept, and never named
/// to another site.
pub fn drawn(words: &'static Words, status: u16, title: &str, script: &str, card: Markup) -> Document {
    let markup = html! {
        (DOCTYPE)
        html lang=(words.language) {
            head {
                (head(title))
                script type="module" src=(assets::url(script)) integrity=(assets::integrity(script)) {}
            }
            body.letter-page {
                main #main {
                    p.mark { (wordmark()) }
                    (card)
                }
            }
        }
    };
    let mut document =
        Document::html(markup, SCRIPTED).with("cache-control", "no-store").with("referrer-policy", "no-referrer");
    document.status = status;
    document
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

/// Longest line of a form that says no other.
const LINE_MOST: usize = 1024;

/// A labelled field.
#[derive(Default)]
pub struct Field<'f> {
    pub name: &'f str,
    pub label: &'f str,
    /// The input's type.
    pub kind: &'f str,
    /// What browsers fill in.
    pub complete: &'f str,
    pub value: &'f str,
    /// What is asked for, below the label.
    pub hint: Option<&'f str>,
    /// Longest text, in characters; 1024 unless said.
    pub most: usize,
    /// Whether it may stay empty.
    pub is_optional: bool,
}

impl Field<'_> {
    /// The field with what is wrong with it. The first one that is wrong is where a reader lands, and their screen reader with them.
    pub fn render(&self, complaints: &[Complaint]) -> Markup {
        let Field { name, label, kind, complete, value, hint, most, is_optional } = self;
        let most = if *most == 0 { LINE_MOST } else { *most };
        let own: Vec<&Complaint> = complaints.iter().filter(|complaint| complaint.field == Some(name)).collect();
        let is_first = complaints.iter().find_map(|complaint| complaint.field) == Some(name);
        let (hint_id, error_id) = (format!("{name}-hint"), format!("{name}-error"));
        let mut described = Vec::new();
        described.extend((!own.is_empty()).then_some(error_id.as_str()));
        described.extend(hint.map(|_| hint_id.as_str()));
        let described = described.join(" ");
        html! {
            div.field {
                label for=(name) { (label) }
                @if let Some(hint) = hint { p.hint id=(hint_id) { (hint) } }
                input id=(name) type=(kind) name=(name) autocomplete=(complete) value=(value) required[!is_optional] maxlength=(most)
                    autocapitalize="none" spellcheck="false" autofocus[is_first]
                    aria-invalid=[(!own.is_empty()).then_some("true")]
                    aria-describedby=[(!described.is_empty()).then_some(&described)];
                @if !own.is_empty() {
                    div.complaint id=(error_id) role="alert" { @for complaint in own { p { (complaint.words) } } }
                }
            }
        }
    }
}

/// The button that does it.
pub fn button(words: &str) -> Markup {
    html! { button.button type="submit" { (words) } }
}

/// The button that does what cannot be taken back.
pub fn grave_button(words: &str) -> Markup {
    html! { button.button.grave type="submit" { (words) } }
}

/// Terms and what they are, one below the other.
pub fn facts(rows: &[(&str, &str)]) -> Markup {
    html! { dl.facts { @for (term, fact) in rows { dt { (term) } dd { (fact) } } } }
}

/// A sentence on its own.
pub fn sentence(words: &str) -> Markup {
    html! { p { (words) } }
}
