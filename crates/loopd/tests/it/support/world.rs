//! [`World`]: the whole server in this process, on a port of its own, with a clock that stands still.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use loopd::app;
use loopd::settings::Settings;
use loopd_business::engine::Engine;
use loopd_kernel::Kernel;
use loopd_store::View;
use loopd_testkit::{Boot, Client, Database, Sources};
use loopd_types::{ManualClock, OsRng};
use loopd_web::App;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The server under test. Rate limits are off; [`Limited`] has them on.
pub struct World {
    pub base: String,
    pub clock: Arc<ManualClock>,
    pub kernel: Arc<Kernel>,
    pub engine: Engine,
    pub app: App,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    addresses: AtomicU32,
    /// Dropped last, and with it the rows.
    _database: Database,
}

/// Known to the prepared database and to every copy of it.
const SECRET_KEY: &str = "a secret that only tests know, 0123456789";

impl World {
    /// Starts the server on `database` with these settings (names with their `LOOP_`) over the tests' own.
    pub async fn start(database: Database, settings: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let listen = listener.local_addr().expect("a bound listener has an address").to_string();
        let clock = Sources::default().clock;
        let server = build(&database, &listen, clock.clone(), settings).await;
        let (kernel, engine, app) = (server.kernel.clone(), server.engine.clone(), server.app.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(listener, async move {
            let _ = stopped.await;
        }));
        let base = format!("http://{listen}");
        Self { base, clock, kernel, engine, app, stop, serving, addresses: AtomicU32::new(1), _database: database }
    }

    /// Removes what is over, as the server does every ten minutes.
    pub async fn sweep(&self) {
        loopd_kernel::retention::sweep(&self.kernel, &loopd_business::engine::RETENTION, || true).await;
    }

    /// How many rows a table has.
    pub async fn rows(&self, table: &'static str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        let read = self.kernel.db.read(View::System, move |reader| Ok(reader.one(&sql, &[], |row| row.i64(0))?));
        read.await.expect("a table can be counted")
    }

    /// Nobody in particular, calling from an address that nobody else in this test has.
    pub fn client(&self) -> Client {
        let number = self.addresses.fetch_add(1, Ordering::Relaxed);
        let address = format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255);
        Client::new(&self.base).with_header("x-forwarded-for", &address)
    }
}

async fn build(database: &Database, listen: &str, clock: Arc<ManualClock>, settings: &[(&str, &str)]) -> app::Server {
    let data_dir = database.folder().display().to_string();
    let vendor = crate::loopwave::licences::vendor().verifier().to_text();
    let mut given: BTreeMap<String, String> = [
        ("LICENSE_PUBLIC_KEY", vendor.as_str()),
        ("LOOP_LISTEN", listen),
        ("LOOP_DATA_DIR", &data_dir),
        ("LOOP_DATABASE_URL", database.url()),
        ("LOOP_DATABASE_POOL", "4"),
        ("LOOP_SECRET_KEY", SECRET_KEY),
        ("LOOP_RATE_LIMITS", "off"),
        ("LOOP_TRUSTED_PROXIES", "127.0.0.1"),
        // Webhooks of tests are received, and issuers answer, on this machine.
        ("LOOP_EGRESS_ALLOW", "127.0.0.1,localhost"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    given.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut settings = Settings::load(None, &given).expect("the tests' settings are good");
    // Argon2id at its real cost would be most of the tests' time.
    settings.password_memory_kib = Some(64);
    let world = app::World { clock, rng: Arc::new(OsRng) };
    app::build(settings, world).await.expect("the server can be wired")
}

impl Boot for World {
    const NAME: &'static str = "loopd";

    async fn prepare(database: &Database) {
        let server = build(database, "127.0.0.1:0", Sources::default().clock, &[]).await;
        server.kernel.db.close().await;
    }

    async fn boot(database: Database) -> Self {
        Self::start(database, &[]).await
    }

    async fn close(self) {
        let _ = self.stop.send(());
        self.serving.await.expect("the server stops without a panic");
    }
}

/// The same world with rate limits on.
pub struct Limited(World);

impl Deref for Limited {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl Boot for Limited {
    const NAME: &'static str = World::NAME;

    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }

    async fn boot(database: Database) -> Self {
        Self(World::start(database, &[("LOOP_RATE_LIMITS", "on")]).await)
    }

    async fn close(self) {
        self.0.close().await;
    }
}
