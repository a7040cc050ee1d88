//! TLS in the real binary: by files of the operator's, and by a certificate authority that is really asked.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use loopd_testkit::json;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Program, Served, eventually};

/// Asks `/health/` over TLS as `name`, trusting `root` alone; `None` when the handshake fails.
async fn ask(address: &str, name: &'static str, root: &CertificateDer<'static>) -> Option<String> {
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(root.clone()).ok()?;
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.ok()?;
    let name = ServerName::try_from(name).ok()?;
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    stream.write_all(b"GET /health/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.ok()?;
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    Some(String::from_utf8_lossy(&read).into_owned())
}

fn address(server: &Served) -> &str {
    server.base.trim_start_matches("http://")
}

fn write_pair(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("key.pem"), made.key_pair.serialize_pem()).expect("a file");
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("a file");
    made.cert.der().clone()
}

fn with_files(program: Program) -> (Program, CertificateDer<'static>) {
    let root = write_pair(program.folder());
    let path = |name: &str| program.folder().join(name).display().to_string();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    (program.with("LOOP_TLS_CERT", &certificate).with("LOOP_TLS_KEY", &key), root)
}

#[tokio::test(flavor = "multi_thread")]
async fn own_files_are_served_watched_and_looked_at_by_doctor() {
    let (program, root) = with_files(Program::fresh());
    let server = program.serve();
    let answer = ask(address(&server), "localhost", &root).await.expect("TLS is spoken");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security"), "{answer}");
    let renewed = write_pair(program.folder());
    eventually("the new certificate is used", async || ask(address(&server), "localhost", &renewed).await.is_some())
        .await;
    let doctor = program.json(&["doctor"]);
    let found = |what: &str| {
        let findings = doctor["findings"].as_array().expect("findings");
        findings.iter().find(|finding| finding["what"] == what).cloned().unwrap_or_default()
    };
    assert_eq!(found("certificate")["level"], json!("ok"), "{doctor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_another_certificate_s_is_refused_at_start_by_name() {
    let (program, _) = with_files(Program::fresh());
    let stranger = rcgen::KeyPair::generate().expect("a key");
    std::fs::write(program.folder().join("key.pem"), stranger.serialize_pem()).expect("a file");
    let complaint = program.refused(&["serve"]);
    assert!(complaint.contains("LOOP_TLS_CERT") && complaint.contains("key.pem"), "{complaint}");
    let complaint = Program::fresh().with("LOOP_TLS_CERT", "x.pem").refused(&["check"]);
    assert!(complaint.contains("LOOP_TLS_KEY"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_text_beside_it_is_sent_to_the_encrypted_address() {
    let (program, _) = with_files(Program::fresh());
    // A port of its own that is known before: taken once and given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let program = program.with("LOOP_REDIRECT_LISTEN", &free.to_string());
    let server = program.serve();
    let mut stream = TcpStream::connect(free).await.expect("clear text is listened to");
    stream.write_all(b"GET /api/docs/ HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it is read");
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.expect("it is answered and closed");
    let answer = String::from_utf8_lossy(&read).to_lowercase();
    let port = address(&server).rsplit(':').next().expect("a port");
    assert!(answer.starts_with("http/1.1 308"), "{answer}");
    assert!(answer.contains(&format!("location: https://localhost:{port}/api/docs/\r\n")), "{answer}");
}

/// Pebble, Let's Encrypt's own ACME server for tests, as Debian packages it, and the DNS server that it asks.
struct Authority {
    children: Vec<Child>,
    directory: String,
    ca: PathBuf,
    root_at: String,
}

impl Drop for Authority {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port()
}

impl Authority {
    /// `None` where Pebble is not installed; scripts/with-services.sh installs it, and says so in LOOPD_TEST_PEBBLE.
    fn start(folder: &Path, tls_port: u16) -> Option<Self> {
        let is_there =
            Command::new("pebble").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if !is_there {
            assert!(std::env::var_os("LOOPD_TEST_PEBBLE").is_none(), "Pebble is promised and not there");
            eprintln!("skipped: no Pebble here; scripts/with-services.sh brings it");
            return None;
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let path = |name: &str| folder.join(name);
        std::fs::write(path("pebble.pem"), made.cert.pem()).expect("a file");
        std::fs::write(path("pebble.key"), made.key_pair.serialize_pem()).expect("a file");
        let (port, management, dns) = (free_port(), free_port(), free_port());
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"), "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("pebble.pem"), "privateKey": path("pebble.key"), "httpPort": 1, "tlsPort": tls_port,
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        std::fs::write(path("pebble.json"), config.to_string()).expect("a file");
        // Every name is this machine.
        let names = Command::new("pebble-challtestsrv")
            .args(["-defaultIPv6", "", "-defaultIPv4", "127.0.0.1", "-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &format!("127.0.0.1:{dns}"), "-management", &format!("127.0.0.1:{}", free_port())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the names' server starts");
        let mut authority = Command::new("pebble")
            .args(["-config", path("pebble.json").to_str().expect("a path"), "-dnsserver", &format!("127.0.0.1:{dns}")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            // Left alone it refuses one good nonce in twenty, to train clients; each would cost a pause that doubles.
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the authority starts");
        let mut lines = BufReader::new(authority.stdout.take().expect("a pipe")).lines();
        let is_up = lines.by_ref().map_while(Result::ok).any(|line| line.contains("ACME directory available"));
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let children = vec![names, authority];
        let (directory, root_at) =
            (format!("https://localhost:{port}/dir"), format!("https://localhost:{management}/roots/0"));
        let started = Self { children, directory, ca: path("pebble.pem"), root_at };
        assert!(is_up, "Pebble does not start");
        Some(started)
    }

    /// The root that signs its certificates; made anew at each start.
    async fn root(&self) -> CertificateDer<'static> {
        let rest = self.root_at.trim_start_matches("https://localhost");
        let (port, path) = rest.split_once('/').expect("a path");
        let pem = std::fs::read(&self.ca).expect("a file");
        let mut trusted = rustls::RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("a root");
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let stream = TcpStream::connect(format!("127.0.0.1{port}")).await.expect("the management port is open");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
        let request = format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is read");
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
        CertificateDer::from_pem_slice(&read).expect("a root in PEM")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_ordered_proved_on_the_main_port_kept_and_not_ordered_again() {
    const NAME: &str = "shop.loopd.test";
    let program = Program::fresh();
    let port = free_port();
    let Some(authority) = Authority::start(program.folder(), port) else { return };
    let ca = authority.ca.display().to_string();
    let program = program
        .with("LOOP_LISTEN", &format!("127.0.0.1:{port}"))
        .with("LOOP_ACME_DOMAINS", NAME)
        .with("LOOP_ACME_EMAIL", "ops@example.com")
        .with("LOOP_ACME_DIRECTORY", &authority.directory)
        .with("LOOP_ACME_CA", &ca)
        .with("LOOP_LOG", "info");
    let server = program.serve();
    let root = authority.root().await;
    eventually("the authority's certificate is served", async || {
        ask(address(&server), NAME, &root).await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    })
    .await;
    let folder = program.folder().join("data").join("acme");
    // Whole ones: a file gets its name when it is written to its end.
    let kept = || -> Vec<PathBuf> {
        let files = std::fs::read_dir(&folder).into_iter().flatten().map(|file| file.expect("a file").path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "pem")).collect()
    };
    eventually("account and certificate are kept", async || kept().len() == 2).await;
    #[cfg(unix)]
    for file in kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{} holds a private key", file.display());
    }
    drop(server);
    // The authority is gone: only what was kept can be served.
    let root_of_before = root;
    drop(authority);
    let server = program.serve();
    for _ in 0..200 {
        if ask(address(&server), NAME, &root_of_before).await.is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the kept certificate is not served: {}", server.log());
}
