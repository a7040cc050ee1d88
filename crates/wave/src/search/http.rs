//! `GET /api/v1/loopwave/search/`

use std::collections::HashMap;

use loopd_kernel::Tenant;
use loopd_store::Reader;
use loopd_types::{Problem, Result, Uuid};
use loopd_web::cursor::{self, Page};
use loopd_web::{Call, Operation, Param, Query, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::{Asked, Wanted, store};
use crate::chat::inbox::{cursor_param, on_chats, page_of, sight};
use crate::chat::{self, Chat};
use crate::mask::{Sight, may_hold};
use crate::message::{self, Message};
use crate::{contact, number};

const NAME: &str = "LoopwaveSearchHit";
const URL: &str = "/api/v1/loopwave/search/";
const LIMIT: i64 = 20;
const LIMIT_MOST: i64 = 100;
/// Characters of a question.
const QUESTION_MOST: usize = 200;
/// How often more is fetched when hits turn out to be none, before the page ends short with a cursor to go on.
const ROUNDS: usize = 5;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let mark =
        schema::object([("start", schema::integer()), ("length", schema::integer())]).required(["start", "length"]);
    let hit = schema::object([
        ("chat", schema::component(chat::shown::NAME)),
        ("message", schema::component(message::shown::NAME)),
        ("snippet", schema::string().describe("The text around the first hit.")),
        ("highlights", schema::array(mark).describe("The hits in the snippet, in characters (Unicode scalar values).")),
    ]);
    vec![(NAME.to_owned(), hit.required(["chat", "message", "snippet", "highlights"]))]
}

pub fn operations() -> Vec<Operation> {
    vec![
        on_chats(Operation::get("loopwave_search", URL, search), "view", "Search the messages of all chats, newest first")
            .describe(
                "Finds messages that have every word of `q`, in any order and case; `mot*` finds words that begin so. A message is found \
                 within a second of its coming. Who may not see customers' numbers finds nobody by one.",
            )
            .param(
                Param::query("q", schema::text(1, QUESTION_MOST as u32).example("delivery kigali"))
                    .required()
                    .describe("Words; of more than twelve the first twelve count."),
            )
            .param(Param::query("chat", schema::uuid()).describe("In this chat."))
            .param(Param::query("number", schema::string()).describe("Of this number of ours: `n1a2b3c4`."))
            .param(Param::query("agent", schema::string()).describe("Written by `me`, or by the user of this id."))
            .param(Param::query("direction", schema::one_of(["in", "out"])).describe("What came in, or went out."))
            .param(Param::query("from", schema::date_time()).describe("Written at this moment or later."))
            .param(Param::query("to", schema::date_time()).describe("Written before this moment."))
            .param(cursor::limit_param(LIMIT, LIMIT_MOST))
            .param(cursor_param())
            .responds(200, "One page.", page_of(schema::component(NAME))),
    ]
}

/// What the query asks for, with the number by its name.
fn wanted(query: &Query, tenant: &Tenant) -> Result<(Wanted, Option<String>)> {
    let text = |name: &str| query.get(name).map(str::trim).filter(|text| !text.is_empty());
    let question = text("q").unwrap_or_default();
    let mut problem = Problem::validation();
    let words = Asked::parse(question);
    if question.chars().count() > QUESTION_MOST {
        problem.add_field("q", "max_length", format!("No more than {QUESTION_MOST} characters."));
    } else if words.is_empty() {
        problem.add_field("q", "required", "Write at least one word.");
    }
    let agent = match text("agent") {
        None => None,
        Some("me") => Some(tenant.actor.user.unwrap_or_default()),
        Some(id) => {
            let id = Uuid::parse_str(id).ok();
            if id.is_none() {
                problem.add_field("agent", "invalid", "Write me, or the id of a user.");
            }
            id
        }
    };
    let from_me = match text("direction") {
        None => None,
        Some("in") => Some(false),
        Some("out") => Some(true),
        Some(other) => {
            problem.add_field("direction", "invalid_choice", format!("\"{other}\" is not a valid choice."));
            None
        }
    };
    if problem.has_fields() {
        return Err(problem);
    }
    let (from, until, chat) = (query.time("from")?, query.time("to")?, query.uuid("chat")?);
    Ok((Wanted { words, chat, number: None, agent, from, until, from_me }, text("number").map(str::to_owned)))
}

async fn search(call: Call) -> Result<Reply> {
    let page = Page::read_named(call.query(), "cursor", LIMIT, LIMIT_MOST)?;
    let tenant = call.tenant()?.clone();
    let (wanted, number) = wanted(call.query(), &tenant)?;
    let work = move |reader: &mut Reader<'_>| {
        let mut wanted = wanted.clone();
        if let Some(name) = &number {
            match number::find_public(reader, tenant.company, name)? {
                Some(number) => wanted.number = Some(number.id),
                None => return Reply::json(200, &json!({"next_cursor": null, "results": []})),
            }
        }
        let sight = sight(reader, &tenant)?;
        let (found, next) = collect(reader, &tenant, &wanted, sight, &page)?;
        let mut rows = Vec::with_capacity(found.len());
        for (message, chat) in &found {
            rows.push(row(reader, &tenant, &wanted, message, chat, sight)?);
        }
        Reply::json(200, &json!({"next_cursor": next, "results": rows}))
    };
    call.kernel.db.read_long(call.tenant()?.view(), work).await
}

/// What is found, and where the next page begins.
type Found = (Vec<(Message, Chat)>, Option<String>);

/// A page of what is found.
fn collect(reader: &mut Reader<'_>, tenant: &Tenant, wanted: &Wanted, sight: Sight, page: &Page) -> Result<Found> {
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let (mut found, mut after) = (Vec::with_capacity(limit), page.before());
    for _ in 0..ROUNDS {
        let hits = store::hits(reader, tenant.company, wanted, after, page.limit + 1)?;
        let is_last = hits.len() <= limit;
        let ids: Vec<Uuid> = hits.iter().map(|hit| hit.message).collect();
        let mut messages: HashMap<Uuid, Message> =
            message::store::by_ids(reader, tenant.company, &ids)?.into_iter().map(|it| (it.id, it)).collect();
        let mut ids: Vec<Uuid> = messages.values().map(|message| message.chat_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let chats: HashMap<Uuid, Chat> =
            chat::store::by_ids(reader, tenant.company, &ids)?.into_iter().map(|it| (it.id, it)).collect();
        for hit in hits {
            if found.len() == limit {
                return Ok((found, Some(token(after))));
            }
            after = hit.place;
            let Some(message) = messages.remove(&hit.message) else { continue };
            let Some(chat) = chats.get(&message.chat_id) else { continue };
            let message = seen(reader, tenant, message, chat, sight)?;
            if is_it(wanted, &message) {
                found.push((message, chat.clone()));
            }
        }
        if is_last {
            return Ok((found, None));
        }
    }
    Ok((found, Some(token(after))))
}

fn token((at, id): (i64, Uuid)) -> String {
    cursor::token(loopd_types::Timestamp(at), id)
}

/// A message as somebody reads it who sees this much of numbers: a hit is held against no more than that, so that what is not shown
/// cannot be asked for either, and what is shown is found.
fn seen(reader: &mut Reader<'_>, tenant: &Tenant, mut message: Message, chat: &Chat, sight: Sight) -> Result<Message> {
    if let Some(text) = message.content.text.as_deref().filter(|text| sight.is_masked() && may_hold(text)) {
        let numbers = contact::store::numbers(reader, tenant.company, chat.contact_id, &chat.jid)?;
        message.content.text = Some(numbers.veiled(text).into_owned());
    }
    Ok(message)
}

/// Whether a message is what is wanted, as it is now.
fn is_it(wanted: &Wanted, message: &Message) -> bool {
    message.content.text.as_deref().is_some_and(|text| wanted.words.is_met_by(text))
        && wanted.from.is_none_or(|from| message.sent_at >= from)
        && wanted.until.is_none_or(|until| message.sent_at < until)
}

fn row(
    reader: &mut Reader<'_>,
    tenant: &Tenant,
    wanted: &Wanted,
    message: &Message,
    chat: &Chat,
    sight: Sight,
) -> Result<Json> {
    let (snippet, marks) = wanted.words.excerpt(message.content.text.as_deref().unwrap_or_default());
    let marks: Vec<Json> = marks.iter().map(|(start, length)| json!({"start": start, "length": length})).collect();
    let mut shown = message::shown::rows(reader, tenant.company, chat, std::slice::from_ref(message), sight)?;
    Ok(json!({
        "chat": chat::shown::rows(reader, tenant.company, std::slice::from_ref(chat), sight)?.pop(),
        "message": shown.pop(),
        "snippet": snippet,
        "highlights": marks,
    }))
}
