//! `/api/v1/loopwave/contacts/…`: agents add, change and label people, administrators delete and merge them.

use loopd_kernel::input::Input;
use loopd_types::{Problem, Result};
use loopd_web::rows::Rows;
use loopd_web::{Call, Operation, Param, Query, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Filter, Words};
use super::{LIFECYCLES, input};
use crate::PRODUCT;
use crate::mask::Sight;
use crate::preference;
use crate::veiled::{self, Veiled};

pub const CONTACTS: Veiled = Veiled {
    rows: Rows::of(PRODUCT, "contacts", "LoopwaveContact", &store::LISTING),
    masked: &store::MASKED,
    veil: store::veil,
    narrow: store::narrow,
};

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(CONTACTS.rows.name.to_owned(), CONTACTS.rows.schema())]
}

pub fn operations() -> Vec<Operation> {
    let rows = CONTACTS.rows;
    let identity = schema::object([
        ("kind", schema::one_of(["phone", "lid", "bsuid"])),
        ("value", schema::string()),
        ("created_at", schema::date_time()),
    ])
    .required(["kind", "value", "created_at"]);
    let segment = schema::object([("count", schema::integer()), ("reachable", schema::integer())]);
    let mut all = super::api::operations();
    all.extend([
        CONTACTS
            .list()
            .param(Param::query("tag", schema::string()).describe("Tags, separated by commas; all of them."))
            .param(Param::query("segment", schema::uuid()).describe("The people of a saved segment.")),
        CONTACTS.retrieve(),
        CONTACTS.write(
            CONTACTS
                .create_document("Add a contact")
                .body(schema::object(input::fields(&input::MANAGEMENT)).required(["name", "phone"])),
            201,
            |tx, kernel, tenant, body| {
                let given = input::read(body, &input::MANAGEMENT, false)?;
                let new = Words { lifecycle: LIFECYCLES[0].to_owned(), ..Words::default() };
                let words = given.apply(tx, tenant, &input::MANAGEMENT, new)?;
                store::create(tx, kernel, tenant, &words)
            },
        ),
        CONTACTS.write_item(
            CONTACTS.update_document("Change a contact").body(schema::object(input::fields(&input::MANAGEMENT))),
            |tx, kernel, tenant, id, body| {
                let given = input::read(body, &input::MANAGEMENT, true)?;
                let before = store::lock(tx, tenant.company, id)?;
                let next = given.apply(tx, tenant, &input::MANAGEMENT, before.words.clone())?;
                store::change(tx, kernel, tenant, &before, &next)
            },
        ),
        veiled::delete(rows, "Delete a contact; chats and tickets stay", store::delete),
        loopd_web::rows::handled(
            rows.action_document("merge", "Let a contact go on in another, which gets its chats, tickets and numbers")
                .tenant(rows.product, &rows.permission("action:merge"))
                .body(schema::object([("into", schema::uuid())]).required(["into"]))
                .responds(200, "The other, as it is now.", rows.row()),
            merge,
        ),
        rows.document(
            Operation::get(rows.operation_id("identities"), format!("{}identities/", rows.item_url()), identities),
            "Read by what a contact is known",
        )
        .tenant(rows.product, &rows.permission("view"))
        .responds(
            200,
            "All of it.",
            schema::object([("results", schema::array(identity))]).required(["results"]),
        ),
        rows.document(
            Operation::get(rows.operation_id("segment"), format!("{}segment/", rows.url()), segment_of),
            "Count a segment: contacts of these stages that have all these tags",
        )
        .tenant(rows.product, &rows.permission("view"))
        .param(Param::query("lifecycle", schema::string()).describe("Stages, separated by commas; any of them."))
        .param(Param::query("tag", schema::string()).describe("Tags, separated by commas; all of them."))
        .responds(
            200,
            "`reachable` leaves out who asked not to be written to.",
            segment.required(["count", "reachable"]),
        ),
    ]);
    all
}

async fn merge(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let into = input.uuid("into");
    if into.is_none() && !input.has("into") {
        input.refuse("into", "required", "This field is required.");
    }
    input.finish()?;
    let into = into.ok_or_else(|| Problem::internal("input that was checked is gone"))?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        store::merge(tx, &kernel, &tenant, id, into)?;
        CONTACTS.answer(tx, &tenant, 200, into)
    })
    .await
}

async fn identities(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let shared = tenant.clone();
    let read = move |reader: &mut loopd_store::Reader<'_>| {
        let sight = Sight::of(&shared, &preference::load(reader, shared.company)?);
        store::card(reader, shared.company, id)?;
        let known = store::identities(reader, shared.company, id)?;
        let rows = known.iter().map(|(kind, value, at)| {
            let value = if kind == "phone" { sight.phone(&format!("+{value}")) } else { value.clone() };
            json!({"kind": kind, "value": value, "created_at": at.to_string()})
        });
        Ok(json!({"results": rows.collect::<Vec<Json>>()}))
    };
    Reply::json(200, &call.kernel.db.read(tenant.view(), read).await?)
}

async fn segment_of(call: Call) -> Result<Reply> {
    let tenant = call.tenant()?.clone();
    let filter = asked(call.query())?;
    let company = tenant.company;
    let read = move |reader: &mut loopd_store::Reader<'_>| {
        let count = store::count(reader, company, &filter)?;
        let reachable = store::count(reader, company, &Filter { is_reachable: true, ..filter.clone() })?;
        Ok(json!({"count": count, "reachable": reachable}))
    };
    Reply::json(200, &call.kernel.db.read_long(tenant.view(), read).await?)
}

/// The contacts that a query asks for by `lifecycle` and `tag`, each a list with commas.
///
/// # Errors
/// 400 of `lifecycle` for what is no stage.
pub fn asked(query: &Query) -> Result<Filter> {
    let words = |name: &str| -> Vec<String> {
        let all = query.list(name);
        all.into_iter().map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let lifecycles = words("lifecycle");
    if lifecycles.iter().any(|stage| !LIFECYCLES.contains(&stage.as_str())) {
        return Err(Problem::field(
            "lifecycle",
            "invalid_choice",
            "Stages are lead, active, customer, vip and churned.",
        ));
    }
    Ok(Filter { search: None, lifecycles, tags: words("tag"), is_reachable: false })
}
