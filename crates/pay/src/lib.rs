//! Loomal: machine payments. Its paths (`/v0/…`, `/facilitator/…`) speak their own error dialects (`web::Surface`).

pub mod did;
pub mod endpoint;
pub mod evm;
pub mod keys;
pub mod manage;
pub mod mandate;
pub mod page;
mod pay;
pub mod payment;
pub mod project;
pub mod receipt;
pub mod settings;
pub mod settlement;
pub mod usdc;
mod wire;
pub mod x402;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use loopd_kernel::Product;
use loopd_web::operation::RateClass;
use loopd_web::{Operation, Reply, Surface, openapi};
use serde_json::Value;

pub use pay::Pay;
pub use settings::Settings;

/// What is in use of Loomal's webhooks.
pub use endpoint::webhook;

/// The operations of this surface.
pub fn operations(pay: &Arc<Pay>) -> Vec<Operation> {
    let mut all = project::operations();
    all.extend(payment::operations(pay));
    all.extend(mandate::operations(pay));
    all.extend(endpoint::operations(pay));
    all.extend(did::operations());
    let description = description(&all);
    all.push(description);
    all.extend(manage::operations(pay));
    all
}

/// What a company subscribes to.
pub fn product(version: &str) -> Product {
    Product {
        slug: project::PRODUCT.to_owned(),
        name: "Loomal".to_owned(),
        description:
            "Machine payments: price an API in one call, be paid in another, with a receipt that anyone can verify."
                .to_owned(),
        resources: ["platform-keys", "projects", "endpoints", "payments", "mandates"].map(str::to_owned).to_vec(),
        actions: ["platform-keys.revoke", "projects.rotate-key"].map(str::to_owned).to_vec(),
        version: version.to_owned(),
        settings: None,
    }
}

/// `GET /v0/openapi.json`: these operations as they are.
fn description(operations: &[Operation]) -> Operation {
    let own: Vec<Operation> = operations.to_vec();
    let rendered: OnceLock<Bytes> = OnceLock::new();
    let rendered = Arc::new(rendered);
    Operation::get("loomal_openapi", "/v0/openapi.json", move |call| {
        let bytes = rendered.get_or_init(|| describe(&call.base_url(), &own).to_string().into()).clone();
        async move { Ok(Reply::json_bytes(200, bytes)) }
    })
    .tag("loomal")
    .summary("This description")
    .rate(RateClass::Unlimited)
    .any_origin()
    .undocumented()
}

fn describe(base_url: &str, operations: &[Operation]) -> Value {
    let document = openapi::Document {
        title: "Loomal API".to_owned(),
        version: "0".to_owned(),
        description: "Machine payments (x402): send `Authorization: Bearer loid-…` to act as a project, `lopk-…` to manage projects."
            .to_owned(),
        servers: vec![base_url.to_owned()],
        ..openapi::Document::default()
    };
    openapi::assemble(Surface::Loomal, &document, operations)
}
