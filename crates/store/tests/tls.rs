//! PostgreSQL over TLS: what `sslmode` and `sslrootcert` promise, against a server with a certificate for `localhost`.

use std::path::Path;
use std::time::Duration;

use loopd_store::{Config, Db, StoreError, View};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that offers TLS, as `scripts/with-services.sh` starts it.
struct Server {
    base: String,
    port: String,
    folder: String,
}

impl Server {
    fn find() -> Option<Self> {
        let (Ok(url), Ok(folder)) = (std::env::var("LOOPD_TEST_POSTGRES"), std::env::var("LOOPD_TEST_POSTGRES_TLS"))
        else {
            eprintln!(
                "SKIPPED: LOOPD_TEST_POSTGRES_TLS names no folder of certificates (scripts/with-services.sh does)"
            );
            return None;
        };
        let base = url.split('?').next().unwrap().to_owned();
        let port = base.rsplit_once(':').unwrap().1.split('/').next().unwrap().to_owned();
        Some(Self { base, port, folder })
    }

    /// By the name in the certificate, without asking a resolver for it.
    async fn by_name(&self, settings: &str) -> Result<bool, StoreError> {
        let url = format!("postgres://loopd_test@localhost:{}/postgres?hostaddr=127.0.0.1&{settings}", self.port);
        is_encrypted(&url).await
    }

    /// By the address, which is not in the certificate.
    async fn by_address(&self, settings: &str) -> Result<bool, StoreError> {
        is_encrypted(&format!("{}?{settings}", self.base)).await
    }

    fn authority(&self) -> String {
        format!("sslrootcert={}/ca.pem", self.folder)
    }

    fn stranger(&self) -> String {
        format!("sslrootcert={}/stranger.pem", self.folder)
    }
}

/// What the server says of the connection.
async fn is_encrypted(url: &str) -> Result<bool, StoreError> {
    let db = Db::open(&Config { pool_size: 1, ..Config::new(url) }).await?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(db.read(View::System, move |reader| Ok(reader.one(sql, &[], |row| row.bool(0))?)).await.unwrap())
}

fn assert_refused(outcome: &Result<bool, StoreError>, because: &str) {
    match outcome {
        Err(StoreError::Unavailable(words)) => assert!(words.contains(because), "{words}"),
        other => panic!("{other:?} instead of a refusal because of {because}"),
    }
}

#[tokio::test]
async fn verify_full_wants_the_right_authority_and_the_right_host() {
    let Some(server) = Server::find() else { return };
    let (authority, stranger) = (server.authority(), server.stranger());
    assert_eq!(server.by_name(&format!("sslmode=verify-full&{authority}")).await, Ok(true));
    assert_refused(&server.by_name(&format!("sslmode=verify-full&{stranger}")).await, "UnknownIssuer");
    assert_refused(&server.by_address(&format!("sslmode=verify-full&{authority}")).await, "not valid for name");
    // Mozilla's list does not know our authority
    assert_refused(&server.by_name("sslmode=verify-full").await, "UnknownIssuer");
}

#[tokio::test]
async fn verify_ca_and_require_with_an_authority_want_its_signature_for_any_host() {
    let Some(server) = Server::find() else { return };
    for mode in ["verify-ca", "require"] {
        assert_eq!(server.by_address(&format!("sslmode={mode}&{}", server.authority())).await, Ok(true), "{mode}");
        assert_refused(&server.by_address(&format!("sslmode={mode}&{}", server.stranger())).await, "UnknownIssuer");
    }
}

#[tokio::test]
async fn require_and_prefer_encrypt_and_disable_does_not() {
    let Some(server) = Server::find() else { return };
    assert_eq!(server.by_address("sslmode=require").await, Ok(true));
    assert_eq!(server.by_address("sslmode=prefer").await, Ok(true));
    assert_eq!(server.by_address("").await, Ok(true), "without the setting it is prefer");
    assert_eq!(server.by_address("sslmode=disable").await, Ok(false));
    // a certificate that is looked at and found wanting is no reason to go on in the clear
    assert_refused(&server.by_address(&format!("sslmode=prefer&{}", server.stranger())).await, "UnknownIssuer");
}

#[tokio::test]
async fn a_unix_socket_has_no_tls_so_require_is_refused_there() {
    let Some(server) = Server::find() else { return };
    let folder = Path::new(&server.folder).parent().unwrap();
    if !folder.join(format!(".s.PGSQL.{}", server.port)).exists() {
        eprintln!("SKIPPED: no Unix socket beside LOOPD_TEST_POSTGRES_TLS");
        return;
    }
    let host = folder.display().to_string().replace('/', "%2F");
    let url = |mode: &str| format!("postgres://loopd_test@{host}:{}/postgres?sslmode={mode}", server.port);
    assert_eq!(is_encrypted(&url("prefer")).await, Ok(false));
    assert_refused(&is_encrypted(&url("require")).await, "server does not support TLS");
}

/// Answers one connection as a server without TLS does and returns whatever it hears after that.
async fn without_tls(settings: &str) -> (Result<bool, StoreError>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        // SSLRequest is eight bytes: the length, and 1234 5679 in place of a version
        let mut request = [0; 8];
        client.read_exact(&mut request).await.unwrap();
        assert_eq!(request, [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
        client.write_all(b"N").await.unwrap();
        let mut heard = [0; 256];
        let length = client.read(&mut heard).await.unwrap();
        heard[..length].to_vec()
    });
    let url = format!("postgres://somebody@127.0.0.1:{port}/x?{settings}");
    let config = Config { pool_size: 1, connect_timeout: Duration::from_secs(20), ..Config::new(url) };
    let opened = Db::open(&config).await.map(|_| true);
    (opened, heard.await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_hears_nothing_in_the_clear_unless_that_was_allowed() {
    let authority = Server::find().map(|server| server.authority());
    let with_file =
        authority.iter().flat_map(|file| ["require", "verify-ca", "verify-full"].map(|m| format!("{m}&{file}")));
    for mode in ["require".to_owned(), "verify-full".to_owned()].into_iter().chain(with_file) {
        let (opened, heard) = without_tls(&format!("sslmode={mode}")).await;
        assert_refused(&opened, "server does not support TLS");
        assert_eq!(heard, b"", "{mode}");
    }
    let (_, heard) = without_tls("sslmode=prefer").await;
    assert!(
        heard.windows(8).any(|part| part == b"somebody"),
        "prefer goes on, which is what the others must not: {heard:?}"
    );
}
