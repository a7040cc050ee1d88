//! What every test program here stands in: the business API served over a database of the test's own, its clock moved by
//! the test, somebody signed in as owner of company 001. A program's `support.rs` says which modules and adds its own words.
#![allow(dead_code, reason = "each test program uses its own part of it")]

pub mod records;

use std::sync::{Arc, Mutex};

use loopd_business::define::Module;
use loopd_business::engine::{Engine, Registry};
use loopd_business::modules::{self, Ports};
use loopd_kernel::{Catalogue, Environment, Kernel, job::Runner};
use loopd_store::{Db, Reader, Row, View, ddl, migrate, params};
use loopd_testkit::{Client, Database, json};
use loopd_types::{DAY_US, ManualClock, SeededRng, Timestamp};
use loopd_web::{App, Operation, Surface, openapi};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// 2026-06-22T10:00:00Z, a Monday, the day of the portal's version; noon in Kigali.
pub const START: Timestamp = Timestamp(1_782_122_400_000_000);

/// The running server and what it stands on.
pub struct House {
    /// Owner of company 001.
    pub owner: Client,
    pub clock: Arc<ManualClock>,
    pub kernel: Arc<Kernel>,
    pub engine: Engine,
    /// Dropping one stops its server.
    servers: Mutex<Vec<oneshot::Sender<()>>>,
    _database: Database,
}

/// Brings an empty database to what these modules need.
pub async fn prepare(database: &Database, modules: Vec<Module>) {
    let (engine, clock) = open(database, modules, false).await;
    migrate::run(&engine.kernel.db, clock.as_ref()).await.expect("migrations run");
    let tables = engine.registry.tables();
    let made = engine.kernel.db.write_unlimited(move |tx| {
        let plan = ddl::plan(tx, &tables)?;
        ddl::apply(tx, &plan)?;
        Ok(())
    });
    made.await.expect("the tables of the definitions can be made");
    engine.kernel.db.close().await;
}

async fn open(database: &Database, modules: Vec<Module>, rate_limits: bool) -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    let db = Db::open(database.config()).await.expect("the database opens");
    let registry = Arc::new(Registry::build(modules).expect("the definitions are sound"));
    let mut settings = loopd_kernel::Settings::new(Environment::Development, "a-secret-key-of-at-least-32-bytes!");
    settings.rate_limits = rate_limits;
    settings.password_memory_kib = 64;
    // tests move the clock by months and stay signed in
    settings.access_ttl_us = 3_650 * DAY_US;
    settings.refresh_ttl_us = 3_650 * DAY_US;
    settings.trial_us = 3_650 * DAY_US;
    let catalogue = Catalogue::new(registry.products("test"));
    let rng = Arc::new(SeededRng::new(std::process::id().into()));
    let kernel = Kernel::new(db, clock.clone(), rng, settings, catalogue).expect("a kernel");
    (Engine::new(kernel, registry), clock)
}

impl House {
    /// Serves these modules on a database that [`prepare`] has seen.
    pub async fn boot(database: Database, modules: Vec<Module>, rate_limits: bool) -> Self {
        let (engine, clock) = open(&database, modules, rate_limits).await;
        loopd_kernel::app::seed(&engine.kernel).await.expect("the known apps");
        modules::install(&engine).await.expect("modules install");
        let (base, stop) = serve(&engine).await;
        let owner = register(&Client::new(&base), "owner").await;
        let kernel = engine.kernel.clone();
        Self { owner, clock, kernel, engine, servers: vec![stop].into(), _database: database }
    }

    /// A second server over the same database, with these modules; the owner there.
    pub async fn beside(&self, modules: Vec<Module>) -> Client {
        let registry = Registry::build(modules).expect("the definitions are sound");
        let (base, stop) = serve(&Engine::new(self.kernel.clone(), Arc::new(registry))).await;
        self.servers.lock().expect("no test panicked here").push(stop);
        self.owner.at(&base)
    }

    /// Does the jobs that are due, and those that they leave; how many there were.
    pub async fn work(&self, ports: &Ports) -> usize {
        let mut runner = Runner::default();
        modules::register_jobs_on(&mut runner, &self.engine, ports);
        let mut done = 0;
        loop {
            match runner.run_due(&self.kernel).await.expect("jobs can be claimed") {
                0 => return done,
                count => done += count,
            }
        }
    }

    /// The payloads of company 001's events of this kind, oldest first.
    pub async fn events(&self, kind: &'static str) -> Vec<Json> {
        let work = move |reader: &mut Reader<'_>| {
            let sql = "SELECT payload FROM events WHERE company_id = 1 AND kind = $1 ORDER BY position";
            let read = |row: &Row<'_>| Ok(row.json(0)?.to_owned());
            Ok(reader.query(sql, &params![kind], read)?)
        };
        let texts = self.kernel.db.read(View::System, work).await.expect("events can be read");
        texts.iter().map(|text| serde_json::from_str(text).expect("a payload is JSON")).collect()
    }
}

/// The address of a server over this engine, and what stops it.
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

/// Registers somebody with a company of their own and signs them in to it.
pub async fn register(client: &Client, name: &str) -> Client {
    let body = json!({"email": format!("{name}@example.com"), "username": name, "password": "strongpass123", "company_name": format!("{name} Ltd")});
    let answer = client.anonymous().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    let code = answer.text_at("/company/code");
    client.anonymous().with_token(&answer.text_at("/access")).company(&code)
}

/// The id of who is signed in.
pub async fn user_of(client: &Client) -> String {
    client.get("/api/v1/auth/me/").await.expect_status(200).text_at("/user/id")
}

/// The operations of these modules and their API reference, which must be without faults.
pub fn documented(modules: Vec<Module>) -> (Vec<Operation>, Json) {
    let registry = Arc::new(Registry::build(modules).expect("the definitions are sound"));
    let operations = loopd_business::http::operations(&registry);
    let document = openapi::Document {
        title: "LOOP".into(),
        tags: loopd_business::http::tags(&registry),
        schemas: loopd_business::http::schemas(&registry),
        ..openapi::Document::default()
    };
    let assembled = openapi::assemble(Surface::Loop, &document, operations.iter());
    let faults = openapi::lint(&assembled);
    assert!(faults.is_empty(), "{faults:#?}");
    (operations, assembled)
}
