//! TLS on the main port: both protocols, a certificate that changes under standing connections, clear text sent away.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use loopd_testkit::{Boot as _, Database, Engine};
use loopd_web::tls::Tls;
use loopd_web::tls::certificate::{Files, Reloading};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::world::Edge;

/// A new certificate for localhost in the folder's two files; gives itself, to be trusted.
fn write_pair(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), made.key_pair.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

fn files(folder: &Path) -> Files {
    Files { certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
}

/// A connection that trusts `root` alone.
async fn connect(
    address: std::net::SocketAddr,
    root: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

struct Encrypted {
    edge: Edge,
    address: std::net::SocketAddr,
    folder: tempfile::TempDir,
    root: CertificateDer<'static>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Encrypted {
    /// The edge's application on a second listener, with TLS.
    async fn new() -> Self {
        let database = Database::prepared::<Edge>(Engine::Sqlite).await.expect("SQLite is always there");
        let edge = Edge::with(database, |_| {}).await;
        let folder = tempfile::tempdir().unwrap();
        let root = write_pair(folder.path());
        let reloading = Reloading::open(files(folder.path())).unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(reloading.clone().follow(stopped.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut ended = stopped;
        tokio::spawn(loopd_web::serve::run_with(
            edge.app.clone(),
            listener,
            Some(Tls::new(reloading).unwrap()),
            async move {
                let _ = ended.wait_for(|stopped| *stopped).await;
            },
        ));
        Self { edge, address, folder, root, stop }
    }

    async fn close(self) {
        self.stop.send_replace(true);
        self.edge.close().await;
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /api/v1/open/ HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut buffer = [0; 4_096];
    let length = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..length]).to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_spoken_and_links_say_https() {
    let world = Encrypted::new().await;
    let mut stream = connect(world.address, &world.root, &[b"http/1.1"]).await.unwrap();
    let answer = ask(&mut stream).await;
    assert!(answer.starts_with("http/1.1 200") && answer.contains("https://localhost/api/v1/open/"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    let stream = connect(world.address, &world.root, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/api/v1/open/").body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("https://localhost/"), "{body:?}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_over_and_standing_connections_go_on() {
    let world = Encrypted::new().await;
    let mut standing = connect(world.address, &world.root, &[]).await.unwrap();
    assert!(ask(&mut standing).await.starts_with("http/1.1 200"));
    // A half-written pair changes nothing.
    std::fs::write(world.folder.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nhalf").unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    connect(world.address, &world.root, &[]).await.expect("the old certificate stays");
    let renewed = write_pair(world.folder.path());
    let began = Instant::now();
    while connect(world.address, &renewed, &[]).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the new certificate is never used");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(connect(world.address, &world.root, &[]).await.is_err(), "the old one is gone");
    assert!(ask(&mut standing).await.starts_with("http/1.1 200"), "and nobody was cut");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_in_the_handshake_and_clear_text_are_cut() {
    let world = Encrypted::new().await;
    for start in [&b""[..], b"\x16\x03\x01", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut read = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut read)).await;
        assert!(closed.is_ok(), "{start:?} keeps the connection open");
        assert!(!read.starts_with(b"HTTP"), "{read:?}");
    }
    world.close().await;
}

#[test]
fn a_pair_that_does_not_fit_is_refused_with_the_file_s_name() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    assert!(files.check().unwrap_err().contains("cert.pem"));
    write_pair(folder.path());
    assert_eq!(files.check().unwrap().names, ["localhost"]);
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&files.key, other.serialize_pem()).unwrap();
    assert!(files.check().unwrap_err().contains("key.pem"));
    std::fs::write(&files.key, "nothing").unwrap();
    assert!(files.check().unwrap_err().contains("no private key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_text_is_sent_to_the_encrypted_address() {
    let world = Encrypted::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut stopped = world.stop.subscribe();
    tokio::spawn(loopd_web::serve::redirect(world.edge.app.clone(), listener, 8443, async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST /api/v1/open/?a=b HTTP/1.1\r\nhost: localhost:80\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    let mut read = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut read)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&read).to_lowercase();
    assert!(
        answer.starts_with("http/1.1 308") && answer.contains("location: https://localhost:8443/api/v1/open/?a=b\r\n"),
        "{answer}"
    );
    world.close().await;
}
