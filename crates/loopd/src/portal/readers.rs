//! `/api/docs/` and `/api/redoc/`: two well-known readers over our own `/api/schema/`, from files that we serve.
//!
//! Each page has the narrowest policy its reader works with. Neither may run inline script or ask another host.

use maud::{Markup, html};

use super::{
    CORE,
    components::{Frame, icon},
    document::Document,
    info::PortalInfo,
    siblings::SIBLINGS,
};

/// The schema's address; the readers ask for JSON by their Accept header.
const SCHEMA: &str = "/api/schema/?format=json";

/// Swagger UI draws its icons from data URLs and calls the API from the page.
const SWAGGER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// ReDoc makes its style sheet while it runs (styled-components), which no hash can name, and its search index in a
/// worker that it starts from memory. Styles cannot call out: every kind of fetch stays ours.
const REDOC_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     worker-src blob:; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) fn swagger(info: &PortalInfo) -> Document {
    let frame = Frame {
        title: "LOOP API in Swagger UI",
        description: "Try every call of the LOOP API in the browser.",
        path: "/api/docs/",
        styles: &["swagger-ui.css"],
        libraries: &["swagger-ui.js"],
        scripts: &["readers.js"],
        policy: SWAGGER_POLICY,
        is_wide: true,
    };
    frame.render(info, reader(info, "swagger", "Swagger UI", "/api/docs/"))
}

pub(super) fn redoc(info: &PortalInfo) -> Document {
    let frame = Frame {
        title: "LOOP API in ReDoc",
        description: "The LOOP API to read, product by product or all of it on one page.",
        path: "/api/redoc/",
        styles: &[],
        libraries: &["redoc.js"],
        scripts: &["readers.js"],
        policy: REDOC_POLICY,
        is_wide: true,
    };
    frame.render(info, reader(info, "redoc", "ReDoc", "/api/redoc/"))
}

/// The place where the reader draws, and what is there before it does (or when it never can).
///
/// Over a thousand operations take a reader half a minute to draw, so a part is shown until somebody asks for all.
fn reader(info: &PortalInfo, kind: &str, name: &str, path: &str) -> Markup {
    html! {
        h1.unseen { "LOOP API in " (name) }
        nav.apis aria-label="APIs" {
            ul {
                li { a href=(path) data-api="" { "LOOP" } }
                @for sibling in &SIBLINGS {
                    li { a href={ (path) "?api=" (sibling.slug) } data-api=(sibling.slug) data-schema=(sibling.document) { (sibling.name) } }
                }
            }
            (parts(info))
        }
        div.reader data-reader=(kind) data-schema=(SCHEMA) {
            div.reader-wait {
                (icon("book-open"))
                p data-reader-state { "Opening the API description…" }
                noscript { p { (name) " needs JavaScript. Everything it shows is on these pages too:" } }
                p { a href="/api/developers/" { "The reference" } " · " a href="/api/schema/" { "The OpenAPI document" } }
            }
        }
    }
}

/// Which part of LOOP to show; the page's script follows it.
fn parts(info: &PortalInfo) -> Markup {
    html! {
        p.parts data-parts hidden {
            label for="part" { "Show" }
            select #part {
                option value=(CORE) { "Foundation: accounts, companies, billing" }
                @for module in &info.modules { option value=(module.slug) { (module.name) } }
                @for sibling in &SIBLINGS { option value=(sibling.slug) { (sibling.name) " for signed-in people" } }
                option value="all" { "All of LOOP (slow)" }
            }
        }
    }
}
