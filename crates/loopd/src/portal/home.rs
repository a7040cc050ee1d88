//! `/`: the portal's front page. Every part and sentence of the original page is here, in its order.

use maud::{Markup, html};

use super::{
    components::{Frame, badge, card, code_tabs, icon, literal, method_badge, points},
    document::Document,
    examples::{CORE_APIS, EXAMPLES, Example, Headers, PRODUCTS},
    guide,
    info::PortalInfo,
    siblings,
};

pub(super) const TAGLINE: &str = "Unified multi-tenant API ecosystem for LOOP by LIGHTMGROUP.";
pub(super) const AUDIENCE: &str = "Build web apps, mobile apps, internal dashboards, product integrations, and external services on one shared account, \
     company, workspace, role, billing, and product subscription foundation.";
pub(super) const SECURITY_NOTES: [&str; 4] = [
    "Rate limiting and pagination are enabled.",
    "Secure headers and HTTPS proxy detection are configured.",
    "Admin access should stay staff-only and protected by strong credentials.",
    "Errors use a standard JSON envelope.",
];

pub(super) fn page(info: &PortalInfo) -> Document {
    let frame = Frame::plain("LOOP Developer Portal", TAGLINE, "/");
    let main = html! {
        (hero(info))
        div.cards {
            (base_url(info))
            (status(info))
            (authentication())
            (tenant_header())
            (core_apis())
            (product_apis(info))
        }
        div.cards.one { (sibling_products()) }
        (guide::section(info))
        (examples(info))
        div.cards.two { (assets()) (security()) }
    };
    frame.render(info, main)
}

fn hero(info: &PortalInfo) -> Markup {
    html! {
        section.hero aria-labelledby="title" {
            div.hero-words {
                p.eyebrow { span.dot aria-hidden="true" {} (info.environment_label()) " · " (info.version) }
                h1 #title { "LOOP Developer Portal" }
                p.tagline { (TAGLINE) }
                p.lead { (AUDIENCE) }
                p.actions {
                    a.button href="#five-minutes" { "Start in five minutes" (icon("arrow-right")) }
                    a.button.quiet href="/api/developers/" { (icon("book-open")) "Read the reference" }
                }
            }
            (foundation(info))
        }
    }
}

/// The audience paragraph as a picture: what people build, on what it stands.
fn foundation(info: &PortalInfo) -> Markup {
    let builds = [
        ("monitor", "Web apps"),
        ("smartphone", "Mobile apps"),
        ("building-2", "Dashboards"),
        ("workflow", "Integrations"),
        ("server", "Services"),
    ];
    let stands_on = ["Account", "Company", "Workspace", "Role", "Billing", "Subscription"];
    let products =
        if info.modules.len() > 1 { format!("{} products, one API", info.modules.len()) } else { "One API".to_owned() };
    html! {
        div.foundation aria-hidden="true" {
            div.layer { @for (name, words) in builds { span.chip { (icon(name)) (words) } } }
            div.joint {}
            div.layer.middle { (icon("blocks")) span { (products) } code { "/api/v1/" } }
            div.joint {}
            div.layer.ground { @for words in stands_on { span.chip { (words) } } }
        }
    }
}

fn base_url(info: &PortalInfo) -> Markup {
    let address = info.api_base();
    card(
        "base-url",
        "link",
        "Base URL",
        html! {
            p.address { (literal(&address)) }
            p.note { "Use " a href="/?format=json" { code { "?format=json" } } " on this page for metadata JSON." }
        },
    )
}

fn status(info: &PortalInfo) -> Markup {
    card(
        "status",
        "activity",
        "Status",
        html! {
            p.address { a href="/health/" { (literal(&format!("{}/health/", info.base_url))) } }
            p.note { "Returns app, database, environment, version, and timestamp." }
        },
    )
}

fn authentication() -> Markup {
    let items = [
        html! { "JWT: " code { "Authorization: Bearer <access_token>" } },
        html! { "Internal server key: " code { "X-LOOP-API-KEY: <internal_key>" } },
        html! { "Never expose internal keys in browser JavaScript." },
    ];
    card("authentication", "key-round", "Authentication", points(&items))
}

fn tenant_header() -> Markup {
    let items = [
        html! { "Send " code { "X-Company-ID: 001" } ", " code { "002" } ", or another company code for tenant-scoped requests." },
        html! { "The API checks active membership or internal key company access." },
        html! { "Workspaces can use " code { "X-Workspace-ID" } "." },
    ];
    card("tenant-header", "building-2", "Tenant Header", points(&items))
}

fn core_apis() -> Markup {
    card(
        "core-apis",
        "layers",
        "Core APIs",
        html! {
            ul.paths {
                @for path in CORE_APIS { li { a href={ "/api/developers/#core-" (path.trim_matches('/')) } { code { (path) } } } }
            }
        },
    )
}

fn product_apis(info: &PortalInfo) -> Markup {
    card(
        "product-apis",
        "boxes",
        "Product APIs",
        html! {
            p.products {
                @for name in PRODUCTS {
                    @let slug = name.to_ascii_lowercase();
                    @if info.module(&slug).is_some() { a href={ "/api/developers/#" (slug) } { (name) } } @else { (name) }
                    ", "
                }
                "and all remaining sector modules share the same tenant and authentication model."
            }
            @let sectors: Vec<_> = info.sector_modules().collect();
            @if !sectors.is_empty() {
                p.note {
                    "Sector modules of this installation: "
                    @for (index, module) in sectors.iter().enumerate() {
                        @if index > 0 { ", " }
                        a href={ "/api/developers/#" (module.slug) } { (module.name) }
                    }
                    "."
                }
            }
        },
    )
}

fn sibling_products() -> Markup {
    card("sibling-products", "boxes", "Loopwave and Loomal", siblings::lines())
}

fn examples(info: &PortalInfo) -> Markup {
    html! {
        section.examples #examples aria-labelledby="examples-title" {
            h2 #examples-title { "Example Requests" }
            p.lead {
                "Ten calls that work as they are printed. The four headers may be sent with every call, needed or not."
            }
            (fill_in())
            div.example-list { @for (index, example) in EXAMPLES.iter().enumerate() { (example_block(info, index, example)) } }
        }
    }
}

/// Shown by script only: puts the reader's own token and company into all examples. Nothing is sent or kept.
fn fill_in() -> Markup {
    html! {
        div.fill-in data-fill-in hidden {
            label { "Your access token" input type="text" data-fill="access_token" autocomplete="off" spellcheck="false" placeholder="eyJhbGciOi…"; }
            label { "Company code" input type="text" data-fill="company" autocomplete="off" inputmode="numeric" placeholder="001"; }
            p.note { "Fills the examples below. It stays in this page: nothing is sent, nothing is kept." }
        }
    }
}

fn example_block(info: &PortalInfo, index: usize, example: &Example) -> Markup {
    let id = format!("example-{}", index + 1);
    let panels = [
        ("curl", example.curl(&info.base_url, Headers::All)),
        ("JavaScript", example.javascript(&info.base_url, Headers::All)),
        ("Python", example.python(&info.base_url, Headers::All)),
    ];
    html! {
        article.example id=(id) {
            header {
                h3 { (example.name) }
                (method_badge(example.method))
                code.path { (example.path) }
            }
            (code_tabs(&format!("{id}-code"), example.name, &panels))
        }
    }
}

fn assets() -> Markup {
    card(
        "assets",
        "image",
        "Assets",
        html! {
            p.address { a href="/api/assets/" { (literal("/api/assets/")) } }
            p.note { "Logo, transparent wordmark, favicon, and app icons for LOOP clients." }
            p.icons aria-hidden="true" {
                @for size in [48, 32, 16] { img src={ "/api/assets/icon-" (size) ".png" } width=(size) height=(size) alt=""; }
                (badge("plain", "SVG")) (badge("plain", "PNG")) (badge("plain", "ICO"))
            }
        },
    )
}

fn security() -> Markup {
    let items = SECURITY_NOTES.map(|note| html! { (note) });
    card("security", "shield-check", "Security Notes", points(&items))
}
