//! The pieces that pages are made of: the frame, cards, code blocks, badges, tables, icons.
//!
//! They carry no words of their own page, so that the console can be built from the same ones.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    assets,
    code::highlight,
    document::{Document, PAGE_POLICY},
    info::PortalInfo,
};

/// The header's places: path and words.
const PLACES: [(&str, &str); 5] = [
    ("/", "Portal"),
    ("/api/developers/", "Reference"),
    ("/api/docs/", "Swagger UI"),
    ("/api/redoc/", "ReDoc"),
    ("/api/assets/", "Assets"),
];

/// A page around its main part.
pub(super) struct Frame<'p> {
    pub title: &'p str,
    pub description: &'p str,
    /// Which of the header's places this is.
    pub path: &'p str,
    /// Short names of further style sheets, before our own.
    pub styles: &'p [&'p str],
    /// Short names of third-party scripts that leave a global behind.
    pub libraries: &'p [&'p str],
    /// Short names of further modules of ours.
    pub scripts: &'p [&'p str],
    pub policy: &'p str,
    /// `wide` for readers that bring their own measure.
    pub is_wide: bool,
}

impl<'p> Frame<'p> {
    /// A plain page of ours: no further files, the strict policy.
    pub fn plain(title: &'p str, description: &'p str, path: &'p str) -> Frame<'p> {
        Frame {
            title,
            description,
            path,
            styles: &[],
            libraries: &[],
            scripts: &[],
            policy: PAGE_POLICY,
            is_wide: false,
        }
    }

    /// The finished page.
    pub fn render(&self, info: &PortalInfo, main: Markup) -> Document {
        let markup = html! {
            (DOCTYPE)
            html lang="en" {
                (self.head(info))
                body {
                    a.skip href="#main" { "Skip to content" }
                    (self.header())
                    main #main.wide[self.is_wide] tabindex="-1" { (main) }
                    (footer(info))
                }
            }
        };
        Document::html(markup, self.policy)
    }

    fn head(&self, info: &PortalInfo) -> Markup {
        html! {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (self.title) }
                meta name="description" content=(self.description);
                meta name="color-scheme" content="light dark";
                meta name="theme-color" content="#fbfaf6" media="(prefers-color-scheme: light)";
                meta name="theme-color" content="#0d1513" media="(prefers-color-scheme: dark)";
                meta property="og:title" content=(self.title);
                meta property="og:description" content=(self.description);
                meta property="og:image" content={ (info.base_url) "/api/assets/og.png" };
                link rel="icon" href="/favicon.ico" sizes="32x32";
                link rel="icon" href="/api/assets/favicon.svg" type="image/svg+xml";
                link rel="apple-touch-icon" href="/api/assets/icon-180.png";
                link rel="manifest" href="/api/assets/site.webmanifest";
                // Before the first paint, or a reader of the dark theme would see a white flash.
                script src=(assets::url("theme.js")) integrity=(assets::integrity("theme.js")) {}
                @for name in self.styles { (style(name)) }
                (style("portal.css"))
                @for name in self.libraries { script src=(assets::url(name)) integrity=(assets::integrity(name)) defer {} }
                @for name in self.scripts { (script(name)) }
                (script("portal.js"))
            }
        }
    }

    fn header(&self) -> Markup {
        html! {
            header.top {
                div.top-row.wide[self.is_wide] {
                    a.home href="/" aria-label="LOOP, to the developer portal" { (wordmark()) }
                    nav aria-label="Developer pages" {
                        ul {
                            @for (path, words) in PLACES {
                                li { a href=(path) aria-current=[(path == self.path).then_some("page")] { (words) } }
                            }
                        }
                    }
                    button.theme type="button" data-theme-toggle hidden { (icon("sun-moon")) span.unseen { "Theme" } }
                }
            }
        }
    }
}

fn footer(info: &PortalInfo) -> Markup {
    html! {
        footer.bottom {
            div.bottom-row {
                p { "LOOP by LIGHTMGROUP · " (info.environment_label()) " · " span.whole { (info.version) } }
                ul {
                    li { a href="/health/" { "Health" } }
                    li { a href="/api/schema/" { "OpenAPI" } }
                    li { a href="/?format=json" { "Metadata" } }
                    li { a href="/api/assets/licences.txt" { "Licences" } }
                }
            }
        }
    }
}

fn style(name: &str) -> Markup {
    html! { link rel="stylesheet" href=(assets::url(name)) integrity=(assets::integrity(name)); }
}

/// A module runs when the page is parsed, in the order of the page, in a scope of its own.
fn script(name: &str) -> Markup {
    html! { script type="module" src=(assets::url(name)) integrity=(assets::integrity(name)) {} }
}

/// The wordmark in the page's own colours; the files in `ui/brand` are the same drawing in fixed ones.
pub(super) fn wordmark() -> Markup {
    PreEscaped(
        concat!(
            r#"<svg class="wordmark" viewBox="0 0 205 44" width="112" height="24" role="img" aria-label="LOOP logo">"#,
            r#"<g fill="none" stroke-width="10"><path class="ring" d="M21.5 38.5a16.5 16.5 0 1 0-16.5-16.5"/>"#,
            r#"<path class="corner" d="M5 25.5v13h13" stroke-linejoin="round"/></g>"#,
            r#"<g fill="none" stroke="currentColor" stroke-width="7.5" stroke-linejoin="round"><path d="M65.5 6v32.25h20"/>"#,
            r#"<circle cx="107" cy="22" r="16.25"/><circle cx="149" cy="22" r="16.25"/>"#,
            r#"<path d="M176.75 42V9.75h12.5a9.5 9.5 0 0 1 0 19h-12.5"/></g></svg>"#,
        )
        .to_owned(),
    )
}

/// A lucide icon by its name; `ui/build.mjs` lists which there are. It says nothing to a screen reader.
pub(super) fn icon(name: &str) -> Markup {
    html! { svg.icon width="20" height="20" aria-hidden="true" { use href={ (assets::url("icons.svg")) "#" (name) } {} } }
}

/// A box with a heading; `id` makes it a target.
pub(super) fn card(id: &str, icon_name: &str, title: &str, body: Markup) -> Markup {
    html! {
        section.card id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (icon(icon_name)) (title) }
            (body)
        }
    }
}

/// An HTTP method in its colour.
pub(super) fn method_badge(method: &str) -> Markup {
    html! { span.method data-method=(method.to_ascii_lowercase()) { (method) } }
}

/// A small word in a rounded box: a state, a kind, a size. `tone` is `plain`, `good`, `warn` or `brand`.
pub(super) fn badge(tone: &str, words: &str) -> Markup {
    html! { span.badge data-tone=(tone) { (words) } }
}

/// One block of code under a caption; with script it gets a copy button.
pub(super) fn code_block(caption: &str, code: &str) -> Markup {
    html! {
        figure.code {
            figcaption { span { (caption) } (copy_button(caption)) }
            (pre(caption, code))
        }
    }
}

/// The same thing in several languages. Plain radio buttons choose, so it works without script; with script the
/// choice counts for the whole page. `id` is unique on the page.
pub(super) fn code_tabs(id: &str, caption: &str, panels: &[(&str, String)]) -> Markup {
    html! {
        div.code.tabs role="group" aria-label=(caption) {
            @for (index, (language, _)) in panels.iter().enumerate() {
                @let choice = format!("{id}-{}", language.to_ascii_lowercase());
                input.unseen type="radio" name=(id) id=(choice) value=(language) checked[index == 0];
                label for=(choice) { (language) }
            }
            (copy_button(caption))
            div.panels { @for (language, code) in panels { div data-language=(language) { (pre(&format!("{caption}, {language}"), code)) } } }
        }
    }
}

/// Long lines scroll, so the block must be reachable by keyboard.
fn pre(label: &str, code: &str) -> Markup {
    html! { pre tabindex="0" role="region" aria-label=(label) { code { (highlight(code)) } } }
}

fn copy_button(caption: &str) -> Markup {
    html! {
        button.copy type="button" data-copy hidden {
            (icon("copy")) span.words { "Copy" } span.unseen { " " (caption) }
        }
    }
}

/// A table that scrolls inside itself on a phone.
pub(super) fn table(caption: &str, heads: &[&str], rows: impl IntoIterator<Item = Markup>) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(caption) {
            table {
                caption.unseen { (caption) }
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for row in rows { tr { (row) } } }
            }
        }
    }
}

/// A list of short points.
pub(super) fn points(items: &[Markup]) -> Markup {
    html! { ul.points { @for item in items { li { (item) } } } }
}

/// An address or a literal that may break anywhere rather than push the page wide.
pub(super) fn literal(text: &str) -> Markup {
    html! { code { (text) } }
}
