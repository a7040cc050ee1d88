//! `/?format=json`: what the front page says, for programs. The keys are those that spec/loop.md section 9 proposes.

use serde_json::{Value, json};

use super::{
    document::Document,
    examples::{CORE_APIS, EXAMPLES, Headers, PRODUCTS, TOKEN},
    home::{SECURITY_NOTES, TAGLINE},
    info::{ModuleDoc, PortalInfo},
    siblings::SIBLINGS,
};

pub(super) fn document(info: &PortalInfo) -> Document {
    let base = &info.base_url;
    Document::json(&json!({
        "name": "LOOP Developer Portal",
        "tagline": TAGLINE,
        "owner": "LIGHTMGROUP",
        "version": info.version,
        "environment": info.environment,
        "base_url": info.api_base(),
        "health_url": format!("{base}/health/"),
        "docs_url": format!("{base}/api/docs/"),
        "redoc_url": format!("{base}/api/redoc/"),
        "developers_url": format!("{base}/api/developers/"),
        "schema_url": format!("{base}/api/schema/"),
        "assets_url": format!("{base}/api/assets/"),
        "authentication": [
            { "type": "jwt", "header": "Authorization", "format": format!("Bearer {TOKEN}"), "audience": "end-user clients" },
            { "type": "internal_key", "header": "X-LOOP-API-KEY", "format": "<internal_key>", "audience": "servers only, never browser JavaScript" },
        ],
        "headers": [
            { "name": "X-Company-ID", "example": "001", "purpose": "Company code for tenant-scoped requests." },
            { "name": "X-Workspace-ID", "example": null, "purpose": "Workspace inside the company; optional." },
            { "name": "X-LOOP-APP-ID", "example": "loop-booking-web", "purpose": "Identity of the calling app; optional." },
            { "name": "Idempotency-Key", "example": null, "purpose": "Makes a repeated unsafe call harmless; optional." },
        ],
        "core_apis": CORE_APIS.map(|path| format!("/api/v1{path}")),
        "products": products(info),
        "sibling_products": SIBLINGS.map(|sibling| json!({
            "name": sibling.name,
            "slug": sibling.slug,
            "base_url": format!("{base}{}", sibling.base),
            "manage_url": format!("{base}{}", sibling.manage),
            "schema_url": format!("{base}{}", sibling.document),
        })),
        "examples": EXAMPLES.map(|example| json!({
            "name": example.name,
            "method": example.method,
            "path": example.path,
            "body": example.body.map(|body| serde_json::from_str::<Value>(body).expect("the examples are JSON")),
            "curl": example.curl(base, Headers::All),
        })),
        "security_notes": SECURITY_NOTES,
    }))
}

/// The named products in the portal's order, then the sector modules that this installation has beside them.
fn products(info: &PortalInfo) -> Vec<Value> {
    let named = PRODUCTS.iter().map(|name| {
        let slug = name.to_ascii_lowercase();
        product(name, &slug, info.module(&slug))
    });
    let sector = info.sector_modules().map(|module| product(&module.name, &module.slug, Some(module)));
    named.chain(sector).collect()
}

fn product(name: &str, slug: &str, module: Option<&ModuleDoc>) -> Value {
    let resources: Vec<_> = module
        .into_iter()
        .flat_map(|module| &module.resources)
        .map(|resource| format!("/api/v1{}", resource.path))
        .collect();
    json!({ "name": name, "slug": slug, "available": module.is_some(), "resources": resources })
}
