//! What the pages promise, read from their bytes. What only a browser can tell stands in `ui/pages.test.mjs`.

use std::collections::HashSet;

use super::{
    Access, ActionDoc, Document, FieldDoc, ModuleDoc, PortalInfo, ResourceDoc, Viewer, Write, assets as files_page,
    developers, front, redoc, swagger,
};
use crate::portal::assets;

fn info() -> PortalInfo {
    let action = |path: &str, access| ActionDoc {
        method: "POST".to_owned(),
        path: path.to_owned(),
        summary: "Says yes.".to_owned(),
        from: vec!["pending".to_owned()],
        to: Some("confirmed".to_owned()),
        body: Vec::new(),
        access,
    };
    let resource = |path: &str| ResourceDoc {
        path: path.to_owned(),
        title: path.to_owned(),
        summary: "Rows <of> things".to_owned(),
        states: vec!["pending".to_owned(), "confirmed".to_owned()],
        fields: vec![FieldDoc {
            name: "starts_at".to_owned(),
            kind: "datetime".to_owned(),
            write: Write::Optional,
            note: String::new(),
        }],
        actions: vec![action(&format!("{path}{{id}}/confirm/"), Access::Credentials)],
    };
    PortalInfo {
        version: "2026-06-22.4".to_owned(),
        environment: "production".to_owned(),
        base_url: "https://loop.example".to_owned(),
        internal_key_enabled: true,
        core: vec![resource("/companies/")],
        modules: vec![
            ModuleDoc {
                slug: "booking".to_owned(),
                name: "Booking".to_owned(),
                summary: "Visits.".to_owned(),
                resources: vec![resource("/booking/appointments/")],
                actions: vec![action("/booking/public/{company}/services/", Access::Public)],
            },
            ModuleDoc { slug: "farms".to_owned(), name: "Farms".to_owned(), ..ModuleDoc::default() },
        ],
    }
}

fn text(document: &Document) -> &str {
    std::str::from_utf8(&document.body).expect("pages are UTF-8")
}

/// The words of a page as a reader sees them: no tags, entities read, blanks as one.
fn words(document: &Document) -> String {
    let mut words = String::new();
    let mut in_tag = false;
    for letter in text(document).chars() {
        match letter {
            '<' => in_tag = true,
            '>' => in_tag = false,
            _ if !in_tag => words.push(letter),
            _ => {}
        }
    }
    let words = words.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn header<'d>(document: &'d Document, name: &str) -> &'d str {
    document.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str()).unwrap_or_default()
}

fn pages() -> Vec<(&'static str, Document)> {
    let info = info();
    vec![
        ("/", front(&info, None).expect("the front page")),
        ("/api/developers/", developers(&info, Viewer::Anyone)),
        ("/api/docs/", swagger(&info)),
        ("/api/redoc/", redoc(&info)),
        ("/api/assets/", files_page(&info, Some("text/html,*/*;q=0.8"))),
    ]
}

#[test]
fn the_front_page_has_every_part_of_the_original() {
    let page = words(&front(&info(), None).expect("the front page"));
    let parts = [
        "LOOP Developer Portal",
        "Unified multi-tenant API ecosystem for LOOP by LIGHTMGROUP.",
        "Production API · 2026-06-22.4",
        "Build web apps, mobile apps, internal dashboards, product integrations, and external services on one shared account, company, workspace, role, billing, and product subscription foundation.",
        "Base URL https://loop.example/api/v1/",
        "Use ?format=json on this page for metadata JSON.",
        "Status https://loop.example/health/",
        "Returns app, database, environment, version, and timestamp.",
        "Authentication JWT: Authorization: Bearer <access_token>",
        "Internal server key: X-LOOP-API-KEY: <internal_key>",
        "Never expose internal keys in browser JavaScript.",
        "Tenant Header Send X-Company-ID: 001, 002, or another company code for tenant-scoped requests.",
        "The API checks active membership or internal key company access.",
        "Workspaces can use X-Workspace-ID.",
        "Core APIs /companies//workspaces//developer-profiles//api-client-apps//internal-api-keys//memberships/",
        "Product APIs Booking, Payments, CRM, Desk, Tasks, Commerce, Inventory, POS, NGO, School, Church, Care, Attendance, Events, Logistics, Fleet, Media, Forms, Docs, Security, CyberTrust, AI, Chat, Protector, CMS, and all remaining sector modules share the same tenant and authentication model.",
        "Example Requests",
        "Assets /api/assets/",
        "Logo, transparent wordmark, favicon, and app icons for LOOP clients.",
        "Security Notes",
        "Rate limiting and pagination are enabled.",
        "Secure headers and HTTPS proxy detection are configured.",
        "Admin access should stay staff-only and protected by strong credentials.",
        "Errors use a standard JSON envelope.",
    ];
    let missing: Vec<_> = parts.into_iter().filter(|part| !unspaced(&page).contains(&unspaced(part))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Blanks between blocks are the browser's, not the page's.
fn unspaced(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn the_ten_examples_are_printed_letter_for_letter() {
    let page = words(&front(&info(), None).expect("the front page"));
    for (name, method, path, body) in [
        (
            "Register",
            "POST",
            "auth/register/",
            Some(
                r#"{"email":"dev@example.com","username":"dev","password":"strongpass123","company_name":"Demo Company"}"#,
            ),
        ),
        ("Login", "POST", "auth/login/", Some(r#"{"email":"dev@example.com","password":"strongpass123"}"#)),
        ("Current user", "GET", "auth/me/", None),
        ("Companies", "GET", "companies/", None),
        (
            "Booking appointment",
            "POST",
            "booking/appointments/",
            Some(r#"{"title":"Consultation","description":"First visit"}"#),
        ),
        (
            "Payments invoice",
            "POST",
            "payments/invoices/",
            Some(r#"{"title":"Invoice 001","data":{"amount":25000,"currency":"RWF"}}"#),
        ),
        (
            "CMS page",
            "POST",
            "cms/pages/",
            Some(r#"{"title":"Home","slug":"home","language":"en","body":"Welcome to LOOP"}"#),
        ),
        ("Chat message", "POST", "chat/messages/", Some(r#"{"title":"Customer question","description":"Hello LOOP"}"#)),
        ("AI business advice", "POST", "ai/business-advice/", Some(r#"{"prompt":"Summarize this week sales"}"#)),
        ("Protector public verify", "GET", "protector/public-verify/IHEMATST1/", None),
    ] {
        let mut curl = format!(
            "curl -X {method} https://loop.example/api/v1/{path} \\ -H \"Authorization: Bearer <access_token>\" \\ -H \"X-Company-ID: 001\" \\ \
             -H \"X-LOOP-APP-ID: loop-booking-web\""
        );
        if let Some(body) = body {
            curl.push_str(&format!(" \\ -H \"Content-Type: application/json\" \\ -d '{body}'"));
        }
        assert!(page.contains(&curl), "{name} is not printed as\n{curl}");
        assert!(
            unspaced(&page).contains(&unspaced(&format!("{name}{method}/api/v1/{path}"))),
            "{name} lacks its method or path"
        );
    }
}

#[test]
fn the_placeholder_is_escaped_and_no_example_has_an_empty_bearer() {
    for (path, page) in pages() {
        assert!(!text(&page).contains("<access_token>"), "{path} holds the placeholder as a tag");
        assert!(!text(&page).contains("Bearer &quot;"), "{path} prints an empty bearer");
    }
}

#[test]
fn pages_are_utf_8_and_say_so() {
    for (path, page) in pages() {
        assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8", "{path}");
    }
}

#[test]
fn no_page_asks_another_host_or_runs_inline_script() {
    for (path, page) in pages() {
        let page_text = text(&page);
        for part in page_text.split(['<']).filter(|tag| {
            tag.starts_with("script") || tag.starts_with("link") || tag.starts_with("img") || tag.starts_with("use")
        }) {
            for address in ["src=\"", "href=\""].iter().filter_map(|name| part.split(name).nth(1)) {
                assert!(address.starts_with('/') && !address.starts_with("//"), "{path} loads {part}");
            }
            assert!(!part.starts_with("script") || part.ends_with('>'), "{path} has inline script: {part}");
        }
        assert!(!page_text.contains(" style=") && !page_text.contains("<style"), "{path} has inline style");
        assert!(!page_text.contains(" onclick=") && !page_text.contains("javascript:"), "{path} has inline script");
        let policy = header(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(
            !policy.contains("http") && !policy.contains("unsafe-eval") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(
            policy.contains("unsafe-inline"),
            path == "/api/redoc/",
            "only ReDoc's own styles need it: {path}: {policy}"
        );
    }
}

#[test]
fn every_file_a_page_links_is_served() {
    for (path, page) in pages() {
        for address in text(&page).split('"').filter(|part| part.starts_with(assets::PREFIX) && *part != assets::PREFIX)
        {
            let file = address
                .strip_prefix(assets::PREFIX)
                .and_then(|rest| rest.split('#').next())
                .expect("an address below the prefix");
            assert!(assets::serve(file, None, None).is_some(), "{path} links {address}, which is not there");
        }
    }
}

#[test]
fn every_in_page_link_has_its_target_and_no_id_is_there_twice() {
    for (path, page) in pages() {
        let ids: Vec<&str> = text(&page).split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let known: HashSet<_> = ids.iter().collect();
        assert_eq!(known.len(), ids.len(), "{path} uses an id twice: {ids:?}");
        for target in text(&page).split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(known.contains(&target), "{path} links #{target}, which is not there");
        }
    }
}

#[test]
fn every_icon_a_page_uses_is_in_the_sprite() {
    let sprite_path = assets::url("icons.svg");
    let sprite = assets::serve(sprite_path.trim_start_matches(assets::PREFIX), None, None).expect("the sprite");
    for (path, page) in pages() {
        for icon in text(&page).split("icons.").skip(1).filter_map(|rest| rest.split_once('#')?.1.split('"').next()) {
            assert!(
                text(&sprite).contains(&format!("id=\"{icon}\"")),
                "{path} uses the icon {icon}: name it in ui/build.mjs"
            );
        }
    }
}

#[test]
fn metadata_names_the_same_installation() {
    let document = front(&info(), Some("json")).expect("the metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&document.body).expect("JSON");
    for key in [
        "name",
        "version",
        "environment",
        "base_url",
        "health_url",
        "docs_url",
        "schema_url",
        "assets_url",
        "authentication",
        "headers",
        "core_apis",
        "products",
        "examples",
    ] {
        assert!(!metadata[key].is_null(), "{key} is missing");
    }
    assert_eq!(metadata["base_url"], "https://loop.example/api/v1/");
    assert_eq!(metadata["examples"].as_array().map(Vec::len), Some(10));
    assert_eq!(metadata["core_apis"].as_array().map(Vec::len), Some(6));
    let products = metadata["products"].as_array().expect("a list");
    assert_eq!(products.len(), 26, "25 named ones and one sector module");
    assert_eq!(products[0]["available"], true);
    assert_eq!(products[25]["slug"], "farms");
    assert!(front(&info(), Some("xml")).is_none());
}

#[test]
fn only_staff_see_the_internal_keys_state() {
    assert!(!words(&developers(&info(), Viewer::Anyone)).contains("internal key enabled"));
    assert!(words(&developers(&info(), Viewer::Staff)).contains("internal key enabled"));
    let off = PortalInfo { internal_key_enabled: false, ..info() };
    assert!(words(&developers(&off, Viewer::Staff)).contains("internal key not set"));
}

#[test]
fn the_reference_is_written_by_the_registry_and_escapes_it() {
    let page = developers(&info(), Viewer::Anyone);
    let seen = words(&page);
    for part in [
        "Docs updated 2026-06-22.4",
        "/booking/appointments/",
        "starts_at",
        "/api/v1/booking/appointments/{id}/confirm/",
        "Farms",
    ] {
        assert!(seen.contains(part), "{part} is missing");
    }
    assert!(text(&page).contains("Rows &lt;of&gt; things"));
}

#[test]
fn brand_files_are_listed_with_address_and_size() {
    let list: serde_json::Value = serde_json::from_slice(&files_page(&info(), Some("*/*")).body).expect("JSON");
    let rows = list.as_array().expect("a list");
    for kind in ["logo", "wordmark", "favicon", "app-icon"] {
        assert!(rows.iter().any(|row| row["kind"] == kind), "no {kind}");
    }
    for row in rows {
        let name = row["name"].as_str().expect("a name");
        assert_eq!(row["url"], format!("https://loop.example/api/assets/{name}"));
        let file = assets::serve(name, None, None).unwrap_or_else(|| panic!("{name} is not served"));
        assert_eq!(header(&file, "content-type"), row["content_type"]);
        if row["content_type"] == "image/png" {
            // Width and height stand at fixed places behind a PNG's signature.
            let number = |at: usize| u32::from_be_bytes(file.body[at..at + 4].try_into().expect("four bytes"));
            assert_eq!(
                (row["width"].as_u64(), row["height"].as_u64()),
                (Some(number(16).into()), Some(number(20).into())),
                "{name}"
            );
        }
    }
}

#[test]
fn files_come_compressed_cached_and_unchanged_once() {
    let css = assets::url("portal.css");
    let path = css.trim_start_matches(assets::PREFIX);
    let plain = assets::serve(path, None, None).expect("the style sheet");
    assert_eq!(header(&plain, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&plain, "content-encoding"), "");
    let brotli = assets::serve(path, Some("gzip, deflate, br"), None).expect("the style sheet");
    assert_eq!(header(&brotli, "content-encoding"), "br");
    assert_eq!(header(&brotli, "vary"), "accept-encoding");
    assert!(brotli.body.len() * 2 < plain.body.len());
    assert_ne!(header(&brotli, "etag"), header(&plain, "etag"));
    assert_eq!(
        header(&assets::serve(path, Some("br;q=0, gzip;q=0.5"), None).expect("the style sheet"), "content-encoding"),
        "gzip"
    );
    let again = assets::serve(path, Some("br"), Some(header(&brotli, "etag"))).expect("the style sheet");
    assert_eq!((again.status, again.body.len()), (304, 0));

    let icon = assets::serve("icon-192.png", Some("br"), None).expect("an icon");
    assert_eq!(header(&icon, "cache-control"), "public, max-age=86400");
    assert!(assets::serve("../manifest.json", None, None).is_none());
    assert!(assets::serve("manifest.json", None, None).is_none(), "the manifest is ours alone");
}

#[test]
fn the_products_beside_loop_are_found_from_the_front_page_to_their_own_documents() {
    let info = info();
    let front = front(&info, None).expect("a page");
    let reference = developers(&info, Viewer::Anyone);
    for (slug, document) in [("loopwave", "/api-reference/openapi.json"), ("loomal", "/v0/openapi.json")] {
        assert!(text(&front).contains(&format!("href=\"/api/developers/#{slug}\"")), "{slug}");
        assert!(text(&reference).contains(&format!("<section class=\"module\" id=\"{slug}\"")), "{slug}");
        for page in [&reference, &swagger(&info), &redoc(&info)] {
            assert!(text(page).contains(&format!("?api={slug}\"")), "{slug}");
            assert!(text(page).contains(document), "{slug}");
        }
    }
}
