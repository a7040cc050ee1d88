//! The business modules, one file each. A new one is a file here and a line in [`all`].

mod booking;
mod chat;

use std::path::Path;

use loopd_kernel::job::Runner;
use loopd_types::Result;

use crate::define::{LoadError, Module, Rules, load_dir};
use crate::engine::Engine;

/// Every module that is compiled in, in the order in which the portal shows them.
pub fn all() -> Vec<Module> {
    vec![booking::module(), chat::module()]
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

/// Rows that belong to the installation and to no company; one line a module that has some.
///
/// # Errors
/// 503 when the database cannot be written.
pub async fn install(_engine: &Engine) -> Result<()> {
    Ok(())
}

/// The kinds of work for later; one line a module that has some.
pub fn register_jobs(_runner: &mut Runner, _engine: &Engine) {}

#[cfg(test)]
mod tests {
    use crate::define::soundness;

    #[test]
    fn every_definition_is_sound() {
        let flaws: Vec<String> = soundness(&super::all()).iter().map(ToString::to_string).collect();
        assert!(flaws.is_empty(), "\n{}\n", flaws.join("\n"));
    }
}
