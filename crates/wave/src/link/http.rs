//! `…/links/` below a contact, a chat or a ticket, and `/api/v1/loopwave/links/` from the record's side.

use loopd_kernel::input::Input;
use loopd_kernel::{Kernel, Tenant, record};
use loopd_store::{Reader, Tx};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::rows::{handled, nothing};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Link};
use super::{How, Owner, matched};
use crate::address::Address;
use crate::{PRODUCT, chat, contact, ticket};

const NAME: &str = "LoopwaveLink";
/// Path, and how one is called.
const OWNERS: [(&str, &str); 3] = [("contacts", "contact"), ("chats", "chat"), ("tickets", "ticket")];

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let fields = [
        ("id", schema::uuid()),
        ("kind", schema::one_of(OWNERS.map(|(_, kind)| kind))),
        ("of", schema::uuid().describe("The contact, chat or ticket.")),
        ("resource", schema::string().describe("The record's resource: `booking/customers`.")),
        ("record", schema::uuid()),
        (
            "title",
            schema::string()
                .nullable()
                .describe("What the record is called, for who may see it; null when it is gone."),
        ),
        ("how", schema::one_of(How::ALL.map(How::as_str))),
        ("created_by", schema::uuid().nullable()),
        ("created_at", schema::date_time()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    vec![(NAME.to_owned(), schema::object(fields).required(names))]
}

pub fn operations() -> Vec<Operation> {
    let all = || schema::object([("results", schema::array(schema::component(NAME)))]).required(["results"]);
    let body = || {
        schema::object([("resource", schema::text(1, 120).example("booking/customers")), ("record", schema::uuid())])
            .required(["resource", "record"])
    };
    let mut operations = Vec::new();
    for (path, kind) in OWNERS {
        let op = |operation: Operation, verb: &str, summary: String| {
            operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), &format!("{PRODUCT}.{path}.{verb}"))
        };
        let url = format!("/api/v1/{PRODUCT}/{path}/{{id}}/links/");
        let id = |verb: &str| format!("{PRODUCT}_{path}_links_{verb}");
        operations.extend([
            handled(
                op(
                    Operation::get(id("list"), url.clone(), nothing),
                    "view",
                    format!("List the records that a {kind} is linked to"),
                )
                .responds(200, "All of them.", all()),
                move |call| list(call, kind),
            ),
            handled(
                op(
                    Operation::post(id("create"), url.clone(), nothing),
                    "update",
                    format!("Link a {kind} to a record of another product"),
                )
                .describe("The caller must be allowed to view the record. What is linked already stays as it is.")
                .body(body())
                .responds(201, "The link.", schema::component(NAME))
                .responds(409, "There are too many links.", schema::component("Error")),
                move |call| create(call, kind),
            ),
            handled(
                op(
                    Operation::delete(id("destroy"), format!("{url}{{link_id}}/"), nothing),
                    "update",
                    format!("Take a link of a {kind} away; the record stays"),
                )
                .responds_empty(204, "Taken away."),
                move |call| destroy(call, kind),
            ),
        ]);
    }
    let on_contacts = |operation: Operation, verb: &str, summary: &str| {
        operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), &format!("{PRODUCT}.contacts.{verb}"))
    };
    operations.push(
        on_contacts(
            Operation::post("loopwave_contacts_match", "/api/v1/loopwave/contacts/{id}/links/match/", find_records),
            "update",
            "Link a contact to the records of people with its telephone numbers",
        )
        .describe("Of each resource, where but one record has the number. It happens by itself when a contact is new.")
        .responds(200, "All links of the contact.", all()),
    );
    operations.push(
        on_contacts(
            Operation::get("loopwave_links_list", "/api/v1/loopwave/links/", of_record),
            "view",
            "List the contacts, chats and tickets that are linked to a record",
        )
        .params([
            Param::query("resource", schema::string()).describe("`booking/customers`").required(),
            Param::query("record", schema::uuid()).required(),
        ])
        .responds(200, "All of them.", all()),
    );
    operations
}

/// What a path names, if it is there.
fn require_owner(reader: &mut Reader<'_>, tenant: &Tenant, kind: &'static str, id: Uuid) -> Result<Owner> {
    match kind {
        "contact" => contact::store::get(reader, tenant.company, id).map(drop)?,
        "chat" => chat::get(reader, tenant.company, id).map(drop)?,
        _ => ticket::store::get(reader, tenant.company, id).map(drop)?,
    }
    Ok(Owner { kind, id })
}

fn row(reader: &mut Reader<'_>, kernel: &Kernel, tenant: &Tenant, link: &Link) -> Result<Json> {
    let title = match tenant.may(&format!("{}.view", link.resource.replace('/', "."))) {
        true => record::title(reader, kernel, tenant.company, &link.resource, link.record)?,
        false => None,
    };
    Ok(json!({
        "id": link.id.to_string(),
        "kind": link.owner_kind,
        "of": link.owner_id.to_string(),
        "resource": link.resource,
        "record": link.record.to_string(),
        "title": title,
        "how": link.how,
        "created_by": link.created_by.map(|id| id.to_string()),
        "created_at": link.created_at.to_string(),
    }))
}

fn rows(reader: &mut Reader<'_>, kernel: &Kernel, tenant: &Tenant, links: &[Link]) -> Result<Json> {
    let rows = links.iter().map(|link| row(reader, kernel, tenant, link)).collect::<Result<Vec<_>>>()?;
    Ok(json!({"results": rows}))
}

async fn list(call: Call, kind: &'static str) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let work = move |reader: &mut Reader<'_>| {
        let owner = require_owner(reader, &tenant, kind, id)?;
        let links = store::of_owner(reader, tenant.company, &owner)?;
        Reply::json(200, &rows(reader, &kernel, &tenant, &links)?)
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}

async fn create(call: Call, kind: &'static str) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let resource = input.required_text("resource", 120);
    let record = input.uuid("record");
    if record.is_none() && !input.has("record") {
        input.refuse("record", "required", "This field is required.");
    }
    input.finish()?;
    let (Some(resource), Some(id)) = (resource, record) else {
        return Err(Problem::internal("input that was checked is gone"));
    };
    let (kernel, tenant, owner) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let owner = require_owner(tx, &tenant, kind, owner)?;
        require_record(tx, &kernel, &tenant, &resource, id)?;
        store::add(tx, &kernel, &tenant, &owner, &resource, id, How::Hand)?;
        let links = store::of_owner(tx, tenant.company, &owner)?;
        let made = links.iter().find(|link| link.resource == resource && link.record == id);
        let made = made.ok_or_else(|| Problem::internal("a link that was made is gone"))?;
        Reply::json(201, &row(tx, &kernel, &tenant, made)?)
    })
    .await
}

/// A record of another product that the caller may see.
fn require_record(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, resource: &str, id: Uuid) -> Result<()> {
    let unknown = |words: &'static str| Problem::field("record", "does_not_exist", words);
    if resource.starts_with(PRODUCT) {
        return Err(Problem::field("resource", "invalid", "Name a record of another product: booking/customers."));
    }
    match record::find(tx, kernel, tenant, resource, id) {
        Ok(_) => Ok(()),
        Err(problem) if problem.status() == 404 => Err(unknown("There is no such record.")),
        Err(problem) => Err(problem),
    }
}

async fn destroy(call: Call, kind: &'static str) -> Result<Reply> {
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let (owner, id) = (call.id()?, call.uuid("link_id")?);
    call.commit(tenant.view(), move |tx| {
        let owner = require_owner(tx, &tenant, kind, owner)?;
        let link = store::get(tx, tenant.company, &owner, id)?;
        store::remove(tx, &kernel, &tenant, &owner, &link)?;
        Ok(Reply::no_content())
    })
    .await
}

async fn find_records(call: Call) -> Result<Reply> {
    Input::new(call.json()?, true)?.finish()?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let owner = require_owner(tx, &tenant, "contact", id)?;
        let known = contact::store::identities(tx, tenant.company, id)?;
        let phones = known.iter().filter(|(kind, ..)| kind == "phone");
        let phones: Vec<Address> = phones.filter_map(|(_, digits, _)| Address::phone(digits)).collect();
        matched(tx, &kernel, &tenant, id, &phones)?;
        let links = store::of_owner(tx, tenant.company, &owner)?;
        Reply::json(200, &rows(tx, &kernel, &tenant, &links)?)
    })
    .await
}

async fn of_record(call: Call) -> Result<Reply> {
    let required = |name: &'static str| Problem::field(name, "required", "This field is required.");
    let resource = call.query().get("resource").map(str::to_owned).ok_or_else(|| required("resource"))?;
    let id = call.query().uuid("record")?.ok_or_else(|| required("record"))?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let work = move |reader: &mut Reader<'_>| {
        record::find(reader, &kernel, &tenant, &resource, id)?;
        let links = store::of_record(reader, tenant.company, &resource, id)?;
        Reply::json(200, &rows(reader, &kernel, &tenant, &links)?)
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}
