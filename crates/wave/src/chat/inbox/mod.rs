//! `/api/v1/loopwave/chats/…`: the inbox of signed-in people. Reads are masked by [`crate::mask::Sight`].

mod read;
mod start;
mod thread;
mod write;

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_store::Reader;
use loopd_types::{Problem, Result};
use loopd_web::rows::handled;
use loopd_web::{Call, Operation, Param, Reply, Schema as _, cursor, schema};
use serde_json::Value as Json;

use super::{Chat, STATUSES, shown};
use crate::contact::LIFECYCLES;
use crate::mask::Sight;
use crate::{PRODUCT, Wave, message, preference, template};

const URL: &str = "/api/v1/loopwave/chats/";
const ITEM: &str = "/api/v1/loopwave/chats/{id}/";
const THREAD: &str = "/api/v1/loopwave/chats/{id}/messages/";

/// Rows of a page.
pub const LIMIT: i64 = 50;
pub const LIMIT_MOST: i64 = 200;
/// Characters of a text that WhatsApp takes.
const TEXT_MOST: usize = 4096;
const NAME_MOST: usize = 128;
/// Labels of one chat, and characters of one.
const LABELS_MOST: usize = 20;
pub const LABEL_MOST: usize = 60;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    vec![(shown::NAME.to_owned(), shown::schema()), (message::shown::NAME.to_owned(), message::shown::schema())]
}

/// A page of rows without a count: nobody counts a hundred thousand chats to show fifty.
pub fn page_of(row: Json) -> Json {
    schema::object([
        ("next_cursor", schema::string().nullable().describe("Where the next page begins; null on the last.")),
        ("results", schema::array(row)),
    ])
    .required(["next_cursor", "results"])
}

pub fn cursor_param() -> Param {
    Param::query("cursor", schema::string()).describe("The `next_cursor` of the page before.")
}

/// An operation on chats that who may `verb` them does.
pub fn on_chats(operation: Operation, verb: &str, summary: &str) -> Operation {
    operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), &format!("{PRODUCT}.chats.{verb}"))
}

/// How much of numbers a caller sees.
///
/// # Errors
/// The database's.
pub fn sight(reader: &mut Reader<'_>, tenant: &Tenant) -> Result<Sight> {
    Ok(Sight::of(tenant, &preference::load(reader, tenant.company)?))
}

/// A chat as its caller may see it.
fn answer(reader: &mut Reader<'_>, tenant: &Tenant, status: u16, chat: &Chat) -> Result<Reply> {
    let sight = sight(reader, tenant)?;
    let rows = shown::rows(reader, tenant.company, std::slice::from_ref(chat), sight)?;
    Reply::json(status, &rows[0])
}

pub fn operations(wave: &Arc<Wave>) -> Vec<Operation> {
    let mut all = reads();
    all.extend(writes());
    all.extend(messages(wave));
    all
}

fn reads() -> Vec<Operation> {
    let chat = || schema::component(shown::NAME);
    let list = on_chats(
        Operation::get("loopwave_inbox_list", URL, read::list),
        "view",
        "List chats, the last written in first",
    )
    .describe("Conditions are met all together. A saved view's conditions hold where the query says nothing else.")
    .param(Param::query("status", schema::one_of(STATUSES)))
    .param(Param::query("assignee", schema::string()).describe("`me`, `none`, or the id of a user."))
    .param(Param::query("unread", schema::boolean()).describe("`true`: with messages that nobody read."))
    .param(Param::query("waiting", schema::boolean()).describe("`true`: whose customer waits for an answer."))
    .param(Param::query("number", schema::string()).describe("Of this number of ours: `n1a2b3c4`."))
    .param(Param::query("label", schema::string()).describe("Of the chat."))
    .param(Param::query("contact", schema::uuid()))
    .param(Param::query("tag", schema::string()).describe("Of the chat's contact."))
    .param(Param::query("lifecycle", schema::one_of(LIFECYCLES)).describe("Of the chat's contact."))
    .param(
        Param::query("text", schema::string())
            .describe("A part of the customer's name, or of their number for who may see it. What was written is found by `/search/`."),
    )
    .param(Param::query("saved_view", schema::uuid()))
    .param(cursor::limit_param(LIMIT, LIMIT_MOST))
    .param(cursor_param())
    .responds(200, "One page.", page_of(chat()));
    let retrieve = on_chats(Operation::get("loopwave_inbox_retrieve", ITEM, read::retrieve), "view", "Read a chat")
        .responds(200, "The chat.", chat());
    let thread = on_chats(
        Operation::get("loopwave_inbox_messages", THREAD, thread::list),
        "view",
        "Read the messages of a chat, newest first",
    )
    .param(cursor::limit_param(LIMIT, LIMIT_MOST))
    .param(cursor_param())
    .responds(200, "One page.", page_of(schema::component(message::shown::NAME)));
    vec![list, retrieve, thread]
}

fn writes() -> Vec<Operation> {
    let chat = || schema::component(shown::NAME);
    let labels = schema::array(schema::text(1, LABEL_MOST as u32)).with("maxItems", LABELS_MOST as u64);
    let assignee = schema::string().nullable().describe("`me`, the id of a user, or null to give it back to all.");
    let act = |name: &str, summary: &str| {
        let path = format!("{ITEM}{name}/");
        on_chats(Operation::post(format!("loopwave_inbox_{name}"), path, loopd_web::rows::nothing), "update", summary)
            .responds(200, "The chat as it is now.", chat())
    };
    vec![
        on_chats(
            Operation::patch("loopwave_inbox_partial_update", ITEM, write::update),
            "update",
            "Change a chat, all in one act",
        )
        .body(schema::object([
            ("status", schema::one_of(STATUSES)),
            ("assignee", assignee.clone()),
            ("labels", labels),
        ]))
        .responds(200, "The chat as it is now.", chat()),
        handled(act("resolve", "Take a chat out of the queue"), write::resolve),
        handled(act("reopen", "Put a chat back into the queue"), write::reopen),
        handled(act("assign", "Give a chat to somebody, or take it"), write::assign)
            .body(
                schema::object([
                    ("assignee", assignee.clone()),
                    ("from", assignee.describe("Who has it as far as the caller knows, null for nobody: if it is somebody else by now, 409 and nothing changes.")),
                ])
                .required(["assignee"]),
            )
            .responds(409, "`assigned_meanwhile`: somebody else has it; `details` says who.", schema::component("Error")),
        handled(act("read", "Mark a chat as read; the customer sees it too"), write::read),
    ]
}

fn messages(wave: &Arc<Wave>) -> Vec<Operation> {
    let wave = wave.clone();
    let message = || schema::component(message::shown::NAME);
    let refused = "The number is unlinked, or cannot send files; `window_closed`: only an approved template may be sent now; `no_templates`, `template_not_approved`.";
    let reply = Operation::post("loopwave_inbox_reply", THREAD, loopd_web::rows::nothing);
    let reply = on_chats(reply, "update", "Answer in a chat")
        .describe(
            "It is written down and goes out under the writer's name as soon as the number is connected. Repeat the call with the same \
             `Idempotency-Key` when no answer came: it is sent once.",
        )
        .body(schema::object([
            ("text", schema::text(0, TEXT_MOST as u32)),
            ("reply_to", schema::uuid().nullable().describe("A message of this chat.")),
            ("file", schema::uuid().nullable().describe("A file of the company's library; the text is its caption.")),
            template::member(),
            ("kept_reply", schema::uuid().nullable().describe("Its text and file, where none is given; its words are filled in.")),
        ]))
        .responds(202, "On its way.", message())
        .responds(409, refused, schema::component("Error"));
    let again = Operation::post("loopwave_inbox_retry", format!("{THREAD}{{message_id}}/retry/"), thread::retry);
    let start = Operation::post("loopwave_inbox_create", URL, start::start);
    vec![
        handled(reply, move |call: Call| thread::reply(call, wave.clone())),
        on_chats(again, "update", "Send a message again that failed, or whose outcome nobody knows")
            .responds(202, "On its way again.", message())
            .responds(
                409,
                "It went out, or is on its way; `window_closed`: only an approved template may be sent now; `no_templates`, `template_not_approved`.",
                schema::component("Error"),
            ),
        on_chats(start, "create", "Begin a chat with somebody, or find the one that there is")
            .body(
                schema::object([
                    (
                        "to",
                        schema::text(1, NAME_MOST as u32)
                            .describe("Digits with country code, or a jid.")
                            .example("250788123456"),
                    ),
                    (
                        "number",
                        schema::text(0, NAME_MOST as u32).describe("Ours; the first that is ready unless said."),
                    ),
                    ("text", schema::text(0, TEXT_MOST as u32).describe("What to write to them at once.")),
                    template::member(),
                ])
                .required(["to"]),
            )
            .responds(201, "The chat.", schema::component(shown::NAME))
            .responds(
                409,
                "No number is ready; `window_closed`: only an approved template may be sent now; `no_templates`, `template_not_approved`.",
                schema::component("Error"),
            ),
    ]
}

/// 409: nothing would ever go out there.
fn unlinked() -> Problem {
    Problem::conflict("number_not_linked", "This chat's number is no longer linked, so nothing can be sent from it.")
}
