//! The products that a company can subscribe to, generated from the same definitions as the router (spec/loop.md 6, `/products/`).

use serde::Serialize;

/// One product: a module of the business API, Loopwave or Loomal.
#[derive(Clone, Debug, Serialize)]
pub struct Product {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub resources: Vec<String>,
    pub actions: Vec<String>,
    pub version: String,
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
