//! What operators choose: traces, how long things are kept, certificates, the log, licences.

use std::path::{Path, PathBuf};

use loopd_kernel::{retention, trace};
use loopd_types::Secret;
use loopd_web::tls::{acme, certificate};

use super::raw::Raw;
use super::{LogFormat, Refused, TlsSettings, refuse};
use loopd_wave::license;

/// Where traces go.
pub(super) fn check_trace(raw: &Raw) -> Result<Option<trace::Settings>, Refused> {
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
pub(super) fn check_retention(raw: &Raw) -> Result<retention::Settings, Refused> {
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
pub(super) fn check_tls(raw: &Raw, data_dir: &Path) -> Result<Option<TlsSettings>, Refused> {
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

/// By what licences are judged.
pub(super) fn check_license(raw: &Raw, base_url: &str) -> Result<license::Settings, Refused> {
    let public_key = match raw.license_public_key.as_str() {
        "" => None,
        text => Some(
            license::Verifier::parse(text)
                .ok_or_else(|| refuse("license_public_key", "is no Ed25519 public key in base64url"))?,
        ),
    };
    if !(0..=365).contains(&raw.license_grace_days) {
        return Err(refuse("license_grace_days", "must be between 0 and 365"));
    }
    let mode = match raw.license_mode.as_str() {
        "monitor" => license::Mode::Monitor,
        "enforce" => license::Mode::Enforce,
        other => return Err(refuse("license_mode", format!("`{other}` is neither monitor nor enforce"))),
    };
    if mode == license::Mode::Enforce && public_key.is_none() {
        return Err(refuse("license_public_key", "is required when license_mode is enforce: whose licences count?"));
    }
    let host = base_url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default().to_owned());
    Ok(license::Settings { mode, public_key, grace_days: raw.license_grace_days, host })
}

/// How the log is written, once its filter is known to be one.
pub(super) fn check_log(raw: &Raw) -> Result<LogFormat, Refused> {
    tracing_subscriber::EnvFilter::try_new(&raw.log)
        .map_err(|error| refuse("log", format!("is no filter such as info or warn,loopd=debug: {error}")))?;
    match raw.log_format.as_str() {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        other => Err(refuse("log_format", format!("`{other}` is neither pretty nor json"))),
    }
}
