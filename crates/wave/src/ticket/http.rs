//! `/api/v1/loopwave/tickets/…`: agents open and change tickets, administrators delete them.

use loopd_kernel::input::Input;
use loopd_types::{Problem, Result};
use loopd_web::rows::Rows;
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Comment};
use super::{TEXT_MOST, input};
use crate::PRODUCT;
use crate::veiled::{self, Veiled};

pub const TICKETS: Veiled = Veiled {
    rows: Rows::of(PRODUCT, "tickets", "LoopwaveTicket", &store::LISTING),
    masked: &store::MASKED,
    veil: store::veil,
    narrow: veiled::by_columns,
};

/// Comments that one answer holds.
const COMMENTS_MOST: i64 = 500;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(TICKETS.rows.name.to_owned(), TICKETS.rows.schema())]
}

pub fn operations() -> Vec<Operation> {
    let mut all = super::api::operations();
    let mut fields = input::fields(&input::MANAGEMENT);
    let change = schema::object(fields.clone());
    fields.push((
        "chat",
        schema::uuid()
            .describe("A chat that this is about: name and number are the chat's unless said, the tag is `chat`."),
    ));
    all.extend([
        TICKETS.list(),
        TICKETS.retrieve(),
        TICKETS.write(
            TICKETS
                .create_document("Open a ticket, or turn a chat into one")
                .describe("`subject` may be left out where `chat` is given.")
                .body(schema::object(fields)),
            201,
            |tx, kernel, tenant, body| {
                let content =
                    input::read(body, &input::MANAGEMENT, false)?.content(tx, tenant, &input::MANAGEMENT, None)?;
                Ok(store::create(tx, kernel, tenant, &content)?.id)
            },
        ),
        TICKETS.write_item(TICKETS.update_document("Change a ticket").body(change), |tx, kernel, tenant, id, body| {
            let given = input::read(body, &input::MANAGEMENT, true)?;
            let before = store::lock(tx, tenant.company, id)?;
            let next = given.apply(tx, tenant, &input::MANAGEMENT, before.content.clone())?;
            store::change(tx, kernel, tenant, &before, &next)
        }),
        veiled::delete(TICKETS.rows, "Delete a ticket; its reference is not given again", store::delete),
        of_comments(Operation::get("loopwave_tickets_comments", comments_url(), comments), "Read what the team wrote")
            .tenant(Some(PRODUCT), &TICKETS.rows.permission("view"))
            .responds(
                200,
                "All of it, oldest first.",
                schema::object([("results", schema::array(comment_schema()))]).required(["results"]),
            ),
        of_comments(Operation::post("loopwave_tickets_comment", comments_url(), comment), "Write to the team")
            .tenant(Some(PRODUCT), &TICKETS.rows.permission("update"))
            .body(schema::object([("body", schema::text(1, TEXT_MOST as u32))]).required(["body"]))
            .responds(201, "The comment.", comment_schema()),
    ]);
    all
}

fn comments_url() -> String {
    format!("{}comments/", TICKETS.rows.item_url())
}

fn of_comments(operation: Operation, summary: &str) -> Operation {
    TICKETS.rows.document(operation, summary)
}

async fn comments(call: Call) -> Result<Reply> {
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let company = tenant.company;
    let found = call
        .kernel
        .db
        .read(tenant.view(), move |reader| {
            store::get(reader, company, id)?;
            Ok(store::comments(reader, company, id, COMMENTS_MOST)?)
        })
        .await?;
    let rows: Vec<Json> = found.iter().map(comment_row).collect();
    Reply::json(200, &json!({"results": rows}))
}

async fn comment(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let body = input.required_text("body", TEXT_MOST);
    input.finish()?;
    let body = body.ok_or_else(|| Problem::internal("input that was checked is gone"))?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let comment = store::comment(tx, &kernel, &tenant, id, &body)?;
        Reply::json(201, &comment_row(&comment))
    })
    .await
}

fn comment_row(comment: &Comment) -> Json {
    json!({
        "id": comment.id.to_string(),
        "author": comment.author_id.map(|id| id.to_string()),
        "author_name": comment.author_name,
        "body": comment.body,
        "created_at": comment.created_at.to_string(),
    })
}

fn comment_schema() -> Json {
    schema::object([
        ("id", schema::uuid()),
        ("author", schema::uuid().nullable()),
        ("author_name", schema::string().nullable()),
        ("body", schema::string()),
        ("created_at", schema::date_time()),
    ])
    .required(["id", "author", "author_name", "body", "created_at"])
}
