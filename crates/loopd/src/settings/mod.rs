//! Settings: the annotated defaults, a file, the environment; checked once, refused with name and reason.
//!
//! `raw.rs` reads them, `check.rs` and the subjects beside it judge them, `secret.rs` makes the key that nobody gave.

mod check;
mod mail_server;
mod money;
mod operating;
mod places;
mod raw;
mod secret;
mod settlement;
#[cfg(test)]
mod tests;
mod whatsapp;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use loopd_business::modules::payments;
use loopd_kernel::mail::{self, SmtpSettings};
use loopd_kernel::{Environment, file, retention, trace};
use loopd_types::Secret;
use loopd_web::Network;
use loopd_web::tls::{acme, certificate};

use self::raw::Raw;
pub use self::secret::write_private_new;

/// The annotated defaults; `loopd check --defaults` prints them.
pub const DEFAULTS: &str = include_str!("../../loopd.default.toml");

/// Every setting, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    /// Where files' content lies.
    pub files: file::Place,
    pub database_url: Secret<String>,
    pub base_url: Option<String>,
    pub environment: Environment,
    pub secret_key: Option<Secret<String>>,
    pub internal_key: Option<loopd_kernel::settings::InternalKey>,
    pub modules_dir: Option<PathBuf>,
    pub redis_url: Option<Secret<String>>,
    pub trusted_proxies: Vec<Network>,
    pub allowed_origins: Vec<String>,
    pub rate_limits: bool,
    pub ai: Option<AiSettings>,
    /// MTN's Collections API; without it only the sandbox can be asked.
    pub momo: Option<payments::MtnSettings>,
    pub airtel: Option<payments::AirtelSettings>,
    /// Without it letters stay in the sandbox, if that may run.
    pub smtp: Option<SmtpSettings>,
    /// How machine payments are settled.
    pub pay: loopd_pay::Settings,
    /// How Loopwave reaches WhatsApp.
    pub wave: loopd_wave::Settings,
    pub allow_sandboxes: Vec<String>,
    /// Hosts in the own network that tenants' webhooks may lead to.
    pub egress_allow: Vec<String>,
    /// Event streams that one company may have open on this node.
    pub event_streams: usize,
    /// Event streams that all companies together may have open on this node.
    pub event_streams_total: usize,
    pub license: loopd_wave::license::Settings,
    pub metrics_listen: Option<SocketAddr>,
    pub metrics_token: Option<Secret<String>>,
    pub trace: Option<trace::Settings>,
    pub retention: retention::Settings,
    pub log_format: LogFormat,
    pub log: String,
    pub tls: Option<TlsSettings>,
    pub redirect_listen: Option<SocketAddr>,
    pub request_timeout: Duration,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    pub write_timeout: Duration,
    pub shutdown_delay: Duration,
    pub shutdown_timeout: Duration,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub database_pool: usize,
    pub database_wait: Duration,
    /// Argon2id memory; tests use little, and no setting of an operator's leads here.
    pub password_memory_kib: Option<u32>,
}

/// An OpenAI-compatible model.
#[derive(Clone, Debug)]
pub struct AiSettings {
    pub base_url: String,
    pub api_key: Secret<String>,
    pub model: String,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSettings {
    Files(certificate::Files),
    Acme(acme::Settings),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Pretty,
    Json,
}

/// A setting that cannot be used: which one, and why.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct Refused {
    pub name: String,
    pub reason: String,
}

fn refuse(name: &str, reason: impl Into<String>) -> Refused {
    Refused { name: variable(name), reason: reason.into() }
}

/// A setting's name in the environment. Those of licences are Loopwave's own and have no prefix (spec/loopwave.md 3).
fn variable(name: &str) -> String {
    let name = name.to_uppercase();
    if name.starts_with("LICENSE_") { name } else { format!("LOOP_{name}") }
}

impl Settings {
    /// Reads defaults, `file` (or `./loopd.toml` if it is there) and `environment` (names with their `LOOP_`).
    ///
    /// # Errors
    /// [`Refused`] with the name of the setting and the reason.
    pub fn load(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, Refused> {
        let mut settings = Self::check(Raw::read(file, environment)?)?;
        // Never in what is shipped: a name in the environment that ends the server would be somebody's lever.
        if cfg!(debug_assertions)
            && let Some(step) = environment.get("LOOPD_FAILPOINT").cloned()
        {
            let end: Arc<dyn Fn(&'static str) + Send + Sync> = Arc::new(move |reached| {
                if reached == step {
                    std::process::abort();
                }
            });
            settings.pay.failpoint = loopd_pay::settings::Failpoint(Some(end.clone()));
            settings.wave.failpoint = loopd_wave::settings::Failpoint(Some(end));
        }
        Ok(settings)
    }

    /// What the edge needs.
    pub fn web(&self) -> loopd_web::Settings {
        loopd_web::Settings {
            base_url: self.base_url.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            allowed_origins: self.allowed_origins.clone(),
            request_timeout: self.request_timeout,
            header_timeout: self.header_timeout,
            body_timeout: self.body_timeout,
            idle_timeout: self.idle_timeout,
            write_timeout: self.write_timeout,
            shutdown_timeout: self.shutdown_timeout,
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            access_log: self.logs_requests().then_some(match self.log_format {
                LogFormat::Pretty => loopd_web::AccessFormat::Text,
                LogFormat::Json => loopd_web::AccessFormat::Json,
            }),
        }
    }

    /// Whether the filter of the log lets a line for each request pass (`log = "info,loopd::access=off"` does not).
    fn logs_requests(&self) -> bool {
        let filter = self.log.parse::<tracing_subscriber::filter::Targets>();
        // directives that tell spans apart are the subscriber's; what they say of targets is not known here
        filter.map_or(true, |filter| filter.would_enable("loopd::access", &tracing::Level::INFO))
    }

    /// The address people reach this server by.
    pub fn public_url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.base_url.clone().unwrap_or_else(|| format!("{scheme}://{}", self.listen))
    }

    /// Where letters go.
    pub fn mail(&self) -> mail::Delivery {
        match &self.smtp {
            Some(_) => mail::Delivery::Smtp,
            None if self.allows_sandbox(mail::SANDBOX) => mail::Delivery::Sandbox,
            None => mail::Delivery::Off,
        }
    }

    /// How the store reaches its database.
    pub fn store(&self) -> loopd_store::Config {
        let mut config = loopd_store::Config::new(self.database_url.expose().clone());
        config.pool_size = self.database_pool;
        config.acquire_timeout = self.database_wait;
        config
    }

    /// Where browsers say they are when they use passkeys: our own address, then those of the front ends that may call us.
    pub fn passkey_origins(&self) -> Vec<String> {
        let own = self.base_url.clone().unwrap_or_else(|| format!("http://localhost:{}", self.listen.port()));
        [own].into_iter().chain(self.allowed_origins.iter().cloned()).collect()
    }

    /// Whether the sandbox `name` may run: always in development, in production only when it is named.
    pub fn allows_sandbox(&self, name: &str) -> bool {
        !self.environment.is_production() || self.allow_sandboxes.iter().any(|allowed| allowed == name)
    }
}
