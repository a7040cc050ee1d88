//! Settings as they are used, or the first of them that cannot be.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use loopd_business::modules::payments;
use loopd_kernel::billing::collector;
use loopd_kernel::limit::Limiter;
use loopd_kernel::{Environment, mail};
use loopd_pay::settings as pay;
use loopd_types::Secret;
use loopd_web::Network;

use super::mail_server::read_smtp;
use super::money::{check_airtel, check_momo};
use super::operating::{check_license, check_log, check_retention, check_tls, check_trace};
use super::places::{check_allowed_hosts, check_files};
use super::raw::Raw;
use super::settlement::check_settlement;
use super::whatsapp::check_engines;
use super::{AiSettings, Refused, Settings, refuse};

/// The sandboxes that production must name.
const SANDBOXES: [&str; 5] =
    [payments::SANDBOX, mail::SANDBOX, collector::SANDBOX, pay::SANDBOX, loopd_wave::settings::SANDBOX];

impl Settings {
    pub(super) fn check(raw: Raw) -> Result<Self, Refused> {
        let environment = match raw.environment.as_str() {
            "development" => Environment::Development,
            "production" => Environment::Production,
            other => return Err(refuse("environment", format!("`{other}` is neither development nor production"))),
        };
        let data_dir = PathBuf::from(&raw.data_dir);
        let tls = check_tls(&raw, &data_dir)?;
        let (trace, retention) = (check_trace(&raw)?, check_retention(&raw)?);
        let database_url = if raw.database_url.is_empty() {
            format!("sqlite://{}", data_dir.join("loop.db").display())
        } else {
            raw.database_url.clone()
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
        let internal_key = check_internal_key(&raw)?;
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
        let ai = check_ai(&raw)?;
        let (airtel, momo) = (check_airtel(&raw)?, check_momo(&raw, &base_url)?);
        if let Some(unknown) = raw.allow_sandboxes.iter().find(|name| !SANDBOXES.contains(&name.as_str())) {
            return Err(refuse(
                "allow_sandboxes",
                format!("there is no sandbox `{unknown}`; there are {}", SANDBOXES.join(" and ")),
            ));
        }
        let pay = check_settlement(&raw, environment)?;
        let egress_allow = check_allowed_hosts(&raw.egress_allow, environment)?;
        let smtp = read_smtp(&raw.smtp_url, &raw.mail_from, environment, &base_url)?;
        let (license, log_format) = (check_license(&raw, &base_url)?, check_log(&raw)?);
        let wave = check_engines(&raw, environment, license.clone())?;
        if tls.is_none() && !raw.redirect_listen.is_empty() {
            return Err(refuse(
                "redirect_listen",
                "is set although there is no TLS: set tls_cert and tls_key, or acme_domains",
            ));
        }
        check_bounds(&raw)?;
        // found in their bounds above
        let seconds = |of: i64| Duration::from_secs(of.unsigned_abs());
        let count = |of: i64| usize::try_from(of).unwrap_or(usize::MAX);
        let some = |text: String| (!text.is_empty()).then(|| Secret::new(text));
        let redis_url = some(raw.redis_url);
        Limiter::new(true, redis_url.as_ref())
            .map_err(|_| refuse("redis_url", "cannot be read: it is like redis://host:6379/0, or rediss:// for TLS"))?;
        if let Some(odd) = raw.allowed_origins.iter().find(|it| !is_origin(it)) {
            return Err(refuse(
                "allowed_origins",
                format!("`{odd}` is no origin: it is like https://app.example.com, or *"),
            ));
        }
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
            redis_url,
            trusted_proxies,
            allowed_origins: raw.allowed_origins,
            rate_limits: raw.rate_limits,
            ai,
            momo,
            airtel,
            smtp,
            pay,
            wave,
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
}

fn address(name: &str, text: &str) -> Result<SocketAddr, Refused> {
    text.parse().map_err(|_| refuse(name, format!("`{text}` is no address with a port, such as 127.0.0.1:8000")))
}

/// The internal key of the environment and whom it acts as: both or neither.
fn check_internal_key(raw: &Raw) -> Result<Option<loopd_kernel::settings::InternalKey>, Refused> {
    match (raw.internal_api_key.as_str(), raw.internal_api_user_email.as_str()) {
        ("", "") => Ok(None),
        ("", _) => Err(refuse("internal_api_key", "is empty although internal_api_user_email is set")),
        (_, "") => Err(refuse("internal_api_user_email", "is empty although internal_api_key is set")),
        (key, _) if key.len() < 24 => Err(refuse("internal_api_key", "is too short: at least 24 characters")),
        (key, email) => Ok(Some(loopd_kernel::settings::InternalKey {
            key: Secret::new(key.to_owned()),
            user_email: email.to_owned(),
        })),
    }
}

/// The model, unless none is named.
fn check_ai(raw: &Raw) -> Result<Option<AiSettings>, Refused> {
    match (raw.ai_base_url.as_str(), raw.ai_model.as_str()) {
        ("", _) => Ok(None),
        (_, "") => Err(refuse("ai_model", "is required when ai_base_url is set")),
        (base_url, model) => Ok(Some(AiSettings {
            base_url: base_url.trim_end_matches('/').to_owned(),
            api_key: Secret::new(raw.ai_api_key.clone()),
            model: model.to_owned(),
        })),
    }
}

/// Numbers that have bounds and nothing else to be judged by.
fn check_bounds(raw: &Raw) -> Result<(), Refused> {
    for (name, value) in [("event_streams", raw.event_streams), ("event_streams_total", raw.event_streams_total)] {
        if !(1..=1_000_000).contains(&value) {
            return Err(refuse(name, "must be between 1 and 1000000"));
        }
    }
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
    Ok(())
}

/// As browsers write it: scheme, host and port, and nothing behind them.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    text == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']))
}
