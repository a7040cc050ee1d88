//! The business API with payments over a database of the test's own, MTN's side of mobile money played by [`Mtn`], and short words.

use std::sync::Arc;

use loopd_business::engine::{Engine, Registry};
use loopd_business::modules::payments::{self, MtnSettings, Providers, Settings};
use loopd_kernel::{Catalogue, Environment, Kernel, job::Runner};
use loopd_store::{Db, ddl, migrate};
use loopd_testkit::{Answer, Boot, Client, Database, json};
use loopd_types::{DAY_US, ManualClock, Rng, Secret, SeededRng, Timestamp};
use loopd_web::App;
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::mtn::Mtn;

pub struct World {
    /// Owner of company 001.
    pub owner: Client,
    pub stranger: Client,
    pub clock: Arc<ManualClock>,
    pub mtn: Mtn,
    kernel: Arc<Kernel>,
    engine: Engine,
    providers: Providers,
    stop: Option<oneshot::Sender<()>>,
    _database: Database,
}

/// 2026-06-22T10:00:00Z, a Monday; noon in Kigali.
pub const START: Timestamp = Timestamp(1_782_122_400_000_000);

async fn open(database: &Database, providers: &Providers) -> (Arc<Kernel>, Arc<Registry>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    let db = Db::open(database.config()).await.expect("the database opens");
    let registry = Registry::build(vec![payments::module_with(providers)]).expect("the definitions are sound");
    let registry = Arc::new(registry);
    let mut settings = loopd_kernel::Settings::new(Environment::Development, "a-secret-key-of-at-least-32-bytes!");
    settings.rate_limits = false;
    settings.password_memory_kib = 64;
    // tests move the clock and stay signed in
    settings.access_ttl_us = 3_650 * DAY_US;
    settings.refresh_ttl_us = 3_650 * DAY_US;
    settings.trial_us = 3_650 * DAY_US;
    let catalogue = Catalogue::new(registry.products("test"));
    let rng = Arc::new(SeededRng::new(std::process::id().into()));
    let kernel = Kernel::new(db, clock.clone(), rng, settings, catalogue).expect("a kernel");
    (kernel, registry, clock)
}

impl Boot for World {
    const NAME: &'static str = "payments";

    async fn prepare(database: &Database) {
        let (kernel, registry, clock) = open(database, &Providers::sandbox()).await;
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
        let mtn = Mtn::start().await;
        let settings = Settings {
            mtn: Some(MtnSettings {
                base_url: mtn.base.clone(),
                subscription_key: Secret::new("subscription".to_owned()),
                api_user: "user".to_owned(),
                api_key: Secret::new("key".to_owned()),
                target_environment: "mtnrwanda".to_owned(),
                callback_host: Some("https://loop.example.com".to_owned()),
            }),
            sandbox: true,
        };
        let providers = Providers::new(settings, Arc::new(ManualClock::at(START))).expect("TLS can be set up");
        let (kernel, registry, clock) = open(&database, &providers).await;
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
        let stranger = owner.anonymous();
        Self { owner, stranger, clock, mtn, kernel, engine, providers, stop: Some(stop), _database: database }
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
    pub async fn post(&self, resource: &str, body: Json) -> Answer {
        self.owner.post(&format!("/api/v1/payments/{resource}/")).json(&body).await
    }
    /// Makes a record and gives its id.
    pub async fn make(&self, resource: &str, body: Json) -> String {
        self.post(resource, body).await.expect_status(201).text_at("/id")
    }
    pub async fn act(&self, resource: &str, id: &str, action: &str, body: Json) -> Answer {
        self.owner.post(&format!("/api/v1/payments/{resource}/{id}/{action}/")).json(&body).await
    }
    pub async fn get(&self, resource: &str, id: &str) -> Json {
        self.owner.get(&format!("/api/v1/payments/{resource}/{id}/")).await.expect_status(200).json()
    }
    /// Everything in a list, page by page.
    pub async fn all(&self, resource: &str, filters: &[(&str, &str)]) -> Vec<Json> {
        let mut found = Vec::new();
        for page in 1.. {
            let mut request = self.owner.get(&format!("/api/v1/payments/{resource}/"));
            request =
                request.query("page_size", "100").query("page", &page.to_string()).query("ordering", "created_at");
            for (name, value) in filters {
                request = request.query(name, value);
            }
            let answer = request.await.expect_status(200).json();
            found.extend(answer["results"].as_array().expect("results").iter().cloned());
            if answer["next"].is_null() {
                break;
            }
        }
        found
    }
    /// An issued invoice over so many francs.
    pub async fn open_invoice(&self, amount: i64) -> String {
        let id = self.make("invoices", json!({"title": "Work", "amount": amount})).await;
        self.act("invoices", &id, "finalize", json!({})).await.expect_status(200);
        id
    }
    /// A pending payment of mobile money.
    pub async fn momo(&self, invoice: &str, method: &str, phone: &str) -> String {
        self.make("payments", json!({"invoice": invoice, "method": method, "payer_phone": phone})).await
    }
    pub async fn set_up(&self, settings: Json) {
        let body = json!({"settings": {"payments": settings}});
        self.owner.patch("/api/v1/companies/001/").json(&body).await.expect_status(200);
    }
    pub async fn callback(&self, provider: &str, body: Json) -> Answer {
        self.stranger.post(&format!("/api/v1/payments/providers/{provider}/callback/")).json(&body).await
    }
    /// Does the jobs that are due.
    pub async fn work(&self) -> usize {
        let mut runner = Runner::default();
        payments::register_jobs(&mut runner, &self.engine, &self.providers);
        let mut done = 0;
        loop {
            match runner.run_due(&self.kernel).await.expect("jobs can be claimed") {
                0 => return done,
                count => done += count,
            }
        }
    }
    /// The payloads of the company's events of this kind.
    pub async fn events(&self, kind: &'static str) -> Vec<Json> {
        let work = move |reader: &mut loopd_store::Reader<'_>| {
            let sql = "SELECT payload FROM events WHERE company_id = 1 AND kind = $1 ORDER BY position";
            let read = |row: &loopd_store::Row<'_>| Ok(row.json(0)?.to_owned());
            Ok(reader.query(sql, &loopd_store::params![kind], read)?)
        };
        let texts = self.kernel.db.read(loopd_store::View::System, work).await.expect("events can be read");
        texts.iter().map(|text| serde_json::from_str(text).expect("a payload is JSON")).collect()
    }
    /// `{account key: debit minus credit}` from the trial balance, which must balance in every currency.
    pub async fn trial_balance(&self) -> Vec<(String, String, i64)> {
        let answer = self.owner.get("/api/v1/payments/ledger/trial-balance/").await.expect_status(200).json();
        for currency in answer["currencies"].as_array().unwrap() {
            assert_eq!(currency["is_balanced"], true, "{answer:#}");
            assert_eq!(currency["debit"], currency["credit"]);
        }
        let rows = answer["accounts"].as_array().unwrap().iter();
        rows.map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("code"), text("currency"), minor(&row["balance"]))
        })
        .collect()
    }
    /// What an account holds in francs, by its number.
    pub async fn account(&self, code: &str) -> i64 {
        let rows = self.trial_balance().await;
        rows.iter().find(|(known, currency, _)| known == code && currency == "RWF").map_or(0, |row| row.2)
    }
}

/// Minor units of an amount on the wire: its digits without the point.
pub fn minor(value: &Json) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no amount"));
    text.replace('.', "").parse().unwrap_or_else(|_| panic!("{text} is no amount"))
}

/// Chance from a seed that a failure can show.
pub struct Dice(SeededRng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(SeededRng::new(seed))
    }
    pub fn below(&self, n: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % n
    }
    pub fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}
