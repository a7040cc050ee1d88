//! A Graph API of our own: it checks every request as Meta would, or more strictly, and misbehaves when a test tells it to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use loopd_testkit::{Answer, Boot, Client, Database, json};
use loopd_types::{Clock as _, hex, sha256_hex};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::loopwave::stage::Line;
use crate::support::{Actor, World};

pub const TOKEN: &str = "EAAG-the-token";
pub const APP_SECRET: &str = "the app's secret";
pub const VERIFY: &str = "the verify token";
/// Meta's ids of the number and its account.
pub const LINE: &str = "106540352242922";
pub const WABA: &str = "102290129340398";
const VERSION: &str = "v22.0";

/// What happens to the next message.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Refused with this status and code; nothing was taken.
    Refuse(u16, i64),
    /// Taken, and answered 500.
    TakeAndFail,
    /// Taken, and the connection is cut.
    TakeAndCut,
    /// Taken, and answered with what is no JSON.
    TakeAndBabble,
    /// Taken after a while.
    Slow(Duration),
}

/// A Graph API on a port of its own.
pub struct Graph {
    pub base: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    base: String,
    token: String,
    manners: VecDeque<Manner>,
    /// Messages that were taken, in order.
    taken: Vec<Value>,
    /// What was wrong with requests that should have been right.
    complaints: Vec<String>,
    /// Content by Meta's id: its type and its bytes.
    media: HashMap<String, (String, Bytes)>,
    uploads: Vec<String>,
    /// Templates of the account, as Meta lists them.
    templates: Vec<Value>,
    /// How often a message was brought, taken or not.
    brought: usize,
    health: Option<Value>,
    is_away: bool,
}

impl Graph {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::<State>::default();
        state.lock().token = TOKEN.to_owned();
        state.lock().base.clone_from(&base);
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let shared = shared.clone();
                        async move { shared.answer(request).await }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { base, state }
    }

    /// Has the next messages treated so, one after another.
    pub fn behave(&self, manners: impl IntoIterator<Item = Manner>) {
        self.state.lock().manners.extend(manners);
    }

    /// From now on only this token opens anything.
    pub fn expect_token(&self, token: &str) {
        token.clone_into(&mut self.state.lock().token);
    }

    /// Answers 503 to everything but messages, or not any more.
    pub fn go_away(&self, is_away: bool) {
        self.state.lock().is_away = is_away;
    }

    pub fn brought(&self) -> usize {
        self.state.lock().brought
    }

    /// What is said of the number's health from now on.
    pub fn set_health(&self, health: Value) {
        self.state.lock().health = Some(health);
    }

    pub fn taken(&self) -> Vec<Value> {
        self.state.lock().taken.clone()
    }

    /// Keeps content as if a customer had sent it, and gives its id.
    pub fn keep(&self, content_type: &str, bytes: &'static [u8]) -> String {
        let mut inner = self.state.lock();
        let id = format!("10{}", inner.media.len() + 1);
        inner.media.insert(id.clone(), (content_type.to_owned(), Bytes::from_static(bytes)));
        id
    }

    /// Puts a template into the account, as if somebody had made it in WhatsApp Manager, in place of one of its name and language.
    pub fn put_template(&self, template: Value) {
        let mut inner = self.state.lock();
        let is_other = |it: &Value| it["name"] != template["name"] || it["language"] != template["language"];
        inner.templates.retain(is_other);
        inner.templates.push(template);
    }

    pub fn templates(&self) -> Vec<Value> {
        self.state.lock().templates.clone()
    }

    /// Content that was uploaded, by the id that a message names.
    pub fn content(&self, id: &str) -> Option<(String, Bytes)> {
        self.state.lock().media.get(id).cloned()
    }

    #[track_caller]
    pub fn is_content(&self) {
        let complaints = self.state.lock().complaints.clone();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let is_message = head.method == Method::POST && head.uri.path().ends_with("/messages");
        let manner = if is_message { self.lock().manners.pop_front() } else { None };
        self.lock().brought += usize::from(is_message);
        if let Some(Manner::Slow(pause)) = &manner {
            tokio::time::sleep(*pause).await;
        }
        if let Some(Manner::Refuse(status, code)) = manner {
            return Ok(error(status, code, "Refused by the test"));
        }
        let answer = self.lock().answer(&head, &body);
        match manner {
            Some(Manner::TakeAndCut) => Err(std::io::Error::other("cut")),
            Some(Manner::TakeAndFail) => Ok(error(500, 131_000, "Something went wrong")),
            Some(Manner::TakeAndBabble) => Ok(respond(200, "text/html", "<html>".into())),
            _ => Ok(answer),
        }
    }
}

fn respond(status: u16, content_type: &str, body: Bytes) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status).header("content-type", content_type);
    answer.body(Full::new(body)).expect("an answer")
}

fn respond_json(status: u16, value: &Value) -> Response<Full<Bytes>> {
    respond(status, "application/json", value.to_string().into())
}

fn error(status: u16, code: i64, message: &str) -> Response<Full<Bytes>> {
    let body = json!({"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A"}});
    respond_json(status, &body)
}

impl Inner {
    fn answer(&mut self, head: &http::request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
        let bearer = head.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if bearer != format!("Bearer {}", self.token) {
            return error(401, 190, "Invalid OAuth access token.");
        }
        let path = head.uri.path();
        if let Some(id) = path.strip_prefix("/content/") {
            return match self.media.get(id) {
                Some((content_type, bytes)) => respond(200, content_type, bytes.clone()),
                None => error(404, 100, "No such content"),
            };
        }
        let Some(path) = path.strip_prefix(&format!("/{VERSION}/")) else {
            self.complaints.push(format!("{path} is of another version"));
            return error(400, 2500, "Unknown path");
        };
        let is_messages = path == format!("{LINE}/messages");
        if self.is_away && !is_messages {
            return error(503, 2, "Service temporarily unavailable");
        }
        match (head.method.as_str(), path) {
            ("GET", LINE) => respond_json(
                200,
                &json!({
                    "id": LINE, "display_phone_number": "+250 788 000 001", "verified_name": "Kigali Shop",
                    "quality_rating": "GREEN", "messaging_limit_tier": "TIER_1K", "health_status": self.health,
                }),
            ),
            (method, _) if path == format!("{WABA}/message_templates") => {
                let method = method.to_owned();
                self.template(&method, head.uri.query().unwrap_or_default(), body)
            }
            ("POST", _) if is_messages => self.message(head, body),
            ("POST", _) if path == format!("{LINE}/media") => self.upload(head, body),
            ("GET", id) if self.media.contains_key(id) => {
                let (content_type, bytes) = &self.media[id];
                respond_json(
                    200,
                    &json!({
                        "id": id, "messaging_product": "whatsapp", "mime_type": content_type, "file_size": bytes.len(),
                        "sha256": sha256_hex(bytes), "url": format!("{}/content/{id}", self.base),
                    }),
                )
            }
            (method, path) => {
                self.complaints.push(format!("{method} {path} is nothing"));
                error(400, 100, "Unsupported request")
            }
        }
    }

    fn message(&mut self, head: &http::request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
        let Ok(message) = serde_json::from_slice::<Value>(body) else {
            self.complaints.push(format!("no JSON: {body:?}"));
            return error(400, 100, "Invalid parameter");
        };
        if head.headers.get("content-type").is_none_or(|it| it != "application/json") {
            self.complaints.push("a body of another type".to_owned());
        }
        if message["status"] == "read" {
            if message["message_id"].as_str().is_none_or(str::is_empty) {
                self.complaints.push(format!("what was read? {message}"));
            }
            return respond_json(200, &json!({"success": true}));
        }
        if let Some(flaw) = self.flaw(&message) {
            self.complaints.push(format!("{flaw}: {message}"));
            return error(400, 100, &flaw);
        }
        let id = format!("wamid.{}", self.taken.len() + 1);
        let to = message["to"].as_str().or_else(|| message["recipient"].as_str()).unwrap_or_default().to_owned();
        let mut message = message;
        message["wamid"] = id.clone().into();
        self.taken.push(message);
        respond_json(
            200,
            &json!({
                "messaging_product": "whatsapp", "contacts": [{"input": to, "wa_id": to}], "messages": [{"id": id, "message_status": "accepted"}],
            }),
        )
    }

    /// Lists two at a time, takes names that are free, and deletes by id.
    fn template(&mut self, method: &str, query: &str, body: &Bytes) -> Response<Full<Bytes>> {
        let named =
            |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned));
        match method {
            "GET" => {
                let from: usize = named("after").and_then(|it| it.parse().ok()).unwrap_or(0);
                let page: Vec<&Value> = self.templates.iter().skip(from).take(2).collect();
                let mut answer = json!({"data": page, "paging": {"cursors": {"before": from.to_string(), "after": (from + 2).to_string()}}});
                if self.templates.len() > from + 2 {
                    answer["paging"]["next"] = format!("{}/more", self.base).into();
                }
                respond_json(200, &answer)
            }
            "POST" => {
                let new = serde_json::from_slice::<Value>(body).unwrap_or_default();
                let has_body =
                    new["components"].as_array().is_some_and(|all| all.iter().any(|it| it["type"] == "BODY"));
                if !has_body || !new["name"].is_string() || !new["language"].is_string() {
                    return error(400, 100, "Invalid parameter: a template has a body");
                }
                if self.templates.iter().any(|it| it["name"] == new["name"] && it["language"] == new["language"]) {
                    return error(400, 2_388_024, "There is already content in this language for this template");
                }
                let id = format!("77{}", self.templates.len() + 1);
                let mut kept = new;
                kept["id"] = id.clone().into();
                kept["status"] = "PENDING".into();
                self.templates.push(kept);
                respond_json(200, &json!({"id": id, "status": "PENDING", "category": "UTILITY"}))
            }
            "DELETE" => {
                let (id, name) = (named("hsm_id").unwrap_or_default(), named("name").unwrap_or_default());
                let before = self.templates.len();
                self.templates.retain(|it| it["id"] != id.as_str() || it["name"] != name.as_str());
                if self.templates.len() == before {
                    return error(404, 100, "No such template");
                }
                respond_json(200, &json!({"success": true}))
            }
            _ => error(400, 100, "Unsupported request"),
        }
    }

    /// What is wrong with a message.
    fn flaw(&self, message: &Value) -> Option<String> {
        const KNOWN: [&str; 7] =
            ["messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"];
        let wrong = |what: &str| Some(what.to_owned());
        let (Some(kind), Some(members)) = (message["type"].as_str(), message.as_object()) else { return wrong("type") };
        let kind = kind.to_owned();
        let odd = members.keys().find(|name| !KNOWN.contains(&name.as_str()) && **name != kind);
        if let Some(odd) = odd {
            return Some(format!("unexpected key {odd}"));
        }
        if message["messaging_product"] != "whatsapp" || message["recipient_type"] != "individual" {
            return wrong("messaging_product, recipient_type");
        }
        let digits = |text: &str| text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_digit());
        match (message["to"].as_str(), message["recipient"].as_str()) {
            (Some(to), None) if digits(to) => {}
            (None, Some(user)) if user.contains('.') => {}
            _ => return wrong("to or recipient"),
        }
        if message["biz_opaque_callback_data"].as_str().is_none_or(|data| data.len() > 512) {
            return wrong("biz_opaque_callback_data");
        }
        let inner = &message[&kind];
        let text =
            |value: &Value, most: usize| value.as_str().is_some_and(|it| !it.is_empty() && it.chars().count() <= most);
        let is_good = match kind.as_str() {
            "text" => text(&inner["body"], 4096) && inner["preview_url"].is_boolean(),
            "image" | "video" | "audio" | "document" | "sticker" => {
                inner["id"].as_str().is_some_and(|id| self.media.contains_key(id))
                    && (inner["caption"].is_null()
                        || text(&inner["caption"], 1024) && kind != "audio" && kind != "sticker")
            }
            "reaction" => {
                inner["message_id"].as_str().is_some_and(|id| id.starts_with("wamid.")) && inner["emoji"].is_string()
            }
            "template" => {
                self.templates.iter().any(|it| {
                    it["name"] == inner["name"]
                        && it["language"] == inner["language"]["code"]
                        && it["status"] == "APPROVED"
                }) && inner["components"].is_array()
            }
            "location" => inner["latitude"].is_number() && inner["longitude"].is_number(),
            "interactive" => {
                text(&inner["body"]["text"], 1024)
                    && match inner["type"].as_str() {
                        Some("button") => inner["action"]["buttons"].as_array().is_some_and(|all| {
                            (1..=3).contains(&all.len())
                                && all.iter().all(|it| {
                                    it["type"] == "reply"
                                        && text(&it["reply"]["id"], 256)
                                        && text(&it["reply"]["title"], 20)
                                })
                        }),
                        Some("list") => {
                            let sections = inner["action"]["sections"].as_array().cloned().unwrap_or_default();
                            let rows: Vec<&Value> =
                                sections.iter().filter_map(|it| it["rows"].as_array()).flatten().collect();
                            text(&inner["action"]["button"], 20)
                                && (1..=10).contains(&rows.len())
                                && rows.iter().all(|it| text(&it["id"], 200) && text(&it["title"], 24))
                        }
                        _ => false,
                    }
            }
            _ => false,
        };
        if is_good { None } else { Some(format!("a bad {kind}")) }
    }

    fn upload(&mut self, head: &http::request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
        let text = String::from_utf8_lossy(body);
        let sent = head.headers.get("content-type").and_then(|it| it.to_str().ok()).unwrap_or_default();
        let boundary = sent.strip_prefix("multipart/form-data; boundary=").unwrap_or("?");
        let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
        let has = |name: &str, value: &str| {
            let named = format!("name=\"{name}\"");
            parts.iter().any(|part| part.contains(&named) && part.trim_end().ends_with(value))
        };
        let file = parts.iter().find(|part| part.contains("name=\"file\""));
        let known = head.headers.get("content-length").is_some();
        if !has("messaging_product", "whatsapp") || file.is_none() || !known || !text.trim_end().ends_with("--") {
            self.complaints.push(format!("a bad upload: {text}"));
            return error(400, 100, "Invalid parameter");
        }
        let file = file.copied().unwrap_or_default();
        let content_type =
            file.split("content-type: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
        let content = file.split("\r\n\r\n").nth(1).map(|rest| rest.trim_end_matches("\r\n")).unwrap_or_default();
        let id = format!("20{}", self.media.len() + 1);
        self.media.insert(id.clone(), (content_type.to_owned(), Bytes::from(content.to_owned())));
        self.uploads.push(id.clone());
        respond_json(200, &json!({"id": id}))
    }
}

/// The world with a Graph API of its own, and numbers of the Cloud API.
pub struct Shop {
    world: World,
    pub graph: Graph,
}

impl std::ops::Deref for Shop {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Boot for Shop {
    const NAME: &'static str = World::NAME;

    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }

    async fn boot(database: Database) -> Self {
        let graph = Graph::start().await;
        let settings = [("LOOP_WHATSAPP_ENGINES", "sandbox,cloud"), ("LOOP_WHATSAPP_GRAPH_URL", graph.base.as_str())];
        let world = World::start(database, &settings).await;
        Self { world, graph }
    }

    async fn close(self) {
        self.world.close().await;
        self.graph.is_content();
    }
}

/// What makes a number of the Cloud API.
pub fn credentials() -> Value {
    json!({
        "label": "Sales", "engine": "cloud", "phone_number_id": LINE, "waba_id": WABA, "access_token": TOKEN,
        "app_secret": APP_SECRET, "verify_token": VERIFY,
    })
}

/// How Meta signs a body.
pub fn signed(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body.as_bytes());
    format!("sha256={}", hex(&mac.finalize().into_bytes()))
}

/// A change of one field of the account, in Meta's envelope.
pub fn envelope(field: &str, value: &Value) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "time": 1_782_000_000, "changes": [{"field": field, "value": value}]}]})
}

/// Messages and statuses of the number.
pub fn messages(messages: &Value, statuses: &Value) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "250788000001", "phone_number_id": LINE},
    });
    if !messages.is_null() {
        value["messages"] = messages.clone();
        value["contacts"] = json!([{"profile": {"name": "Aline"}, "wa_id": messages[0]["from"]}]);
    }
    if !statuses.is_null() {
        value["statuses"] = statuses.clone();
    }
    envelope("messages", &value)
}

impl Shop {
    /// A number of the Cloud API that is ready.
    pub async fn cloud(&self, owner: &Actor) -> Line {
        let base = "/api/v1/loopwave/numbers/";
        let made = owner.post(base).json(&credentials()).await.expect_status(201);
        let line = Line { id: made.text_at("/id"), number: made.text_at("/number") };
        let connected = owner.post(&format!("{base}{}/connect/", line.id)).await.expect_status(200);
        assert_eq!(connected.text_at("/state"), "ready");
        line
    }

    /// Meta tells the number's webhook something.
    pub async fn tell(&self, line: &Line, body: &Value) -> Answer {
        let body = body.to_string();
        let signature = signed(APP_SECRET, &body);
        self.hook(line).header("x-hub-signature-256", &signature).body("application/json", body).await
    }

    pub fn hook(&self, line: &Line) -> loopd_testkit::Request {
        self.client().post(&format!("/webhooks/whatsapp/{}", line.number))
    }

    /// A text of a customer, in Meta's words.
    pub fn text(&self, id: &str, from: &str, text: &str) -> Value {
        let now = self.clock.now().seconds().to_string();
        json!({"from": from, "id": id, "timestamp": now, "type": "text", "text": {"body": text}})
    }

    /// A status of a message that the Graph API took.
    pub fn status(&self, taken: &Value, status: &str) -> Value {
        json!({
            "id": taken["wamid"], "status": status, "timestamp": self.clock.now().seconds().to_string(), "recipient_id": taken["to"],
            "biz_opaque_callback_data": taken["biz_opaque_callback_data"],
        })
    }

    /// A message through the public API, and its id.
    pub async fn say(&self, key: &Client, body: &Value) -> String {
        key.post("/api/v1/messages").json(body).await.expect_status(202).text_at("/id")
    }
}
