//! TLS of the main port, as the settings want it, and what keeps its certificate fresh.

use std::sync::Arc;

use anyhow::anyhow;
use loopd_web::tls::Tls;
use loopd_web::tls::acme::Renewal;
use loopd_web::tls::certificate::Reloading;
use tokio::sync::watch;

use crate::settings::{Settings, TlsSettings};

/// TLS that is ready to be spoken.
pub struct Secure {
    pub tls: Tls,
    upkeep: Upkeep,
}

enum Upkeep {
    Files(Arc<Reloading>),
    Acme(Box<Renewal>),
}

impl Secure {
    /// # Errors
    /// A certificate or key that cannot be used, with its setting.
    pub fn open(settings: &Settings) -> anyhow::Result<Option<Self>> {
        Ok(match &settings.tls {
            None => None,
            Some(TlsSettings::Files(files)) => {
                let reloading = Reloading::open(files.clone()).map_err(|words| anyhow!("LOOP_TLS_CERT: {words}"))?;
                Some(Self { tls: Tls::new(reloading.clone())?, upkeep: Upkeep::Files(reloading) })
            }
            Some(TlsSettings::Acme(wanted)) => {
                let (tls, renewal) = Tls::acme(wanted).map_err(|words| anyhow!("LOOP_ACME_CA: {words}"))?;
                Some(Self { tls, upkeep: Upkeep::Acme(Box::new(renewal)) })
            }
        })
    }

    /// Follows the files, or renews with the authority, until the server stops.
    pub async fn keep(self, stop: watch::Receiver<bool>) {
        match self.upkeep {
            Upkeep::Files(reloading) => reloading.follow(stop).await,
            Upkeep::Acme(renewal) => renewal.run(stop).await,
        }
    }
}
