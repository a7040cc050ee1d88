//! The products beside LOOP that speak an API of their own: what each is for, who gets a key and where, and the first call.

use maud::{Markup, html};

use super::{
    components::{code_block, icon, table},
    info::PortalInfo,
};

/// A product with its own keys, errors and OpenAPI document.
pub(super) struct Sibling {
    pub slug: &'static str,
    pub name: &'static str,
    icon: &'static str,
    summary: &'static str,
    /// Where its own calls begin.
    pub base: &'static str,
    key: &'static str,
    headers: &'static str,
    /// Where signed-in people look after it, in LOOP's dialect.
    pub manage: &'static str,
    made_at: &'static str,
    made_by: &'static str,
    /// Its OpenAPI document.
    pub document: &'static str,
    first: (&'static str, &'static str),
}

pub(super) const SIBLINGS: [Sibling; 2] = [
    Sibling {
        slug: "loopwave",
        name: "Loopwave",
        icon: "message-circle",
        summary: "A WhatsApp team inbox: numbers, chats, contacts, tickets, auto-replies and paced broadcasts.",
        base: "/api/v1/messages",
        key: "lw_live_…",
        headers: "Authorization: Bearer or X-API-Key",
        manage: "/api/v1/loopwave/",
        made_at: "/api/v1/loopwave/api-keys/",
        made_by: "loopd key create --kind wave --company 001",
        document: "/api-reference/openapi.json",
        first: (
            "Send a message",
            "curl -X POST {base}/api/v1/messages \\\n  -H \"Authorization: Bearer $KEY\" \\\n  -H \"Content-Type: application/json\" \\\n  \
             -d '{\"to\":\"250788123456\",\"text\":\"Muraho!\"}'",
        ),
    },
    Sibling {
        slug: "loomal",
        name: "Loomal",
        icon: "coins",
        summary: "Machine payments (x402): price an API in one call, be paid in another, with a receipt that anyone can verify.",
        base: "/v0",
        key: "loid-… (a project), lopk-… (all projects)",
        headers: "Authorization: Bearer",
        manage: "/api/v1/loomal/",
        made_at: "/api/v1/loomal/projects/",
        made_by: "loopd key create --kind project --company 001",
        document: "/v0/openapi.json",
        first: (
            "Ask for a payment",
            "curl -X POST {base}/v0/payments/challenge \\\n  -H \"Authorization: Bearer $KEY\" \\\n  -H \"Content-Type: application/json\" \\\n  \
             -d '{\"amount\":\"0.05\",\"network\":\"base\",\"resource\":\"https://shop.example/weather\"}'",
        ),
    },
];

/// Both of them, for the reference.
pub(super) fn blocks(info: &PortalInfo) -> Markup {
    html! { @for sibling in &SIBLINGS { (block(info, sibling)) } }
}

fn block(info: &PortalInfo, sibling: &Sibling) -> Markup {
    let Sibling { slug, name, base, key, headers, manage, made_at, made_by, document, .. } = *sibling;
    let rows = [
        ("Calls", html! { code { (info.base_url) (base) } }),
        ("Key", html! { code { (key) } " as " code { (headers) } }),
        (
            "Made by owners, admins and who else may manage keys",
            html! { code { "POST " (made_at) } " or " code { (made_by) } },
        ),
        (
            "For signed-in people",
            html! { code { (manage) } " in LOOP's own dialect, in " a href={ "/api/docs/?module=" (slug) } { "LOOP's description" } },
        ),
        (
            "Every call",
            html! {
                a href={ "/api/docs/?api=" (slug) } { "Swagger UI" } " · " a href={ "/api/redoc/?api=" (slug) } { "ReDoc" } " · "
                a href=(document) { code { (document) } }
            },
        ),
    ];
    let rows = rows.map(|(what, where_)| html! { th scope="row" { (what) } td { (where_) } });
    html! {
        section.module id=(slug) aria-labelledby={ (slug) "-title" } {
            header { h3 id={ (slug) "-title" } { (icon(sibling.icon)) (name) } code { (base) } }
            p { (sibling.summary) }
            div.stacked { (table(&format!("{name}: addresses and keys"), &["What", "Where"], rows)) }
            (code_block(sibling.first.0, &sibling.first.1.replace("{base}", &info.base_url)))
        }
    }
}

/// One line about each, for the front page.
pub(super) fn lines() -> Markup {
    html! {
        ul.points {
            @for sibling in &SIBLINGS {
                li { a href={ "/api/developers/#" (sibling.slug) } { (sibling.name) } ": " (sibling.summary) }
            }
        }
        p.note { "Same account, same companies, same billing; keys and errors of their own. Agents use all of it at " code { "/mcp" } "." }
    }
}
