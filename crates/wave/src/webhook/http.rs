//! `/api/v1/loopwave/webhooks/…`: administrators have events posted to an address of theirs.

use loopd_kernel::input::Input;
use loopd_kernel::listing::Conditions;
use loopd_kernel::webhook::endpoint;
use loopd_kernel::{Tenant, listing};
use loopd_store::{Reader, Tx};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use loopd_web::rows::{Rows, handled, list_params, list_query, nothing};
use loopd_web::{Call, Operation, PageWriter, Reply, Schema as _, schema};
use serde_json::{Map, Value as Json, json};

use super::{EVENTS, LISTING, kind_of};
use crate::PRODUCT;
use crate::event::{SCHEME, wire_name};

const WEBHOOKS: Rows = Rows::of(PRODUCT, "webhooks", "LoopwaveWebhook", &LISTING);

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(WEBHOOKS.name.to_owned(), WEBHOOKS.schema())]
}

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| {
        WEBHOOKS.document(operation, summary).tenant(WEBHOOKS.product, &WEBHOOKS.permission("action:manage"))
    };
    let body = schema::object([
        ("url", schema::uri()),
        ("events", schema::array(schema::one_of(EVENTS)).describe("All of Loopwave's unless given.")),
        ("description", schema::text(0, 500)),
    ]);
    let mut with_secret = WEBHOOKS.schema();
    with_secret["properties"]["secret"] = schema::string();
    let item = WEBHOOKS.item_url();
    let switch = |name: &'static str,
                  summary: &str,
                  switch: fn(&mut Tx<'_>, &loopd_kernel::Kernel, &Tenant, Uuid) -> Result<()>| {
        handled(
            op(WEBHOOKS.action_document(name, summary), summary).responds(
                200,
                "The webhook as it is now.",
                WEBHOOKS.row(),
            ),
            move |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    find(tx, tenant.company, id)?;
                    switch(tx, &kernel, &tenant, id)?;
                    Reply::json(200, &find(tx, tenant.company, id)?)
                })
                .await
            },
        )
    };
    vec![
        handled(
            op(Operation::get(WEBHOOKS.operation_id("list"), WEBHOOKS.url(), nothing), "List webhooks")
                .params(list_params(&LISTING))
                .responds(200, "One page.", schema::paginated(WEBHOOKS.row())),
            list,
        ),
        handled(
            op(Operation::get(WEBHOOKS.operation_id("retrieve"), &item, nothing), "Read a webhook").responds(
                200,
                "The webhook.",
                WEBHOOKS.row(),
            ),
            |call: Call| async move {
                let (company, id) = (call.tenant()?.company, call.id()?);
                let row = call.kernel.db.read(call.tenant()?.view(), move |reader| find(reader, company, id)).await?;
                Reply::json(200, &row)
            },
        ),
        handled(
            op(
                Operation::post(WEBHOOKS.operation_id("create"), WEBHOOKS.url(), nothing),
                "Have Loopwave's events posted to an address; its secret is shown this once",
            )
            .body(body.clone().required(["url"]))
            .responds(201, "The webhook with its secret in `secret`.", with_secret),
            create,
        ),
        handled(
            op(Operation::patch(WEBHOOKS.operation_id("partial_update"), &item, nothing), "Change a webhook")
                .body(body)
                .responds(200, "The webhook as it is now.", WEBHOOKS.row()),
            update,
        ),
        switch("enable", "Switch a webhook on; what waits is sent now", endpoint::enable),
        switch("disable", "Switch a webhook off; nothing is sent to it", endpoint::disable),
        handled(
            op(Operation::delete(WEBHOOKS.operation_id("destroy"), &item, nothing), "Delete a webhook")
                .responds_empty(204, "Deleted; what waited for it is cancelled."),
            |call: Call| async move {
                let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
                call.commit(tenant.view(), move |tx| {
                    find(tx, tenant.company, id)?;
                    endpoint::delete(tx, &kernel, &tenant, id)?;
                    Ok(Reply::no_content())
                })
                .await
            },
        ),
    ]
}

/// The row with its events by the names of the wire.
fn named(mut row: Json) -> Json {
    let names: Vec<String> =
        row["events"].as_array().into_iter().flatten().filter_map(Json::as_str).map(name_of).collect();
    row["events"] = json!(names);
    row
}

fn name_of(kind: &str) -> String {
    if kind.ends_with('*') { kind.to_owned() } else { wire_name(kind) }
}

/// # Errors
/// 404.
fn find(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Json> {
    let row = LISTING.find(reader, id, Some(&[company]), Conditions::default())?.ok_or_else(Problem::not_found)?;
    Ok(named(serde_json::from_slice(&row).map_err(Problem::internal)?))
}

async fn list(call: Call) -> Result<Reply> {
    let (company, query) = (call.tenant()?.company, list_query(&call)?);
    let work = move |reader: &mut Reader<'_>| LISTING.list(reader, &query, Some(&[company]), Conditions::default());
    let listed: listing::Listed = call.kernel.db.read_long(call.tenant()?.view(), work).await?;
    let rows: Vec<Json> =
        serde_json::from_slice(&[b"[".as_slice(), &listed.rows, b"]"].concat()).map_err(Problem::internal)?;
    let page = u32::try_from(listed.page).map_err(Problem::internal)?;
    let mut writer = PageWriter::new(&call.url(), call.query(), page, listed.page_size, listed.count);
    for row in rows {
        writer.row().extend_from_slice(named(row).to_string().as_bytes());
    }
    Ok(Reply::json_bytes(200, writer.finish()))
}

/// The body as the kernel's endpoints read it.
fn translated(body: Json, is_partial: bool) -> Result<Json> {
    let mut input = Input::new(body, is_partial)?;
    let url = input.required_text("url", 2_000);
    let description = input.text("description", 500);
    let events = input.texts("events", EVENTS.len(), 100);
    if let Some(unknown) = events.iter().flatten().find(|event| !EVENTS.contains(&event.as_str())).cloned() {
        input.refuse("events", "invalid_choice", format!("\"{unknown}\" is not a valid choice."));
    }
    if events.as_ref().is_some_and(Vec::is_empty) {
        input.refuse("events", "empty", "This list may not be empty.");
    }
    input.finish()?;
    let mut out = Map::new();
    out.extend(url.map(|url| ("url".to_owned(), json!(url))));
    out.extend(description.map(|text| ("description".to_owned(), json!(text))));
    let kinds = events.map(|events| events.iter().map(|event| kind_of(event)).collect::<Vec<_>>());
    match kinds {
        Some(kinds) => drop(out.insert("events".to_owned(), json!(kinds))),
        None if !is_partial => drop(out.insert("events".to_owned(), json!(EVENTS.map(kind_of)))),
        None => {}
    }
    out.insert("scheme".to_owned(), json!(SCHEME));
    Ok(Json::Object(out))
}

async fn create(call: Call) -> Result<Reply> {
    let (kernel, tenant, body) = (call.kernel.clone(), call.tenant()?.clone(), translated(call.json()?, false)?);
    call.commit(tenant.view(), move |tx| {
        let (id, secret) = endpoint::create(tx, &kernel, &tenant, body.clone())?;
        let mut row = find(tx, tenant.company, id)?;
        row["secret"] = json!(secret);
        Reply::json(201, &row)
    })
    .await
}

async fn update(call: Call) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let body = translated(call.json()?, true)?;
    call.commit(tenant.view(), move |tx| {
        find(tx, tenant.company, id)?;
        endpoint::update(tx, &kernel, &tenant, id, body.clone(), true)?;
        Reply::json(200, &find(tx, tenant.company, id)?)
    })
    .await
}
