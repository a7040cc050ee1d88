//! `/api/v1/loopwave/numbers/…`: linking lines, and how they stand.

use std::sync::Arc;

use loopd_kernel::input::Input;
use loopd_types::{Problem, Result};
use loopd_web::rows::{Rows, handled, nothing};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, LISTING, New};
use crate::engine::{Brought, Settled};
use crate::{PRODUCT, Wave};

pub const NUMBERS: Rows = Rows::of(PRODUCT, "numbers", "LoopwaveNumber", &LISTING);

/// Longest label.
const LABEL_MOST: usize = 120;
/// Longest name of an engine.
const ENGINE_MOST: usize = 40;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(NUMBERS.name.to_owned(), NUMBERS.schema())]
}

/// An operation that only who may link numbers does: administrators.
pub fn linking(operation: Operation, summary: &str) -> Operation {
    NUMBERS.document(operation, summary).tenant(NUMBERS.product, &NUMBERS.permission("action:link"))
}

pub fn operations(wave: &Arc<Wave>) -> Vec<Operation> {
    let (to_create, to_connect, to_sync, to_unlink) = (wave.clone(), wave.clone(), wave.clone(), wave.clone());
    let engines: Vec<&'static str> = wave.engines().collect();
    let mut members =
        vec![("label", schema::text(1, LABEL_MOST as u32).example("Sales")), ("engine", schema::one_of(engines))];
    members.extend(wave.all().flat_map(|engine| engine.members()));
    let new = schema::object(members).required(["label", "engine"]);
    let mut all = vec![
        NUMBERS.list_of_companies(),
        NUMBERS.retrieve_in_companies(),
        handled(
            linking(
                Operation::post(NUMBERS.operation_id("create"), NUMBERS.url(), nothing),
                "Add a number; it is linked by connecting it",
            )
            .body(new)
            .responds(201, "The number as it is now.", NUMBERS.row()),
            move |call| create(call, to_create.clone()),
        ),
        NUMBERS.write_item(
            linking(
                Operation::patch(NUMBERS.operation_id("partial_update"), NUMBERS.item_url(), nothing),
                "Rename a number",
            )
            .body(schema::object([("label", schema::text(1, LABEL_MOST as u32))])),
            |tx, kernel, tenant, id, body| {
                let mut input = Input::new(body, true)?;
                let label = input.text("label", LABEL_MOST);
                input.finish()?;
                match label.filter(|label| !label.is_empty()) {
                    Some(label) => store::rename(tx, kernel, tenant, id, &label),
                    None => store::get(tx, tenant.company, id).map(drop),
                }
            },
        ),
        handled(
            linking(
                Operation::post(NUMBERS.operation_id("connect"), format!("{}connect/", NUMBERS.item_url()), nothing),
                "Connect a number; one that is not linked shows a code to scan",
            )
            .responds(200, "The number as it is now.", NUMBERS.row()),
            move |call| connect(call, to_connect.clone()),
        ),
        handled(
            linking(
                Operation::post(
                    NUMBERS.operation_id("sync_history"),
                    format!("{}sync-history/", NUMBERS.item_url()),
                    nothing,
                ),
                "Fetch a batch of older messages from a number's telephone",
            )
            .describe(
                "They are kept as what was there before: nobody reacts to them, nothing is unread, and no webhook tells. What is known is \
                 taken once, so asking again does no harm.",
            )
            .responds(200, "What it brought.", brought_schema())
            .responds(
                409,
                "`history_unavailable`: there are none to be had for numbers of its engine. `not_ready`: connect it first.",
                schema::component("Error"),
            ),
            move |call| sync_history(call, to_sync.clone()),
        ),
        handled(
            linking(
                Operation::delete(NUMBERS.operation_id("destroy"), NUMBERS.item_url(), nothing),
                "Unlink a number; its chats stay, to be read",
            )
            .responds_empty(204, "Unlinked."),
            move |call| unlink(call, to_unlink.clone()),
        ),
    ];
    if wave.all().any(|engine| !engine.members().is_empty()) {
        all.push(credentials(wave));
    }
    all
}

/// Rotating what opens a number, where there is an engine whose numbers have it.
fn credentials(wave: &Arc<Wave>) -> Operation {
    let wave = wave.clone();
    let secret = || schema::text(1, 1024);
    let secrets = schema::object([("access_token", secret()), ("app_secret", secret()), ("verify_token", secret())]);
    let path = format!("{}credentials/", NUMBERS.item_url());
    let operation = linking(
        Operation::post(NUMBERS.operation_id("credentials"), path, nothing),
        "Give a number new credentials; those that are left out stay",
    )
    .describe("They are sealed and never shown. Connect the number afterwards: Meta says whether they open it.")
    .body(secrets)
    .responds(200, "The number as it is now.", NUMBERS.row())
    .responds(409, "`no_credentials`: numbers of its engine take none.", schema::component("Error"));
    handled(operation, move |call| reseal(call, wave.clone()))
}

async fn create(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let engines: Vec<&'static str> = wave.engines().collect();
    let body = call.json()?;
    let why_not = body["engine"].as_str().and_then(|name| wave.why_not(name));
    let mut input = Input::new(body, false)?;
    let label = input.required_text("label", LABEL_MOST);
    let engine = match why_not {
        Some(words) => {
            input.refuse("engine", "engine_not_available", words);
            input.text("engine", ENGINE_MOST)
        }
        None => input.choice("engine", &engines),
    };
    if engine.is_none() && !input.has("engine") {
        input.refuse("engine", "required", "This field is required.");
    }
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.kernel.new_id());
    let settled = match engine.as_deref().and_then(|name| wave.engine(name)) {
        Some(engine) => engine.settle(&kernel, tenant.company, id, &mut input)?,
        None => Settled::default(),
    };
    input.finish()?;
    let (Some(label), Some(engine)) = (label, engine) else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    call.commit(tenant.view(), move |tx| {
        let config = if settled.config.is_null() { json!({}) } else { settled.config.clone() };
        let address = settled.address.as_deref();
        let new = New { label: &label, engine: &engine, address, config, secret: settled.secret.clone() };
        store::create(tx, &kernel, &tenant, id, &new)?;
        NUMBERS.answer(tx, 201, id, tenant.company)
    })
    .await
}

async fn connect(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let company = tenant.company;
    let number = kernel.db.read(tenant.view(), move |reader| store::get(reader, company, id)).await?;
    let engine = wave.engine(&number.engine).ok_or_else(|| no_engine(&number.engine))?;
    let change = engine.connect(&kernel, &number).await?;
    call.commit(tenant.view(), move |tx| {
        store::apply(tx, &kernel, &tenant, id, &change)?;
        NUMBERS.answer(tx, 200, id, tenant.company)
    })
    .await
}

fn brought_schema() -> Json {
    let fields = [
        ("messages", schema::integer().describe("Messages that were not known.")),
        ("chats", schema::integer().describe("The chats that they are in, or that the telephone was asked for.")),
        ("has_more", schema::boolean().describe("Whether asking again may bring more.")),
        (
            "pending",
            schema::boolean().describe("The telephone was asked and sends them by and by: none is counted yet."),
        ),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}

async fn sync_history(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    Input::new(call.json()?, true)?.finish()?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let company = tenant.company;
    let number = kernel.db.read(tenant.view(), move |reader| store::get(reader, company, id)).await?;
    let engine = wave.engine(&number.engine).ok_or_else(|| no_engine(&number.engine))?;
    if engine.abilities().history && !number.is_ready() {
        return Err(Problem::conflict("not_ready", "The number is not ready. Connect it first."));
    }
    let brought = engine.older(&kernel, &tenant, &number).await?;
    call.commit(tenant.view(), move |tx| {
        store::synced(tx, &kernel, &tenant, &number, brought)?;
        let Brought { messages, chats, has_more, is_pending } = brought;
        Reply::json(200, &json!({"messages": messages, "chats": chats, "has_more": has_more, "pending": is_pending}))
    })
    .await
}

async fn reseal(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let (kernel, tenant, id, body) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?, call.json()?);
    call.commit(tenant.view(), move |tx| {
        // What is left out stays as it is *now*: two changes at once are made one after the other, and neither undoes the other.
        let number = store::lock(tx, tenant.company, id)?;
        let engine = wave.engine(&number.engine).ok_or_else(|| no_engine(&number.engine))?;
        let mut input = Input::new(body.clone(), true)?;
        let sealed = engine.reseal(&kernel, &number, &mut input)?;
        input.finish()?;
        let sealed = sealed.ok_or_else(|| {
            let words = "Numbers of this engine are linked by a telephone and take no credentials.";
            Problem::conflict("no_credentials", words)
        })?;
        store::set_secret(tx, &kernel, &tenant, id, &sealed)?;
        NUMBERS.answer(tx, 200, id, tenant.company)
    })
    .await
}

async fn unlink(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let company = tenant.company;
    let number = kernel.db.read(tenant.view(), move |reader| store::get(reader, company, id)).await;
    let number = match number {
        Ok(number) => number,
        // A repeat of a call that was carried out has its first answer.
        Err(problem) => return call.first_answer(problem).await,
    };
    if let Some(engine) = wave.engine(&number.engine)
        && let Err(problem) = engine.unlink(&kernel, &number).await
    {
        tracing::warn!(
            number = number.public_id,
            cause = problem.cause(),
            "the other side was not told that a number is unlinked"
        );
    }
    call.commit(tenant.view(), move |tx| {
        store::delete(tx, &kernel, &tenant, id)?;
        Ok(Reply::no_content())
    })
    .await
}

/// 409: numbers outlive the setting that names their engine.
pub fn no_engine(name: &str) -> Problem {
    Problem::conflict(
        "engine_not_enabled",
        format!("The engine {name} is not enabled on this server (LOOP_WHATSAPP_ENGINES)."),
    )
}
