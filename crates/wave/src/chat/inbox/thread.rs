//! The messages of a chat: reading, answering, trying again.

use std::sync::Arc;

use loopd_kernel::input::Input;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Tx};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::cursor::{self, Page};
use loopd_web::{Call, Reply};
use serde_json::json;

use super::super::{Chat, act, next_of, store};
use super::{LIMIT, LIMIT_MOST, TEXT_MOST, sight, unlinked};
use crate::engine::Content;
use crate::message::{self, Draft, Message, Origin, shown};
use crate::number::{self, Number, State};
use crate::template::{self, Asked};
use crate::{Wave, agent, kept_reply, preference};

pub async fn list(call: Call) -> Result<Reply> {
    let page = Page::read_named(call.query(), "cursor", LIMIT, LIMIT_MOST)?;
    let (tenant, id) = (call.tenant()?.clone(), call.id()?);
    let work = move |reader: &mut Reader<'_>| {
        let chat = store::get(reader, tenant.company, id)?;
        let mut messages = message::store::thread(reader, tenant.company, id, &page)?;
        let next = next_of(&mut messages, page.limit, |message| cursor::token(message.sent_at, message.id));
        let sight = sight(reader, &tenant)?;
        let rows = shown::rows(reader, tenant.company, &chat, &messages, sight)?;
        Reply::json(200, &json!({"next_cursor": next, "results": rows}))
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}

/// What somebody wants to say.
#[derive(Clone)]
struct Said {
    text: Option<String>,
    reply_to: Option<Uuid>,
    file: Option<Uuid>,
    template: Option<Asked>,
    /// A kept reply, for what is not said otherwise.
    kept: Option<Uuid>,
}

pub async fn reply(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let text = input.text("text", TEXT_MOST).filter(|text| !text.is_empty());
    let optional = |input: &mut Input, name| if input.take_null(name) { None } else { input.uuid(name) };
    let (reply_to, file) = (optional(&mut input, "reply_to"), optional(&mut input, "file"));
    let kept = optional(&mut input, "kept_reply");
    let template = template::asked(&mut input);
    if template.is_some() && (text.is_some() || file.is_some() || kept.is_some()) {
        input.refuse("template", "invalid", "A template has its own words: it is sent alone.");
    }
    input.finish()?;
    if text.is_none() && file.is_none() && template.is_none() && kept.is_none() {
        let words = "Write a text, or name a file, a template or a kept reply.";
        return Err(Problem::field("text", "required", words));
    }
    let said = Said { text, reply_to, file, template, kept };
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    call.commit(tenant.view(), move |tx| {
        let chat = store::get(tx, tenant.company, id)?;
        let number = number::find(tx, tenant.company, chat.number_id)?;
        let number = number.filter(|number| number.state != State::LoggedOut).ok_or_else(unlinked)?;
        let said = filled(tx, &kernel, &tenant, &chat, said.clone())?;
        let draft = Draft {
            number: &number,
            to: &chat.address()?,
            content: content(tx, &wave, &number, &tenant, &chat, &said)?,
            origin: Origin::Agent,
            agent: agent::caller(tx, &tenant)?,
            due_at: kernel.now(),
            expires_at: None,
        };
        let preferences = preference::load(tx, tenant.company)?;
        let queued = message::enqueue(tx, &kernel, &tenant, &preferences, &draft)?;
        act::record(
            tx,
            &kernel,
            &tenant,
            &queued.chat,
            "reply",
            Some(json!({"message": queued.message.id.to_string()})),
        )?;
        answer(tx, &tenant, &queued.chat, queued.message)
    })
    .await
}

/// What is not said otherwise comes from the kept reply.
fn filled(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: &Chat, said: Said) -> Result<Said> {
    let Some(id) = said.kept else { return Ok(said) };
    let found = kept_reply::store::get(tx, tenant, id);
    let reply = found.map_err(|_| Problem::field("kept_reply", "does_not_exist", "There is no such kept reply."))?;
    let text = match &said.text {
        Some(text) => text.clone(),
        None => kept_reply::rendered(tx, tenant, chat, &reply.text)?.chars().take(TEXT_MOST).collect(),
    };
    kept_reply::store::used(tx, tenant, id, kernel.now())?;
    Ok(Said { text: Some(text), file: said.file.or(reply.file_id), ..said })
}

fn content(
    tx: &mut Tx<'_>,
    wave: &Wave,
    number: &Number,
    tenant: &Tenant,
    chat: &Chat,
    said: &Said,
) -> Result<Content> {
    let reply_to = match said.reply_to {
        None => None,
        Some(id) => Some(answered(tx, tenant, chat, id)?),
    };
    if let Some(asked) = &said.template {
        return Ok(Content { reply_to, ..template::content(tx, number, asked)? });
    }
    let content = Content { kind: "text".to_owned(), text: said.text.clone(), reply_to, ..Content::default() };
    let Some(id) = said.file else { return Ok(content) };
    if !wave.engine(&number.engine).is_some_and(|engine| engine.abilities().media) {
        return Err(Problem::conflict("no_media", "This number cannot send files."));
    }
    content.with_file(tx, tenant.company, id)
}

/// WhatsApp's id of the message that is answered.
fn answered(reader: &mut Reader<'_>, tenant: &Tenant, chat: &Chat, id: Uuid) -> Result<String> {
    let found = message::store::find(reader, tenant.company, id)?.filter(|message| message.chat_id == chat.id);
    let nothing = || Problem::field("reply_to", "does_not_exist", "There is no such message in this chat.");
    let message = found.ok_or_else(nothing)?;
    message.wa_id.ok_or_else(|| Problem::field("reply_to", "invalid", "This message has not gone out yet."))
}

pub async fn retry(call: Call) -> Result<Reply> {
    Input::new(call.json()?, true)?.finish()?;
    let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
    let (chat, id) = (call.id()?, call.uuid("message_id")?);
    call.commit(tenant.view(), move |tx| {
        let queued = message::again(tx, &kernel, &tenant, chat, id)?;
        number::find(tx, tenant.company, queued.chat.number_id)?
            .filter(|number| number.state != State::LoggedOut)
            .ok_or_else(unlinked)?;
        act::record(tx, &kernel, &tenant, &queued.chat, "retry", Some(json!({"message": id.to_string()})))?;
        answer(tx, &tenant, &queued.chat, queued.message)
    })
    .await
}

fn answer(tx: &mut Tx<'_>, tenant: &Tenant, chat: &Chat, message: Message) -> Result<Reply> {
    let sight = sight(tx, tenant)?;
    let rows = shown::rows(tx, tenant.company, chat, &[message], sight)?;
    Reply::json(202, rows.first().unwrap_or(&json!(null)))
}
