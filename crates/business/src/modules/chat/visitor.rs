//! The doors of a widget: a visitor of a website begins a conversation, writes and reads in it. Visitors are told their own conversation and the
//! company's name; no ids of the company's, no names of its people.
//!
//! The widget's token stands in the website for all to read. What is a visitor's own is behind the visitor token, which is shown once and kept as a
//! hash.

use std::sync::Arc;

use http::header::CACHE_CONTROL;
use loopd_kernel::Tenant;
use loopd_store::Reader;
use loopd_types::{CompanyCode, DAY_US, HOUR_US, Kind as Refusal, MINUTE_US, SECOND_US, random_token, sha256_hex};
use loopd_web::{Call, Reply};
use serde_json::{Value as Json, json};

use super::{store, widget};
use crate::define::*;
use crate::modules::door::is_open;
use crate::modules::text_of;

/// Characters of one message of a visitor's.
const LONGEST_MESSAGE: usize = 4_000;
/// Messages of one visitor in [`MESSAGES_WINDOW_US`]; the limit by address is the web layer's.
const MOST_MESSAGES: i64 = 20;
const MESSAGES_WINDOW_US: i64 = 10 * MINUTE_US;
/// Conversations begun at one widget from one address in [`STARTS_WINDOW_US`].
const MOST_STARTS: i64 = 10;
const STARTS_WINDOW_US: i64 = HOUR_US;
/// How long a visitor token is good for.
const TOKEN_US: i64 = 30 * DAY_US;
/// Random bytes of a visitor token.
const TOKEN_BYTES: usize = 32;
/// Messages in one answer.
const PAGE: usize = 100;
/// Where a visitor shows the token.
const HEADER: &str = "x-visitor-token";

/// The operations of the doors.
pub(super) fn operations() -> [Custom; 4] {
    [about(), start(), say(), read()]
}

fn door(name: &str, method: Method, path: &str, run: CallFn) -> Custom {
    let token_help = "`token` is the widget's public token. An unknown or disabled one is 404; a website that is not among the widget's allowed \
                      origins is 403.";
    Custom::new(name, method, path, Run::Call(run)).public().rate(Rate::Normal).any_origin().help(token_help)
}

fn for_visitors(mut custom: Custom) -> Custom {
    custom = custom.header(
        "X-Visitor-Token",
        "The visitor token that the beginning of the conversation answered with; 401 without it.",
    );
    custom.help = format!("{} Only the visitor of the conversation, with their token.", custom.help);
    custom
}

/// `GET /chat/public/{token}/`
fn about() -> Custom {
    let run: CallFn = Arc::new(|engine, call| Box::pin(tell_about(engine, call)));
    door("public_widget", Method::Get, "public/{token}/", run)
        .summary("Read what a widget says to visitors")
        .answer(about_schema())
}

/// `POST /chat/public/{token}/conversations/`
fn start() -> Custom {
    let run: CallFn = Arc::new(|engine, call| Box::pin(begin(engine, call)));
    let mut schema = about_schema();
    schema["properties"]["visitor_token"] =
        json!({"type": "string", "description": "Shown this once. Good for 30 days."});
    schema["properties"]["created_at"] = json!({"type": "string", "format": "date-time"});
    schema["properties"]["message"] = json!({"oneOf": [message_schema(), {"type": "null"}]});
    schema["required"] = json!(["title", "welcome_text", "company", "visitor_token", "created_at", "message"]);
    let mut custom = door("public_conversations", Method::Post, "public/{token}/conversations/", run)
        .summary("Begin a conversation with a company")
        .status(201)
        .answer(schema);
    custom.help = format!("{} At most {MOST_STARTS} an hour and address.", custom.help);
    start_fields().into_iter().fold(custom, Custom::input)
}

/// `POST /chat/public/{token}/messages/`
fn say() -> Custom {
    let run: CallFn = Arc::new(|engine, call| Box::pin(take(engine, call)));
    let mut custom = for_visitors(door("public_messages_create", Method::Post, "public/{token}/messages/", run))
        .summary("Write to a company as a visitor")
        .status(201)
        .input(body_field().required())
        .answer(message_schema());
    custom.help = format!("{} At most {MOST_MESSAGES} messages in ten minutes.", custom.help);
    custom
}

/// `GET /chat/public/{token}/messages/`
fn read() -> Custom {
    let run: CallFn = Arc::new(|engine, call| Box::pin(show(engine, call)));
    for_visitors(door("public_messages", Method::Get, "public/{token}/messages/", run))
        .summary("Read a conversation as its visitor")
        .input(after_field())
        .answer(json!({
            "type": "object",
            "properties": {
                "is_open": {"type": "boolean", "description": "Whether the visitor may write."},
                "results": {"type": "array", "items": message_schema(), "description": "Oldest first, at most 100."},
                "has_more": {"type": "boolean"},
            },
            "required": ["is_open", "results", "has_more"],
        }))
}

fn start_fields() -> [Field; 4] {
    [
        text("name", 120).help("How the visitor wants to be called.").example("Aline"),
        email("email").help("Where an answer reaches the visitor later."),
        text("page", 500).help("The page that the visitor is on."),
        text("message", LONGEST_MESSAGE).help("The first message.").example("Do you deliver to Huye?"),
    ]
}

fn body_field() -> Field {
    text("body", LONGEST_MESSAGE).help("What is said.").example("And how long does it take?")
}

fn after_field() -> Field {
    user("after").help("Only what was said after the message with this id.")
}

fn about_schema() -> Json {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "properties": {
            "title": text,
            "welcome_text": text,
            "company": {"type": "object", "properties": {"name": text}, "required": ["name"]},
        },
        "required": ["title", "welcome_text", "company"],
    })
}

fn message_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "from": {"enum": ["visitor", "company"]},
            "body": {"type": "string", "description": "Empty when it was taken back."},
            "status": {"enum": ["sent", "edited", "deleted"]},
            "sent_at": {"type": "string", "format": "date-time"},
        },
        "required": ["id", "from", "body", "status", "sent_at"],
    })
}

fn render_about(tenant: &Tenant, widget: &Record) -> Json {
    json!({
        "title": widget.title(),
        "welcome_text": widget.text("welcome_text").unwrap_or_default(),
        "company": {"name": tenant.company_name()},
    })
}

fn render_message(message: &Record) -> Json {
    json!({
        "id": message.id().to_string(),
        "from": if message.is("from_visitor") { "visitor" } else { "company" },
        "body": message.text("body").unwrap_or_default(),
        "status": message.status(),
        "sent_at": message.created_at(),
    })
}

/// The widget behind the path's token, and its company.
struct Entrance {
    tenant: Arc<Tenant>,
    widget: Record,
}

/// # Errors
/// 404 for tokens that are unknown or disabled, and for companies that are closed, let no strangers in (`settings.chat.public`) or do not have the product, all alike; 403 for other websites.
async fn enter(engine: &Engine, call: &Call) -> Result<Entrance> {
    let token = call.param("token").to_owned();
    let code = widget::company_of(&token).and_then(CompanyCode::parse).ok_or_else(Problem::not_found)?;
    let access = engine.kernel.company_access(code.0).await?.ok_or_else(Problem::not_found)?;
    if !is_open(&engine.registry, &access, "chat", engine.kernel.now()) {
        return Err(Problem::not_found());
    }
    let mut tenant = Tenant::system(access, "a visitor of a website");
    tenant.actor.origin = Some(call.caller.origin.clone());
    let tenant = Arc::new(tenant);
    let (shared, viewing) = (engine.clone(), tenant.clone());
    let find = move |reader: &mut Reader<'_>| {
        let which = Where::new().eq("token", token.as_str()).status_in(&["active"]).limit(1);
        Ok(Viewer::new(reader, &shared, &viewing).select("chat/widgets", &which)?.into_iter().next())
    };
    let widget = engine.kernel.db.read(tenant.view(), find).await?.ok_or_else(Problem::not_found)?;
    if !widget::allows(&widget, call.header("origin")) {
        return Err(Problem::forbidden("permission_denied", "This website may not show the widget."));
    }
    Ok(Entrance { tenant, widget })
}

async fn tell_about(engine: Engine, call: Call) -> Result<Reply> {
    call.query().refuse_unknown(|_| false)?;
    let Entrance { tenant, widget } = enter(&engine, &call).await?;
    Reply::json(200, &render_about(&tenant, &widget))
}

async fn begin(engine: Engine, call: Call) -> Result<Reply> {
    let Entrance { tenant, widget } = enter(&engine, &call).await?;
    let input = Input::check(&start_fields(), call.json_ref()?, None)?;
    let address = address_hash(&engine, &call, &tenant);
    let reply = call
        .commit(tenant.view(), move |tx| {
            let mut cx = Cx::new(tx, &engine, &tenant);
            let widget = require_active(&mut cx, &widget)?;
            require_few_starts(&mut cx, &widget, &address)?;
            let channel = open_channel(&mut cx, &widget, &input)?;
            let token = random_token(cx.kernel().rng.as_ref(), TOKEN_BYTES);
            store::admit_visitor(&mut cx, &sha256_hex(token.as_bytes()), channel.id(), widget.id(), &address)?;
            let message = match input.text("message").filter(|words| !words.is_empty()) {
                Some(words) => Some(render_message(&write(&mut cx, &channel, words)?)),
                None => None,
            };
            let mut answer = render_about(cx.tenant, &widget);
            answer["visitor_token"] = json!(token);
            answer["created_at"] = json!(cx.now());
            answer["message"] = json!(message);
            Reply::json(201, &answer)
        })
        .await?;
    Ok(reply.with_header(CACHE_CONTROL, "no-store"))
}

/// The widget as it is in this transaction.
fn require_active(cx: &mut Cx<'_, '_>, widget: &Record) -> Result<Record> {
    cx.find("chat/widgets", widget.id())?
        .filter(|now| now.status() == "active" && now.text("token") == widget.text("token"))
        .ok_or_else(Problem::not_found)
}

fn require_few_starts(cx: &mut Cx<'_, '_>, widget: &Record, address: &str) -> Result<()> {
    cx.tx.lock(&format!("chat.visitors:{}:{address}", cx.company().0))?;
    let since = cx.now().plus(-STARTS_WINDOW_US);
    match store::visitors_since(cx, widget.id(), address, since)? {
        count if count < MOST_STARTS => Ok(()),
        _ => Err(too_many("Too many conversations were begun from here.", STARTS_WINDOW_US)),
    }
}

fn open_channel(cx: &mut Cx<'_, '_>, widget: &Record, input: &Input) -> Result<Record> {
    let name = input.text("name").filter(|name| !name.is_empty());
    let agents = widget::agents(cx, widget)?;
    cx.create(
        "chat/channels",
        &json!({
            "title": name.unwrap_or("Visitor"),
            "kind": "support",
            "members": agents,
            "widget": widget.id().to_string(),
            "visitor_name": name,
            "visitor_email": input.text("email").filter(|email| !email.is_empty()),
            "visitor_page": input.text("page"),
            "workspace": text_of(widget.workspace()),
        }),
    )
}

fn write(cx: &mut Cx<'_, '_>, channel: &Record, words: &str) -> Result<Record> {
    cx.create(
        "chat/messages",
        &json!({
            "channel": channel.id().to_string(),
            "body": words,
            "from_visitor": true,
            "workspace": text_of(channel.workspace()),
        }),
    )
}

async fn take(engine: Engine, call: Call) -> Result<Reply> {
    let Entrance { tenant, widget } = enter(&engine, &call).await?;
    let token = visitor_token(&call)?;
    let input = Input::check(&[body_field().required()], call.json_ref()?, None)?;
    call.commit(tenant.view(), move |tx| {
        let mut cx = Cx::new(tx, &engine, &tenant);
        let widget = require_active(&mut cx, &widget)?;
        let now = cx.now();
        let channel = store::channel_of_visitor(cx.tx, cx.tenant.company, &token, widget.id(), now.plus(-TOKEN_US))?;
        // locked: messages at the same moment are counted one after the other
        let channel = cx.lock("chat/channels", channel.ok_or_else(unknown_visitor)?)?;
        let recent = Where::new()
            .eq("channel", channel.id())
            .eq("from_visitor", true)
            .above("created_at", now.plus(-MESSAGES_WINDOW_US));
        if cx.count("chat/messages", &recent)? >= MOST_MESSAGES {
            return Err(too_many("You wrote many messages. Please wait for an answer.", MESSAGES_WINDOW_US));
        }
        let message = write(&mut cx, &channel, input.text("body").unwrap_or_default())?;
        Reply::json(201, &render_message(&message))
    })
    .await
}

async fn show(engine: Engine, call: Call) -> Result<Reply> {
    call.query().refuse_unknown(|name| name == "after")?;
    let Entrance { tenant, widget } = enter(&engine, &call).await?;
    let token = visitor_token(&call)?;
    let after = call.query().get("after").filter(|after| !after.is_empty()).map(Json::from);
    let input = Input::check(&[after_field()], &json!({"after": after}), None)?;
    let view = tenant.view();
    let work = move |reader: &mut Reader<'_>| {
        let mut viewer = Viewer::new(reader, &engine, &tenant);
        let since = viewer.now().plus(-TOKEN_US);
        let channel = store::channel_of_visitor(viewer.reader, tenant.company, &token, widget.id(), since)?;
        let channel = viewer.get("chat/channels", channel.ok_or_else(unknown_visitor)?)?;
        let mut which = Where::new().eq("channel", channel.id()).order_by("id").limit(PAGE as i64 + 1);
        if let Some(after) = input.id_in("after") {
            which = which.above("id", after);
        }
        let messages = viewer.select("chat/messages", &which)?;
        let results: Vec<Json> = messages.iter().take(PAGE).map(render_message).collect();
        Ok(json!({"is_open": channel.status() == "active", "results": results, "has_more": messages.len() > PAGE}))
    };
    let answer = call.kernel.db.read(view, work).await?;
    Ok(Reply::json(200, &answer)?.with_header(CACHE_CONTROL, "no-store"))
}

/// The hash of the token that the caller shows.
fn visitor_token(call: &Call) -> Result<String> {
    match call.header(HEADER).filter(|token| !token.is_empty()) {
        Some(token) => Ok(sha256_hex(token.as_bytes())),
        None => Err(Problem::unauthenticated("not_authenticated", "Send the visitor token as X-Visitor-Token.")),
    }
}

fn unknown_visitor() -> Problem {
    Problem::unauthenticated(
        "authentication_failed",
        "The visitor token is not known here, or no longer good. Begin a new conversation.",
    )
}

fn too_many(words: &'static str, window_us: i64) -> Problem {
    Problem::new(Refusal::TooMany, "throttled", words).with_header("Retry-After", (window_us / SECOND_US).to_string())
}

/// The visitor's address, hashed with the installation's secret and the company: enough to count by, too little to go back.
fn address_hash(engine: &Engine, call: &Call, tenant: &Tenant) -> String {
    let secret = engine.kernel.settings.secret_key.expose();
    sha256_hex(format!("chat-visitor\n{secret}\n{}\n{}", tenant.company.0, call.caller.origin.network()).as_bytes())
}
