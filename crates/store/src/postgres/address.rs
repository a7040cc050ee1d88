//! A PostgreSQL address: libpq's `sslmode` words on top of what the driver understands.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Config, StoreError};

/// Everything needed to make a connection.
#[derive(Clone)]
pub struct Address {
    pub driver: tokio_postgres::Config,
    pub tls: MakeRustlsConnect,
}

/// Reads the address. `sslmode` as in libpq: `disable`, `prefer` (the default), `require` (encrypted, the certificate
/// is not looked at), `verify-ca` and `verify-full` (both check chain and host name). `sslrootcert=FILE` names the
/// authority; without it Mozilla's list counts.
///
/// Source: <https://www.postgresql.org/docs/current/libpq-ssl.html>, table 34.1.
pub fn parse(config: &Config) -> Result<Address, StoreError> {
    let other = |what: &dyn std::fmt::Display| StoreError::Other(format!("the database address: {what}"));
    let (base, query) = config.url.split_once('?').unwrap_or((&config.url, ""));
    let mut mode = None;
    let mut authority = None;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => authority = Some(value),
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let mut driver: tokio_postgres::Config = url.parse().map_err(|error| other(&error))?;
    let (wire, verify) = match mode.unwrap_or("prefer") {
        "disable" => (SslMode::Disable, false),
        // the driver has no "allow"; prefer is the same with the safer order
        "allow" | "prefer" => (SslMode::Prefer, false),
        "require" => (SslMode::Require, authority.is_some()),
        "verify-ca" | "verify-full" => (SslMode::Require, true),
        word => return Err(other(&format!("sslmode={word} is not one of disable, prefer, require, verify-full"))),
    };
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
    Ok(Address { driver, tls: connector(verify, authority)? })
}

fn connector(verify: bool, authority: Option<&str>) -> Result<MakeRustlsConnect, StoreError> {
    let broken = |error: &dyn std::fmt::Display| StoreError::Other(format!("TLS to the database: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    if verify && authority.is_none() {
        // An error means that the process has a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        return Ok(MakeRustlsConnect::with_webpki_roots());
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?;
    let config = match authority {
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in
                CertificateDer::pem_file_iter(file).map_err(|error| broken(&format!("{file}: {error}")))?
            {
                let certificate = certificate.map_err(|error| broken(&format!("{file}: {error}")))?;
                roots.add(certificate).map_err(|error| broken(&error))?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider))),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

/// `sslmode=require` encrypts against listeners only; who answers is checked from `verify-full` on, as libpq has it.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sslmode_words_are_libpqs() {
        for (url, expected) in [
            ("postgres://u@h/d", Some(SslMode::Prefer)),
            ("postgres://u@h/d?sslmode=disable", Some(SslMode::Disable)),
            ("postgres://u@h/d?connect_timeout=3&sslmode=verify-full", Some(SslMode::Require)),
            ("postgres://u@h/d?sslmode=yes", None),
            ("postgres://u@h/d?sslmode=require&sslrootcert=/no/such/file", None),
        ] {
            let parsed = parse(&Config::new(url)).ok().map(|address| address.driver.get_ssl_mode());
            assert_eq!(parsed, expected, "{url}");
        }
    }
}
