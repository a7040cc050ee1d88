//! Loomal: machine payments. Its paths (`/v0/…`, `/facilitator/…`) speak their own error dialects (`web::Surface`).

pub mod analytics;
pub mod did;
pub mod endpoint;
pub mod evm;
pub mod facilitator;
pub mod keys;
pub mod manage;
pub mod mandate;
pub mod mpp;
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
    let description = described(&LOOMAL, &all);
    all.push(description);
    let own = facilitator::operations(pay);
    all.push(described(&FACILITATOR, &own));
    all.extend(own);
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

/// A surface's description of itself.
struct Description {
    surface: Surface,
    /// Of the operation that serves it.
    id: &'static str,
    path: &'static str,
    tag: &'static str,
    title: &'static str,
    version: &'static str,
    words: &'static str,
}

static LOOMAL: Description = Description {
    surface: Surface::Loomal,
    id: "loomal_openapi",
    path: "/v0/openapi.json",
    tag: "loomal",
    title: "Loomal API",
    version: "0",
    words: "Machine payments (x402, MPP): send `Authorization: Bearer loid-…` to act as a project, `lopk-…` to manage projects.",
};

static FACILITATOR: Description = Description {
    surface: Surface::Facilitator,
    id: "facilitator_openapi",
    path: "/facilitator/openapi.json",
    tag: "facilitator",
    title: "x402 facilitator",
    version: "2",
    words: "Verifies and settles payments of x402, versions 1 and 2, for sellers with middleware of their own.",
};

/// The operation that serves a description of `operations` as they are.
fn described(of: &'static Description, operations: &[Operation]) -> Operation {
    let own: Vec<Operation> = operations.to_vec();
    let rendered: Arc<OnceLock<Bytes>> = Arc::new(OnceLock::new());
    Operation::get(of.id, of.path, move |call| {
        let bytes = rendered.get_or_init(|| of.render(&call.base_url(), &own).to_string().into()).clone();
        async move { Ok(Reply::json_bytes(200, bytes)) }
    })
    .tag(of.tag)
    .summary("This description")
    .rate(RateClass::Unlimited)
    .any_origin()
    .undocumented()
}

impl Description {
    fn render(&self, base_url: &str, operations: &[Operation]) -> Value {
        let document = openapi::Document {
            title: self.title.to_owned(),
            version: self.version.to_owned(),
            description: self.words.to_owned(),
            servers: vec![base_url.to_owned()],
            ..openapi::Document::default()
        };
        openapi::assemble(self.surface, &document, operations)
    }
}
