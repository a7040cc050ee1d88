//! The business API booted over a database of the test's own, with a client that is signed in as owner of company 001.

use std::sync::Arc;

use loopd_business::engine::{Engine, Registry};
use loopd_business::modules;
use loopd_kernel::advisor::Advisor;
use loopd_kernel::job::Runner;
use loopd_kernel::{Catalogue, Environment, Kernel};
use loopd_store::{Db, Value, View, ddl, migrate};
use loopd_testkit::{Boot, Client, Database, json};
use loopd_types::{ManualClock, SeededRng, Timestamp};
use loopd_web::App;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A test's world.
pub struct World {
    pub clock: Arc<ManualClock>,
    /// Owner of company 001.
    pub owner: Client,
    token: String,
    pub kernel: Arc<Kernel>,
    pub engine: Engine,
    stops: std::sync::Mutex<Vec<oneshot::Sender<()>>>,
    _database: Database,
}

/// 2026-06-22T10:00:00Z, a Monday, the day of the portal's version.
pub const START: Timestamp = Timestamp(1_782_122_400_000_000);

async fn open(database: &Database) -> (Arc<Kernel>, Arc<Registry>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    let db = Db::open(database.config()).await.expect("the database opens");
    let registry = Arc::new(Registry::build(modules::all()).expect("the definitions are sound"));
    let mut settings = loopd_kernel::Settings::new(Environment::Development, "a-secret-key-of-at-least-32-bytes!");
    settings.rate_limits = false;
    settings.password_memory_kib = 64;
    // tests move the clock by days
    settings.access_ttl_us = 20 * loopd_types::DAY_US;
    let catalogue = Catalogue::new(registry.products("test"));
    let rng = Arc::new(SeededRng::new(std::process::id().into()));
    let kernel = Kernel::new(db, clock.clone(), rng, settings, catalogue).expect("a kernel");
    (kernel, registry, clock)
}

impl Boot for World {
    const NAME: &'static str = "content";

    async fn prepare(database: &Database) {
        let (kernel, registry, clock) = open(database).await;
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

    async fn boot(database: Database) -> Self {
        let (kernel, registry, clock) = open(&database).await;
        loopd_kernel::app::seed(&kernel).await.expect("the known apps");
        let engine = Engine::new(kernel.clone(), registry);
        // Twice, as at a second start.
        for _ in 0..2 {
            loopd_business::modules::install(&engine).await.expect("modules install");
        }
        let (base, stop) = serve(&engine).await;
        let (owner, token) = sign_up(&Client::new(&base), "owner").await;
        Self { clock, owner, token, kernel, engine, stops: vec![stop].into(), _database: database }
    }

    async fn close(self) {
        for stop in self.stops.into_inner().expect("no test panicked here") {
            let _ = stop.send(());
        }
    }
}

async fn serve(engine: &Engine) -> (String, oneshot::Sender<()>) {
    let mut operations = loopd_business::account::operations();
    operations.extend(loopd_business::http::operations(&engine.registry));
    let settings = loopd_web::Settings::default();
    let app = App::new(engine.kernel.clone(), settings, operations).expect("operations are sound");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        loopd_web::serve::run(app, listener, async {
            let _ = stopped.await;
        })
        .await;
    });
    (base, stop)
}

impl World {
    /// Somebody who is nobody.
    pub fn stranger(&self) -> Client {
        self.owner.anonymous()
    }

    /// A second server over the same database, whose model is this one; the owner there.
    pub async fn with_advisor(&self, advisor: Arc<dyn Advisor>) -> Client {
        let registry = Registry::build(modules::all_with(advisor)).expect("the definitions are sound");
        let (base, stop) = serve(&Engine::new(self.kernel.clone(), Arc::new(registry))).await;
        self.stops.lock().expect("no test panicked here").push(stop);
        Client::new(&base).with_token(&self.token).company("001")
    }

    /// Makes somebody a member of company 001, with this role; signed in there, with their user's id.
    pub async fn member(&self, name: &str, role: &str) -> (Client, String) {
        let client = register(&self.owner, name).await.company("001");
        let body = json!({"email": format!("{name}@example.com"), "role": role});
        let made = self.owner.post("/api/v1/memberships/").json(&body).await.expect_status(201);
        let user = client.get("/api/v1/auth/me/").await.expect_status(200).text_at("/user/id");
        let _ = made;
        (client, user)
    }

    /// Ends company 001's trial of a product.
    pub async fn suspend(&self, product: &str) {
        let list = self.owner.get("/api/v1/product-subscriptions/").query("page_size", "100");
        let rows = list.await.expect_status(200).at("/results");
        let row =
            rows.as_array().and_then(|rows| rows.iter().find(|row| row["product"] == product)).expect("subscribed");
        let at = format!("/api/v1/product-subscriptions/{}/cancel/", row["id"].as_str().expect("an id"));
        self.owner.post(&at).await.expect_status(200);
    }

    /// Does the jobs that are due; how many there were.
    pub async fn work(&self) -> usize {
        let mut runner = Runner::default();
        loopd_business::modules::register_jobs_on(
            &mut runner,
            &self.engine,
            &loopd_business::modules::Ports::default(),
        );
        runner.run_due(&self.kernel).await.expect("jobs can be claimed")
    }

    /// The first column of the first row, as text.
    pub async fn look(&self, sql: &'static str, params: Vec<Value>) -> String {
        let found = self.kernel.db.read(View::System, move |reader| {
            Ok(reader.one(sql, &params, |row| match row.value(0)? {
                Value::Text(text) | Value::Json(text) => Ok(text),
                Value::Int(number) => Ok(number.to_string()),
                other => Ok(format!("{other:?}")),
            })?)
        });
        found.await.expect("the row can be read")
    }
}

/// Registers somebody with a company of their own and signs them in to it.
pub async fn register(client: &Client, name: &str) -> Client {
    sign_up(client, name).await.0
}

async fn sign_up(client: &Client, name: &str) -> (Client, String) {
    let body = json!({"email": format!("{name}@example.com"), "username": name, "password": "strongpass123", "company_name": format!("{name} Ltd")});
    let answer = client.anonymous().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    let code = answer.text_at("/company/code");
    let token = answer.text_at("/access");
    (client.anonymous().with_token(&token).company(&code), token)
}
