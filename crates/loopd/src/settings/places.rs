//! Where things lie and lead: files' content, and the hosts that webhooks may call in the own network.

use std::path::{Path, PathBuf};

use loopd_kernel::{Environment, file};
use loopd_types::Secret;

use super::{Refused, refuse};

/// Where files lie, from the address and the keys.
pub(super) fn check_files(
    url: &str,
    access_key: &str,
    secret_key: &str,
    data_dir: &Path,
) -> Result<file::Place, Refused> {
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

/// Hosts are written as they stand in an address. Loopback is refused in production: whatever else listens on this machine (a
/// database, another tenant's tunnel) trusts it, and a webhook is a request of a tenant's choice.
pub(super) fn check_allowed_hosts(hosts: &[String], environment: Environment) -> Result<Vec<String>, Refused> {
    for host in hosts {
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
    Ok(hosts.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect())
}
