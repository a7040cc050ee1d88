//! `/api/v1/loopwave/preferences/`

use std::collections::HashSet;

use loopd_kernel::input::Input;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Reader;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::Value as Json;

use super::{Preferences, load, save};
use crate::assign::Rules;
use crate::broadcast::{self, Pacing};
use crate::notice::Templates;
use crate::{PRODUCT, agent, intake, number};

const URL: &str = "/api/v1/loopwave/preferences/";

/// Minutes of a week: nobody means a longer silence.
const QUIET_MOST: i64 = 7 * 24 * 60;

/// Numbers with rules of their own.
const NUMBER_RULES_MOST: usize = 100;

/// The largest part of the object, as JSON.
const PART_BYTES: usize = 64 * 1024;

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        let permission = format!("{PRODUCT}.preferences.{verb}");
        operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), &permission)
    };
    vec![
        op(Operation::get("loopwave_preferences_retrieve", URL, retrieve), "view", "How this company uses Loopwave")
            .responds(200, "Everything it can choose.", row_schema()),
        op(
            Operation::patch("loopwave_preferences_partial_update", URL, update),
            "action:change",
            "Change how this company uses Loopwave",
        )
        .body(change_schema())
        .responds(200, "Everything as it is now.", row_schema()),
        op(
            Operation::post("loopwave_preferences_renew_form", format!("{URL}renew-form/"), renew_form),
            "action:change",
            "Give the public form another address; the old one leads nowhere at once",
        )
        .responds(200, "Everything as it is now.", row_schema()),
    ]
}

fn change_schema() -> Json {
    schema::object([
        ("mask_numbers", schema::boolean().describe("Whether agents see customers' numbers obscured.")),
        ("attribution", schema::boolean().describe("Whether the writer's name stands above what they write.")),
        (
            "quiet_minutes",
            schema::integer_between(0, QUIET_MOST)
                .describe("How long automations are silent in a chat that a person has answered."),
        ),
        ("intake", intake::schema().describe("How tickets open by themselves.")),
        ("pacing", Pacing::schema()),
        ("rules", Rules::schema().describe("Who gets chats, when somebody is there, and how long customers should wait.")),
        (
            "number_rules",
            schema::object(std::iter::empty::<(String, Json)>()).with("additionalProperties", Rules::schema().nullable())
                .describe("The same for single numbers, by what the API calls them, in place of all of the company's; null takes them away."),
        ),
        (
            "notice_templates",
            Templates::schema().describe(
                "Cloud API: the approved templates by which reminders and invoices reach who has not written for 24 hours. Named in none of the \
                 company's language, they are not sent (`window_closed`).",
            ),
        ),
    ])
}

fn row_schema() -> Json {
    change_schema().required([
        "mask_numbers",
        "attribution",
        "quiet_minutes",
        "intake",
        "pacing",
        "rules",
        "number_rules",
        "notice_templates",
    ])
}

async fn retrieve(call: Call) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let found = call.kernel.db.read(tenant.view(), move |reader| Ok(load(reader, tenant.company)?)).await?;
    Reply::json(200, &found)
}

async fn update(call: Call) -> Result<Reply> {
    let (kernel, tenant, body) = (call.kernel.clone(), call.tenant()?.clone(), call.json()?);
    call.commit(tenant.view(), move |tx| {
        let before = load(tx, tenant.company)?;
        let mut next = before.clone();
        change(&kernel, &mut next, body.clone())?;
        for name in next.number_rules.keys().filter(|name| !before.number_rules.contains_key(*name)) {
            let unknown = || Problem::field("number_rules", "does_not_exist", format!("There is no number {name}."));
            number::find_public(tx, tenant.company, name)?.ok_or_else(unknown)?;
        }
        people(tx, &tenant, &before, &next)?;
        save(tx, &kernel, &tenant, &next)?;
        if next.pacing != before.pacing {
            broadcast::store::look_again(tx, tenant.company, kernel.now())?;
        }
        Reply::json(200, &next)
    })
    .await
}

/// Whom rules name must work here when they are named; who leaves later is passed over.
fn people(reader: &mut Reader<'_>, tenant: &Tenant, known: &Preferences, next: &Preferences) -> Result<()> {
    fn named(preferences: &Preferences) -> impl Iterator<Item = (&'static str, Uuid)> {
        let own = preferences.rules.assignment.agents.iter().map(|id| ("rules", *id));
        let of_numbers = preferences.number_rules.values().flat_map(|rules| &rules.assignment.agents);
        own.chain(of_numbers.map(|id| ("number_rules", *id)))
    }
    let known: HashSet<Uuid> = named(known).map(|(_, id)| id).collect();
    for (field, id) in named(next).filter(|(_, id)| !known.contains(id)) {
        if agent::store::member(reader, tenant.company, id)?.is_none() {
            return Err(Problem::field(field, "does_not_exist", format!("Nobody of this company has the id {id}.")));
        }
    }
    Ok(())
}

fn change(kernel: &Kernel, preferences: &mut Preferences, body: Json) -> Result<()> {
    let mut input = Input::new(body, true)?;
    if let Some(chosen) = input.boolean("mask_numbers") {
        preferences.mask_numbers = chosen;
    }
    if let Some(chosen) = input.boolean("attribution") {
        preferences.attribution = chosen;
    }
    if let Some(chosen) = input.integer("quiet_minutes", 0, QUIET_MOST) {
        preferences.quiet_minutes = chosen;
    }
    if let Some(part) = input.object("intake", PART_BYTES) {
        let mut part = Input::new(Json::Object(part), true)?;
        intake::change(&mut preferences.intake, &mut part, kernel.rng.as_ref());
        complain(&mut input, "intake", part.finish());
    }
    if let Some(chosen) = input.object("pacing", 4 * 1024) {
        match preferences.pacing.changed(&chosen) {
            Ok(next) => preferences.pacing = next,
            Err(words) => input.refuse("pacing", "invalid", words),
        }
    }
    if let Some(chosen) = input.object("rules", PART_BYTES) {
        match preferences.rules.changed(&chosen) {
            Ok(next) => preferences.rules = next,
            Err(words) => input.refuse("rules", "invalid", words),
        }
    }
    if let Some(chosen) = input.object("notice_templates", PART_BYTES) {
        match preferences.notice_templates.changed(&chosen) {
            Ok(next) => preferences.notice_templates = next,
            Err(words) => input.refuse("notice_templates", "invalid", words),
        }
    }
    for (name, chosen) in input.object("number_rules", PART_BYTES).unwrap_or_default() {
        let own = preferences.number_rules.get(&name).unwrap_or(&preferences.rules);
        match &chosen {
            Json::Null => drop(preferences.number_rules.remove(&name)),
            Json::Object(chosen) => match own.changed(chosen) {
                Ok(next) => drop(preferences.number_rules.insert(name, next)),
                Err(words) => input.refuse("number_rules", "invalid", format!("{name}: {words}")),
            },
            _ => input.refuse("number_rules", "invalid", format!("{name} is an object, or null.")),
        }
    }
    if preferences.number_rules.len() > NUMBER_RULES_MOST {
        input.refuse("number_rules", "max_length", format!("No more than {NUMBER_RULES_MOST} numbers."));
    }
    input.finish()
}

/// Takes the complaints about a part under its name.
fn complain(input: &mut Input, part: &str, outcome: Result<()>) {
    let Err(problem) = outcome else { return };
    for (name, errors) in problem.fields() {
        for error in errors {
            input.refuse(&format!("{part}.{name}"), error.code.clone(), error.message.clone());
        }
    }
}

async fn renew_form(call: Call) -> Result<Reply> {
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let mut next = load(tx, tenant.company)?;
        next.intake.renew_form(kernel.rng.as_ref());
        save(tx, &kernel, &tenant, &next)?;
        Reply::json(200, &next)
    })
    .await
}
