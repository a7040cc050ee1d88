//! TLS on the main port: by certificate files of the operator's, or by an ACME authority. rustls with ring, TLS 1.2 and 1.3.

pub mod acme;
pub mod certificate;

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::ResolvesServerCert;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// How connections are encrypted. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// For the authority's look at a name (TLS-ALPN-01, RFC 8737).
    challenge: Option<Arc<ServerConfig>>,
}

/// What a handshake ended in.
pub(crate) enum Accepted<S> {
    Stream(Box<TlsStream<S>>),
    /// An authority's look, which is over.
    Challenge,
}

impl Tls {
    /// TLS with whatever certificate `resolver` has at the moment of each handshake.
    ///
    /// # Errors
    /// Never with ring; rustls leaves the choice of versions to its provider.
    pub fn new(resolver: Arc<dyn ResolvesServerCert>) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), challenge: None })
    }

    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<Accepted<S>> {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        if let Some(challenge) = &self.challenge
            && rustls_acme::is_tls_alpn_challenge(&start.client_hello())
        {
            let mut stream = start.into_stream(challenge.clone()).await?;
            tokio::io::AsyncWriteExt::shutdown(&mut stream).await?;
            return Ok(Accepted::Challenge);
        }
        Ok(Accepted::Stream(Box::new(start.into_stream(self.config.clone()).await?)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
