//! The business API over a database of the test's own, a clock that the test moves, and short words for what booking tests do all the time.

use std::sync::Arc;

use loopd_business::engine::{Engine, Registry};
use loopd_kernel::{Catalogue, Environment, Kernel, job::Runner};
use loopd_store::{Db, ddl, migrate};
use loopd_testkit::{Answer, Boot, Client, Database, json};
use loopd_types::{DAY_US, ManualClock, SeededRng, Timestamp};
use loopd_web::App;
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub struct World {
    /// Owner of company 001.
    pub owner: Client,
    pub clock: Arc<ManualClock>,
    kernel: Arc<Kernel>,
    engine: Engine,
    stop: Option<oneshot::Sender<()>>,
    _database: Database,
}

/// 2026-06-22T10:00:00Z, a Monday; noon in Kigali.
pub const START: Timestamp = Timestamp(1_782_122_400_000_000);

async fn open(database: &Database) -> (Arc<Kernel>, Arc<Registry>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    let db = Db::open(database.config()).await.expect("the database opens");
    let mut modules = loopd_business::modules::all();
    modules.retain(|module| module.slug == "booking");
    let registry = Arc::new(Registry::build(modules).expect("the definitions are sound"));
    let mut settings = loopd_kernel::Settings::new(Environment::Development, "a-secret-key-of-at-least-32-bytes!");
    settings.rate_limits = false;
    settings.password_memory_kib = 64;
    // tests move the clock by months and stay signed in
    settings.access_ttl_us = 3_650 * DAY_US;
    settings.refresh_ttl_us = 3_650 * DAY_US;
    settings.trial_us = 3_650 * DAY_US;
    let catalogue = Catalogue::new(registry.products("test"));
    let rng = Arc::new(SeededRng::new(std::process::id().into()));
    let kernel = Kernel::new(db, clock.clone(), rng, settings, catalogue).expect("a kernel");
    (kernel, registry, clock)
}

impl Boot for World {
    const NAME: &'static str = "booking";

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
        let engine = Engine::new(kernel.clone(), registry.clone());
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
        Self { owner, clock, kernel, engine, stop: Some(stop), _database: database }
    }

    async fn close(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// Registers somebody with a company of their own and signs them in to it.
pub async fn register(client: &Client, name: &str) -> Client {
    let body = json!({"email": format!("{name}@example.com"), "username": name, "password": "strongpass123", "company_name": format!("{name} Ltd")});
    let answer = client.anonymous().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    let code = answer.text_at("/company/code");
    client.anonymous().with_token(&answer.text_at("/access")).company(&code)
}

impl World {
    /// Makes a record and gives its id.
    pub async fn make(&self, resource: &str, body: Json) -> String {
        let path = format!("/api/v1/booking/{resource}/");
        self.owner.post(&path).json(&body).await.expect_status(201).text_at("/id")
    }
    pub async fn book(&self, body: Json) -> Answer {
        let mut whole = json!({"title": "Visit"});
        for (name, value) in body.as_object().expect("a body is an object") {
            whole[name] = value.clone();
        }
        self.owner.post("/api/v1/booking/appointments/").json(&whole).await
    }
    pub async fn booked(&self, body: Json) -> Json {
        self.book(body).await.expect_status(201).json()
    }
    pub async fn act(&self, resource: &str, id: &str, action: &str, body: Json) -> Answer {
        self.owner.post(&format!("/api/v1/booking/{resource}/{id}/{action}/")).json(&body).await
    }
    pub async fn get(&self, resource: &str, id: &str) -> Json {
        self.owner.get(&format!("/api/v1/booking/{resource}/{id}/")).await.expect_status(200).json()
    }
    pub async fn set_up(&self, settings: Json) {
        let body = json!({"settings": {"booking": settings}});
        self.owner.patch("/api/v1/companies/001/").json(&body).await.expect_status(200);
    }
    pub async fn set_zone(&self, zone: &str) {
        self.owner.patch("/api/v1/companies/001/").json(&json!({"timezone": zone})).await.expect_status(200);
    }
    /// Beginnings that are free, as texts without seconds.
    pub async fn free(&self, query: &[(&str, &str)]) -> Vec<String> {
        let mut request = self.owner.get("/api/v1/booking/availability/");
        for (name, value) in query {
            request = request.query(name, value);
        }
        let answer = request.await.expect_status(200).json();
        starts(&answer)
    }
    /// Does the jobs that are due.
    pub async fn work(&self) -> usize {
        let mut runner = Runner::default();
        loopd_business::modules::register_jobs_on(
            &mut runner,
            &self.engine,
            &loopd_business::modules::Ports::default(),
        );
        let mut done = 0;
        loop {
            match runner.run_due(&self.kernel).await.expect("jobs can be claimed") {
                0 => return done,
                count => done += count,
            }
        }
    }
    /// How many events of this kind the company has.
    pub async fn events(&self, kind: &'static str) -> i64 {
        let work = move |reader: &mut loopd_store::Reader<'_>| {
            let sql = "SELECT COUNT(*) FROM events WHERE kind = $1";
            Ok(reader.one(sql, &loopd_store::params![kind], |row| row.i64(0))?)
        };
        self.kernel.db.read(loopd_store::View::System, work).await.expect("events can be counted")
    }
}

/// `2026-06-23T08:00` of each free time.
pub fn starts(answer: &Json) -> Vec<String> {
    let slots = answer["slots"].as_array().expect("slots").iter();
    slots.map(|slot| slot["starts_at"].as_str().expect("a text")[..16].to_owned()).collect()
}
