//! [`Wave`]: how this installation reaches WhatsApp.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Settings;
use crate::engine::Engine;
use crate::engine::cloud::Cloud;
use crate::engine::sandbox::Sandbox;

/// Built once by the binary, before the database is opened; what needs the database is handed the kernel.
pub struct Wave {
    pub settings: Settings,
    engines: BTreeMap<&'static str, Arc<dyn Engine>>,
    /// The same as among the engines, for what only it has.
    pub cloud: Option<Arc<Cloud>>,
}

impl Wave {
    /// Builds the engines that the settings name.
    ///
    /// # Errors
    /// In words, when one cannot be built.
    pub fn new(settings: Settings) -> Result<Arc<Self>, String> {
        let mut engines: BTreeMap<&'static str, Arc<dyn Engine>> = BTreeMap::new();
        let mut cloud = None;
        for name in &settings.engines {
            let engine: Arc<dyn Engine> = match name.as_str() {
                "sandbox" => Arc::new(Sandbox::new(&settings)),
                "cloud" => cloud.insert(Arc::new(Cloud::new(&settings)?)).clone(),
                other => return Err(format!("LOOP_WHATSAPP_ENGINES: this build has no engine {other}")),
            };
            engines.insert(engine.name(), engine);
        }
        Ok(Arc::new(Self { settings, engines, cloud }))
    }

    pub fn engine(&self, name: &str) -> Option<&Arc<dyn Engine>> {
        self.engines.get(name)
    }

    /// The engines, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        self.engines.values()
    }

    /// The names of the engines, in order.
    pub fn engines(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.engines.keys().copied()
    }
}
