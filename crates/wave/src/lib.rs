//! Loopwave: a WhatsApp team inbox. Its public paths (`/api/v1/messages`, `/chats`, …) speak their own error dialect (`web::Surface`);
//! what signed-in people do stands below `/api/v1/loopwave/`, in LOOP's.

pub mod activity;
pub mod address;
pub mod agent;
pub mod assign;
pub mod automation;
pub mod broadcast;
pub mod chat;
mod claim;
pub mod contact;
pub mod engine;
pub mod event;
pub mod intake;
pub mod kept_reply;
pub mod key;
pub mod license;
pub mod limit;
pub mod link;
pub mod mask;
pub mod message;
pub mod note;
pub mod notice;
pub mod number;
pub mod outgoing;
pub mod personal;
pub mod placeholder;
pub mod preference;
pub mod presence;
pub mod react;
pub mod report;
pub mod saved_view;
pub mod search;
pub mod segment;
pub mod settings;
mod shelf;
pub mod template;
pub mod ticket;
mod veiled;
mod wave;
pub mod webhook;
pub mod window;

use std::sync::Arc;

use loopd_kernel::Product;
use loopd_kernel::job::Runner;
use loopd_web::operation::{Handler, Place, RateClass};
use loopd_web::{Access, Call, Description, Operation, Reply, Schema as _, Surface, schema};
use serde_json::{Value as Json, json};

pub use settings::Settings;
pub use wave::Wave;

/// The product that a company subscribes to.
pub const PRODUCT: &str = "loopwave";

/// The version of the Loopwave API that its clients know.
pub const API_VERSION: &str = "1.0.0";

/// The operations of this surface.
pub fn operations(wave: &Arc<Wave>) -> Vec<Operation> {
    let mut all = service();
    all.extend(message::operations());
    all.extend(chat::operations());
    all.extend(chat::inbox::operations(wave));
    all.extend(note::http::operations());
    all.extend(saved_view::http::operations());
    all.extend(search::operations());
    all.extend(activity::operations());
    all.extend(presence::operations());
    all.extend(report::operations());
    all.extend(kept_reply::http::operations());
    all.extend(number::http::operations(wave));
    all.push(number::health::operation(wave));
    if wave.engine(engine::sandbox::NAME).is_some() {
        all.extend(engine::sandbox::http::operations());
    }
    if wave.engine(engine::web::NAME).is_some() {
        all.extend(engine::web::http::operations(wave));
    }
    if let Some(cloud) = &wave.cloud {
        all.extend(engine::cloud::operations(cloud));
        all.extend(template::http::operations(cloud));
    }
    all.extend(preference::operations());
    all.extend(key::http::operations());
    all.extend(contact::http::operations());
    all.extend(contact::import::http::operations());
    all.extend(segment::http::operations());
    all.extend(link::http::operations());
    all.extend(ticket::http::operations());
    all.extend(intake::http::operations());
    all.extend(automation::http::operations());
    all.extend(webhook::operations());
    all.extend(broadcast::operations());
    all.extend(license::http::operations(wave));
    let mut all: Vec<Operation> = all.into_iter().map(|operation| exact(licensed(operation, wave))).collect();
    let description = DESCRIPTION.of(&all);
    all.push(description);
    all
}

static DESCRIPTION: Description = Description {
    surface: Surface::Loopwave,
    id: "loopwave_openapi",
    path: "/api-reference/openapi.json",
    tag: "loopwave",
    title: "Loopwave API",
    version: API_VERSION,
    words: "A WhatsApp team inbox: send messages, read chats. Send `Authorization: Bearer lw_live_…` or `X-API-Key`.",
};

/// Refuses parameters that nobody reads, of what is read in a company: a filter that is mistyped would be no filter. Lists of rows, and
/// the audit log's, do so themselves, because they know more of them than are written down.
fn exact(operation: Operation) -> Operation {
    let is_of_company = matches!(operation.access, Access::Key(_) | Access::Tenant { .. } | Access::Union { .. });
    let knows_more =
        operation.params.iter().any(|param| param.name == "ordering") || operation.id.starts_with("loopwave_activity");
    if !is_of_company || !operation.method.is_safe() || knows_more {
        return operation;
    }
    let handler = operation.handler.clone();
    let is_known = move |operation: &Operation, name: &str| {
        operation.params.iter().any(|param| param.place == Place::Query && param.name == name)
    };
    let exact: Handler =
        Arc::new(move |call: Call| match call.query().refuse_unknown(|name| is_known(&call.operation, name)) {
            Ok(()) => handler(call),
            Err(problem) => Box::pin(async move { Err(problem) }),
        });
    Operation { handler: exact, ..operation }
}

/// Everything that writes in a company asks for its licence, but for what a licence that is over never stops.
fn licensed(operation: Operation, wave: &Arc<Wave>) -> Operation {
    let is_of_company = matches!(operation.access, Access::Key(_) | Access::Tenant { .. });
    if !is_of_company || operation.method.is_safe() || !operation.has_effect || license::open::is_open(&operation) {
        return operation;
    }
    let words = "`license_locked`: the company's licence is over, and this installation enforces licences.";
    license::open::gated(operation, wave).responds(402, words, schema::component("Error"))
}

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let mut all = number::http::components();
    all.extend(key::http::components());
    all.extend(chat::inbox::components());
    all.extend(note::http::components());
    all.extend(saved_view::http::components());
    all.extend(search::components());
    all.extend(activity::components());
    all.extend(presence::components());
    all.extend(report::components());
    all.extend(kept_reply::http::components());
    all.extend(webhook::components());
    all.extend(contact::http::components());
    all.extend(contact::import::http::components());
    all.extend(segment::http::components());
    all.extend(link::http::components());
    all.extend(ticket::http::components());
    all.extend(automation::http::components());
    all.extend(broadcast::components());
    all.extend(template::http::components());
    all
}

/// What this product does in the background, job by job.
pub fn register_jobs(runner: &mut Runner, wave: &Arc<Wave>) {
    chat::receipt::register(runner, wave.clone());
    contact::import::register(runner, wave);
    engine::cloud::register_jobs(runner, wave);
    for engine in wave.all() {
        engine.clone().register_jobs(runner);
    }
    number::watch::register(runner, wave.clone());
}

/// What a company subscribes to.
pub fn product(version: &str) -> Product {
    Product {
        slug: PRODUCT.to_owned(),
        name: "Loopwave".to_owned(),
        description: "A WhatsApp team inbox: chats, contacts, tickets, auto-replies and paced broadcasts.".to_owned(),
        resources: [
            "activity",
            "api-keys",
            "automations",
            "broadcasts",
            "chats",
            "contacts",
            "kept-replies",
            "license",
            "messages",
            "numbers",
            "preferences",
            "reports",
            "saved-views",
            "segments",
            "tickets",
            "webhooks",
        ]
        .map(str::to_owned)
        .to_vec(),
        actions: [
            "activity.read",
            "api-keys.manage",
            "automations.manage",
            "contacts.merge",
            "broadcasts.manage",
            "contacts.see-numbers",
            "kept-replies.share",
            "license.activate",
            "numbers.link",
            "preferences.change",
            "webhooks.manage",
        ]
        .map(str::to_owned)
        .to_vec(),
        version: version.to_owned(),
        settings: None,
    }
}

/// What installers and programs ask first.
fn service() -> Vec<Operation> {
    let ok = schema::object([("ok", schema::boolean())]).required(["ok"]);
    let version = schema::object([("version", schema::string())]).required(["version"]);
    let health = schema::object([("ok", schema::boolean()), ("version", schema::string())]).required(["ok", "version"]);
    vec![
        Operation::get("loopwave_health", "/api/health", |_| async { Reply::json(200, &json!({"ok": true})) })
            .tag("loopwave")
            .summary("Whether the API process runs")
            .rate(RateClass::Unlimited)
            .responds(200, "It runs.", ok),
        Operation::get("loopwave_version", "/api/version", |_| async {
            Reply::json(200, &json!({"version": API_VERSION}))
        })
        .tag("loopwave")
        .summary("The version of the Loopwave API")
        .rate(RateClass::Unlimited)
        .responds(200, "The version.", version),
        Operation::get("loopwave_key_health", "/api/v1/health", |_| async {
            Reply::json(200, &json!({"ok": true, "version": API_VERSION}))
        })
        .tag("loopwave")
        .summary("Whether this key is valid")
        .describe("Whatever it may do, and whatever became of the company's subscription.")
        .keyed_alone(&key::DOOR, &[key::LIVE])
        .responds(200, "It is.", health),
    ]
}
