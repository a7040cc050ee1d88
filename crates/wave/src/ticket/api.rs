//! `GET` and `POST /api/v1/tickets`, for keys.

use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_web::cursor::{self, Page};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::{PRIORITIES, STATUSES, input, store, tag, wire};
use crate::key::{DOOR, LIVE};
use crate::veiled::page_of;

const URL: &str = "/api/v1/tickets";
const LIMIT: i64 = 50;
const LIMIT_MOST: i64 = 200;

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str, scope| {
        operation.tag("loopwave").summary(summary).keyed(&DOOR, &[LIVE], Some(scope))
    };
    vec![
        op(Operation::get("loopwave_tickets_page", URL, list), "List tickets, newest first", "tickets:read")
            .param(Param::query("status", schema::one_of(STATUSES)))
            .param(Param::query("priority", schema::one_of(PRIORITIES)))
            .param(Param::query("assigneeId", schema::uuid()))
            .param(cursor::limit_param(LIMIT, LIMIT_MOST))
            .param(Param::query("cursor", schema::string()).describe("The `nextCursor` of the page before."))
            .responds(200, "One page.", page_of(wire::row_schema())),
        op(Operation::post("loopwave_ticket_open", URL, create), "Open a ticket", "tickets:write")
            .body(schema::object(input::fields(&input::PUBLIC)).required(["subject"]))
            .responds(201, "The ticket with its `ref`.", wire::row_schema()),
    ]
}

/// One of `words` in the query.
fn word(call: &Call, name: &str, words: &[&str]) -> Result<Option<String>> {
    match call.query().get(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(word) if words.contains(&word) => Ok(Some(word.to_owned())),
        Some(_) => Err(Problem::invalid("bad_request", format!("{name} must be one of {}", words.join(", ")))),
    }
}

async fn list(call: Call) -> Result<Reply> {
    let page = Page::read_named(call.query(), "cursor", LIMIT, LIMIT_MOST)?;
    let filter = store::Filter {
        status: word(&call, "status", &STATUSES)?,
        priority: word(&call, "priority", &PRIORITIES)?,
        assignee: call.query().uuid("assigneeId")?,
    };
    let company = call.tenant()?.company;
    let read = move |reader: &mut loopd_store::Reader<'_>| Ok(store::list(reader, company, &filter, &page)?);
    let mut rows = call.kernel.db.read(View::Company(company), read).await?;
    let next = cursor::next_of(&mut rows, page.limit, |ticket| cursor::token(ticket.created_at, ticket.id));
    let data: Vec<Json> = rows.iter().map(wire::row).collect();
    Reply::json(200, &json!({"data": data, "nextCursor": next}))
}

async fn create(call: Call) -> Result<Reply> {
    let mut body = call.json()?;
    if body.get("chat").is_some() {
        return Err(Problem::field("chat", "unknown_field", "Unknown field."));
    }
    let given = input::read(std::mem::take(&mut body), &input::PUBLIC, false)?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    call.commit(tenant.view(), move |tx| {
        let content = given.clone().content(tx, &tenant, &input::PUBLIC, Some(tag::API))?;
        let ticket = store::create(tx, &kernel, &tenant, &content)?;
        Reply::json(201, &wire::row(&ticket))
    })
    .await
}
