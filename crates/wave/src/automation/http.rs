//! `/api/v1/loopwave/automations/…`: administrators write rules, everybody reads them.

use loopd_kernel::Tenant;
use loopd_kernel::input::Input;
use loopd_store::Tx;
use loopd_types::{Problem, Result};
use loopd_web::rows::{Rows, handled, nothing};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Map, Value as Json, json};

use super::skip::{Skip, counted};
use super::{MODES, TRIGGERS, Words, store};
use crate::{PRODUCT, number, placeholder};

pub const AUTOMATIONS: Rows = Rows::of(PRODUCT, "automations", "LoopwaveAutomation", &store::LISTING);

const NAME_MOST: usize = 120;
const MATCH_MOST: usize = 200;
const RESPONSE_MOST: usize = 4096;
/// A day, in minutes.
const COOLDOWN_MOST: i64 = 1440;
const COOLDOWN: i64 = 5;
const POSITION_MOST: i64 = 1_000_000;
/// Rules of one company: each message is held against all of them.
const RULES_MOST: i64 = 200;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(AUTOMATIONS.name.to_owned(), AUTOMATIONS.schema())]
}

/// What only administrators do.
fn managing(operation: Operation, summary: &str) -> Operation {
    AUTOMATIONS.document(operation, summary).tenant(AUTOMATIONS.product, &AUTOMATIONS.permission("action:manage"))
}

pub fn operations() -> Vec<Operation> {
    let (create, patch, delete) = (
        Operation::post(AUTOMATIONS.operation_id("create"), AUTOMATIONS.url(), nothing),
        Operation::patch(AUTOMATIONS.operation_id("partial_update"), AUTOMATIONS.item_url(), nothing),
        Operation::delete(AUTOMATIONS.operation_id("destroy"), AUTOMATIONS.item_url(), nothing),
    );
    vec![
        AUTOMATIONS.list_of_companies(),
        AUTOMATIONS.retrieve_in_companies(),
        AUTOMATIONS
            .document(
                Operation::get(AUTOMATIONS.operation_id("skips"), format!("{}skips/", AUTOMATIONS.url()), skips),
                "Read how many messages had an automatic reply, and why others had none",
            )
            .tenant(AUTOMATIONS.product, &AUTOMATIONS.permission("view"))
            .responds(200, "Since the company began.", skips_schema()),
        AUTOMATIONS.write(
            managing(create, "Make a rule; it is on at once, and tried after those that are there")
                .body(body_schema().required(["name", "response"])),
            201,
            |tx, kernel, tenant, body| {
                // Two at once must not have one place.
                tx.lock(&format!("wave_automations:{}", tenant.company.0))?;
                if store::number_of(tx, tenant.company)? >= RULES_MOST {
                    let words = format!("A company has {RULES_MOST} rules at most. Delete one that nobody needs.");
                    return Err(Problem::conflict("too_many_rules", words));
                }
                let new = Words {
                    name: String::new(),
                    is_enabled: true,
                    trigger: "keyword".to_owned(),
                    matches: String::new(),
                    mode: "contains".to_owned(),
                    response: String::new(),
                    number_id: None,
                    reply_to_groups: false,
                    cooldown_minutes: COOLDOWN,
                    position: store::next_position(tx, tenant.company)?,
                };
                let words = read(tx, tenant, body, new, false)?;
                store::create(tx, kernel, tenant, &words)
            },
        ),
        AUTOMATIONS.write_item(
            managing(patch, "Change a rule, or turn it on or off").body(body_schema()),
            |tx, kernel, tenant, id, body| {
                let before = store::lock(tx, tenant.company, id)?;
                let next = read(tx, tenant, body, before.content.clone(), true)?;
                store::change(tx, kernel, tenant, &before, &next)
            },
        ),
        handled(managing(delete, "Delete a rule").responds_empty(204, "Deleted."), |call: Call| async move {
            let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
            call.commit(tenant.view(), move |tx| {
                store::delete(tx, &kernel, &tenant, id)?;
                Ok(Reply::no_content())
            })
            .await
        }),
    ]
}

/// `words` with what was sent.
fn read(tx: &mut Tx<'_>, tenant: &Tenant, body: Json, mut words: Words, partial: bool) -> Result<Words> {
    let mut input = Input::new(body, partial)?;
    let texts = [
        ("name", input.required_text("name", NAME_MOST), &mut words.name),
        ("response", input.required_text("response", RESPONSE_MOST), &mut words.response),
        ("match", input.text("match", MATCH_MOST), &mut words.matches),
        ("trigger", input.choice("trigger", &TRIGGERS), &mut words.trigger),
        ("match_mode", input.choice("match_mode", &MODES), &mut words.mode),
    ];
    for (_, given, place) in texts {
        if let Some(given) = given {
            *place = given;
        }
    }
    for (name, place) in [("enabled", &mut words.is_enabled), ("reply_to_groups", &mut words.reply_to_groups)] {
        if let Some(given) = input.boolean(name) {
            *place = given;
        }
    }
    if let Some(minutes) = input.integer("cooldown_minutes", 0, COOLDOWN_MOST) {
        words.cooldown_minutes = minutes;
    }
    if let Some(position) = input.integer("position", 1, POSITION_MOST) {
        words.position = position;
    }
    if input.take_null("number") {
        words.number_id = None;
    } else if let Some(id) = input.uuid("number") {
        if number::find(tx, tenant.company, id)?.is_none() {
            input.refuse("number", "does_not_exist", "There is no such number.");
        }
        words.number_id = Some(id);
    }
    if words.trigger == "keyword" && words.matches.is_empty() {
        input.refuse("match", "required", "A keyword rule says what it looks for.");
    }
    let mut problem = Problem::validation();
    placeholder::check(&words.response, &["name"], "response", &mut problem);
    input.finish()?;
    if problem.has_fields() { Err(problem) } else { Ok(words) }
}

fn body_schema() -> Json {
    schema::object([
        ("name", schema::text(1, NAME_MOST as u32).example("Opening hours")),
        ("enabled", schema::boolean()),
        ("trigger", schema::one_of(TRIGGERS).describe("`keyword` unless said.")),
        ("match", schema::text(0, MATCH_MOST as u32).describe("Needed by `keyword`.").example("open")),
        ("match_mode", schema::one_of(MODES).describe("`contains` unless said; upper and lower case are the same.")),
        ("response", schema::text(1, RESPONSE_MOST as u32).example("Hello {{name}}, we open at 8.")),
        ("number", schema::uuid().nullable().describe("The number that it is for; all unless said.")),
        ("reply_to_groups", schema::boolean()),
        (
            "cooldown_minutes",
            schema::integer_between(0, COOLDOWN_MOST)
                .describe("No second automatic reply to a chat in this time; 5 unless said."),
        ),
        (
            "position",
            schema::integer_between(1, POSITION_MOST)
                .describe("The lowest is tried first; the first that matches answers."),
        ),
    ])
}

fn skips_schema() -> Json {
    let reasons =
        schema::object(Skip::ALL.map(|skip| (skip.as_str(), schema::integer()))).required(Skip::ALL.map(Skip::as_str));
    schema::object([("replied", schema::integer()), ("skipped", reasons)]).required(["replied", "skipped"])
}

async fn skips(call: Call) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let company = tenant.company;
    let read = move |reader: &mut loopd_store::Reader<'_>| {
        let mut reasons = Map::new();
        for skip in Skip::ALL {
            reasons.insert(skip.as_str().to_owned(), json!(counted(reader, company, Some(skip))?));
        }
        Ok(json!({"replied": counted(reader, company, None)?, "skipped": reasons}))
    };
    Reply::json(200, &call.kernel.db.read(tenant.view(), read).await?)
}
