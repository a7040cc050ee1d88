//! The business modules, one file each. A new one is a file here and a line in [`all`].

pub mod ai;
mod booking;
mod chat;
mod cms;
pub(crate) mod door;
pub mod payments;
mod protector;

use std::path::Path;
use std::sync::Arc;

use loopd_kernel::advisor::Advisor;
use loopd_kernel::job::Runner;
use loopd_types::Result;

use crate::define::{LoadError, Module, Rules, load_dir};
use crate::engine::Engine;

/// Every module that is compiled in, in the order in which the portal shows them.
pub fn all() -> Vec<Module> {
    all_with(Arc::new(ai::Offline))
}

/// As [`all`], with an advisor of the operator's choice ([`ai::OpenAi`]).
pub fn all_with(advisor: Arc<dyn Advisor>) -> Vec<Module> {
    all_on(&Ports { advisor, ..Ports::default() })
}

/// What modules reach the outside by, as the operator chooses.
#[derive(Clone)]
pub struct Ports {
    pub advisor: Arc<dyn Advisor>,
    /// [`payments::Providers::new`]; the default is the sandbox, which production must name ([`payments::SANDBOX`]).
    pub mobile_money: payments::Providers,
}

impl Default for Ports {
    /// Nothing leaves the house: the offline advisor, mobile money's sandbox.
    fn default() -> Self {
        Self { advisor: Arc::new(ai::Offline), mobile_money: payments::Providers::sandbox() }
    }
}

/// As [`all`], over these ports. [`register_jobs_on`] must be given the same.
pub fn all_on(ports: &Ports) -> Vec<Module> {
    vec![
        booking::module(),
        payments::module_with(&ports.mobile_money),
        cms::module(),
        chat::module(),
        protector::module(),
        ai::module_with(ports.advisor.clone()),
    ]
}

/// The functions that modules from TOML files may name.
pub fn rules() -> Rules {
    Rules::default()
}

/// The modules of a folder of TOML files (`LOOP_MODULES_DIR`), to stand beside those of [`all`].
///
/// # Errors
/// Everything wrong with any file, with its line; then none is taken.
pub fn load(folder: &Path) -> Result<Vec<Module>, Vec<LoadError>> {
    load_dir(folder, &all(), &rules())
}

/// Rows that belong to the installation and to no company: what modules declare with `Module::install`.
///
/// # Errors
/// 503 when the database cannot be written.
pub async fn install(engine: &Engine) -> Result<()> {
    for install in engine.registry.modules().iter().filter_map(|module| module.install) {
        install(engine.clone()).await?;
    }
    Ok(())
}

/// The kinds of work for later; one line a module that has some.
pub fn register_jobs_on(runner: &mut Runner, engine: &Engine, ports: &Ports) {
    crate::engine::import::register(runner, engine);
    booking::register_jobs(runner, engine);
    cms::register_jobs(runner, engine);
    payments::register_jobs(runner, engine, &ports.mobile_money);
}

/// An id as a rule writes it into a body.
pub(crate) fn text_of(id: Option<loopd_types::Uuid>) -> Option<String> {
    id.map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use crate::define::soundness;

    #[test]
    fn every_definition_is_sound() {
        let flaws: Vec<String> = soundness(&super::all()).iter().map(ToString::to_string).collect();
        assert!(flaws.is_empty(), "\n{}\n", flaws.join("\n"));
    }
}
