//! A PostgreSQL address: libpq's `sslmode` words on top of what the driver understands.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{self, Check};
use crate::{Config, StoreError};

/// Everything needed to make a connection.
#[derive(Clone)]
pub struct Address {
    pub driver: tokio_postgres::Config,
    pub tls: MakeRustlsConnect,
}

/// Reads the address. `sslmode` and `sslrootcert=FILE` mean what they mean to libpq, with these differences, all on the safe side:
/// a handshake that fails under `prefer` is an error and not a reason to go on in the clear; `allow` is `prefer`; over a Unix socket,
/// where PostgreSQL has no TLS, `require` and above are refused; `verify-ca` needs a file, because anybody can have a certificate
/// from a public authority; without a file, `verify-full` believes Mozilla's list.
///
/// # Errors
/// `Other` in words that name the setting.
///
/// Source: <https://www.postgresql.org/docs/current/libpq-ssl.html>, table 34.1.
pub fn parse(config: &Config) -> Result<Address, StoreError> {
    let Query { url, mode, authority } = split(&config.url)?;
    let mut driver: tokio_postgres::Config = url.parse().map_err(|error| unread(&error))?;
    if driver.get_ssl_mode() != SslMode::Prefer {
        // A raw ? or @ in the password or a name: the driver has found an sslmode where this file did not.
        return Err(other(
            &"sslmode cannot be told from the rest: write special characters of user and password as %XX",
        ));
    }
    let (wire, check) = security(mode.as_deref(), authority.as_deref())?;
    driver
        .ssl_mode(wire)
        .application_name("loopd")
        .connect_timeout(config.connect_timeout)
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(30));
    let limit = format!("-c statement_timeout={}", config.read_timeout.as_millis());
    let options = driver.get_options().map_or_else(|| limit.clone(), |theirs| format!("{theirs} {limit}"));
    driver.options(options);
    Ok(Address { driver, tls: tls::connector(check)? })
}

fn other(what: &dyn std::fmt::Display) -> StoreError {
    StoreError::Other(format!("the database address: {what}"))
}

/// The driver names the setting in the cause. A cause with an @ in it may be the end of a password that was cut in the wrong place.
fn unread(error: &tokio_postgres::Error) -> StoreError {
    match error.source().map(ToString::to_string).filter(|cause| !cause.contains('@')) {
        Some(cause) => other(&format!("{error}: {cause}")),
        None => other(error),
    }
}

/// What the two settings ask for: on the wire, and of the certificate.
fn security<'a>(mode: Option<&str>, authority: Option<&'a str>) -> Result<(SslMode, Check<'a>), StoreError> {
    if authority == Some("system") {
        return Err(other(
            &"sslrootcert=system: name a file, or leave it out, and verify-full believes Mozilla's list",
        ));
    }
    Ok(match (mode.unwrap_or("prefer"), authority) {
        ("disable", _) => (SslMode::Disable, Check::Nothing),
        ("allow" | "prefer", None) => (SslMode::Prefer, Check::Nothing),
        ("allow" | "prefer", Some(file)) => (SslMode::Prefer, Check::Chain(file)),
        ("require", None) => (SslMode::Require, Check::Nothing),
        ("require" | "verify-ca", Some(file)) => (SslMode::Require, Check::Chain(file)),
        ("verify-full", file) => (SslMode::Require, Check::ChainAndHost(file)),
        ("verify-ca", None) => {
            return Err(other(
                &"sslmode=verify-ca needs sslrootcert=FILE: anybody can have a certificate from a public \
                               authority; verify-full looks at the host as well",
            ));
        }
        (word, _) => {
            return Err(other(&format!(
                "sslmode={word} is not one of disable, prefer, require, verify-ca, verify-full"
            )));
        }
    })
}

/// An address without the settings that the driver does not know.
struct Query {
    url: String,
    mode: Option<String>,
    authority: Option<String>,
}

fn split(url: &str) -> Result<Query, StoreError> {
    // As libpq: user and password end at the first @ before any slash, and may hold a question mark.
    let host = url.find("://").map_or(0, |at| at + 3);
    let host = url[host..].find(['@', '/']).map_or(host, |at| host + at);
    let Some(question) = url[host..].find('?').map(|at| host + at) else {
        return Ok(Query { url: url.to_owned(), mode: None, authority: None });
    };
    let (mut mode, mut authority, mut rest) = (None, None, Vec::new());
    for pair in url[question + 1..].split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(decoded("sslmode", value)?),
            Some(("sslrootcert", value)) => authority = Some(decoded("sslrootcert", value)?),
            _ => rest.push(pair),
        }
    }
    let mut url = url[..question].to_owned();
    if !rest.is_empty() {
        url = format!("{url}?{}", rest.join("&"));
    }
    Ok(Query { url, mode, authority })
}

/// `%2F` and the like as what they stand for.
fn decoded(name: &str, value: &str) -> Result<String, StoreError> {
    let refused = || other(&format!("{name}={value}: after a % come two hexadecimal digits, and all is UTF-8"));
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(refused);
            (digit()? * 16 + digit()?) as u8
        } else {
            byte
        };
        out.push(byte);
    }
    String::from_utf8(out).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sslmode_words_are_libpqs() {
        for (url, expected) in [
            ("postgres://u@h/d", Some(SslMode::Prefer)),
            ("postgres://u@h/d?sslmode=disable", Some(SslMode::Disable)),
            ("postgres://u@h/d?sslmode=disable&sslrootcert=/no/such/file", Some(SslMode::Disable)),
            ("postgres://u@h/d?connect_timeout=3&sslmode=verify-full", Some(SslMode::Require)),
            ("postgres://u:p?p@h/d?sslmode=require", Some(SslMode::Require)),
            ("postgres://h/d?sslmode=%72equire&user=me%40work", Some(SslMode::Require)),
        ] {
            let parsed = parse(&Config::new(url)).map(|address| address.driver.get_ssl_mode());
            assert_eq!(parsed.ok(), expected, "{url}");
        }
    }

    #[test]
    fn with_a_file_require_checks_the_chain_and_only_verify_full_the_host() {
        for (mode, file, expected) in [
            (None, None, (SslMode::Prefer, Check::Nothing)),
            (None, Some("f"), (SslMode::Prefer, Check::Chain("f"))),
            (Some("require"), None, (SslMode::Require, Check::Nothing)),
            (Some("require"), Some("f"), (SslMode::Require, Check::Chain("f"))),
            (Some("verify-ca"), Some("f"), (SslMode::Require, Check::Chain("f"))),
            (Some("verify-full"), Some("f"), (SslMode::Require, Check::ChainAndHost(Some("f")))),
            (Some("verify-full"), None, (SslMode::Require, Check::ChainAndHost(None))),
        ] {
            assert_eq!(security(mode, file).unwrap(), expected, "{mode:?} {file:?}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        for (url, name) in [
            ("postgres://u@h/d?sslmode=yes", "sslmode=yes"),
            ("postgres://u@h/d?sslmode=", "sslmode="),
            ("postgres://u@h/d?sslmode=verify-ca", "sslmode=verify-ca"),
            ("postgres://u@h/d?sslmode=verify-full&sslrootcert=system", "sslrootcert=system"),
            ("postgres://u@h/d?sslmode=require&sslrootcert=/no/such%20file", "sslrootcert=/no/such file"),
            ("postgres://u@h/d?sslmode=require&sslrootcert=/a%2", "sslrootcert=/a%2"),
            ("postgres://u@h/d?sslmode=require&sslcert=/a", "sslcert"),
            // the driver would read these another way than libpq, and the connection would not be encrypted
            ("postgres://u:a/b?c@h/d?sslmode=require", "sslmode"),
            ("postgres://u@h/d?ssl%6Dode=require", "sslmode"),
        ] {
            let refusal = parse(&Config::new(url)).err().unwrap_or_else(|| panic!("{url} was taken")).to_string();
            assert!(refusal.contains(name), "{url}: {refusal}");
        }
    }
}
