//! The service pages and operators' endpoints: schema, portal, assets, metrics; and the background work of one process.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use loopd_business::engine::{Engine, Registry};
use loopd_business::modules::{self, Ports};
use loopd_kernel::mail::{self, Mailer};
use loopd_kernel::{Kernel, Presented, file, job, transfer, webhook};
use loopd_pay::{Pay, settlement};
use loopd_types::{Problem, Result, SECOND_US};
use loopd_wave::Wave;
use loopd_web::operation::{Access, RateClass};
use loopd_web::{Call, Content, Metrics, Operation, Param, Reply, ResponseDoc, Surface, openapi, schema, yaml};
use serde_json::Value;
use tokio::sync::watch;

use crate::account;
use crate::portal::{self, Document, PortalInfo, Viewer};
use crate::settings::Settings;
use crate::{VERSION, forms, pay_page, portal_info};

/// `/metrics` on the main port: in development for everyone on it, in production for whoever shows the token.
pub fn metrics(settings: &Settings, kernel: &Arc<Kernel>, metrics: &Arc<Metrics>) -> Option<Operation> {
    let token = settings.metrics_token.clone();
    if settings.metrics_listen.is_some() || (token.is_none() && settings.environment.is_production()) {
        return None;
    }
    let (kernel, metrics) = (kernel.clone(), metrics.clone());
    let operation = Operation::get("metrics", "/metrics", move |call: Call| {
        let shown = call.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let allowed = token.as_ref().is_none_or(|token| shown.is_some_and(|shown| token.matches(shown.as_bytes())));
        let text = allowed.then(|| metrics_text(&kernel, &metrics));
        async move { Ok(Reply::text(200, text.ok_or_else(Problem::not_found)?)) }
    });
    Some(operation.rate(RateClass::Unlimited).undocumented())
}

fn metrics_text(kernel: &Kernel, metrics: &Metrics) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(8 * 1024);
    metrics.render(&mut out);
    let stats = kernel.db.stats();
    for (name, kind, help, value) in [
        ("loopd_db_queued", "gauge", "Calls that wait for the writer or a connection.", stats.queued),
        ("loopd_db_busy", "gauge", "Transactions being run.", stats.busy),
        ("loopd_db_connections", "gauge", "Open connections.", stats.connections),
        ("loopd_db_commits_total", "counter", "Commits; on SQLite one for a whole batch.", stats.commits),
        ("loopd_db_writes_total", "counter", "Write transactions that were committed.", stats.writes),
        ("loopd_db_rollbacks_total", "counter", "Write transactions that were refused.", stats.rollbacks),
        ("loopd_db_reads_total", "counter", "Reads answered.", stats.reads),
        ("loopd_db_retries_total", "counter", "Transactions run again after a conflict.", stats.retries),
        (
            "loopd_db_wait_timeouts_total",
            "counter",
            "Calls refused because waiting took too long.",
            stats.wait_timeouts,
        ),
        ("loopd_db_failures_total", "counter", "Failures of the database itself.", stats.failures),
        ("loopd_db_refusing", "gauge", "1 while the database keeps nothing that is written.", stats.refusing),
    ] {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    if let Some(counts) = kernel.tracer.counts() {
        use std::sync::atomic::Ordering::Relaxed;
        for (name, help, value) in [
            ("loopd_trace_spans_sent_total", "Spans that the collector took.", counts.sent.load(Relaxed)),
            (
                "loopd_trace_spans_lost_total",
                "Spans that it did not take, or that there was no room for.",
                counts.lost.load(Relaxed),
            ),
        ] {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}");
        }
    }
    let _ = writeln!(
        out,
        "# HELP loopd_build_info The version that runs.\n# TYPE loopd_build_info gauge\nloopd_build_info{{version=\"{VERSION}\"}} 1"
    );
    out
}

/// Serves `/metrics` on its own address, so that it cannot be exposed with the API by accident.
pub async fn serve_metrics(address: SocketAddr, app: loopd_web::App, mut stop: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%address, %error, "LOOP_METRICS_LISTEN cannot be listened on"),
    };
    let (kernel, metrics) = (app.kernel().clone(), app.metrics().clone());
    let operation = Operation::get("metrics", "/metrics", move |_| {
        let text = metrics_text(&kernel, &metrics);
        async move { Ok(Reply::text(200, text)) }
    })
    .rate(RateClass::Unlimited)
    .undocumented();
    match loopd_web::App::new(app.kernel().clone(), app.settings().clone(), vec![operation]) {
        Ok(own) => {
            loopd_web::serve::run(own, listener, async move { drop(stop.wait_for(|stopped| *stopped).await) }).await
        }
        Err(words) => tracing::error!(words, "the metrics listener cannot start"),
    }
}

/// The OpenAPI document of LOOP, from the operations that are served; of all of them, or of one [`part`] without what only the others
/// need.
pub fn openapi_document(base_url: &str, registry: &Registry, operations: &[Operation], only: Option<&str>) -> Value {
    let tags = registry.modules().iter().map(|module| (module.slug.clone(), module.description.clone())).collect();
    let document = openapi::Document {
        title: "LOOP API".to_owned(),
        version: VERSION.to_owned(),
        description: "One account, company, workspace, role, billing and product subscription foundation under every business module. \
            Send `Authorization: Bearer <access_token>` (or `X-LOOP-API-KEY` from a server) and `X-Company-ID`."
            .to_owned(),
        servers: vec![base_url.to_owned()],
        tags,
        schemas: components(registry),
    };
    let all = operations.iter().filter(|operation| Surface::of(&operation.path) == Surface::Loop);
    match only {
        None => openapi::assemble(Surface::Loop, &document, all),
        Some(only) => {
            let some = all.filter(|operation| part(registry, operation) == only);
            openapi::without_unused(openapi::assemble(Surface::Loop, &document, some))
        }
    }
}

/// The part of LOOP that an operation belongs to: a module's or a sibling product's slug, or [`portal::CORE`].
fn part<'o>(registry: &Registry, operation: &'o Operation) -> &'o str {
    let tag = operation.tag.as_str();
    let is_product = registry.modules().iter().any(|module| module.slug == tag) || portal::is_sibling(tag);
    if is_product { tag } else { portal::CORE }
}

/// Every schema that operations refer to.
pub fn components(registry: &Registry) -> BTreeMap<String, Value> {
    let mut all = loopd_business::account::components();
    all.extend(loopd_business::http::schemas(registry));
    all.extend(loopd_pay::manage::components());
    all.extend(loopd_wave::components());
    all
}

/// The portal's pages and the schema, over everything else that is served.
pub fn pages(settings: &Settings, registry: &Arc<Registry>, operations: &[Operation]) -> Vec<Operation> {
    let base_url = settings.public_url();
    let paid = pay_page::operations(registry);
    let registry = registry.clone();
    // The document describes these pages too, so it can only be written when they are there.
    let served: Arc<OnceLock<Vec<Operation>>> = Arc::default();
    let info = portal_info::describe(settings, &registry, served.clone());
    let described = served.clone();
    let rendered = Mutex::new(BTreeMap::<Option<String>, (Rendered, Rendered)>::new());
    let document = Arc::new(move |only: Option<&str>| -> Result<(Rendered, Rendered)> {
        let is_part = |name: &str| {
            name == portal::CORE || portal::is_sibling(name) || registry.modules().iter().any(|it| it.slug == name)
        };
        if !only.is_none_or(is_part) {
            return Err(Problem::not_found());
        }
        let mut rendered = rendered.lock().unwrap_or_else(PoisonError::into_inner);
        let made = rendered.entry(only.map(str::to_owned)).or_insert_with(|| {
            let operations = described.get().map_or(&[][..], Vec::as_slice);
            let document = openapi_document(&base_url, &registry, operations, only);
            (Rendered::new(document.to_string()), Rendered::new(yaml::render(&document)))
        });
        Ok(made.clone())
    });
    let page = |id: &str, path: &str, summary: &str, make: fn(&PortalInfo, &Call) -> Result<Document>| {
        let info = info.clone();
        Operation::get(id, path, move |call: Call| {
            let made = make(&info, &call).and_then(reply);
            async move { made }
        })
        .tag("service")
        .summary(summary)
        .rate(RateClass::Unlimited)
    };
    let html = || ResponseDoc::empty(200, "The page.").with(Content::of("text/html", schema::string()));
    let staff_info = info.clone();
    let mailbox = account::mailbox(settings, &info);
    let pages = vec![
        root(operations),
        page("portal", "/", "Developer portal", |info, call| {
            portal::front(info, call.query().get("format")).ok_or_else(Problem::not_found)
        })
        .param(Param::query("format", schema::one_of(["json"])))
        .response(html().with(Content::json(schema::free_object())))
        .responds(404, "No such format.", schema::component("Error")),
        Operation::get("developers", "/api/developers/", move |call: Call| {
            let info = staff_info.clone();
            async move {
                let viewer = if is_staff(&call).await { Viewer::Staff } else { Viewer::Anyone };
                reply(portal::developers(&info, viewer))
            }
        })
        .tag("service")
        .summary("Developer reference")
        .rate(RateClass::Unlimited)
        .response(html()),
        page("docs", "/api/docs/", "Swagger UI", |info, _| Ok(portal::swagger(info))).response(html()),
        page("redoc", "/api/redoc/", "ReDoc", |info, _| Ok(portal::redoc(info))).response(html()),
        page("assets", "/api/assets/", "Brand files", |info, call| Ok(portal::assets(info, call.header("accept"))))
            .response(html().with(Content::json(schema::any()))),
        page("assets_file", "/api/assets/{*path}", "A brand file", |_, call| file(call, call.param("path")))
            .undocumented(),
        page("favicon", "/favicon.ico", "The icon that browsers ask for", |_, call| file(call, "favicon.ico"))
            .undocumented(),
        Operation::get("schema", "/api/schema/", move |call: Call| {
            let made = document(call.query().get("module"));
            async move {
                let (json, yaml) = made?;
                schema_reply(&call, json, yaml)
            }
        })
        .tag("service")
        .summary("This document")
        .rate(RateClass::Unlimited)
        .param(Param::query("format", schema::one_of(["json", "yaml"])))
        .param(Param::query("module", schema::string()).describe(
            "Only the operations of this module, or of `core`, the foundation under all of them, and the schemas that they need.",
        ))
        .response(
            ResponseDoc::empty(200, "OpenAPI 3.1.")
                .with(Content::of("application/vnd.oai.openapi", schema::string()))
                .with(Content::of("application/vnd.oai.openapi+json", schema::any()))
                .with(Content::of("application/yaml", schema::string()))
                .with(Content::json(schema::any())),
        )
        .responds(404, "No such format or module.", schema::component("Error")),
    ];
    let pages: Vec<Operation> =
        pages.into_iter().chain(account::operations()).chain(forms::operations()).chain(paid).chain(mailbox).collect();
    let _ = served.set(operations.iter().chain(&pages).map(described_only).collect());
    pages
}

/// The base of the API itself: the collections that there are and where they lie (spec/loop.md 4.2).
fn root(operations: &[Operation]) -> Operation {
    const BASE: &str = "/api/v1/";
    let collections: BTreeSet<String> = operations
        .iter()
        .filter(|it| it.method == Method::GET && Surface::of(&it.path) == Surface::Loop && !it.path.contains('{'))
        .filter_map(|it| Some((it.path.strip_prefix(BASE)?.trim_end_matches('/'), &it.access)))
        // What lies right here is the platform's, and behind a module's name its records.
        .filter(|(path, access)| match path.split('/').count() {
            1 => true,
            2 => matches!(access, Access::Tenant { .. } | Access::Union { .. }),
            _ => false,
        })
        .map(|(path, _)| path.to_owned())
        .collect();
    let collections = Arc::new(collections);
    Operation::get("api_root", BASE, move |call: Call| {
        let (collections, base) = (collections.clone(), call.base_url());
        async move {
            let all: BTreeMap<&str, String> =
                collections.iter().map(|path| (path.as_str(), format!("{base}{BASE}{path}/"))).collect();
            Reply::json(200, &all)
        }
    })
    .tag("service")
    .summary("Where every collection lies")
    .rate(RateClass::Unlimited)
    .response(ResponseDoc::empty(200, "Addresses, by what they are called.").with(Content::json(schema::free_object())))
}

/// The operation without its handler: a page that held its own handler would never be freed.
fn described_only(operation: &Operation) -> Operation {
    let mut described = operation.clone();
    described.handler = Arc::new(|_| Box::pin(async { Err(Problem::not_found()) }));
    described
}

fn file(call: &Call, path: &str) -> Result<Document> {
    portal::assets::serve(path, call.header("accept-encoding"), call.header("if-none-match"))
        .ok_or_else(Problem::not_found)
}

pub(crate) fn reply(document: Document) -> Result<Reply> {
    let mut reply = Reply::bytes(document.status, "application/octet-stream", document.body.into_owned());
    for (name, value) in document.headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(Problem::internal)?;
        reply = reply.with_header(name, &value);
    }
    Ok(reply)
}

/// A document as it goes out, plain and compressed, and the tag by which clients know that they have it.
#[derive(Clone)]
struct Rendered {
    bytes: Bytes,
    packed: Bytes,
    tag: String,
}

impl Rendered {
    fn new(text: String) -> Self {
        let tag = loopd_types::sha256_hex(text.as_bytes())[..16].to_owned();
        Self { packed: loopd_web::gzip_small(text.as_bytes()), bytes: text.into(), tag }
    }
}

/// YAML unless JSON is asked for (drf-spectacular's habit, spec/loop.md 4.10).
fn schema_reply(call: &Call, json: Rendered, yaml: Rendered) -> Result<Reply> {
    let accept = call.header("accept").unwrap_or_default();
    let wants_json = match call.query().get("format") {
        Some("json") => true,
        Some("yaml") => false,
        Some(_) => return Err(Problem::not_found()),
        None => accept.contains("json"),
    };
    let (content_type, name, body) = if wants_json {
        let content_type = if accept.contains("vnd.oai.openapi+json") {
            "application/vnd.oai.openapi+json"
        } else {
            "application/json"
        };
        (content_type, "LOOP API.json", json)
    } else {
        let content_type =
            if accept.contains("application/yaml") { "application/yaml" } else { "application/vnd.oai.openapi" };
        (content_type, "LOOP API.yaml", yaml)
    };
    // The compressed twin is another representation, so it has another tag (RFC 9110, 8.8.3).
    let is_packed = loopd_web::accepts_gzip(call.header("accept-encoding"));
    let tag = if is_packed { format!("{}-gzip", body.tag) } else { body.tag };
    let reply = match (loopd_web::names_tag(call.header("if-none-match"), &tag), is_packed) {
        (true, _) => Reply { status: http::StatusCode::NOT_MODIFIED, ..Reply::no_content() },
        (false, true) => {
            Reply::bytes(200, content_type, body.packed).with_header(http::header::CONTENT_ENCODING, "gzip")
        }
        (false, false) => Reply::bytes(200, content_type, body.bytes),
    };
    Ok(reply
        .with_etag(&tag)
        .with_header(http::header::VARY, "Accept, Accept-Encoding")
        .with_header(http::header::CONTENT_DISPOSITION, &format!("inline; filename=\"{name}\""))
        .with_header(http::header::CACHE_CONTROL, "no-cache"))
}

/// The tasks of one process beside answering.
pub struct Background {
    kernel: Arc<Kernel>,
    runner: job::Runner,
    tasks: tokio::task::JoinSet<()>,
}

/// How often keys' last use is written, and how often old rows are swept.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
const SWEEP_EVERY_US: i64 = 600 * SECOND_US;

/// Starts the job runner and the sweeps.
pub fn background(
    engine: &Engine,
    ports: &Ports,
    mailer: &Arc<dyn Mailer>,
    pay: &Arc<Pay>,
    wave: &Arc<Wave>,
    stop: watch::Receiver<bool>,
) -> Background {
    let kernel = engine.kernel.clone();
    let mut runner = job::Runner::default();
    modules::register_jobs_on(&mut runner, engine, ports);
    loopd_kernel::seal::register(&mut runner);
    runner.register(file::JOB, Arc::new(|kernel, _| Box::pin(async move { file::sweep(&kernel).await.map(drop) })));
    mail::register_jobs(&mut runner, mailer.clone());
    loopd_kernel::billing::register_jobs(&mut runner);
    webhook::register(&mut runner);
    transfer::register(&mut runner, engine.registry.tables());
    loopd_kernel::invitation::register(&mut runner);
    loopd_kernel::account::register_jobs(&mut runner);
    loopd_kernel::erasure::register(&mut runner);
    loopd_pay::mandate::register_jobs(&mut runner, pay.clone());
    loopd_wave::register_jobs(&mut runner, wave);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(runner.clone().run(kernel.clone(), stop.clone()));
    tasks.spawn(webhook::dispatch::run(kernel.clone(), stop.clone()));
    tasks.spawn(settlement::keep(pay.clone(), kernel.clone(), stop.clone()));
    tasks.spawn(loopd_pay::analytics::keep(pay.clone(), kernel.clone(), stop.clone()));
    tasks.spawn(loopd_wave::broadcast::run(wave.clone(), kernel.clone(), stop.clone()));
    tasks.spawn(loopd_wave::outgoing::run(wave.clone(), kernel.clone(), stop.clone()));
    tasks.spawn(loopd_wave::presence::run(kernel.clone(), stop.clone()));
    tasks.spawn(loopd_wave::assign::work::run(kernel.clone(), stop.clone()));
    tasks.spawn(loopd_wave::search::index::run(kernel.clone(), stop.clone()));
    tasks.spawn(loopd_wave::engine::sandbox::life::run(wave.clone(), kernel.clone(), stop.clone()));
    tasks.spawn(loopd_wave::engine::run(wave.clone(), kernel.clone(), stop.clone()));
    tasks.spawn(sweep(kernel.clone(), stop));
    Background { kernel, runner, tasks }
}

impl Background {
    /// Waits until every task has ended, or until `given_up`; then ends them, and gives back the jobs that were not finished.
    pub async fn finish(mut self, given_up: impl Future<Output = ()>) {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => {}
            () = given_up => tracing::warn!("some jobs did not end in time; they are done again after the next start"),
        }
        self.tasks.shutdown().await;
        if let Err(problem) = self.runner.release(&self.kernel).await {
            tracing::warn!(cause = problem.cause(), "jobs could not be given back; their leases run out by themselves");
        }
    }
}

async fn sweep(kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    let mut next_sweep = kernel.now();
    while !*stop.borrow() {
        // Finds out when a full disk has room again, whether or not anybody asks for the health.
        kernel.db.keeps_writes().await;
        if let Err(problem) = kernel.flush_usage().await {
            tracing::warn!(cause = problem.cause(), "when keys were last used could not be written");
        }
        // What could not be written is in the log.
        let _ = kernel.flush_refusals(false).await;
        if let Err(problem) = kernel.flush_calls().await {
            tracing::warn!(cause = problem.cause(), "calls could not be counted; the next time tries again");
        }
        if let Err(problem) = loopd_kernel::billing::usage::count_all(&kernel).await {
            tracing::warn!(cause = problem.cause(), "usage could not be counted");
        }
        if kernel.now() >= next_sweep {
            next_sweep = kernel.now().plus(SWEEP_EVERY_US);
            loopd_kernel::retention::sweep(&kernel, &loopd_business::engine::RETENTION, || !*stop.borrow()).await;
            for (what, outcome) in [
                ("exports", transfer::sweep(&kernel).await),
                ("files", file::sweep(&kernel).await.map(|count| count as u64)),
            ] {
                if let Err(problem) = outcome {
                    tracing::warn!(what, cause = problem.cause(), "a sweep failed");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(FLUSH_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Whether these headers name a staff member; for pages that show more to staff.
async fn is_staff(call: &Call) -> bool {
    let presented = Presented { api_key: None, authorization: call.header("authorization") };
    match call.kernel.authenticate(presented, call.caller.origin.clone()).await {
        Ok(caller) => caller.user().is_some_and(|user| user.is_staff || user.is_superuser),
        Err(_) => false,
    }
}
