//! The products that a company can subscribe to, generated from the same definitions as the router (spec/loop.md 6, `/products/`).

use std::fmt;
use std::sync::Arc;

use loopd_types::Result;
use serde::Serialize;
use serde_json::Value;

/// One product: a module of the business API, Loopwave or Loomal.
#[derive(Clone, Debug, Serialize)]
pub struct Product {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub resources: Vec<String>,
    pub actions: Vec<String>,
    pub version: String,
    /// The product's section of a company's settings; any section goes when it is `None`. On the wire: its JSON Schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<SettingsSection>,
}

/// What may stand in a product's section of a company's settings: `{"settings": {"booking": {…}}}`.
#[derive(Clone)]
pub struct SettingsSection {
    schema: Value,
    check: Arc<CheckSection>,
}

type CheckSection = dyn Fn(&Value) -> Result<()> + Send + Sync;

impl SettingsSection {
    /// `check` refuses with 400 and every complaint, by the section's own names.
    pub fn new(schema: Value, check: impl Fn(&Value) -> Result<()> + Send + Sync + 'static) -> Self {
        Self { schema, check: Arc::new(check) }
    }
    /// # Errors
    /// 400 `validation_error`.
    pub fn check(&self, section: &Value) -> Result<()> {
        (self.check)(section)
    }
    /// JSON Schema of the section.
    pub fn schema(&self) -> &Value {
        &self.schema
    }
}

impl fmt::Debug for SettingsSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SettingsSection({})", self.schema)
    }
}

impl Serialize for SettingsSection {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.schema.serialize(serializer)
    }
}

/// Every product of this installation, in the order they are shown.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    products: Vec<Product>,
}

impl Catalogue {
    pub fn new(products: Vec<Product>) -> Self {
        Self { products }
    }
    pub fn products(&self) -> &[Product] {
        &self.products
    }
    pub fn get(&self, slug: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.slug == slug)
    }
    pub fn slugs(&self) -> Vec<String> {
        self.products.iter().map(|product| product.slug.clone()).collect()
    }
}
