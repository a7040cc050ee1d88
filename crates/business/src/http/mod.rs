//! The doors: from every definition its HTTP operations and their documents. Handlers take, call the engine, and answer.

mod attachments;
mod custom;
mod describe;
mod imports;
mod public;
mod records;
mod schemas;

use std::sync::Arc;

use loopd_web::Operation;

use crate::engine::Registry;

pub use schemas::schemas;

/// Every operation of every module, in the order of the definitions.
pub fn operations(registry: &Arc<Registry>) -> Vec<Operation> {
    let mut all = imports::operations(registry);
    for module in registry.modules() {
        for runtime in registry.resources().iter().filter(|runtime| runtime.module == module.slug) {
            all.extend(records::operations(registry, runtime));
            all.extend(public::operations(registry, runtime));
        }
        all.extend(custom::operations(registry, module));
    }
    all
}

/// Name and description of each module's tag, for the API reference.
pub fn tags(registry: &Registry) -> Vec<(String, String)> {
    registry.modules().iter().map(|module| (module.slug.clone(), module.description.clone())).collect()
}
