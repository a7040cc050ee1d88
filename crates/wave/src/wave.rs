//! [`Wave`]: how this installation reaches WhatsApp.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Settings;
use crate::engine::Engine;
use crate::engine::cloud::Cloud;
use crate::engine::sandbox::Sandbox;
use crate::engine::web;

/// Built once by the binary, before the database is opened; what needs the database is handed the kernel.
pub struct Wave {
    pub settings: Settings,
    engines: BTreeMap<&'static str, Arc<dyn Engine>>,
    /// The same as among the engines, for what only it has.
    pub cloud: Option<Arc<Cloud>>,
    /// Whether this build can link numbers as devices, enabled or not.
    has_web: bool,
}

impl Wave {
    /// Builds the engines that the settings name.
    ///
    /// # Errors
    /// In words, when one cannot be built.
    pub fn new(settings: Settings) -> Result<Arc<Self>, String> {
        Self::with(settings, Vec::new())
    }

    /// The same with engines that are crates of their own; those that the settings do not name are left out.
    ///
    /// # Errors
    /// As [`Wave::new`].
    pub fn with(settings: Settings, others: Vec<Arc<dyn Engine>>) -> Result<Arc<Self>, String> {
        let mut engines: BTreeMap<&'static str, Arc<dyn Engine>> = BTreeMap::new();
        let mut cloud = None;
        let has_web = others.iter().any(|engine| engine.name() == web::NAME);
        for name in &settings.engines {
            if let Some(other) = others.iter().find(|engine| engine.name() == name) {
                engines.insert(other.name(), other.clone());
                continue;
            }
            let engine: Arc<dyn Engine> = match name.as_str() {
                "sandbox" => Arc::new(Sandbox::new(&settings)),
                "cloud" => cloud.insert(Arc::new(Cloud::new(&settings)?)).clone(),
                web::NAME => return Err(format!("LOOP_WHATSAPP_ENGINES names web. {}", web::NOT_BUILT)),
                other => return Err(format!("LOOP_WHATSAPP_ENGINES: this build has no engine {other}")),
            };
            engines.insert(engine.name(), engine);
        }
        Ok(Arc::new(Self { settings, engines, cloud, has_web }))
    }

    pub fn engine(&self, name: &str) -> Option<&Arc<dyn Engine>> {
        self.engines.get(name)
    }

    /// Why an engine that is known by this name cannot be used here; `None` for one that can, and for names that mean nothing.
    pub fn why_not(&self, name: &str) -> Option<&'static str> {
        match name {
            web::NAME if self.engines.contains_key(name) => None,
            web::NAME if self.has_web => Some(web::NOT_CHOSEN),
            web::NAME => Some(web::NOT_BUILT),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_engine_that_is_not_built_in_is_refused_with_what_to_build() {
        let named = |name: &str| Settings { engines: BTreeSet::from([name.to_owned()]), ..Settings::default() };
        let words = Wave::new(named("web")).err().expect("this crate has no such engine");
        assert!(words.contains("--features whatsapp-web"), "{words}");
        assert!(Wave::new(named("pigeon")).is_err());
        let wave = Wave::new(named("sandbox")).expect("the sandbox is always there");
        assert_eq!(
            (wave.why_not("web"), wave.why_not("sandbox"), wave.why_not("pigeon")),
            (Some(web::NOT_BUILT), None, None)
        );
    }
}
