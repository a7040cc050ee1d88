//! `POST /api/v1/broadcasts`, and `/api/v1/loopwave/broadcasts/…` for administrators.

use loopd_kernel::input::Input;
use loopd_kernel::listing::Conditions;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::rows::{Rows, handled, list, list_params, nothing};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde::Deserialize;
use serde_json::Value as Json;

use super::act::{self, Act, Change};
use super::store::{self, LISTING, New};
use super::wire::{self, Given, MANAGED, PUBLIC};
use super::{RECIPIENTS_MOST, store::RECIPIENTS};
use crate::address::Address;
use crate::contact::LIFECYCLES;
use crate::contact::store::people;
use crate::key::{DOOR, LIVE};
use crate::{PRODUCT, number, segment};

const BROADCASTS: Rows = Rows::of(PRODUCT, "broadcasts", "LoopwaveBroadcast", &LISTING);
const PEOPLE: Rows = Rows::of(PRODUCT, "broadcasts", "LoopwaveBroadcastRecipient", &RECIPIENTS);
const REFUSED: &str =
    "Of a template: `no_templates` (the number is not of the Cloud API), `template_not_approved`, `no_ready_session`.";

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    [BROADCASTS, PEOPLE].map(|rows| (rows.name.to_owned(), rows.schema())).to_vec()
}

/// Only administrators start what can cost a number.
fn op(operation: Operation, summary: &str) -> Operation {
    BROADCASTS.document(operation, summary).tenant(BROADCASTS.product, &BROADCASTS.permission("action:manage"))
}

/// What a manager's body may say.
fn managed_schema() -> Json {
    let mut body = wire::body_schema(MANAGED);
    body["properties"]["audience"] = schema::object([
        ("segment", schema::uuid().describe("A saved segment, instead of stages and tags.")),
        ("lifecycle", schema::array(schema::one_of(LIFECYCLES)).describe("Any of these stages.")),
        ("tags", schema::array(schema::text(1, 60)).describe("All of them.")),
        ("everybody", schema::boolean().describe("All contacts, and no other condition.")),
    ])
    .describe(
        "Instead of `recipients`: contacts of these stages and with these tags, those of a segment, or everybody, as they are now, \
         without those who opted out. An audience that names nobody, or a condition that there is not, is refused.",
    );
    body
}

pub fn operations() -> Vec<Operation> {
    let mut all = vec![
        Operation::post("loopwave_broadcast_create", "/api/v1/broadcasts", publish)
            .tag("loopwave")
            .summary("Make a broadcast and queue it")
            .describe("It is sent one after another with random pauses, within the number's daily cap and outside of quiet hours.")
            .keyed(&DOOR, &[LIVE], Some("broadcasts:write"))
            .body(wire::body_schema(PUBLIC).required(["name", "recipients"]))
            .responds(201, "The broadcast.", wire::row_schema())
            .responds(409, REFUSED, schema::component("Error")),
        BROADCASTS.list_of_companies(),
        BROADCASTS.retrieve_in_companies(),
        handled(
            op(Operation::post(BROADCASTS.operation_id("create"), BROADCASTS.url(), nothing), "Draft a broadcast")
                .body(managed_schema().required(["name"]))
                .responds(201, "The broadcast as it is now.", BROADCASTS.row())
                .responds(409, REFUSED, schema::component("Error")),
            draft,
        ),
        BROADCASTS.write_item(
            op(
                Operation::patch(BROADCASTS.operation_id("partial_update"), BROADCASTS.item_url(), nothing),
                "Change a broadcast that has not begun",
            )
            .describe(
                "What is left out stays as it is. A message takes the place of a template, and a template of a message; recipients or an \
                 audience take the place of everybody that it went to; an empty `number` is the first that is ready; a `scheduled_at` has it \
                 begin by itself, and null makes a draft of it again.",
            )
            .body(managed_schema())
            .responds(
                409,
                format!(
                    "`already_begun`, or `invalid_transition` for one that was cancelled: `allowed` says what can be done. {REFUSED}"
                ),
                schema::component("Error"),
            ),
            change,
        ),
        handled(
            op(
                Operation::delete(BROADCASTS.operation_id("destroy"), BROADCASTS.item_url(), nothing),
                "Delete a draft, or what was cancelled before it began",
            )
            .responds_empty(204, "Deleted.")
            .responds(
                409,
                "`already_begun`: what became of it is kept, cancel it instead. `invalid_transition`: it waits to begin, cancel it first. \
                 `allowed` says what can be done.",
                schema::component("Error"),
            ),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    act::delete(tx, &kernel, &tenant, id)?;
                    Ok(Reply::no_content())
                })
                .await
            },
        ),
        handled(
            op(
                Operation::get(
                    BROADCASTS.operation_id("recipients"),
                    format!("{}recipients/", BROADCASTS.item_url()),
                    nothing,
                ),
                "Whom a broadcast goes to, and what became of it",
            )
            .params(list_params(&RECIPIENTS))
            .responds(200, "One page.", schema::paginated(PEOPLE.row())),
            |call: Call| async move {
                let (company, id) = (call.tenant()?.company, call.id()?);
                list(&call, call.tenant()?.view(), move |reader, query| {
                    store::get(reader, company, id)?;
                    RECIPIENTS.list(reader, query, Some(&[company]), Conditions::default().and("r.broadcast_id = {}", [id.into()]))
                })
                .await
            },
        ),
        BROADCASTS.write_item(
            op(BROADCASTS.action_document("start", "Start a draft, now or at a moment"), "Start a draft, now or at a moment")
                .optional_body(schema::object([("scheduled_at", schema::date_time().nullable())])),
            |tx, kernel, tenant, id, body| {
                let mut input = Input::new(body, true)?;
                let at = input.moment("scheduled_at").flatten();
                input.finish()?;
                act::act(tx, kernel, tenant, id, Act::Start(at))
            },
        ),
    ];
    for (act, summary) in [
        (Act::Pause, "Pause a broadcast after the message that is on its way"),
        (Act::Resume, "Go on with a broadcast that is paused"),
        (Act::Cancel, "Cancel a broadcast: who was not written to is not"),
        (Act::RetryFailed, "Write again to everybody whose message certainly failed"),
    ] {
        all.push(BROADCASTS.write_item(
            op(BROADCASTS.action_document(act.as_str(), summary), summary),
            move |tx, kernel, tenant, id, _| act::act(tx, kernel, tenant, id, act),
        ));
    }
    all
}

/// The number that a body names.
fn number_of(tx: &mut Tx<'_>, tenant: &Tenant, name: Option<&str>, field: &'static str) -> Result<Option<Uuid>> {
    let Some(name) = name else { return Ok(None) };
    match number::find_public(tx, tenant.company, name)? {
        Some(number) => Ok(Some(number.id)),
        None => Err(Problem::field(field, "does_not_exist", "There is no such number.")),
    }
}

/// Makes a broadcast as a body says, and queues it when that says so, or a moment.
fn make(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    given: Given,
    (field, begins): (&'static str, bool),
) -> Result<()> {
    let (Some(name), Some(message)) = (given.name, given.message) else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    let number = number_of(tx, tenant, given.from.flatten().as_deref(), field)?;
    let recipients = given.recipients.unwrap_or_default();
    act::create(tx, kernel, tenant, id, &New { name, message, template: given.template, number, recipients })?;
    match given.scheduled_at.flatten() {
        None if !begins => Ok(()),
        at => act::act(tx, kernel, tenant, id, Act::Start(at)),
    }
}

async fn publish(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let given = wire::read(&mut input, PUBLIC, true);
    input.finish()?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.kernel.new_id());
    call.commit(tenant.view(), move |tx| {
        make(tx, &kernel, &tenant, id, given.clone(), (PUBLIC.from, true))?;
        Reply::json(201, &wire::row(&store::get(tx, tenant.company, id)?))
    })
    .await
}

/// Whom a broadcast goes to when nobody is named.
#[derive(Clone)]
enum Audience {
    Segment(Uuid),
    /// Everybody, where there is no condition.
    Contacts(segment::Conditions),
}

/// As a body says it. A condition that nobody knows would widen it to everybody, so it is none.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Named {
    segment: Option<String>,
    lifecycle: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    everybody: bool,
}

/// Takes `audience`; `None` after a complaint.
fn audience(input: &mut Input) -> Option<Audience> {
    let named: Named = input.typed("audience", "an audience")?;
    let has_conditions = named.lifecycle.is_some() || named.tags.is_some();
    let conditions =
        segment::Conditions { lifecycle: named.lifecycle.unwrap_or_default(), tags: named.tags.unwrap_or_default() };
    let mut problem = Problem::validation();
    conditions.check("audience", &mut problem);
    for error in problem.fields().iter().flat_map(|(_, errors)| errors) {
        input.refuse("audience", error.code.clone(), error.message.clone());
    }
    let is_empty = conditions == segment::Conditions::default();
    match (named.segment, named.everybody) {
        (Some(id), false) if !has_conditions => match Uuid::parse_str(&id) {
            Ok(id) => return Some(Audience::Segment(id)),
            Err(_) => input.refuse("audience", "invalid", "Name a segment by its id."),
        },
        (None, true) if !has_conditions => return Some(Audience::Contacts(conditions)),
        (None, false) if !is_empty => return Some(Audience::Contacts(conditions)),
        (None, false) => input.refuse(
            "audience",
            "required",
            "Say whom: a `segment`, stages in `lifecycle`, `tags`, or `{\"everybody\": true}`.",
        ),
        _ => {
            input.refuse("audience", "invalid", "Name a segment, or stages and tags, or everybody; only one of these.")
        }
    }
    None
}

/// What a manager's body says, and the audience that stands in place of recipients.
fn read(body: Json, partial: bool) -> Result<(Given, Option<Audience>)> {
    let mut input = Input::new(body, partial)?;
    let audience = input.has("audience").then(|| audience(&mut input));
    let needs_recipients = audience.is_none() && (!partial || input.has("recipients"));
    let given = wire::read(&mut input, MANAGED, needs_recipients);
    if audience.is_some() && given.recipients.as_ref().is_some_and(|recipients| !recipients.is_empty()) {
        input.refuse("audience", "invalid", "Name recipients or an audience, not both.");
    }
    input.finish()?;
    Ok((given, audience.flatten()))
}

/// The people of an audience, as it is now.
fn members(tx: &mut Tx<'_>, tenant: &Tenant, audience: &Audience) -> Result<Vec<(Address, Option<String>)>> {
    let filter = match audience {
        Audience::Segment(id) => {
            let found = segment::store::get(tx, tenant.company, *id);
            let unknown = || Problem::field("audience", "does_not_exist", "There is no such segment.");
            found.map_err(|_| unknown())?.filter.conditions()
        }
        Audience::Contacts(conditions) => conditions.conditions(),
    };
    let found = people(tx, tenant.company, &filter, RECIPIENTS_MOST)?;
    if found.is_empty() {
        return Err(Problem::field("audience", "empty", "Nobody is in this audience."));
    }
    if found.len() > RECIPIENTS_MOST {
        let words = format!("More than {RECIPIENTS_MOST} people are in this audience.");
        return Err(Problem::field("audience", "too_many", words));
    }
    Ok(found)
}

async fn draft(call: Call) -> Result<Reply> {
    let (given, audience) = read(call.json()?, false)?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.kernel.new_id());
    call.commit(tenant.view(), move |tx| {
        let mut given = given.clone();
        if let Some(audience) = &audience {
            given.recipients = Some(members(tx, &tenant, audience)?);
        }
        make(tx, &kernel, &tenant, id, given, (MANAGED.from, false))?;
        BROADCASTS.answer(tx, 201, id, tenant.company)
    })
    .await
}

fn change(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<()> {
    let (given, audience) = read(body, true)?;
    // What is not there is not found, whatever else is wrong.
    store::get(tx, tenant.company, id)?;
    let recipients = match &audience {
        Some(audience) => Some(members(tx, tenant, audience)?),
        None => given.recipients,
    };
    let number = given.from.map(|name| number_of(tx, tenant, name.as_deref(), MANAGED.from)).transpose()?;
    let says = given.message.map(|message| (message, given.template));
    let change = Change { name: given.name, says, number, recipients, scheduled_at: given.scheduled_at };
    act::change(tx, kernel, tenant, id, &change)
}
