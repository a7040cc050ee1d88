//! Settings: the annotated defaults, a file, the environment; checked once, refused with name and reason.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopd_business::modules::payments;
use loopd_kernel::billing::collector;
use loopd_kernel::mail::{self, SmtpSettings};
use loopd_kernel::{Environment, file, retention, trace};
use loopd_types::{Rng, Secret, random_token};
use loopd_web::Network;
use loopd_web::tls::{acme, certificate};
use serde::Deserialize;
use toml::Value;

/// The annotated defaults; `loopd check --defaults` prints them.
pub const DEFAULTS: &str = include_str!("../loopd.default.toml");

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
    pub allow_sandboxes: Vec<String>,
    /// Hosts in the own network that tenants' webhooks may lead to.
    pub egress_allow: Vec<String>,
    /// Event streams that one company may have open on this node.
    pub event_streams: usize,
    /// Event streams that all companies together may have open on this node.
    pub event_streams_total: usize,
    pub license: LicenseSettings,
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

/// By what Loopwave's licences are judged.
#[derive(Clone, Debug)]
pub struct LicenseSettings {
    /// The vendor's.
    pub public_key: Option<loopd_wave::license::Verifier>,
    pub grace_days: i64,
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

/// The file's shape: every name is known, so that a typo is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    listen: String,
    data_dir: String,
    files_url: String,
    files_access_key: String,
    files_secret_key: String,
    database_url: String,
    base_url: String,
    environment: String,
    secret_key: String,
    internal_api_key: String,
    internal_api_user_email: String,
    modules_dir: String,
    redis_url: String,
    trusted_proxies: Vec<String>,
    allowed_origins: Vec<String>,
    rate_limits: bool,
    ai_base_url: String,
    ai_api_key: String,
    ai_model: String,
    momo_base_url: String,
    momo_subscription_key: String,
    momo_api_user: String,
    momo_api_key: String,
    momo_target_environment: String,
    airtel_base_url: String,
    airtel_client_id: String,
    airtel_client_secret: String,
    airtel_country: String,
    airtel_dial_code: String,
    smtp_url: String,
    mail_from: String,
    allow_sandboxes: Vec<String>,
    egress_allow: Vec<String>,
    event_streams: i64,
    event_streams_total: i64,
    license_public_key: String,
    license_grace_days: i64,
    metrics_listen: String,
    metrics_token: String,
    otlp_endpoint: String,
    otlp_headers: Vec<String>,
    trace_sample: f64,
    audit_retention_days: i64,
    session_retention_days: i64,
    job_retention_days: i64,
    failed_job_retention_days: i64,
    export_retention_days: i64,
    import_retention_days: i64,
    log_format: String,
    log: String,
    tls_cert: String,
    tls_key: String,
    acme_domains: Vec<String>,
    acme_email: String,
    acme_directory: String,
    acme_ca: String,
    redirect_listen: String,
    request_timeout: i64,
    header_timeout: i64,
    body_timeout: i64,
    idle_timeout: i64,
    write_timeout: i64,
    shutdown_delay: i64,
    shutdown_timeout: i64,
    max_connections: i64,
    max_connections_per_address: i64,
    database_pool: i64,
    database_wait: i64,
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

/// Where files lie, from the address and the keys.
fn check_files(url: &str, access_key: &str, secret_key: &str, data_dir: &Path) -> Result<file::Place, Refused> {
    let Some(bucket) = url.strip_prefix("s3://") else {
        if !access_key.is_empty() || !secret_key.is_empty() {
            return Err(refuse("files_access_key", "and files_secret_key are for s3:// only"));
        }
        return match url.strip_prefix("file://") {
            None if url.is_empty() => Ok(file::Place::Folder(data_dir.join("files"))),
            Some(path) if path.starts_with('/') => Ok(file::Place::Folder(PathBuf::from(path))),
            _ => Err(refuse("files_url", "must begin with file:/// or s3://")),
        };
    };
    let (place, query) = bucket.split_once('?').unwrap_or((bucket, ""));
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let query = loopd_web::Query::parse(Some(query)).map_err(|problem| refuse("files_url", problem.to_string()))?;
    if let Some((unknown, _)) = query.pairs().find(|(name, _)| !["endpoint", "region"].contains(name)) {
        return Err(refuse("files_url", format!("`{unknown}` is neither endpoint nor region")));
    }
    if bucket.is_empty() {
        return Err(refuse("files_url", "names no bucket"));
    }
    let endpoint = query.get("endpoint").map(|endpoint| endpoint.trim_end_matches('/').to_owned());
    if endpoint.as_ref().is_some_and(|endpoint| !endpoint.starts_with("https://") && !endpoint.starts_with("http://")) {
        return Err(refuse("files_url", "the endpoint must begin with https:// or http://"));
    }
    for (name, value) in [("files_access_key", access_key), ("files_secret_key", secret_key)] {
        if value.is_empty() {
            return Err(refuse(name, "is required with s3://"));
        }
    }
    let prefix = prefix.trim_matches('/');
    Ok(file::Place::S3(file::S3 {
        bucket: bucket.to_owned(),
        endpoint,
        region: query.get("region").unwrap_or("us-east-1").to_owned(),
        access_key: access_key.to_owned(),
        secret_key: Secret::new(secret_key.to_owned()),
        prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
    }))
}

impl Settings {
    /// Reads defaults, `file` (or `./loopd.toml` if it is there) and `environment` (names with their `LOOP_`).
    ///
    /// # Errors
    /// [`Refused`] with the name of the setting and the reason.
    pub fn load(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, Refused> {
        let mut table: toml::Table =
            DEFAULTS.parse().map_err(|error| refuse("config", format!("built-in defaults: {error}")))?;
        let named = file.map(Path::to_path_buf).or_else(|| environment.get("LOOP_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from("loopd.toml"));
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let given: toml::Table = text
                    .parse()
                    .map_err(|error| refuse("config", format!("{} cannot be read: {error}", path.display())))?;
                for (name, value) in given {
                    let Some(default) = table.get(&name) else {
                        return Err(refuse(&name, format!("is no setting (in {})", path.display())));
                    };
                    if !default.same_type(&value) {
                        let (is, wanted) = (value.type_str(), default.type_str());
                        return Err(refuse(&name, format!("is a {is} and must be a {wanted} (in {})", path.display())));
                    }
                    table.insert(name, value);
                }
            }
            Err(error) if named.is_some() => return Err(refuse("config", format!("{}: {error}", path.display()))),
            Err(_) => {}
        }
        for (name, text) in environment {
            let key = match name.strip_prefix("LOOP_") {
                Some(key) => key.to_lowercase(),
                None if name.starts_with("LICENSE_") => name.to_lowercase(),
                None => continue,
            };
            if key == "config" {
                continue;
            }
            let Some(default) = table.get(&key) else {
                // other programs may have licences too
                if name.starts_with("LICENSE_") {
                    continue;
                }
                return Err(Refused {
                    name: name.clone(),
                    reason: "is no setting; `loopd check --defaults` lists them".to_owned(),
                });
            };
            table.insert(key.clone(), parse_text(&key, text, default)?);
        }
        let raw: Raw = Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| refuse("config", error.message().to_owned()))?;
        Self::check(raw)
    }

    fn check(raw: Raw) -> Result<Self, Refused> {
        let environment = match raw.environment.as_str() {
            "development" => Environment::Development,
            "production" => Environment::Production,
            other => return Err(refuse("environment", format!("`{other}` is neither development nor production"))),
        };
        let address = |name: &str, text: &str| -> Result<SocketAddr, Refused> {
            text.parse()
                .map_err(|_| refuse(name, format!("`{text}` is no address with a port, such as 127.0.0.1:8000")))
        };
        let data_dir = PathBuf::from(&raw.data_dir);
        let tls = check_tls(&raw, &data_dir)?;
        let (trace, retention) = (check_trace(&raw)?, check_retention(&raw)?);
        let database_url = if raw.database_url.is_empty() {
            format!("sqlite://{}", data_dir.join("loop.db").display())
        } else {
            raw.database_url
        };
        if !["sqlite://", "postgres://", "postgresql://"].iter().any(|scheme| database_url.starts_with(scheme)) {
            return Err(refuse("database_url", "must begin with sqlite:// or postgres://"));
        }
        if environment.is_production() && raw.secret_key.is_empty() {
            return Err(refuse(
                "secret_key",
                "is required in production: at least 32 random characters, kept for as long as the data",
            ));
        }
        if !raw.secret_key.is_empty() && raw.secret_key.len() < 32 {
            return Err(refuse("secret_key", "is too short: at least 32 characters"));
        }
        if environment.is_production() && !raw.rate_limits {
            return Err(refuse("rate_limits", "may not be off in production"));
        }
        let internal_key = match (raw.internal_api_key.as_str(), raw.internal_api_user_email.as_str()) {
            ("", "") => None,
            ("", _) => return Err(refuse("internal_api_key", "is empty although internal_api_user_email is set")),
            (_, "") => return Err(refuse("internal_api_user_email", "is empty although internal_api_key is set")),
            (key, _) if key.len() < 24 => {
                return Err(refuse("internal_api_key", "is too short: at least 24 characters"));
            }
            (key, email) => Some(loopd_kernel::settings::InternalKey {
                key: Secret::new(key.to_owned()),
                user_email: email.to_owned(),
            }),
        };
        let base_url = raw.base_url.trim_end_matches('/').to_owned();
        if !base_url.is_empty() && !base_url.starts_with("https://") && !base_url.starts_with("http://") {
            return Err(refuse("base_url", format!("`{base_url}` does not begin with https:// or http://")));
        }
        let trusted_proxies = raw
            .trusted_proxies
            .iter()
            .map(|text| {
                text.parse::<Network>().map_err(|error| refuse("trusted_proxies", format!("`{text}`: {error}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let ai = match (raw.ai_base_url.as_str(), raw.ai_model.as_str()) {
            ("", _) => None,
            (_, "") => return Err(refuse("ai_model", "is required when ai_base_url is set")),
            (base_url, model) => Some(AiSettings {
                base_url: base_url.trim_end_matches('/').to_owned(),
                api_key: Secret::new(raw.ai_api_key.clone()),
                model: model.to_owned(),
            }),
        };
        let airtel = match (raw.airtel_client_id.as_str(), raw.airtel_client_secret.as_str()) {
            ("", "") => None,
            ("", _) => return Err(refuse("airtel_client_id", "is required when airtel_client_secret is set")),
            (_, "") => return Err(refuse("airtel_client_secret", "is required when airtel_client_id is set")),
            (client_id, client_secret) => {
                if raw.airtel_country.len() != 2 || !raw.airtel_country.bytes().all(|byte| byte.is_ascii_uppercase()) {
                    return Err(refuse("airtel_country", format!("`{}` is no country such as RW", raw.airtel_country)));
                }
                let dial_code = raw.airtel_dial_code.trim_start_matches('+');
                if dial_code.is_empty() || !dial_code.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(refuse("airtel_dial_code", "is the country's telephone code, such as 250"));
                }
                let base_url = raw.airtel_base_url.trim_end_matches('/').to_owned();
                Some(payments::AirtelSettings {
                    is_sandbox: base_url.starts_with("https://openapiuat."),
                    base_url,
                    client_id: client_id.to_owned(),
                    client_secret: Secret::new(client_secret.to_owned()),
                    country: raw.airtel_country.clone(),
                    dial_code: dial_code.to_owned(),
                })
            }
        };
        let momo = match raw.momo_subscription_key.as_str() {
            "" => None,
            subscription_key => {
                for (name, value) in [("momo_api_user", &raw.momo_api_user), ("momo_api_key", &raw.momo_api_key)] {
                    if value.is_empty() {
                        return Err(refuse(name, "is required when momo_subscription_key is set"));
                    }
                }
                Some(payments::MtnSettings {
                    base_url: raw.momo_base_url.trim_end_matches('/').to_owned(),
                    subscription_key: Secret::new(subscription_key.to_owned()),
                    api_user: raw.momo_api_user.clone(),
                    api_key: Secret::new(raw.momo_api_key.clone()),
                    target_environment: raw.momo_target_environment.clone(),
                    callback_host: (!base_url.is_empty()).then(|| base_url.clone()),
                })
            }
        };
        if let Some(unknown) = raw.allow_sandboxes.iter().find(|name| !SANDBOXES.contains(&name.as_str())) {
            return Err(refuse(
                "allow_sandboxes",
                format!("there is no sandbox `{unknown}`; there are {}", SANDBOXES.join(" and ")),
            ));
        }
        let egress_allow = check_allowed_hosts(raw.egress_allow, environment)?;
        for (name, value) in [("event_streams", raw.event_streams), ("event_streams_total", raw.event_streams_total)] {
            if !(1..=1_000_000).contains(&value) {
                return Err(refuse(name, "must be between 1 and 1000000"));
            }
        }
        let smtp = read_smtp(&raw.smtp_url, &raw.mail_from, environment, &base_url)?;
        let public_key = match raw.license_public_key.as_str() {
            "" => None,
            text => Some(
                loopd_wave::license::Verifier::parse(text)
                    .ok_or_else(|| refuse("license_public_key", "is no Ed25519 public key in base64url"))?,
            ),
        };
        if !(0..=365).contains(&raw.license_grace_days) {
            return Err(refuse("license_grace_days", "must be between 0 and 365"));
        }
        let license = LicenseSettings { public_key, grace_days: raw.license_grace_days };
        tracing_subscriber::EnvFilter::try_new(&raw.log)
            .map_err(|error| refuse("log", format!("is no filter such as info or warn,loopd=debug: {error}")))?;
        let log_format = match raw.log_format.as_str() {
            "pretty" => LogFormat::Pretty,
            "json" => LogFormat::Json,
            other => return Err(refuse("log_format", format!("`{other}` is neither pretty nor json"))),
        };
        for (name, seconds) in [
            ("request_timeout", raw.request_timeout),
            ("header_timeout", raw.header_timeout),
            ("body_timeout", raw.body_timeout),
            ("idle_timeout", raw.idle_timeout),
            ("write_timeout", raw.write_timeout),
            ("shutdown_timeout", raw.shutdown_timeout),
            ("database_wait", raw.database_wait),
        ] {
            if !(1..=3_600).contains(&seconds) {
                return Err(refuse(name, "must be between 1 and 3600 seconds"));
            }
        }
        if !(0..=300).contains(&raw.shutdown_delay) {
            return Err(refuse("shutdown_delay", "must be between 0 and 300 seconds"));
        }
        if tls.is_none() && !raw.redirect_listen.is_empty() {
            return Err(refuse(
                "redirect_listen",
                "is set although there is no TLS: set tls_cert and tls_key, or acme_domains",
            ));
        }
        for (name, count) in
            [("max_connections", raw.max_connections), ("max_connections_per_address", raw.max_connections_per_address)]
        {
            if !(1..=1_000_000).contains(&count) {
                return Err(refuse(name, "must be between 1 and 1000000"));
            }
        }
        if !(1..=500).contains(&raw.database_pool) {
            return Err(refuse("database_pool", "must be between 1 and 500"));
        }
        // all three were found in their bounds above
        let seconds = |of: i64| Duration::from_secs(of.unsigned_abs());
        let count = |of: i64| usize::try_from(of).unwrap_or(usize::MAX);
        let some = |text: String| (!text.is_empty()).then(|| Secret::new(text));
        Ok(Self {
            listen: address("listen", &raw.listen)?,
            modules_dir: (!raw.modules_dir.is_empty()).then(|| PathBuf::from(&raw.modules_dir)),
            files: check_files(&raw.files_url, &raw.files_access_key, &raw.files_secret_key, &data_dir)?,
            data_dir,
            database_url: Secret::new(database_url),
            base_url: (!base_url.is_empty()).then_some(base_url),
            environment,
            secret_key: some(raw.secret_key),
            internal_key,
            redis_url: some(raw.redis_url),
            trusted_proxies,
            allowed_origins: raw.allowed_origins,
            rate_limits: raw.rate_limits,
            ai,
            momo,
            airtel,
            smtp,
            allow_sandboxes: raw.allow_sandboxes,
            egress_allow,
            event_streams: count(raw.event_streams),
            event_streams_total: count(raw.event_streams_total),
            license,
            metrics_listen: if raw.metrics_listen.is_empty() {
                None
            } else {
                Some(address("metrics_listen", &raw.metrics_listen)?)
            },
            metrics_token: some(raw.metrics_token),
            trace,
            retention,
            log_format,
            log: raw.log,
            tls,
            redirect_listen: match raw.redirect_listen.as_str() {
                "" => None,
                text => Some(address("redirect_listen", text)?),
            },
            request_timeout: seconds(raw.request_timeout),
            header_timeout: seconds(raw.header_timeout),
            body_timeout: seconds(raw.body_timeout),
            idle_timeout: seconds(raw.idle_timeout),
            write_timeout: seconds(raw.write_timeout),
            shutdown_delay: seconds(raw.shutdown_delay),
            shutdown_timeout: seconds(raw.shutdown_timeout),
            max_connections: count(raw.max_connections),
            max_connections_per_address: count(raw.max_connections_per_address),
            database_pool: count(raw.database_pool),
            database_wait: seconds(raw.database_wait),
            password_memory_kib: None,
        })
    }

    /// The secret key: the operator's, or in development one that is made once and kept in the data folder, readable by its owner only.
    ///
    /// # Errors
    /// When the data folder cannot be written.
    pub fn secret_key_or_make(&self, rng: &dyn Rng) -> anyhow::Result<Secret<String>> {
        use anyhow::Context as _;
        if let Some(key) = &self.secret_key {
            return Ok(key.clone());
        }
        let path = self.data_dir.join("secret.key");
        if let Ok(known) = std::fs::read_to_string(&path)
            && known.trim().len() >= 32
        {
            return Ok(Secret::new(known.trim().to_owned()));
        }
        std::fs::create_dir_all(&self.data_dir)
            .with_context(|| format!("cannot make the data folder {}", self.data_dir.display()))?;
        let key = random_token(rng, 48);
        write_private(&path, &key).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Secret::new(key))
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

/// Hosts are written as they stand in an address. Loopback is refused in production: whatever else listens on this machine (a
/// database, another tenant's tunnel) trusts it, and a webhook is a request of a tenant's choice.
fn check_allowed_hosts(hosts: Vec<String>, environment: Environment) -> Result<Vec<String>, Refused> {
    for host in &hosts {
        if host.is_empty()
            || host.contains(['/', '@', '*', ' '])
            || host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
                && host.parse::<std::net::Ipv6Addr>().is_err()
        {
            return Err(refuse(
                "egress_allow",
                format!("`{host}` is no host such as receiver.internal, without scheme and port"),
            ));
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let is_loopback = name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        if is_loopback && environment.is_production() {
            return Err(refuse(
                "egress_allow",
                format!("`{host}` is this machine itself, which no webhook may call in production"),
            ));
        }
    }
    Ok(hosts.into_iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect())
}

/// The sandboxes that production must name.
const SANDBOXES: [&str; 3] = [payments::SANDBOX, mail::SANDBOX, collector::SANDBOX];

/// A mail server that can be used: an address that can be read, a sender, and in production an encrypted way there and links that
/// lead somewhere.
fn read_smtp(url: &str, from: &str, environment: Environment, base_url: &str) -> Result<Option<SmtpSettings>, Refused> {
    match (url, from) {
        ("", "") => return Ok(None),
        ("", _) => return Err(refuse("smtp_url", "is required when mail_from is set")),
        (_, "") => return Err(refuse("mail_from", "is required when smtp_url is set: LOOP <no-reply@example.com>")),
        _ => {}
    }
    let settings = SmtpSettings { url: Secret::new(url.to_owned()), from: from.to_owned() };
    if !url.starts_with("smtp://") && !url.starts_with("smtps://") {
        return Err(refuse("smtp_url", "must begin with smtp:// or smtps://"));
    }
    settings.check().map_err(|words| {
        let name = if words.starts_with("LOOP_MAIL_FROM") { "mail_from" } else { "smtp_url" };
        refuse(name, words)
    })?;
    if environment.is_production() {
        let host = url.split('@').next_back().unwrap_or_default().trim_start_matches("smtp://");
        let is_here = ["localhost", "127.0.0.1", "[::1]"].iter().any(|here| {
            host.strip_prefix(here).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
        });
        if url.starts_with("smtp://") && !url.contains("tls=required") && !is_here {
            return Err(refuse(
                "smtp_url",
                "would send letters and the password in clear; use smtps://… or smtp://…?tls=required",
            ));
        }
        if base_url.is_empty() {
            return Err(refuse(
                "base_url",
                "is required in production when mail is sent: links in letters begin with it",
            ));
        }
    }
    Ok(Some(settings))
}

/// Where traces go.
fn check_trace(raw: &Raw) -> Result<Option<trace::Settings>, Refused> {
    if !(0.0..=1.0).contains(&raw.trace_sample) {
        return Err(refuse("trace_sample", "must be between 0 and 1"));
    }
    if raw.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    if !raw.otlp_endpoint.starts_with("http://") && !raw.otlp_endpoint.starts_with("https://") {
        return Err(refuse("otlp_endpoint", "must begin with http:// or https://"));
    }
    let headers = raw.otlp_headers.iter().map(|line| {
        let parts = line.split_once('=').map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()));
        match parts {
            Some((name, value)) if http::HeaderName::from_bytes(name.as_bytes()).is_ok() => {
                // Read once and used for as long as the process lives, which outbound calls want of a header's name.
                Ok((&*name.leak(), Secret::new(value)))
            }
            _ => Err(refuse("otlp_headers", "each is name=value")),
        }
    });
    Ok(Some(trace::Settings {
        endpoint: raw.otlp_endpoint.clone(),
        headers: headers.collect::<Result<_, _>>()?,
        sample: raw.trace_sample,
    }))
}

/// How long what is over is kept.
fn check_retention(raw: &Raw) -> Result<retention::Settings, Refused> {
    let days = |name: &str, days: i64| match days {
        1..=36_500 => Ok(days),
        _ => Err(refuse(name, "must be between 1 and 36500 days")),
    };
    Ok(retention::Settings {
        audit_days: days("audit_retention_days", raw.audit_retention_days)?,
        session_days: days("session_retention_days", raw.session_retention_days)?,
        job_days: days("job_retention_days", raw.job_retention_days)?,
        failed_job_days: days("failed_job_retention_days", raw.failed_job_retention_days)?,
        export_days: days("export_retention_days", raw.export_retention_days)?,
        import_days: days("import_retention_days", raw.import_retention_days)?,
    })
}

/// TLS by files, by an authority, or not at all.
fn check_tls(raw: &Raw, data_dir: &Path) -> Result<Option<TlsSettings>, Refused> {
    let is_acme = !raw.acme_domains.is_empty();
    match (raw.tls_cert.as_str(), raw.tls_key.as_str()) {
        ("", "") => {}
        ("", _) => return Err(refuse("tls_cert", "is required when tls_key is set")),
        (_, "") => return Err(refuse("tls_key", "is required when tls_cert is set")),
        _ if is_acme => return Err(refuse("acme_domains", "cannot be used together with tls_cert and tls_key")),
        (certificate, key) => {
            let files = certificate::Files { certificate: certificate.into(), key: key.into() };
            return Ok(Some(TlsSettings::Files(files)));
        }
    }
    if !is_acme {
        return Ok(None);
    }
    let is_name = |name: &String| {
        name.contains('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    if let Some(name) = raw.acme_domains.iter().find(|name| !is_name(name)) {
        return Err(refuse(
            "acme_domains",
            format!("`{name}` is no name such as shop.example.com; wildcards need another proof"),
        ));
    }
    if !raw.acme_directory.starts_with("https://") {
        return Err(refuse("acme_directory", "must begin with https://"));
    }
    if !raw.acme_email.is_empty() && !raw.acme_email.contains('@') {
        return Err(refuse("acme_email", format!("`{}` is no address", raw.acme_email)));
    }
    Ok(Some(TlsSettings::Acme(acme::Settings {
        domains: raw.acme_domains.iter().map(|name| name.to_lowercase()).collect(),
        email: raw.acme_email.clone(),
        directory: raw.acme_directory.clone(),
        ca: (!raw.acme_ca.is_empty()).then(|| PathBuf::from(&raw.acme_ca)),
        folder: data_dir.join("acme"),
    })))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    write_for_owner(std::fs::OpenOptions::new().write(true).create(true).truncate(true), path, text)
}

/// Writes a secret into a file that must not be there yet, for its owner's eyes only.
pub fn write_private_new(path: &Path, text: &str) -> std::io::Result<()> {
    write_for_owner(std::fs::OpenOptions::new().write(true).create_new(true), path, text)
}

fn write_for_owner(options: &mut std::fs::OpenOptions, path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A text of the environment in the type of the default.
fn parse_text(key: &str, text: &str, default: &Value) -> Result<Value, Refused> {
    Ok(match default {
        Value::Boolean(_) => match text.to_lowercase().as_str() {
            "on" | "true" | "1" | "yes" => Value::Boolean(true),
            "off" | "false" | "0" | "no" => Value::Boolean(false),
            _ => return Err(refuse(key, format!("`{text}` is neither on nor off"))),
        },
        Value::Integer(_) => {
            Value::Integer(text.parse().map_err(|_| refuse(key, format!("`{text}` is no whole number")))?)
        }
        Value::Float(_) => Value::Float(text.parse().map_err(|_| refuse(key, format!("`{text}` is no number")))?),
        Value::Array(_) => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.to_owned()))
                .collect(),
        ),
        _ => Value::String(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Settings, Refused> {
        let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::load(None, &environment)
    }

    #[test]
    fn the_defaults_are_good_for_a_laptop() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(settings.database_url.expose(), "sqlite://./data/loop.db");
        assert!(settings.rate_limits);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        for (name, value, words) in [
            ("LOOP_LISTEN", "8000", "no address"),
            ("LOOP_ENVIRONMENT", "staging", "neither"),
            ("LOOP_DATABASE_URL", "mysql://x", "must begin"),
            ("LOOP_SECRET_KEY", "short", "too short"),
            ("LOOP_RATE_LIMITS", "maybe", "neither on nor off"),
            ("LOOP_TRUSTED_PROXIES", "10.0.0.0/99", "10.0.0.0/99"),
            ("LOOP_REQUEST_TIMEOUT", "0", "between"),
            ("LOOP_BASE_URL", "example.com", "does not begin"),
            ("LOOP_IDLE_TIMEOUT", "0", "between"),
            ("LOOP_ACME_DOMAINS", "*.example.com", "wildcards"),
            ("LOOP_REDIRECT_LISTEN", "0.0.0.0:80", "no TLS"),
            ("LOOP_SHUTDOWN_DELAY", "301", "between"),
            ("LOOP_TRACE_SAMPLE", "1.5", "between"),
            ("LOOP_TRACE_SAMPLE", "half", "no number"),
            ("LOOP_OTLP_ENDPOINT", "collector:4318", "must begin"),
            ("LOOP_AUDIT_RETENTION_DAYS", "0", "between"),
            ("LOOP_LISTNE", "x", "no setting"),
        ] {
            let refused = load(&[(name, value)]).unwrap_err();
            assert_eq!(refused.name, name);
            assert!(refused.reason.contains(words), "{name}: {}", refused.reason);
        }
        let half = load(&[("LOOP_INTERNAL_API_KEY", "a-key-of-more-than-24-characters")]).unwrap_err();
        assert_eq!(half.name, "LOOP_INTERNAL_API_USER_EMAIL");
        assert_eq!(load(&[("LOOP_TLS_CERT", "cert.pem")]).unwrap_err().name, "LOOP_TLS_KEY");
        let both = [("LOOP_TLS_CERT", "c"), ("LOOP_TLS_KEY", "k"), ("LOOP_ACME_DOMAINS", "a.example.com")];
        assert_eq!(load(&both).unwrap_err().name, "LOOP_ACME_DOMAINS");
    }

    #[test]
    fn a_mail_server_is_one_that_can_be_used() {
        let key = ("LOOP_SECRET_KEY", "0123456789012345678901234567890123456789");
        let from = ("LOOP_MAIL_FROM", "LOOP <no-reply@example.com>");
        assert_eq!(load(&[]).unwrap().mail(), mail::Delivery::Sandbox);
        assert_eq!(load(&[("LOOP_SMTP_URL", "smtp://localhost:2525"), from]).unwrap().mail(), mail::Delivery::Smtp);
        assert_eq!(load(&[("LOOP_SMTP_URL", "smtp://localhost")]).unwrap_err().name, "LOOP_MAIL_FROM");
        assert_eq!(load(&[from]).unwrap_err().name, "LOOP_SMTP_URL");
        assert_eq!(load(&[("LOOP_SMTP_URL", "http://localhost"), from]).unwrap_err().name, "LOOP_SMTP_URL");
        let nobody = ("LOOP_MAIL_FROM", "nobody\r\nBcc: all@example.com");
        assert_eq!(load(&[("LOOP_SMTP_URL", "smtp://localhost"), nobody]).unwrap_err().name, "LOOP_MAIL_FROM");
        let production = |url, base: &str| {
            let base = base.to_owned();
            load(&[("LOOP_ENVIRONMENT", "production"), key, from, ("LOOP_SMTP_URL", url), ("LOOP_BASE_URL", &base)])
        };
        let (open, safe) =
            ("smtp://user:hush@mail.example.com:587", "smtp://user:hush@mail.example.com:587?tls=required");
        let refused = production(open, "https://loop.example").unwrap_err();
        assert!(refused.name == "LOOP_SMTP_URL" && !refused.reason.contains("hush"), "{refused}");
        assert_eq!(production(safe, "").unwrap_err().name, "LOOP_BASE_URL");
        for good in [safe, "smtps://user:hush@mail.example.com", "smtp://localhost:25"] {
            assert!(production(good, "https://loop.example").is_ok(), "{good}");
        }
    }

    #[test]
    fn production_refuses_what_is_only_safe_on_a_laptop() {
        let key = "0123456789012345678901234567890123456789";
        assert_eq!(load(&[("LOOP_ENVIRONMENT", "production")]).unwrap_err().name, "LOOP_SECRET_KEY");
        let open = load(&[("LOOP_ENVIRONMENT", "production"), ("LOOP_SECRET_KEY", key), ("LOOP_RATE_LIMITS", "off")]);
        assert_eq!(open.unwrap_err().name, "LOOP_RATE_LIMITS");
        let production = [("LOOP_ENVIRONMENT", "production"), ("LOOP_SECRET_KEY", key)];
        assert!(!load(&production).unwrap().allows_sandbox("mobile-money"));
        let named = [production.as_slice(), &[("LOOP_ALLOW_SANDBOXES", "mobile-money")]].concat();
        assert!(load(&named).unwrap().allows_sandbox("mobile-money"));
        assert_eq!(load(&production).unwrap().mail(), mail::Delivery::Off, "a sandbox that was not named");
        let named = [production.as_slice(), &[("LOOP_ALLOW_SANDBOXES", "mail")]].concat();
        assert_eq!(load(&named).unwrap().mail(), mail::Delivery::Sandbox);
        let unknown = [production.as_slice(), &[("LOOP_ALLOW_SANDBOXES", "money")]].concat();
        assert_eq!(load(&unknown).unwrap_err().name, "LOOP_ALLOW_SANDBOXES");
        assert!(load(&[]).unwrap().allows_sandbox("mobile-money"));
    }

    #[test]
    fn webhooks_may_be_led_into_the_own_network_by_name_and_to_this_machine_in_development_only() {
        assert_eq!(
            load(&[("LOOP_EGRESS_ALLOW", "localhost, Inside.example., ::1")]).unwrap().egress_allow,
            ["localhost", "inside.example", "::1"]
        );
        let production =
            [("LOOP_ENVIRONMENT", "production"), ("LOOP_SECRET_KEY", "0123456789012345678901234567890123456789")];
        let named = |hosts| load(&[production.as_slice(), &[("LOOP_EGRESS_ALLOW", hosts)]].concat());
        assert!(named("receiver.internal,10.0.0.7").is_ok());
        for loopback in ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
        {
            assert_eq!(named(loopback).unwrap_err().name, "LOOP_EGRESS_ALLOW", "{loopback}");
        }
        for nonsense in ["http://localhost", "localhost:80", "*.internal", "a@b"] {
            assert_eq!(load(&[("LOOP_EGRESS_ALLOW", nonsense)]).unwrap_err().name, "LOOP_EGRESS_ALLOW", "{nonsense}");
        }
    }
}
