//! The developer portal and the service pages: `/`, `/api/developers/`, `/api/docs/`, `/api/redoc/`, `/api/assets/`.
//!
//! A page is a pure function from [`PortalInfo`] to a [`Document`] (status, headers, bytes). Nothing here knows a
//! database, a router or a request; `app.rs` fills the info from the registry and the operations and mounts the pages.
//! Every file a page asks for is embedded and served by [`assets`]; no page ever names another host.

pub mod account;
pub mod assets;
mod code;
mod components;
mod developers;
mod document;
mod examples;
mod gallery;
mod guide;
mod home;
mod info;
pub mod mailbox;
mod metadata;
mod readers;
mod resources;
mod siblings;
#[cfg(test)]
mod tests;

pub use document::Document;
pub use info::{Access, ActionDoc, FieldDoc, ModuleDoc, PortalInfo, ResourceDoc, Viewer, Write};

/// What the part of the API under all modules is called where one part of it is asked for: accounts, companies, roles, billing.
pub const CORE: &str = "core";

/// Whether `slug` is a product with an API of its own, which people look after in LOOP's dialect.
pub fn is_sibling(slug: &str) -> bool {
    siblings::SIBLINGS.iter().any(|sibling| sibling.slug == slug)
}

/// `GET /`: the portal's page, or its metadata for `?format=json`.
///
/// `format` is the query parameter as it came. `None` is returned for any other format, for which the caller answers
/// 404 in the surface's own words. Source: spec/loop.md section 9 and row 11 of section 3.
pub fn front(info: &PortalInfo, format: Option<&str>) -> Option<Document> {
    match format {
        None => Some(home::page(info)),
        Some("json") => Some(metadata::document(info)),
        Some(_) => None,
    }
}

/// `GET /api/developers/`: the reference that is generated from the registry. Only staff see the internal key's state.
pub fn developers(info: &PortalInfo, viewer: Viewer) -> Document {
    developers::page(info, viewer)
}

/// `GET /api/docs/`: Swagger UI over our own `/api/schema/`.
pub fn swagger(info: &PortalInfo) -> Document {
    readers::swagger(info)
}

/// `GET /api/redoc/`: ReDoc over our own `/api/schema/`.
pub fn redoc(info: &PortalInfo) -> Document {
    readers::redoc(info)
}

/// `GET /api/assets/`: the brand files, as a page when `accept` (the request's header) asks for HTML, else as JSON.
pub fn assets(info: &PortalInfo, accept: Option<&str>) -> Document {
    gallery::document(info, accept.unwrap_or_default())
}
