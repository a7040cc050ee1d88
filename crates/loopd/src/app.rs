//! The whole wiring: settings → store → kernel → surfaces → edge. Reading this file tells what the server is made of.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use loopd_business::engine::{Engine, Registry};
use loopd_business::modules::{self, Ports, ai, payments};
use loopd_kernel::access::Door;
use loopd_kernel::advisor::Advisor;
use loopd_kernel::billing::{Collectors, collector};
use loopd_kernel::collection::Collection;
use loopd_kernel::mail::{self, Mailer};
use loopd_kernel::{Catalogue, Kernel, trace};
use loopd_pay::Pay;
use loopd_store::{Db, View, ddl, migrate};
use loopd_types::{Clock, OsRng, Rng, SystemClock};
use loopd_wave::Wave;
use loopd_web::{App, Metrics, Operation, Phase, mcp};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::secure::Secure;
use crate::settings::Settings;
use crate::{VERSION, health, service};

/// Time and chance; tests bring their own.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

impl Default for World {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), rng: Arc::new(OsRng) }
    }
}

/// A server that is ready to listen.
pub struct Server {
    pub app: App,
    pub kernel: Arc<Kernel>,
    pub engine: Engine,
    ports: Ports,
    mailer: Arc<dyn Mailer>,
    pub pay: Arc<Pay>,
    pub wave: Arc<Wave>,
    settings: Settings,
}

/// What modules reach the outside by, from the settings.
///
/// # Errors
/// A provider whose settings cannot be used.
pub fn ports(settings: &Settings, world: &World) -> anyhow::Result<Ports> {
    let advisor: Arc<dyn Advisor> = match &settings.ai {
        None => Arc::new(ai::Offline),
        Some(chosen) => Arc::new(
            ai::OpenAi::new(ai::OpenAiSettings {
                base_url: chosen.base_url.clone(),
                api_key: (!chosen.api_key.expose().is_empty()).then(|| chosen.api_key.clone()),
                model: chosen.model.clone(),
                timeout: settings.request_timeout.mul_f32(0.8),
            })
            .map_err(|problem| anyhow!("LOOP_AI_BASE_URL: {problem}"))?,
        ),
    };
    let asked = payments::Settings {
        mtn: settings.momo.clone(),
        airtel: settings.airtel.clone(),
        sandbox: settings.allows_sandbox(payments::SANDBOX),
    };
    let mobile_money =
        payments::Providers::new(asked, world.clock.clone()).map_err(|words| anyhow!("mobile money: {words}"))?;
    Ok(Ports { advisor, mobile_money })
}

/// What carries letters out of the house.
///
/// # Errors
/// A mail server whose settings cannot be used.
pub fn mailer(settings: &Settings) -> anyhow::Result<Arc<dyn Mailer>> {
    Ok(match &settings.smtp {
        Some(smtp) => Arc::new(mail::Smtp::new(smtp).map_err(|words| anyhow!(words))?),
        None => Arc::new(mail::Sandbox),
    })
}

/// What settles machine payments.
///
/// # Errors
/// Nodes or wallets that cannot be used.
pub fn pay(settings: &Settings) -> anyhow::Result<Arc<Pay>> {
    Pay::new(settings.pay.clone()).map_err(|words| anyhow!(words))
}

/// What reaches WhatsApp.
///
/// # Errors
/// Engines that this build does not have.
pub fn wave(settings: &Settings) -> anyhow::Result<Arc<Wave>> {
    Wave::with(settings.wave.clone(), linked_devices(settings)?).map_err(|words| anyhow!(words))
}

/// The engine that is built with the feature `whatsapp-web` alone.
#[cfg(feature = "whatsapp-web")]
fn linked_devices(settings: &Settings) -> anyhow::Result<Vec<Arc<dyn loopd_wave::engine::Engine>>> {
    let engine = loopd_whatsapp_web::Web::new(&settings.wave).map_err(|words| anyhow!(words))?;
    Ok(vec![Arc::new(loopd_whatsapp_web::Held(Arc::new(engine)))])
}

#[cfg(not(feature = "whatsapp-web"))]
fn linked_devices(_settings: &Settings) -> anyhow::Result<Vec<Arc<dyn loopd_wave::engine::Engine>>> {
    Ok(Vec::new())
}

/// The modules that are compiled in, and those of `LOOP_MODULES_DIR`.
///
/// # Errors
/// Every flaw, with file and line where there is one.
pub fn registry(settings: &Settings, ports: &Ports) -> anyhow::Result<Registry> {
    let mut all = modules::all_on(ports);
    if let Some(folder) = &settings.modules_dir {
        all.extend(modules::load(folder).map_err(|flaws| anyhow!("{}", lines(&flaws)))?);
    }
    Registry::build(all).map_err(|flaws| anyhow!("{}", lines(&flaws)))
}

fn lines<T: ToString>(flaws: &[T]) -> String {
    flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Opens the database, brings it up to date and wires everything; nothing listens yet.
///
/// # Errors
/// In words for the operator: settings, definitions, or a database that cannot be used.
pub async fn build(settings: Settings, world: World) -> anyhow::Result<Server> {
    make_folder(&settings)?;
    let (ports, mailer) = (ports(&settings, &world)?, mailer(&settings)?);
    let (pay, wave) = (pay(&settings)?, wave(&settings)?);
    let registry = Arc::new(registry(&settings, &ports)?);
    let db = Db::open(&settings.store()).await.map_err(|error| anyhow!("LOOP_DATABASE_URL: {error}"))?;
    migrate(&db, &registry, world.clock.as_ref()).await?;
    let kernel = kernel(&settings, &registry, db, &world)?;
    kernel.set_messenger(Arc::new(loopd_wave::notice::Waves(wave.clone())));
    loopd_kernel::app::seed(&kernel).await?;
    kernel.set_collection(Collection {
        collector: Arc::new(loopd_pay::collect::Till::new(pay.clone())),
        books: Arc::new(payments::Ledger::new(registry.clone())),
    });
    let engine = Engine::new(kernel.clone(), registry.clone());
    modules::install(&engine).await?;
    loopd_kernel::subscription::offer_new_products(&kernel).await?;
    let metrics = Arc::new(Metrics::default());
    let operations = operations(&settings, &kernel, &engine, &metrics, &pay, &wave);
    let app = App::with_metrics(kernel.clone(), settings.web(), operations, metrics).map_err(|words| anyhow!(words))?;
    Ok(Server { app, kernel, engine, ports, mailer, pay, wave, settings })
}

/// Makes the folder of the SQLite file, if it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(settings: &Settings) -> anyhow::Result<()> {
    if let Some(path) = settings.store().sqlite_path()
        && let Some(folder) = path.parent()
    {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    }
    Ok(())
}

/// Makes sure that one process alone serves this SQLite database: two would each hold caches that the other makes stale.
/// `None` on PostgreSQL, where several nodes are meant to share. The lock lasts as long as the file is held.
///
/// # Errors
/// When another process holds it.
pub fn lock_database(settings: &Settings) -> anyhow::Result<Option<std::fs::File>> {
    let Some(path) = settings.store().sqlite_path() else { return Ok(None) };
    make_folder(settings)?;
    let mut name = path.into_os_string();
    name.push(".lock");
    let file = std::fs::File::options().create(true).append(true).open(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(_) => Err(anyhow!("another loopd uses this database ({} is locked)", name.display())),
    }
}

/// Numbered migrations first, then the tables that follow from definitions.
///
/// # Errors
/// A newer schema, an altered migration, or a definition that would destroy data.
pub async fn migrate(db: &Db, registry: &Registry, clock: &dyn Clock) -> anyhow::Result<()> {
    migrate::run(db, clock).await?;
    let tables = registry.tables();
    let plan = plan_tables(db, tables.clone()).await?;
    if plan.statements.is_empty() && plan.refusals.is_empty() {
        return Ok(());
    }
    db.write_unlimited(move |tx| {
        // Planned again under the lock: another node may have been faster.
        tx.lock("module_tables")?;
        let plan = ddl::plan(tx, &tables)?;
        ddl::apply(tx, &plan)?;
        Ok(())
    })
    .await
    .map_err(|problem| anyhow!(problem.cause().unwrap_or(problem.message()).to_owned()))
}

/// What [`migrate`] would do to the modules' tables.
///
/// # Errors
/// The database's.
pub async fn plan_tables(db: &Db, tables: Vec<ddl::TableDef>) -> anyhow::Result<ddl::Plan> {
    db.read_long(View::System, move |reader| Ok(ddl::plan(reader, &tables)?))
        .await
        .map_err(|problem| anyhow!(problem.cause().unwrap_or(problem.message()).to_owned()))
}

/// The kernel over a migrated database.
///
/// # Errors
/// When the secret key cannot be kept, or Redis's URL cannot be read.
pub fn kernel(settings: &Settings, registry: &Registry, db: Db, world: &World) -> anyhow::Result<Arc<Kernel>> {
    let secret = settings.secret_key_or_make(world.rng.as_ref())?;
    let mut kernel_settings = loopd_kernel::Settings::new(settings.environment, secret.expose().clone());
    kernel_settings.internal_key = settings.internal_key.clone();
    kernel_settings.rate_limits = settings.rate_limits;
    kernel_settings.files = settings.files.clone();
    kernel_settings.redis_url = settings.redis_url.clone();
    kernel_settings.trace = settings.trace.clone();
    kernel_settings.retention = settings.retention;
    kernel_settings.egress.allow = settings.egress_allow.clone();
    kernel_settings.event_streams = settings.event_streams;
    kernel_settings.event_streams_total = settings.event_streams_total;
    if settings.environment.is_production() && !settings.egress_allow.is_empty() {
        tracing::warn!(hosts = ?settings.egress_allow, "webhooks may lead to these hosts in the own network (LOOP_EGRESS_ALLOW)");
    }
    kernel_settings.webhook_schemes.add(loopd_pay::webhook::SCHEME, Arc::new(loopd_pay::webhook::Loomal));
    kernel_settings.webhook_schemes.add(loopd_wave::event::SCHEME, Arc::new(loopd_wave::event::Loopwave));
    kernel_settings.mail = settings.mail();
    kernel_settings.public_url = settings.public_url();
    kernel_settings.passkey_origins = settings.passkey_origins();
    if let Some(memory) = settings.password_memory_kib {
        kernel_settings.password_memory_kib = memory;
    }
    let mut products = registry.products(VERSION);
    products.push(loopd_pay::product(VERSION));
    products.push(loopd_wave::product(VERSION));
    let catalogue = Catalogue::new(products);
    let kernel = Kernel::new(db, world.clock.clone(), world.rng.clone(), kernel_settings, catalogue)?;
    kernel.set_people_columns(registry.people_columns());
    let mut personal = registry.personal_records();
    personal.extend(loopd_wave::personal::records());
    kernel.set_personal_records(personal);
    if settings.allows_sandbox(collector::SANDBOX) {
        kernel.set_collectors(Collectors::sandbox());
    }
    Ok(kernel)
}

/// The surfaces with keys of their own, which open `/mcp` as well.
const DOORS: &[&Door] = &[&loopd_pay::project::DOOR, &loopd_wave::key::DOOR];

/// Every operation of every surface.
pub fn operations(
    settings: &Settings,
    kernel: &Arc<Kernel>,
    engine: &Engine,
    metrics: &Arc<Metrics>,
    pay: &Arc<Pay>,
    wave: &Arc<Wave>,
) -> Vec<Operation> {
    let mut all = documented(settings, &engine.registry, pay, wave);
    all.extend(service::metrics(settings, kernel, metrics));
    all
}

/// The operations that need nothing but definitions to be declared: what the OpenAPI document is made of.
pub fn documented(settings: &Settings, registry: &Arc<Registry>, pay: &Arc<Pay>, wave: &Arc<Wave>) -> Vec<Operation> {
    let mut all = loopd_business::account::operations();
    loopd_business::account::describe_settings(&mut all, registry.modules());
    all.extend(loopd_business::http::operations(registry));
    all.extend(loopd_wave::operations(wave));
    all.extend(loopd_pay::operations(pay));
    all.extend(health::operations(settings));
    let pages = service::pages(settings, registry, &all);
    let definitions = registry.clone();
    let tools = mcp::operations(&all, move || service::components(&definitions), DOORS);
    all.extend(pages);
    all.extend(tools);
    all
}

impl Server {
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Serves on `listener` until `shutdown` resolves; background work stops with it.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        self.serve_with(Doors { main: listener, secure: None, redirect: None }, shutdown).await;
    }

    /// As [`Server::serve`], with TLS and a listener for clear text where the settings want them.
    pub async fn serve_with(self, doors: Doors, shutdown: impl Future<Output = ()>) {
        let lifecycle = self.app.lifecycle().clone();
        let (stop, stopped) = watch::channel(false);
        if let Err(problem) = loopd_kernel::billing::calls::prepare(&self.kernel).await {
            tracing::warn!(cause = problem.cause(), "the meters of calls could not be made");
        }
        let background =
            service::background(&self.engine, &self.ports, &self.mailer, &self.pay, &self.wave, stopped.clone());
        let mut beside = tokio::task::JoinSet::new();
        if let Some(address) = self.settings.metrics_listen {
            beside.spawn(service::serve_metrics(address, self.app.clone(), stopped.clone()));
        }
        if let Some(listener) = doors.redirect {
            let port = doors.main.local_addr().map_or(443, |address| address.port());
            let ending = lifecycle.reached(Phase::Ending);
            beside.spawn(loopd_web::serve::redirect(self.app.clone(), listener, port, ending));
        }
        let tls = doors.secure.map(|secure| {
            let tls = secure.tls.clone();
            beside.spawn(secure.keep(stopped));
            tls
        });
        // Until the very end, for the spans of the last requests.
        let (end_traces, traces_ended) = watch::channel(false);
        let traces = self.kernel.take_spans().zip(self.settings.trace.clone()).map(|(spans, settings)| {
            let tracer = self.kernel.tracer.clone();
            tokio::spawn(trace::export::run(tracer, spans, settings, VERSION, traces_ended))
        });
        if let Some(Err(words)) = self.kernel.limits.ping().await {
            tracing::warn!(words, "LOOP_REDIS_URL does not answer; each node counts rate limits alone until it does");
        }
        let serving = loopd_web::serve::run_with(self.app.clone(), doors.main, tls, shutdown);
        let finishing = async {
            lifecycle.reached(Phase::Ending).await;
            // Jobs are claimed no more while the last requests are answered, and have as long as they have.
            let _ = stop.send(true);
            let out_of_time = tokio::time::sleep(self.settings.shutdown_timeout);
            background
                .finish(async {
                    tokio::select! {
                        () = out_of_time => {}
                        () = lifecycle.reached(Phase::Cut) => {}
                    }
                })
                .await;
        };
        tokio::join!(serving, finishing);
        let ended = async { while beside.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS, ended).await;
        let _ = end_traces.send(true);
        if let Some(task) = traces {
            let _ = tokio::time::timeout(LAST_WORDS, task).await;
        }
        if let Err(problem) = self.kernel.flush_usage().await {
            tracing::warn!(cause = problem.cause(), "when keys were last used could not be written");
        }
        // What could not be written is in the log.
        let _ = self.kernel.flush_refusals(true).await;
        if let Err(problem) = self.kernel.flush_calls().await {
            tracing::warn!(cause = problem.cause(), "the last calls could not be counted");
        }
        self.kernel.db.close().await;
    }
}

/// How long the listeners beside the main one may take to close.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where a server listens.
pub struct Doors {
    pub main: TcpListener,
    pub secure: Option<Secure>,
    /// For clear text, when the main one speaks TLS.
    pub redirect: Option<TcpListener>,
}
