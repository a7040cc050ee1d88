//! Widgets: a support chat on a company's website. Whoever has the widget's public token may begin a conversation; its people answer in the channel.

use loopd_types::random_token;
use serde_json::{Value as Json, json};

use crate::define::*;
use crate::engine::read;

/// Random bytes of a token. It stands in the website for everybody to read: it must not be guessed, and proves nothing.
const TOKEN_BYTES: usize = 16;

pub(super) fn resource() -> Resource {
    Resource::unnumbered("widgets")
        .help("A support chat for visitors of a website.")
        .field(
            text("token", 64).read_only().sparse().help(
                "Public name of the widget, for the website. It shows visitors the way in and gives no other right.",
            ),
        )
        .field(
            tags("allowed_origins")
                .help("Websites that may show it, as browsers name them; every website when empty.")
                .example(json!(["https://www.example.rw"])),
        )
        .field(text("welcome_text", 1_000).help("What visitors read first.").example("Muraho! How can we help?"))
        .field(tags("agents").help(
            "Ids of users who become members of every conversation, and so see what is unread. All others find it too.",
        ))
        .states(&["active", "disabled"])
        .action(Action::to("disable", &["active"], "disabled").help("Let nobody in by it."))
        .action(Action::to("enable", &["disabled"], "active").help("Let visitors in again."))
        .action(
            Action::new("rotate-token", &[]).effect(rotate).event("token_rotated").help(
                "Give it another token; the old one is unknown from now on. Conversations go on under the new one.",
            ),
        )
        .search(&["title", "description"])
        .before_create(issue_token)
        .check(check)
}

/// The company's code, so that the token leads to its company, and what nobody can guess.
fn new_token(cx: &Cx<'_, '_>) -> String {
    format!("{}-{}", cx.tenant.code(), random_token(cx.kernel().rng.as_ref(), TOKEN_BYTES))
}

/// The code of the company that gave a token out.
pub(super) fn company_of(token: &str) -> Option<&str> {
    token.split_once('-').map(|(code, _)| code)
}

fn issue_token(cx: &mut Cx<'_, '_>, widget: &mut Record) -> Result<()> {
    let token = new_token(cx);
    widget.set("token", token);
    Ok(())
}

fn rotate(cx: &mut Cx<'_, '_>, widget: &mut Record, _: &Input) -> Result<()> {
    issue_token(cx, widget)
}

fn check(cx: &mut Cx<'_, '_>, widget: &mut Record) -> Result<()> {
    let mut origins = Vec::new();
    for origin in words_in(widget, "allowed_origins") {
        let Some(origin) = origin_of(&origin) else {
            let words = format!("\"{origin}\" is no origin. Write it as https://www.example.rw, without a path.");
            return Err(Problem::field("allowed_origins", "invalid", words));
        };
        origins.push(origin);
    }
    widget.set("allowed_origins", json!(origins));
    // who left the company since stays in the list and is passed over
    let known = widget.original().map(|before| words_in(before, "agents")).unwrap_or_default();
    for agent in words_in(widget, "agents").into_iter().filter(|agent| !known.contains(agent)) {
        let is_member = match Uuid::parse_str(&agent) {
            Ok(user) => read::is_member(cx.tx, cx.tenant.company, user)?,
            Err(_) => return Err(Problem::field("agents", "invalid", "Must be a valid UUID.")),
        };
        if !is_member {
            let words = format!("Invalid pk \"{agent}\" - object does not exist.");
            return Err(Problem::field("agents", "does_not_exist", words));
        }
    }
    Ok(())
}

/// The agents who are in the company still.
pub(super) fn agents(cx: &mut Cx<'_, '_>, widget: &Record) -> Result<Vec<String>> {
    let mut agents = Vec::new();
    for agent in words_in(widget, "agents") {
        if let Ok(user) = Uuid::parse_str(&agent)
            && read::is_member(cx.tx, cx.tenant.company, user)?
        {
            agents.push(agent);
        }
    }
    Ok(agents)
}

/// Whether a page of this origin may show the widget. Without an `Origin` the caller is no browser on another website; there is nothing to
/// protect it from.
pub(super) fn allows(widget: &Record, origin: Option<&str>) -> bool {
    let allowed = words_in(widget, "allowed_origins");
    match origin {
        Some(origin) if !allowed.is_empty() => origin_of(origin).is_some_and(|origin| allowed.contains(&origin)),
        _ => true,
    }
}

fn words_in(record: &Record, field: &str) -> Vec<String> {
    let list = record.json(field).unwrap_or_default();
    list.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Scheme, host and port as browsers write them (RFC 6454, section 6.1): in lower case, without a final slash.
fn origin_of(text: &str) -> Option<String> {
    let origin = text.trim_end_matches('/').to_ascii_lowercase();
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    (host.split('.').all(is_label) && is_port).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
        assert_eq!(origin_of("HTTPS://WWW.Example.rw/").as_deref(), Some("https://www.example.rw"));
        assert_eq!(origin_of("http://localhost:3000").as_deref(), Some("http://localhost:3000"));
        for bad in
            ["example.rw", "https://", "https://a.rw/path", "https://a.rw:x", "ftp://a.rw", "https://*.rw", "null"]
        {
            assert_eq!(origin_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_names_its_company() {
        assert_eq!(company_of("001-ab-c_"), Some("001"));
        assert_eq!(company_of("001"), None);
    }
}
