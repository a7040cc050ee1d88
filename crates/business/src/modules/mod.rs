//! The business modules, one file each. A new one is a file here and a line in [`all`].

mod booking;
mod chat;

use crate::define::{Module, Rules};

/// Every module that is compiled in, in the order in which the portal shows them.
pub fn all() -> Vec<Module> {
    vec![booking::module(), chat::module()]
}

/// The functions that modules from TOML files may name.
pub fn rules() -> Rules {
    Rules::default()
}
