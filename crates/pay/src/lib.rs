//! Loomal: machine payments. Its paths (`/v0/…`, `/facilitator/…`) speak their own error dialects (`web::Surface`).

pub mod evm;
pub mod keys;
pub mod page;
mod pay;
pub mod project;
pub mod settings;
pub mod settlement;
pub mod usdc;
mod wire;
pub mod x402;

use std::sync::Arc;

use loopd_kernel::Product;
use loopd_web::Operation;

pub use pay::Pay;
pub use settings::Settings;

/// What projects were paid: the records that follow settlements.
mod payment {
    use loopd_kernel::Kernel;
    use loopd_store::Tx;
    use loopd_types::Result;

    use crate::settlement::Settlement;

    /// A settlement was written down and is under way. Called in the transaction that does so; again for the same settlement, with
    /// another purpose perhaps, when one that had failed is tried again.
    pub fn recorded(_tx: &mut Tx<'_>, _kernel: &Kernel, _settlement: &Settlement) -> Result<()> {
        Ok(())
    }

    /// A settlement is settled or has failed (`settlement.state`). Called in the transaction that makes it so; without [`recorded`]
    /// before it when both are one transaction, as in the sandbox.
    pub fn concluded(_tx: &mut Tx<'_>, _kernel: &Kernel, _settlement: &Settlement) -> Result<()> {
        Ok(())
    }
}

/// The operations of this surface.
pub fn operations(_pay: &Arc<Pay>) -> Vec<Operation> {
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
