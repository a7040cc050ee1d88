//! What the pages need to know about this installation, as plain values.

use super::examples::PRODUCTS;

/// Everything the pages say that is not the same on every installation.
#[derive(Debug, Clone)]
pub struct PortalInfo {
    /// The deployment's version as people quote it, e.g. `2026-06-22.4`.
    pub version: String,
    /// The `LOOP_ENVIRONMENT` word in lower case, e.g. `production`.
    pub environment: String,
    /// Scheme and host without a final slash, e.g. `https://api.example.com`; printed in every example.
    pub base_url: String,
    /// Whether the environment pair of an internal key is configured.
    pub internal_key_enabled: bool,
    /// `/companies/` and its neighbours, in the order in which they are shown.
    pub core: Vec<ResourceDoc>,
    /// The modules of this installation, in the order in which they are shown.
    pub modules: Vec<ModuleDoc>,
}

impl PortalInfo {
    /// The address every API path stands under, with its final slash.
    pub fn api_base(&self) -> String {
        format!("{}/api/v1/", self.base_url)
    }

    /// `Production API`, by the environment's word.
    pub fn environment_label(&self) -> String {
        let mut letters = self.environment.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{} API", letters.as_str())
    }

    /// The modules that are none of the named products.
    pub fn sector_modules(&self) -> impl Iterator<Item = &ModuleDoc> {
        self.modules.iter().filter(|module| !PRODUCTS.iter().any(|name| name.eq_ignore_ascii_case(&module.slug)))
    }

    /// The module that answers under `/api/v1/<slug>/`, when this installation has it.
    pub fn module(&self, slug: &str) -> Option<&ModuleDoc> {
        self.modules.iter().find(|module| module.slug == slug)
    }
}

/// One product: what answers under `/api/v1/<slug>/`.
#[derive(Debug, Clone, Default)]
pub struct ModuleDoc {
    pub slug: String,
    pub name: String,
    pub summary: String,
    pub resources: Vec<ResourceDoc>,
    /// What belongs to the module but to none of its resources, such as `/ai/business-advice/`.
    pub actions: Vec<ActionDoc>,
}

/// One collection of records.
#[derive(Debug, Clone, Default)]
pub struct ResourceDoc {
    /// Below `/api/v1`, with both slashes: `/booking/appointments/`.
    pub path: String,
    pub title: String,
    pub summary: String,
    /// The life cycle's words in their order; empty when the resource has none.
    pub states: Vec<String>,
    pub fields: Vec<FieldDoc>,
    pub actions: Vec<ActionDoc>,
}

/// One field of a record or of an action's body.
#[derive(Debug, Clone)]
pub struct FieldDoc {
    pub name: String,
    /// The kind in a reader's words: `text`, `datetime`, `reference to booking.services`.
    pub kind: String,
    pub write: Write,
    pub note: String,
}

/// What a client may do with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    Required,
    Optional,
    ReadOnly,
}

/// One endpoint beyond create, read, update and delete.
#[derive(Debug, Clone)]
pub struct ActionDoc {
    /// In capitals: `POST`.
    pub method: String,
    /// Below `/api/v1`, with both slashes: `/booking/appointments/{id}/confirm/`.
    pub path: String,
    pub summary: String,
    /// The states it may start from; empty when it does not move the record.
    pub from: Vec<String>,
    pub to: Option<String>,
    pub body: Vec<FieldDoc>,
    pub access: Access,
}

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Public,
    Credentials,
}

/// Who looks at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    Anyone,
    Staff,
}
