//! What strangers' doors ask of a company before they show anything of it.

use loopd_kernel::CompanyAccess;
use loopd_kernel::subscription::rules::Openness;
use loopd_types::Timestamp;
use serde_json::Value as Json;

use crate::define::Preset;
use crate::engine::Registry;

/// Whether a company may be seen by strangers at the doors of `module`: it works, its subscription to the product is in force, and its
/// doors are open by its own choice (`settings.<module>.public`) or, where it chose nothing, by the definition's. One that is suspended
/// shows its records to its own people only.
pub fn is_open(registry: &Registry, access: &CompanyAccess, module: &str, now: Timestamp) -> bool {
    let chosen = access.doors.iter().find(|(named, _)| named == module).map(|(_, is_open)| *is_open);
    chosen.unwrap_or_else(|| lets_strangers_in(registry, module))
        && !matches!(access.status.as_str(), "suspended" | "closed")
        && access.openness(module, now) == Openness::Open
}

/// The default of the definition's setting `public`; open where none is declared.
fn lets_strangers_in(registry: &Registry, module: &str) -> bool {
    let module = registry.modules().iter().find(|known| known.slug == module);
    let setting = module.and_then(|module| module.settings.iter().find(|field| field.name == "public"));
    !matches!(setting.and_then(|field| field.default.as_ref()), Some(Preset::Value(Json::Bool(false))))
}
