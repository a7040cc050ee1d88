//! What the operator chose.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

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
    /// Where the Graph API is; without a final slash.
    pub graph_url: String,
    /// Which version of WhatsApp Web linked devices say they are; `None` asks WhatsApp for its latest.
    pub web_version: Option<(u32, u32, u32)>,
    pub failpoint: Failpoint,
}

/// Meta's own.
pub const GRAPH_URL: &str = "https://graph.facebook.com";

impl Default for Settings {
    /// Nothing leaves the house.
    fn default() -> Self {
        Self {
            engines: BTreeSet::from(["sandbox".to_owned()]),
            license: license::Settings::default(),
            graph_url: GRAPH_URL.to_owned(),
            web_version: None,
            failpoint: Failpoint::default(),
        }
    }
}

/// Where tests end the process: called with the name of every step of a hand-over.
#[derive(Clone, Default)]
pub struct Failpoint(pub Option<Arc<dyn Fn(&'static str) + Send + Sync>>);

impl Failpoint {
    pub(crate) fn at(&self, step: &'static str) {
        if let Some(reached) = &self.0 {
            reached(step);
        }
    }
}

impl fmt::Debug for Failpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failpoint({})", self.0.is_some())
    }
}
