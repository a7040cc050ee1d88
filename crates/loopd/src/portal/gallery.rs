//! `/api/assets/`: the brand files, as a list for programs and as a page for people.

use maud::{Markup, html};
use serde::Serialize;

use super::{
    assets::{self, Brand, PREFIX},
    components::{Frame, badge, icon, table},
    document::Document,
    info::PortalInfo,
};

/// The list's row. Source: spec/loop.md section 9.
#[derive(Serialize)]
struct Row<'b> {
    #[serde(flatten)]
    brand: &'b Brand,
    url: String,
}

/// The page for who asks for HTML, the list for everybody else. `accept` is the request's header, empty when absent.
pub(super) fn document(info: &PortalInfo, accept: &str) -> Document {
    let document = if accept.contains("text/html") { page(info) } else { list(info) };
    document.with("vary", "accept")
}

fn list(info: &PortalInfo) -> Document {
    let rows: Vec<_> = assets::brand()
        .iter()
        .map(|brand| Row { brand, url: format!("{}{PREFIX}{}", info.base_url, brand.name) })
        .collect();
    Document::json(&rows)
}

fn page(info: &PortalInfo) -> Document {
    let frame = Frame::plain(
        "LOOP assets",
        "Logo, transparent wordmark, favicon and app icons for LOOP clients.",
        "/api/assets/",
    );
    let rows = assets::brand().iter().map(|brand| {
        html! {
            th scope="row" { a href={ (PREFIX) (brand.name) } { (brand.name) } }
            td { (brand.kind) }
            td { (brand.content_type) }
            td { (size(brand)) }
        }
    });
    let main = html! {
        header.page-head {
            p.eyebrow { "Brand files" }
            h1 { "LOOP assets" }
            p.lead { "Logo, transparent wordmark, favicon, and app icons for LOOP clients. An L whose foot runs on into a loop and comes home." }
        }
        div.gallery {
            (showcase("on-light", "Wordmark", &["wordmark.svg", "wordmark.png"], html! { img src={ (PREFIX) "wordmark.svg" } width="205" height="44" alt="LOOP wordmark"; }))
            (showcase("on-dark", "Wordmark on dark", &["wordmark-on-dark.svg", "wordmark-on-dark.png"],
                html! { img src={ (PREFIX) "wordmark-on-dark.svg" } width="205" height="44" alt="LOOP wordmark for dark grounds"; }))
            (showcase("on-light", "Logo", &["logo.svg", "logo.png"], html! { img src={ (PREFIX) "logo.svg" } width="88" height="88" alt="LOOP logo"; }))
            (showcase("plain", "App icons", &["icon-512.png", "icon-192.png", "favicon.ico"], html! {
                @for pixels in [128, 64, 48, 32, 16] { img src={ (PREFIX) "icon-" (pixels) ".png" } width=(pixels) height=(pixels) alt={ "App icon, " (pixels) " pixels" }; }
            }))
        }
        h2 { "All files" }
        p {
            "Programs get this list as JSON when they do not ask for HTML: " code { "curl " (info.base_url) (PREFIX) } ". Please keep the colours and \
             the clear space of one stroke around the mark."
        }
        div.stacked { (table("Brand files", &["File", "Kind", "Type", "Size"], rows)) }
    };
    frame.render(info, main)
}

fn showcase(ground: &str, title: &str, files: &[&str], picture: Markup) -> Markup {
    html! {
        figure.showcase {
            div.stage data-ground=(ground) { (picture) }
            figcaption {
                span { (title) }
                span.files { @for file in files { a href={ (PREFIX) (file) } download { (icon("download")) (file) } } }
            }
        }
    }
}

fn size(brand: &Brand) -> Markup {
    html! {
        @match (brand.width, brand.height) {
            (Some(width), Some(height)) => { (width) " × " (height) @if brand.content_type == "image/svg+xml" { " " (badge("plain", "scales")) } }
            _ => { span.none { "–" } }
        }
    }
}
