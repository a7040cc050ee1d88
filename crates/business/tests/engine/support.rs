//! The business API booted over a database of the test's own, with a client that is signed in as owner of company 001.

use std::sync::Arc;

use loopd_business::define::Module;
use loopd_business::engine::{Engine, Registry};
use loopd_kernel::{Catalogue, Environment, Kernel};
use loopd_store::{Db, ddl, migrate};
use loopd_testkit::{Boot, Client, Database, json};
use loopd_types::{ManualClock, SeededRng, Timestamp};
use loopd_web::App;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A test's world.
pub struct World {
    /// Owner of company 001.
    pub owner: Client,
    pub kernel: Arc<Kernel>,
    pub engine: Engine,
    stop: Option<oneshot::Sender<()>>,
    _database: Database,
}

/// 2026-06-22T10:00:00Z, the day of the portal's version.
pub const START: Timestamp = Timestamp(1_782_122_400_000_000);

/// The modules under test: a small one, and one that has everything a definition can say.
pub fn modules() -> Vec<Module> {
    vec![crate::booking::module(), crate::shop::module()]
}

/// The product's own modules.
pub fn real_modules() -> Vec<Module> {
    loopd_business::modules::all()
}

async fn open(
    database: &Database,
    modules: fn() -> Vec<Module>,
    rate_limits: bool,
) -> (Arc<Kernel>, Arc<Registry>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    let db = Db::open(database.config()).await.expect("the database opens");
    let registry = Arc::new(Registry::build(modules()).expect("the definitions are sound"));
    let mut settings = loopd_kernel::Settings::new(Environment::Development, "a-secret-key-of-at-least-32-bytes!");
    settings.rate_limits = rate_limits;
    settings.password_memory_kib = 64;
    let catalogue = Catalogue::new(registry.products("test"));
    let rng = Arc::new(SeededRng::new(std::process::id().into()));
    let kernel = Kernel::new(db, clock.clone(), rng, settings, catalogue).expect("a kernel");
    (kernel, registry, clock)
}

impl Boot for World {
    const NAME: &'static str = "business";

    async fn prepare(database: &Database) {
        prepare(database, modules).await;
    }
    async fn boot(database: Database) -> Self {
        World::start(database, modules, false).await
    }
    async fn close(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// A world with the product's own modules instead.
pub struct Whole(pub World);

impl Boot for Whole {
    const NAME: &'static str = "whole";

    async fn prepare(database: &Database) {
        prepare(database, real_modules).await;
    }
    async fn boot(database: Database) -> Self {
        Whole(World::start(database, real_modules, false).await)
    }
    async fn close(self) {
        self.0.close().await;
    }
}

/// [`Whole`] with its rate limits on.
pub struct Throttled(pub World);

impl Boot for Throttled {
    const NAME: &'static str = "whole";

    async fn prepare(database: &Database) {
        prepare(database, real_modules).await;
    }
    async fn boot(database: Database) -> Self {
        Throttled(World::start(database, real_modules, true).await)
    }
    async fn close(self) {
        self.0.close().await;
    }
}

async fn prepare(database: &Database, modules: fn() -> Vec<Module>) {
    let (kernel, registry, clock) = open(database, modules, false).await;
    migrate::run(&kernel.db, clock.as_ref()).await.expect("migrations run");
    let tables = registry.tables();
    let made = kernel.db.write_unlimited(move |tx| {
        let plan = ddl::plan(tx, &tables)?;
        ddl::apply(tx, &plan)?;
        Ok(())
    });
    made.await.expect("the tables of the definitions can be made");
    kernel.db.close().await;
}

impl World {
    async fn start(database: Database, modules: fn() -> Vec<Module>, rate_limits: bool) -> Self {
        let (kernel, registry, _) = open(&database, modules, rate_limits).await;
        loopd_kernel::app::seed(&kernel).await.expect("the known apps");
        let engine = Engine::new(kernel.clone(), registry.clone());
        loopd_business::modules::install(&engine).await.expect("modules install");
        let mut operations = loopd_business::account::operations();
        operations.extend(loopd_business::http::operations(&registry));
        let app = App::new(kernel.clone(), loopd_web::Settings::default(), operations).expect("operations are sound");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            loopd_web::serve::run(app, listener, async {
                let _ = stopped.await;
            })
            .await;
        });
        let owner = register(&Client::new(&base), "owner").await;
        Self { owner, kernel, engine, stop: Some(stop), _database: database }
    }
}

/// Registers somebody with a company of their own and signs them in to it.
pub async fn register(client: &Client, name: &str) -> Client {
    let body = json!({"email": format!("{name}@example.com"), "username": name, "password": "strongpass123", "company_name": format!("{name} Ltd")});
    let answer = client.anonymous().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    let code = answer.text_at("/company/code");
    client.anonymous().with_token(&answer.text_at("/access")).company(&code)
}
