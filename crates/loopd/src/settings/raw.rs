//! Settings as they are written: the annotated defaults, a file over them, the environment over both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;

use super::{DEFAULTS, Refused, refuse};

/// The file's shape: every name is known, so that a typo is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) listen: String,
    pub(super) data_dir: String,
    pub(super) files_url: String,
    pub(super) files_access_key: String,
    pub(super) files_secret_key: String,
    pub(super) database_url: String,
    pub(super) base_url: String,
    pub(super) environment: String,
    pub(super) secret_key: String,
    pub(super) internal_api_key: String,
    pub(super) internal_api_user_email: String,
    pub(super) modules_dir: String,
    pub(super) redis_url: String,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) allowed_origins: Vec<String>,
    pub(super) rate_limits: bool,
    pub(super) ai_base_url: String,
    pub(super) ai_api_key: String,
    pub(super) ai_model: String,
    pub(super) momo_base_url: String,
    pub(super) momo_subscription_key: String,
    pub(super) momo_api_user: String,
    pub(super) momo_api_key: String,
    pub(super) momo_target_environment: String,
    pub(super) airtel_base_url: String,
    pub(super) airtel_client_id: String,
    pub(super) airtel_client_secret: String,
    pub(super) airtel_country: String,
    pub(super) airtel_dial_code: String,
    pub(super) smtp_url: String,
    pub(super) mail_from: String,
    pub(super) settlement: String,
    pub(super) evm_rpc_url: Vec<String>,
    pub(super) evm_private_key: Vec<String>,
    pub(super) evm_factories: Vec<String>,
    pub(super) evm_max_fee: i64,
    pub(super) evm_confirmations: i64,
    pub(super) facilitator_url: String,
    pub(super) facilitator_access: String,
    pub(super) sandbox_grant: i64,
    pub(super) whatsapp_engines: Vec<String>,
    pub(super) whatsapp_graph_url: String,
    pub(super) whatsapp_web_version: String,
    pub(super) allow_sandboxes: Vec<String>,
    pub(super) egress_allow: Vec<String>,
    pub(super) event_streams: i64,
    pub(super) event_streams_total: i64,
    pub(super) license_mode: String,
    pub(super) license_public_key: String,
    pub(super) license_grace_days: i64,
    pub(super) metrics_listen: String,
    pub(super) metrics_token: String,
    pub(super) otlp_endpoint: String,
    pub(super) otlp_headers: Vec<String>,
    pub(super) trace_sample: f64,
    pub(super) audit_retention_days: i64,
    pub(super) session_retention_days: i64,
    pub(super) job_retention_days: i64,
    pub(super) failed_job_retention_days: i64,
    pub(super) export_retention_days: i64,
    pub(super) import_retention_days: i64,
    pub(super) log_format: String,
    pub(super) log: String,
    pub(super) tls_cert: String,
    pub(super) tls_key: String,
    pub(super) acme_domains: Vec<String>,
    pub(super) acme_email: String,
    pub(super) acme_directory: String,
    pub(super) acme_ca: String,
    pub(super) redirect_listen: String,
    pub(super) request_timeout: i64,
    pub(super) header_timeout: i64,
    pub(super) body_timeout: i64,
    pub(super) idle_timeout: i64,
    pub(super) write_timeout: i64,
    pub(super) shutdown_delay: i64,
    pub(super) shutdown_timeout: i64,
    pub(super) max_connections: i64,
    pub(super) max_connections_per_address: i64,
    pub(super) database_pool: i64,
    pub(super) database_wait: i64,
}

impl Raw {
    /// Reads defaults, `file` (or `./loopd.toml` if it is there) and `environment` (names with their `LOOP_`).
    ///
    /// # Errors
    /// [`Refused`] with the name of the setting and the reason.
    pub(super) fn read(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, Refused> {
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
                        return Err(refuse(
                            &name,
                            format!("must be of type {wanted}, and is {is} (in {})", path.display()),
                        ));
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
        Value::Table(table).try_into().map_err(|error: toml::de::Error| refuse("config", error.message().to_owned()))
    }
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
