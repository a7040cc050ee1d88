//! The test's server: a handful of operations that do nothing but show what the edge does around them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loopd_kernel::account::{self, Registration};
use loopd_kernel::{Catalogue, Environment, Kernel, Origin, Product, counter};
use loopd_store::{Db, View};
use loopd_testkit::{Boot, Client, Database, json};
use loopd_types::{ManualClock, OsRng, Problem, Result, Timestamp};
use loopd_web::{
    App, Call, Claimed, Content, Operation, PageWriter, Param, RateClass, Reply, ResponseDoc, Schema as _, page,
    schema, serve,
};
use tokio::sync::Mutex;

pub struct Edge {
    pub address: SocketAddr,
    pub app: App,
    pub kernel: Arc<Kernel>,
    /// How often the operation with outside effects did its work.
    pub outside: Arc<AtomicUsize>,
    /// How often the slow write was begun.
    pub begun: Arc<AtomicUsize>,
    /// What became of streams and uploads, one word after the other.
    pub heard: Mutex<tokio::sync::mpsc::UnboundedReceiver<String>>,
    stop: tokio::sync::watch::Sender<bool>,
    _database: Database,
}

impl Boot for Edge {
    const NAME: &'static str = "edge";

    async fn prepare(database: &Database) {
        let db = Db::open(database.config()).await.expect("an empty database opens");
        let clock = ManualClock::at(NOW);
        loopd_store::migrate::run(&db, &clock).await.expect("an empty database can be migrated");
        db.close().await;
    }

    async fn boot(database: Database) -> Self {
        Self::with(database, |_| {}).await
    }

    async fn close(self) {
        self.stop.send_replace(true);
        self.kernel.db.close().await;
    }
}

/// More bytes than a socket's buffers hold.
pub const LARGE: usize = 8 * 1024 * 1024;

pub const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

impl Edge {
    pub async fn with(database: Database, tune: impl FnOnce(&mut loopd_web::Settings)) -> Self {
        let db = Db::open(database.config()).await.expect("the database opens");
        let mut settings = loopd_kernel::Settings::new(Environment::Development, "x".repeat(40));
        settings.password_memory_kib = 64;
        let product = |slug: &str| Product {
            slug: slug.into(),
            name: slug.into(),
            description: String::new(),
            resources: Vec::new(),
            actions: Vec::new(),
            version: "1".into(),
            settings: None,
        };
        let catalogue = Catalogue::new(vec![product("booking")]);
        let clock = Arc::new(ManualClock::at(NOW));
        let kernel = Kernel::new(db, clock, Arc::new(OsRng), settings, catalogue).expect("a kernel");
        let mut settings = loopd_web::Settings {
            header_timeout: Duration::from_millis(300),
            shutdown_timeout: Duration::from_secs(2),
            trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
            allowed_origins: vec!["https://app.example.com".into()],
            ..loopd_web::Settings::default()
        };
        tune(&mut settings);
        let (outside, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (tell, heard) = tokio::sync::mpsc::unbounded_channel();
        let mut all = operations(outside.clone(), begun.clone());
        all.extend(crate::streams::operations(&tell));
        all.extend(crate::mcp::operations());
        let tools = loopd_web::mcp::operations(&all, std::collections::BTreeMap::new, &[]);
        all.extend(tools);
        let app = App::new(kernel.clone(), settings, all).expect("operations do not collide");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (stop, mut stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(serve::run(app.clone(), listener, async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
        Self { address, app, kernel, outside, begun, heard: Mutex::new(heard), stop, _database: database }
    }

    pub fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address))
    }

    /// The next word of a stream or an upload.
    pub async fn hear(&self) -> String {
        let next = async { self.heard.lock().await.recv().await.expect("operations live as long as the edge") };
        tokio::time::timeout(Duration::from_secs(10), next).await.expect("something is heard")
    }

    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// A user with a company of their own: access token and the company's code.
    pub async fn member(&self, name: &str) -> (String, String) {
        let body = json!({
            "email": format!("{name}@example.com"), "username": name, "password": "strongpass123", "company_name": name,
        });
        let registration = Registration::parse(&self.kernel, body).await.expect("a valid registration");
        let kernel = self.kernel.clone();
        let origin = Origin {
            address: self.address.ip(),
            request_id: "test".into(),
            app_id: None,
            user_agent: None,
            impersonator: None,
        };
        let registered = self
            .kernel
            .db
            .write(View::System, move |tx| account::register(tx, &kernel, &registration, &origin))
            .await
            .expect("a registration succeeds");
        (registered.tokens.access, registered.company.company.code().to_string())
    }
}

fn operations(outside: Arc<AtomicUsize>, begun: Arc<AtomicUsize>) -> Vec<Operation> {
    let id = || schema::object([("n", schema::integer())]).required(["n"]);
    vec![
        Operation::get("open_get", "/api/v1/open/", |call| async move {
            let data = json!({"n": 1, "address": call.caller.origin.address.to_string(), "url": call.url()});
            Reply::json(200, &data)
        })
        .summary("Open to all")
        .tag("open")
        .responds(200, "One.", schema::free_object()),
        Operation::post("open_post", "/api/v1/open/", |call| async move {
            let body = call.json()?;
            call.commit(View::System, move |_| Reply::json(201, &body)).await
        })
        .summary("Echo")
        .tag("open")
        .body(schema::free_object())
        .responds(201, "The same.", schema::free_object()),
        Operation::get("open_one", "/api/v1/open/{id}/", |call| async move {
            Reply::json(200, &json!({"id": call.id()?.to_string()}))
        })
        .summary("By id")
        .responds(200, "One.", schema::free_object()),
        Operation::get("pages_list", "/api/v1/pages/", |call| async move { pages(&call) })
            .summary("Seven numbers")
            .param(Param::query("page", schema::integer_between(1, 1000)))
            .param(Param::query("page_size", schema::integer_between(1, 100)))
            .response(
                ResponseDoc::json(200, "A page.", schema::paginated(schema::integer()))
                    .with(Content::of("text/csv", schema::string())),
            ),
        Operation::get("panics", "/api/v1/panics/", |_| async move { panic!("a secret cause") })
            .summary("Panics")
            .responds_empty(204, "Never."),
        Operation::post("panics_post", "/api/v1/panics/", |_| async move { panic!("a secret cause") })
            .summary("Panics")
            .responds_empty(204, "Never."),
        Operation::get("slow", "/api/v1/slow/", |_| async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(Reply::no_content())
        })
        .summary("Takes long")
        .timeout(Duration::from_millis(50))
        .responds_empty(204, "Never."),
        Operation::get("patient", "/api/v1/patient/", |_| std::future::pending::<Result<Reply>>())
            .summary("Takes as long as it may")
            // Else floods would be refused by the budget of their address, one answer for each request.
            .rate(RateClass::Unlimited)
            .undocumented(),
        Operation::post("small", "/api/v1/small/", |call| async move {
            Reply::json(200, &json!({"bytes": call.body.len()}))
        })
        .summary("Small bodies only")
        .without_effect()
        .max_body(64)
        .accepts(true, Content::of("*/*", schema::any()))
        .responds(200, "Its size.", schema::free_object()),
        Operation::get("broken", "/api/v1/broken/", |_| async move {
            Err(Problem::internal("password=hunter2 in a cause"))
        })
        .summary("A fault")
        .responds_empty(204, "Never."),
        Operation::post("auth", "/api/v1/auth/try/", |_| async move { Ok(Reply::no_content()) })
            .summary("Sign in")
            .without_effect()
            .rate(RateClass::Auth)
            .responds_empty(204, "Done."),
        Operation::get("whoami", "/api/v1/whoami/", |call| async move {
            let user = call.caller.require_user()?;
            Reply::json(200, &json!({"email": user.email, "auth": call.caller.auth_word()}))
        })
        .summary("Who am I")
        .authenticated()
        .responds(200, "Me.", schema::free_object()),
        Operation::get("tenant_get", "/api/v1/booking/things/", |call| async move {
            let codes: Vec<&str> = call.scope()?.iter().map(|tenant| tenant.code()).collect();
            Reply::json(200, &json!({"companies": codes, "union": call.is_union()}))
        })
        .summary("Which companies")
        .union(Some("booking"), "booking.things.view")
        .responds(200, "Codes.", schema::free_object()),
        Operation::post("tenant_post", "/api/v1/booking/things/", |call| async move { count(&call).await })
            .summary("Counts up")
            .tenant(Some("booking"), "booking.things.create")
            .optional_body(schema::free_object())
            .responds(201, "The number.", id()),
        Operation::post("unknown_product", "/api/v1/chess/games/", |call| async move { count(&call).await })
            .summary("Nobody has this")
            .tenant(Some("chess"), "chess.games.create")
            .responds(201, "The number.", id()),
        Operation::get("superuser_get", "/api/v1/all/", |_| async move { Ok(Reply::no_content()) })
            .summary("Superusers only")
            .superuser()
            .responds_empty(204, "Fine."),
        Operation::post("forgetful", "/api/v1/booking/forgetful/", |_| async move { Ok(Reply::no_content()) })
            .summary("Forgets to commit")
            .tenant(None, "booking.things.create")
            .responds_empty(204, "Never with a key."),
        Operation::post("outside", "/api/v1/booking/outside/", move |call| {
            let outside = outside.clone();
            async move { work_outside(&call, &outside).await }
        })
        .summary("Effects elsewhere")
        .tenant(None, "booking.things.create")
        .responds(201, "The number.", id()),
        Operation::post("slow_write", "/api/v1/booking/slow/", move |call| {
            begun.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                count(&call).await
            }
        })
        .summary("Writes after a while")
        .tenant(None, "booking.things.create")
        .responds(201, "The number.", id()),
        Operation::get("events", "/api/v1/stream/", |_| async move {
            Ok(Reply::events(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>()))
        })
        .summary("Never ends")
        .undocumented(),
        Operation::get("large", "/api/v1/large/", |_| async move {
            Reply::json(200, &json!({"text": "0123456789abcdef".repeat(LARGE / 16)}))
        })
        .summary("Large")
        .undocumented(),
        Operation::get("wave", "/api/v1/chats", |_| async move { Err(Problem::not_authenticated()) })
            .summary("Loopwave's")
            .undocumented(),
        Operation::get("page_html", "/", |_| async move { Ok(Reply::html(200, "<p>Hello</p>")) })
            .summary("Home")
            .response(ResponseDoc::empty(200, "The page.").with(Content::of("text/html", schema::string()))),
    ]
}

/// Counts up in the caller's company: an effect that a test can count.
async fn count(call: &Call) -> Result<Reply> {
    let company = call.tenant()?.company;
    call.commit(call.tenant()?.view(), move |tx| {
        let n = counter::next(tx, company, "things")?;
        Ok(Reply::json(201, &json!({"n": n}))?.with_etag(&n.to_string()))
    })
    .await
}

async fn work_outside(call: &Call, outside: &AtomicUsize) -> Result<Reply> {
    let ticket = match call.claim().await? {
        Claimed::Replay(reply) => return Ok(reply),
        Claimed::Go(ticket) => ticket,
    };
    let n = outside.fetch_add(1, Ordering::SeqCst) + 1;
    if n == 1 {
        ticket.release().await?;
        return Err(Problem::unavailable("the other side is away"));
    }
    let reply = Reply::json(201, &json!({"n": n}))?;
    call.kernel.db.write(View::System, move |tx| ticket.finish(tx, &Reply::json(201, &json!({"n": n}))?)).await?;
    Ok(reply)
}

fn pages(call: &Call) -> Result<Reply> {
    call.query().refuse_unknown(|key| ["page", "page_size", "format"].contains(&key))?;
    let request = call.query().page()?;
    let (number, offset) = page::resolve(request, 7)?;
    let mut writer = PageWriter::new(&call.url(), call.query(), number, request.size, 7);
    for n in (0..7u64).skip(offset as usize).take(request.size as usize) {
        writer.row().extend_from_slice(n.to_string().as_bytes());
    }
    Ok(Reply::json_bytes(200, writer.finish()))
}
