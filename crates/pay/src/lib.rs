//! Loomal: machine payments. Its paths (`/v0/…`, `/facilitator/…`) speak their own error dialects (`web::Surface`).

pub mod evm;
pub mod keys;
pub mod page;
pub mod project;
pub mod settlement;
pub mod usdc;
mod wire;
pub mod x402;

use loopd_kernel::Product;
use loopd_web::Operation;

/// The operations of this surface.
pub fn operations() -> Vec<Operation> {
    project::operations()
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
