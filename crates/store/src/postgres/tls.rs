//! TLS to PostgreSQL: what is looked at in the server's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;

/// How much of the certificate counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check<'a> {
    /// Whoever answers: keeps listeners out and nobody else.
    Nothing,
    /// An authority in this file has signed it, for whatever host.
    Chain(&'a str),
    /// It is for the address's host and signed by an authority in the file, or by one on Mozilla's list.
    ChainAndHost(Option<&'a str>),
}

/// What makes connections that insist on `check`.
///
/// # Errors
/// `Other` when the file cannot be read or holds no certificate.
pub fn connector(check: Check<'_>) -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Other(format!("TLS to the database: {error}")))?;
    let builder = match check {
        Check::ChainAndHost(None) => {
            // An error means that the process has a provider already, which serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            return Ok(MakeRustlsConnect::with_webpki_roots());
        }
        Check::ChainAndHost(Some(file)) => builder.with_root_certificates(read(file)?),
        Check::Chain(file) => {
            let verifier = AnyHost { authorities: Some(read(file)?), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Check::Nothing => {
            let verifier = AnyHost { authorities: None, provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

/// The authorities in a PEM file.
fn read(file: &str) -> Result<RootCertStore, StoreError> {
    let refused =
        |error: &dyn std::fmt::Display| StoreError::Other(format!("the database address: sslrootcert={file}: {error}"));
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| refused(&error))? {
        let certificate = certificate.map_err(|error| refused(&error))?;
        authorities.add(certificate).map_err(|error| refused(&error))?;
    }
    if authorities.is_empty() {
        return Err(refused(&"there is no certificate in it"));
    }
    Ok(authorities)
}

/// Takes a certificate for any host; of any signer when there are no authorities.
#[derive(Debug)]
struct AnyHost {
    authorities: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(authorities) = &self.authorities {
            let algorithms = self.provider.signature_verification_algorithms.all;
            let certificate = ParsedCertificate::try_from(certificate)?;
            verify_server_cert_signed_by_trust_anchor(&certificate, authorities, between, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
