//! PostgreSQL goes away and comes back: refusals in time, nothing twice, no restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loopd_store::testing::TestDb;
use loopd_store::{Config, Db, View};
use loopd_types::Kind;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Stands between the store and the server; `cut` ends what goes through and lets nothing new in.
struct Proxy {
    port: u16,
    is_open: Arc<AtomicBool>,
    cut: Arc<tokio::sync::Notify>,
}

impl Proxy {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_open, cut) = (Arc::new(AtomicBool::new(true)), Arc::new(tokio::sync::Notify::new()));
        let (open, ended) = (Arc::clone(&is_open), Arc::clone(&cut));
        tokio::spawn(async move {
            let mut lines = JoinSet::new();
            loop {
                tokio::select! {
                    () = ended.notified() => lines.shutdown().await,
                    accepted = listener.accept() => {
                        let (mut inside, _) = accepted.unwrap();
                        let server = server.clone();
                        if open.load(Ordering::SeqCst) {
                            lines.spawn(async move {
                                let mut outside = TcpStream::connect(server).await.unwrap();
                                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                            });
                        }
                    }
                }
            }
        });
        Self { port, is_open, cut }
    }

    fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::SeqCst);
        if !is_open {
            self.cut.notify_one();
        }
    }
}

/// `postgres://user@HOST/…` with another host; also what stood there.
fn through(url: &str, port: u16) -> (String, String) {
    let start = url.find('@').map(|at| at + 1).or(url.find("://").map(|at| at + 3)).unwrap();
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    let host = &url[start..end];
    let server = if host.contains(':') { host.to_owned() } else { format!("{host}:5432") };
    (format!("{}127.0.0.1:{port}{}", &url[..start], &url[end..]), server)
}

async fn insert(db: &Db) -> Result<u64, loopd_types::Problem> {
    db.write(View::System, |tx| Ok(tx.execute("INSERT INTO t VALUES (1)", &[])?)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_a_503_and_comes_back_without_restart() {
    let Some(direct) = TestDb::postgres().await else { return };
    direct.write(View::System, |tx| Ok(tx.batch("CREATE TABLE t (n BIGINT)")?)).await.unwrap();
    let proxy = Proxy::before(through(&direct.config.url, 0).1).await;
    let (url, _) = through(&direct.config.url, proxy.port);
    let config = Config { pool_size: 2, retries: 3, connect_timeout: Duration::from_millis(500), ..Config::new(url) };
    let db = Db::open(&config).await.unwrap();
    insert(&db).await.unwrap();
    proxy.set_open(false);
    for _ in 0..4 {
        assert_eq!(insert(&db).await.unwrap_err().kind(), Kind::Unavailable);
        assert!(db.ping().await.is_err());
    }
    proxy.set_open(true);
    insert(&db).await.unwrap();
    insert(&db).await.unwrap();
    let count = "SELECT count(*) FROM t";
    let count = db.read(View::System, move |reader| Ok(reader.one(count, &[], |row| row.i64(0))?)).await.unwrap();
    assert_eq!(count, 3);
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_told_at_once() {
    let config = Config { connect_timeout: Duration::from_millis(500), ..Config::new("postgres://u@127.0.0.1:1/x") };
    let error = Db::open(&config).await.err().unwrap();
    assert!(matches!(error, loopd_store::StoreError::Unavailable(_)), "{error:?}");
    assert!(Db::open(&Config::new("mysql://x")).await.is_err());
}
