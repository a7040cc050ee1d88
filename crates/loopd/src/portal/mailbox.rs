//! `/sandbox/mail/`: the letters that the sandbox keeps, for developers on this machine.

use maud::{Markup, html};

use super::components::{Frame, badge, literal, table};
use super::document::Document;
use super::info::PortalInfo;

/// A letter as the list shows it.
pub struct Entry {
    pub id: String,
    pub to: String,
    pub subject: String,
    pub template: String,
    pub language: String,
    pub state: String,
    pub written_at: String,
}

/// A letter with what it says.
pub struct Opened {
    pub entry: Entry,
    pub text: String,
}

const PATH: &str = "/sandbox/mail/";
const NOTE: &str = "Sandbox: these letters left for nobody. Set LOOP_SMTP_URL and LOOP_MAIL_FROM to send mail.";

/// The newest letters.
pub fn list(info: &PortalInfo, entries: &[Entry]) -> Document {
    let rows = entries.iter().map(|entry| {
        html! {
            th scope="row" { a href={ (PATH) (entry.id) "/" } { (entry.subject) } }
            td { (entry.to) }
            td { (literal(&entry.template)) " " (badge("plain", &entry.language)) }
            td { (badge(if entry.state == "sent" { "good" } else { "warn" }, &entry.state)) }
            td { (entry.written_at) }
        }
    });
    let main = html! {
        (head("Letters", NOTE))
        @if entries.is_empty() { p.none { "Nobody has been written to yet." } }
        @else { div.stacked.letters { (table("Letters, newest first", &["Subject", "To", "Template", "State", "Written"], rows)) } }
    };
    private(Frame::plain("Sandbox mail", "Letters that the sandbox keeps.", PATH).render(info, main))
}

/// One letter.
pub fn letter(info: &PortalInfo, opened: &Opened) -> Document {
    let Opened { entry, text } = opened;
    let main = html! {
        (head(&entry.subject, NOTE))
        dl.facts.letter-facts {
            dt { "To" } dd { (entry.to) }
            dt { "Template" } dd { (literal(&entry.template)) }
            dt { "Written" } dd { (entry.written_at) }
        }
        div.card { pre.letter-text { (linked(text)) } }
        p.after-card { a href={ (PATH) (entry.id) "/html/" } { "Look at it as HTML" } " · " a href=(PATH) { "All letters" } }
    };
    private(Frame::plain(&entry.subject, "A letter that the sandbox keeps.", PATH).render(info, main))
}

/// The letter as mail programs show it: its own styles stand inline, and it may do nothing at all.
pub fn letter_html(html: String) -> Document {
    let mut document = Document::json(&());
    document.headers = vec![
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox allow-popups allow-top-navigation-by-user-activation".to_owned()),
    ];
    document.body = html.into_bytes().into();
    private(document)
}

fn private(document: Document) -> Document {
    document.with("cache-control", "no-store").with("referrer-policy", "no-referrer")
}

fn head(title: &str, lead: &str) -> Markup {
    html! { header.page-head { p.eyebrow { "Sandbox mail" } h1.subject { (title) } p.lead { (lead) } } }
}

/// Addresses as links; every letter has at most a few.
fn linked(text: &str) -> Markup {
    html! {
        @for line in text.lines() {
            @if line.starts_with("http://") || line.starts_with("https://") { a href=(line) { (line) } } @else { (line) }
            "\n"
        }
    }
}
