//! A certificate from an ACME authority (RFC 8555), renewed before it ends, proved by TLS-ALPN-01 (RFC 8737) on the main port itself.
//!
//! Account and certificate are kept in a folder, so that a restart asks the authority nothing. They hold private keys: the folder
//! and its files are the owner's alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_acme::{AccountCache, AcmeConfig, AcmeState, CertCache};
use tokio::sync::watch;

use super::{Tls, provider};

/// What an authority is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The names of the certificate.
    pub domains: Vec<String>,
    /// Whom the authority writes to; empty for nobody.
    pub email: String,
    /// The authority's directory.
    pub directory: String,
    /// PEM of an authority that is not in everybody's trust stores.
    pub ca: Option<PathBuf>,
    /// Where account and certificate are kept.
    pub folder: PathBuf,
}

/// Orders and renews; [`Renewal::run`] drives it.
pub struct Renewal(AcmeState<io::Error, io::Error>);

impl Tls {
    /// TLS with certificates of an authority. Handshakes fail until the first one is there, which takes seconds.
    ///
    /// # Errors
    /// Words for the operator when the authority's own certificate cannot be read.
    pub fn acme(settings: &Settings) -> Result<(Self, Renewal), String> {
        let contact = Some(&settings.email).filter(|email| !email.is_empty()).map(|email| format!("mailto:{email}"));
        let state = AcmeConfig::new_with_client_config(&settings.domains, client(settings.ca.as_deref())?)
            .contact(contact)
            .directory(&settings.directory)
            .cache(Folder(settings.folder.clone()))
            .state();
        let mut tls = Self::new(state.resolver()).map_err(|error| error.to_string())?;
        tls.challenge = Some(state.challenge_rustls_config_with_provider(provider()));
        Ok((tls, Renewal(state)))
    }
}

/// How the authority itself is reached.
fn client(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let words = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let pem = std::fs::read(path).map_err(|error| words(&error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate.map_err(|error| words(&error))?).map_err(|error| words(&error))?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Renewal {
    /// Orders the first certificate, and each next one in time, until the server stops. A refusal is logged and tried again with
    /// growing pauses.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                event = self.0.next() => match event {
                    Some(Ok(event)) => tracing::info!(?event, "certificate authority"),
                    Some(Err(error)) => tracing::error!(%error, "the certificate authority gave no certificate; it is asked again"),
                    None => return,
                },
                _ = stop.wait_for(|stopped| *stopped) => return,
            }
        }
    }
}

/// Account and certificates as files, written whole or not at all.
struct Folder(PathBuf);

impl Folder {
    fn file(&self, kind: &str, names: &[String], directory: &str) -> PathBuf {
        let named = format!("{}\n{directory}", names.join("\n"));
        self.0.join(format!("{kind}-{}.pem", &loopd_types::sha256_hex(named.as_bytes())[..24]))
    }

    async fn load(path: PathBuf) -> io::Result<Option<Vec<u8>>> {
        match tokio::fs::read(&path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn store(&self, path: PathBuf, bytes: &[u8]) -> io::Result<()> {
        let (folder, bytes) = (self.0.clone(), bytes.to_vec());
        tokio::task::spawn_blocking(move || write_private(&folder, &path, &bytes)).await.map_err(io::Error::other)?
    }
}

fn write_private(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let (mut builder, mut options) = (std::fs::DirBuilder::new(), std::fs::OpenOptions::new());
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.recursive(true).create(folder)?;
    let fresh = path.with_extension("new");
    let mut file = options.write(true).create(true).truncate(true).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

#[async_trait]
impl CertCache for Folder {
    type EC = io::Error;

    async fn load_cert(&self, domains: &[String], directory_url: &str) -> Result<Option<Vec<u8>>, io::Error> {
        Self::load(self.file("certificate", domains, directory_url)).await
    }

    async fn store_cert(&self, domains: &[String], directory_url: &str, cert: &[u8]) -> Result<(), io::Error> {
        self.store(self.file("certificate", domains, directory_url), cert).await
    }
}

#[async_trait]
impl AccountCache for Folder {
    type EA = io::Error;

    async fn load_account(&self, contact: &[String], directory_url: &str) -> Result<Option<Vec<u8>>, io::Error> {
        Self::load(self.file("account", contact, directory_url)).await
    }

    async fn store_account(&self, contact: &[String], directory_url: &str, account: &[u8]) -> Result<(), io::Error> {
        self.store(self.file("account", contact, directory_url), account).await
    }
}
