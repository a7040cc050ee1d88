//! What the operator chose.

use std::collections::BTreeSet;

use crate::license;

/// The name of the sandbox that production must allow (`LOOP_ALLOW_SANDBOXES`).
pub const SANDBOX: &str = "whatsapp";

/// The engines that `LOOP_WHATSAPP_ENGINES` can name.
pub const ENGINES: [&str; 3] = ["sandbox", "cloud", "web"];

/// Every setting of Loopwave, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engines that numbers may use.
    pub engines: BTreeSet<String>,
    /// By what licences are judged.
    pub license: license::Settings,
}

impl Default for Settings {
    /// Nothing leaves the house.
    fn default() -> Self {
        Self { engines: BTreeSet::from(["sandbox".to_owned()]), license: license::Settings::default() }
    }
}
