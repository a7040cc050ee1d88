//! The operator's own certificate: two PEM files, read again when they change. Connections that stand keep what they began with;
//! the next handshake sees the new one. A pair that cannot be used leaves the old one in place, and says so.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use loopd_types::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

/// How often the files are looked at. They are compared, not their times: a mounted secret is replaced by a link.
const LOOK: Duration = Duration::from_secs(2);

/// `LOOP_TLS_CERT` and `LOOP_TLS_KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// PEM: the server's certificate first, then those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// A pair as it lies on the disk.
#[derive(Clone, PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub names: Vec<String>,
    pub begins_at: Timestamp,
    pub ends_at: Timestamp,
}

impl Files {
    fn read(&self) -> Result<Pem, String> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        Ok(Pem { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    /// Reads both files and what the certificate says of itself.
    ///
    /// # Errors
    /// Words for the operator, with the file's name: not there, no PEM, or a key that is not the certificate's.
    pub fn check(&self) -> Result<Summary, String> {
        self.certified(&self.read()?).map(|(_, summary)| summary)
    }

    fn certified(&self, pem: &Pem) -> Result<(CertifiedKey, Summary), String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{certificate}: no certificate in PEM: {error}"))?;
        let first = chain.first().ok_or_else(|| format!("{certificate}: holds no certificate in PEM"))?;
        let summary = summary(first).map_err(|words| format!("{certificate}: {words}"))?;
        let private = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|error| format!("{key}: no private key in PEM: {error}"))?;
        let certified = CertifiedKey::from_der(chain, private, &super::provider())
            .map_err(|error| format!("{key}: is not the key of {certificate}: {error}"))?;
        Ok((certified, summary))
    }
}

/// Reads names and times out of a certificate.
///
/// # Errors
/// Words when it is no X.509 certificate.
pub fn summary(der: &[u8]) -> Result<Summary, String> {
    use x509_parser::extensions::GeneralName;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(der).map_err(|error| format!("no X.509 certificate: {error}"))?;
    let time = |at: x509_parser::time::ASN1Time| Timestamp(at.timestamp().saturating_mul(1_000_000));
    let names = parsed.subject_alternative_name().ok().flatten().map(|extension| {
        let names = extension.value.general_names.iter();
        names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect()
    });
    let validity = parsed.validity();
    Ok(Summary {
        names: names.unwrap_or_default(),
        begins_at: time(validity.not_before),
        ends_at: time(validity.not_after),
    })
}

/// The certificate of each handshake, from files that may change.
pub struct Reloading {
    files: Files,
    current: RwLock<Arc<CertifiedKey>>,
    summary: RwLock<Summary>,
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Reloading {
    /// # Errors
    /// As [`Files::check`].
    pub fn open(files: Files) -> Result<Arc<Self>, String> {
        let pem = files.read()?;
        let (certified, summary) = files.certified(&pem)?;
        Ok(Arc::new(Self { files, current: RwLock::new(Arc::new(certified)), summary: RwLock::new(summary) }))
    }

    /// What the certificate in use says of itself.
    pub fn summary(&self) -> Summary {
        self.summary.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files until the server stops, and takes a new pair over when both fit.
    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut known = self.files.read().ok();
        let mut refused: Option<String> = None;
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.changed() => continue,
            }
            // Two small files, a few times a minute.
            let read = self.files.read();
            if read.as_ref().ok() == known.as_ref() && refused.is_none() {
                continue;
            }
            match read.and_then(|pem| Ok((self.files.certified(&pem)?, pem))) {
                Ok(((certified, summary), pem)) => {
                    refused = None;
                    if known.as_ref() == Some(&pem) {
                        continue;
                    }
                    tracing::info!(names = ?summary.names, ends_at = %summary.ends_at, "a new certificate is in use");
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                    *self.summary.write().unwrap_or_else(PoisonError::into_inner) = summary;
                    known = Some(pem);
                }
                // A pair is seldom written in one moment: the next look may find it whole.
                Err(words) if refused.as_ref() != Some(&words) => {
                    tracing::error!(words, "the new certificate cannot be used; the old one stays");
                    refused = Some(words);
                }
                Err(_) => {}
            }
        }
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
