//! `GET /api/v1/chats` and `GET /api/v1/chats/{chatId}/messages`.

use loopd_store::{Reader, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::cursor::{self, Page};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::{STATUSES, store, wire};
use crate::key::{DOOR, LIVE};
use crate::mask::Sight;
use crate::{message, number};

const LIMIT: i64 = 50;
const LIMIT_MOST: i64 = 200;
const SCOPE: &str = "chats:read";

pub fn operations() -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| {
        operation.tag("loopwave").summary(summary).keyed(&DOOR, &[LIVE], Some(SCOPE))
    };
    let page_of = |row: Json| {
        schema::object([("data", schema::array(row)), ("nextCursor", schema::string().nullable())])
            .required(["data", "nextCursor"])
    };
    vec![
        op(Operation::get("loopwave_chats_list", "/api/v1/chats", list), "List chats, the last written in first")
            .param(Param::query("status", schema::one_of(STATUSES)))
            .param(Param::query("assigneeId", schema::uuid()))
            .param(Param::query("numberId", schema::string()))
            .param(cursor::limit_param(LIMIT, LIMIT_MOST))
            .param(Param::query("cursor", schema::string()).describe("The `nextCursor` of the page before."))
            .responds(200, "One page.", page_of(wire::row_schema())),
        op(
            Operation::get("loopwave_chat_messages", "/api/v1/chats/{chatId}/messages", messages),
            "Read a chat, newest message first",
        )
        .param(Param::path("chatId", schema::string().example("919812345678@s.whatsapp.net")))
        .param(
            Param::query("numberId", schema::string()).describe(
                "Of which of our numbers, where several know the customer; the one written in last unless said.",
            ),
        )
        .param(cursor::limit_param(LIMIT, LIMIT_MOST))
        .param(Param::query("cursor", schema::string()).describe("The `nextCursor` of the page before."))
        .param(Param::query("before", schema::string()).describe("The same, by another name."))
        .responds(200, "One page.", page_of(message::wire::row_schema())),
    ]
}

async fn list(call: Call) -> Result<Reply> {
    let page = Page::read_named(call.query(), "cursor", LIMIT, LIMIT_MOST)?;
    let named = |name: &str| call.query().get(name).filter(|text| !text.is_empty());
    let status = match named("status") {
        None => None,
        Some(word) if STATUSES.contains(&word) => Some(word.to_owned()),
        Some(_) => return Err(Problem::invalid("bad_request", "status must be open or resolved")),
    };
    let assignee = match named("assigneeId").map(Uuid::parse_str) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Err(Problem::invalid("bad_request", "assigneeId must be the id of a person")),
    };
    let (company, wanted) = (call.tenant()?.company, named("numberId").map(str::to_owned));
    let mut rows = call
        .kernel
        .db
        .read(View::Company(company), move |reader| {
            let number = match &wanted {
                None => None,
                Some(name) => match number::find_ever(reader, company, name)? {
                    Some(id) => Some(id),
                    None => return Ok(Vec::new()),
                },
            };
            let filter =
                store::Filter { status: status.clone(), assignee: assignee.map(Some), number, ..Default::default() };
            Ok(store::list(reader, company, &filter, &page)?)
        })
        .await?;
    let next = cursor::next_of(&mut rows, page.limit, |chat| cursor::token(chat.last_message_at, chat.id));
    let data: Vec<Json> = rows.iter().map(|chat| wire::row(chat, Sight::Full)).collect();
    Reply::json(200, &json!({"data": data, "nextCursor": next}))
}

async fn messages(call: Call) -> Result<Reply> {
    let cursor = if call.query().get("cursor").is_some() { "cursor" } else { "before" };
    let page = Page::read_named(call.query(), cursor, LIMIT, LIMIT_MOST)?;
    let (company, name) = (call.tenant()?.company, call.param("chatId").to_owned());
    let wanted = call.query().get("numberId").filter(|text| !text.is_empty()).map(str::to_owned);
    let base_url = call.base_url();
    let work = move |reader: &mut Reader<'_>| {
        let number = match &wanted {
            None => None,
            Some(name) => Some(number::find_public(reader, company, name)?.ok_or_else(Problem::not_found)?.id),
        };
        let chat = store::find_named(reader, company, &name, number)?.ok_or_else(Problem::not_found)?;
        let mut rows = message::store::thread(reader, company, chat.id, &page)?;
        let next = cursor::next_of(&mut rows, page.limit, |message| cursor::token(message.sent_at, message.id));
        let data = message::wire::rows(reader, company, &chat, &rows, &base_url)?;
        Reply::json(200, &json!({"data": data, "nextCursor": next}))
    };
    call.kernel.db.read(View::Company(company), work).await
}
