//! Loomal: machine payments. Its paths (`/v0/…`, `/facilitator/…`) speak their own error dialects (`web::Surface`).

pub mod analytics;
pub mod collect;
mod content;
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

use std::sync::Arc;

use loopd_kernel::Product;
use loopd_web::{Description, Operation, Surface};

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
    let description = LOOMAL.of(&all);
    all.push(description);
    let own = facilitator::operations(pay);
    all.push(FACILITATOR.of(&own));
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
