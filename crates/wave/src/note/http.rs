//! `/api/v1/loopwave/chats/{id}/notes/`

use loopd_kernel::input::Input;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Tx};
use loopd_types::{Problem, Result};
use loopd_web::cursor::{self, Page};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Note};
use crate::PRODUCT;
use crate::chat::inbox::{LIMIT, LIMIT_MOST, cursor_param, on_chats, page_of};
use crate::chat::{self, act, next_of};
use crate::event;

const NAME: &str = "LoopwaveNote";
const URL: &str = "/api/v1/loopwave/chats/{id}/notes/";
/// Characters of a note.
const TEXT_MOST: usize = 10_000;

/// The schemas that the operations refer to.
pub fn components() -> Vec<(String, Json)> {
    let fields = [
        ("id", schema::uuid()),
        ("chat", schema::uuid()),
        ("author", schema::uuid().nullable()),
        ("author_name", schema::string().nullable()),
        ("text", schema::string()),
        ("created_at", schema::date_time()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    vec![(NAME.to_owned(), schema::object(fields).required(names))]
}

pub fn operations() -> Vec<Operation> {
    let note = || schema::component(NAME);
    let item = format!("{URL}{{note_id}}/");
    vec![
        on_chats(Operation::get("loopwave_notes_list", URL, list), "view", "Read the notes on a chat, newest first")
            .param(cursor::limit_param(LIMIT, LIMIT_MOST))
            .param(cursor_param())
            .responds(200, "One page.", page_of(note())),
        on_chats(
            Operation::post("loopwave_notes_create", URL, create),
            "update",
            "Write a note on a chat; it is never sent",
        )
        .body(schema::object([("text", schema::text(1, TEXT_MOST as u32))]).required(["text"]))
        .responds(201, "The note.", note()),
        on_chats(
            Operation::delete("loopwave_notes_destroy", item, destroy),
            "update",
            "Delete a note: one's own, or any for who may delete chats",
        )
        .responds_empty(204, "Deleted."),
    ]
}

fn row(note: &Note) -> Json {
    json!({
        "id": note.id.to_string(),
        "chat": note.chat_id.to_string(),
        "author": note.author_id.map(|id| id.to_string()),
        "author_name": note.author_name,
        "text": note.text,
        "created_at": note.created_at.to_string(),
    })
}

async fn list(call: Call) -> Result<Reply> {
    let page = Page::read_named(call.query(), "cursor", LIMIT, LIMIT_MOST)?;
    let (company, id) = (call.tenant()?.company, call.id()?);
    let work = move |reader: &mut Reader<'_>| {
        chat::get(reader, company, id)?;
        let mut notes = store::list(reader, company, id, &page)?;
        let next = next_of(&mut notes, page.limit, |note| cursor::token(note.created_at, note.id));
        Reply::json(200, &json!({"next_cursor": next, "results": notes.iter().map(row).collect::<Vec<_>>()}))
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}

async fn create(call: Call) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let text = input.required_text("text", TEXT_MOST);
    input.finish()?;
    let text = text.ok_or_else(|| Problem::internal("input that was checked is gone"))?;
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let chat = chat::lock(tx, tenant.company, id)?;
        let note = store::insert(tx, &kernel, &tenant, id, &text)?;
        act::record(tx, &kernel, &tenant, &chat, "note", Some(json!({"note": note.id.to_string()})))?;
        told(tx, &kernel, &tenant, &note, "created", row(&note))?;
        Reply::json(201, &row(&note))
    })
    .await
}

async fn destroy(call: Call) -> Result<Reply> {
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let (id, note) = (call.id()?, call.uuid("note_id")?);
    call.commit(tenant.view(), move |tx| {
        let chat = chat::lock(tx, tenant.company, id)?;
        let note = store::get(tx, tenant.company, id, note)?;
        let is_own = note.author_id.is_some() && note.author_id == tenant.actor.user;
        if !is_own {
            tenant.require(&format!("{PRODUCT}.chats.delete"))?;
        }
        store::delete(tx, tenant.company, note.id)?;
        act::record(tx, &kernel, &tenant, &chat, "delete-note", Some(json!({"note": note.id.to_string()})))?;
        told(tx, &kernel, &tenant, &note, "deleted", gone(&note))?;
        Ok(Reply::no_content())
    })
    .await
}

fn gone(note: &Note) -> Json {
    json!({"id": note.id.to_string(), "chat": note.chat_id.to_string()})
}

fn told(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, note: &Note, act: &str, data: Json) -> Result<()> {
    let subject = format!("{PRODUCT}/notes/{}", note.id);
    event::emit(tx, kernel, tenant, &format!("{PRODUCT}.notes.{act}"), &subject, data, None)
}
