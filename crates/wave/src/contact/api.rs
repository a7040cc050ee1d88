//! `GET` and `POST /api/v1/contacts`, for keys.

use loopd_store::View;
use loopd_types::{Problem, Result, Timestamp};
use loopd_web::cursor::{self, Page};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Card, Filter, Words};
use super::{LIFECYCLES, input};
use crate::key::{DOOR, LIVE};
use crate::veiled::page_of;

const URL: &str = "/api/v1/contacts";
const LIMIT: i64 = 50;
const LIMIT_MOST: i64 = 200;

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str, scope| {
        operation.tag("loopwave").summary(summary).keyed(&DOOR, &[LIVE], Some(scope))
    };
    let summary = "List contacts, who was in touch last first";
    vec![
        op(Operation::get("loopwave_contacts_page", URL, list), summary, "contacts:read")
            .param(Param::query("search", schema::string()).describe("In the name, the email address or the number."))
            .param(Param::query("lifecycle", schema::one_of(LIFECYCLES)))
            .param(Param::query("tag", schema::string()))
            .param(cursor::limit_param(LIMIT, LIMIT_MOST))
            .param(Param::query("cursor", schema::string()).describe("The `nextCursor` of the page before."))
            .responds(200, "One page.", page_of(row_schema())),
        op(Operation::post("loopwave_contact_add", URL, create), "Add a contact", "contacts:write")
            .body(schema::object(input::fields(&input::PUBLIC)).required(["name", "phone"]))
            .responds(201, "The contact.", row_schema())
            .responds(409, "`contact_exists`: somebody has this number.", schema::component("Error")),
    ]
}

async fn list(call: Call) -> Result<Reply> {
    let page = Page::read_named(call.query(), "cursor", LIMIT, LIMIT_MOST)?;
    let named = |name: &str| call.query().get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let lifecycle = named("lifecycle");
    if lifecycle.as_deref().is_some_and(|word| !LIFECYCLES.contains(&word)) {
        return Err(Problem::invalid("bad_request", format!("lifecycle must be one of {}", LIFECYCLES.join(", "))));
    }
    let filter = Filter {
        search: named("search"),
        lifecycles: lifecycle.into_iter().collect(),
        tags: named("tag").into_iter().collect(),
        is_reachable: false,
    };
    let company = call.tenant()?.company;
    let read = move |reader: &mut loopd_store::Reader<'_>| Ok(store::list(reader, company, &filter, &page)?);
    let mut rows = call.kernel.db.read_long(View::Company(company), read).await?;
    let token = |card: &Card| cursor::token(card.last_contacted_at.unwrap_or(Timestamp(0)), card.id);
    let next = cursor::next_of(&mut rows, page.limit, token);
    let data: Vec<Json> = rows.iter().map(row).collect();
    Reply::json(200, &json!({"data": data, "nextCursor": next}))
}

async fn create(call: Call) -> Result<Reply> {
    let given = input::read(call.json()?, &input::PUBLIC, false)?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let new = Words { lifecycle: LIFECYCLES[0].to_owned(), ..Words::default() };
        let words = given.clone().apply(tx, &tenant, &input::PUBLIC, new)?;
        let id = store::create(tx, &kernel, &tenant, &words)?;
        Reply::json(201, &row(&store::card(tx, tenant.company, id)?))
    })
    .await
}

fn row(card: &Card) -> Json {
    let words = &card.words;
    json!({
        "id": card.id.to_string(),
        "name": words.name,
        "phone": words.phone,
        "email": words.email,
        "company": words.company_name,
        "location": words.location,
        "ownerId": words.owner_id.map(|id| id.to_string()),
        "lifecycle": words.lifecycle,
        "tags": words.tags,
        "lifetimeValue": words.lifetime_value,
        "notes": words.notes,
        "optedOut": words.is_opted_out,
        "conversationCount": card.conversation_count,
        "lastContactedAt": card.last_contacted_at.map(Timestamp::to_millis),
        "createdAt": card.created_at.to_millis(),
        "updatedAt": card.updated_at.to_millis(),
    })
}

fn row_schema() -> Json {
    let fields = [
        ("id", schema::uuid()),
        ("name", schema::string()),
        ("phone", schema::string().nullable()),
        ("email", schema::string().nullable()),
        ("company", schema::string().nullable()),
        ("location", schema::string().nullable()),
        ("ownerId", schema::uuid().nullable()),
        ("lifecycle", schema::one_of(LIFECYCLES)),
        ("tags", schema::array(schema::string())),
        ("lifetimeValue", schema::string().nullable()),
        ("notes", schema::string().nullable()),
        ("optedOut", schema::boolean()),
        ("conversationCount", schema::integer()),
        ("lastContactedAt", schema::date_time().nullable()),
        ("createdAt", schema::date_time()),
        ("updatedAt", schema::date_time()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}
