//! LOOP: definitions, engine, rules, account endpoints.

pub mod account;
pub mod define;
pub mod engine;
pub mod http;
pub mod modules;

use loopd_kernel::job::Runner;
use loopd_types::Result;

use crate::engine::Engine;

/// What the installation itself owns, written once; safe to repeat at every start.
pub async fn install(engine: &Engine) -> Result<()> {
    modules::install(engine).await
}

/// The kinds of work for later that the modules know.
pub fn register_jobs(runner: &mut Runner, engine: &Engine) {
    modules::register_jobs(runner, engine);
}
