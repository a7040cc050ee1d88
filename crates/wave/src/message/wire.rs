//! Messages as the public API and events write them.

use std::collections::BTreeMap;
use std::slice;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Tx};
use loopd_types::{CompanyId, Result, Uuid};
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use super::{Message, Status, details, media, store};
use crate::chat::Chat;
use crate::mask::{Sight, may_hold};
use crate::{PRODUCT, contact, event};

/// Messages of one chat, in this order; links begin with `base_url`, which has no final slash.
///
/// # Errors
/// The database's.
pub fn rows(
    reader: &mut Reader<'_>,
    company: CompanyId,
    chat: &Chat,
    messages: &[Message],
    base_url: &str,
) -> Result<Vec<Json>> {
    let known = store::answered(reader, company, chat.number_id, messages)?;
    Ok(messages.iter().map(|message| row(message, chat, &known, base_url)).collect())
}

fn row(message: &Message, chat: &Chat, known: &BTreeMap<String, Uuid>, base_url: &str) -> Json {
    let media = message.content.media.as_ref();
    let reply_to = message.content.reply_to.as_ref().and_then(|wa_id| known.get(wa_id));
    let author = message.agent_name.as_deref();
    json!({
        "id": message.id.to_string(),
        "chatId": chat.jid,
        "chat": chat.id.to_string(),
        "numberId": chat.number,
        "fromMe": message.from_me,
        "type": message.content.kind,
        "text": message.content.text,
        "mediaUrl": media.and_then(|media| media.file).map(|_| media::url(base_url, message.id)),
        "mediaType": media.map(|media| media.content_type.clone()),
        "location": details::location(&message.content),
        "contacts": details::contacts(&message.content, Sight::Full),
        "choice": details::choice(&message.content),
        "replyTo": reply_to.map(Uuid::to_string),
        "origin": message.origin,
        "agentName": author.filter(|_| message.from_me),
        "authorName": author.filter(|_| !message.from_me),
        "status": message.status.as_str(),
        "error": message.failure.as_ref().map(|failure| json!({"code": failure.code, "message": failure.words})),
        "timestamp": message.sent_at.to_millis(),
    })
}

/// Emits `loopwave.messages.<act>`: `created` for one that was sent or received, `updated` for what became of it.
///
/// # Errors
/// As [`event::emit`].
pub fn told(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    message: &Message,
    chat: &Chat,
    act: &str,
) -> Result<()> {
    let base_url = &kernel.settings.public_url;
    let mut rows = rows(tx, tenant.company, chat, slice::from_ref(message), base_url)?;
    let mut data = rows.pop().unwrap_or_default();
    data["contactId"] = json!(chat.contact_id.map(|id| id.to_string()));
    data["name"] = json!(chat.name);
    let masked = |name: Option<&str>| name.map(|name| Sight::Masked.name(name));
    let mut shown = json!({
        "chatId": null,
        "name": masked(chat.name.as_deref()),
        "agentName": masked(data["agentName"].as_str()),
        "authorName": masked(data["authorName"].as_str()),
        "contacts": details::contacts(&message.content, Sight::Masked),
    });
    if let Some(text) = message.content.text.as_deref().filter(|text| may_hold(text)) {
        let numbers = contact::store::numbers(tx, tenant.company, chat.contact_id, &chat.jid)?;
        shown["text"] = numbers.veiled(text).into();
    }
    let subject = format!("{PRODUCT}/messages/{}", message.id);
    event::emit(tx, kernel, tenant, &format!("{PRODUCT}.messages.{act}"), &subject, data, Some(shown))
}

pub fn row_schema() -> Json {
    let error =
        schema::object([("code", schema::string()), ("message", schema::string())]).required(["code", "message"]);
    let [location, contacts, choice] = details::fields();
    let fields = [
        ("id", schema::uuid()),
        ("chatId", schema::string()),
        ("chat", schema::uuid()),
        ("numberId", schema::string()),
        ("fromMe", schema::boolean()),
        ("type", schema::string().describe("text, image, video, audio, document, sticker, location, …")),
        ("text", schema::string().nullable()),
        (
            "mediaUrl",
            schema::string()
                .nullable()
                .describe("Where a key with `chats:read` reads the file; null without one, and until it was fetched."),
        ),
        ("mediaType", schema::string().nullable()),
        location,
        contacts,
        choice,
        ("replyTo", schema::uuid().nullable().describe("The message that it answers, or reacts to.")),
        ("origin", schema::string().describe("Who caused it: phone, agent, api, automation, broadcast, system.")),
        ("agentName", schema::string().nullable().describe("Who of the team wrote it; null for what came in.")),
        ("authorName", schema::string().nullable().describe("Who wrote what came in from a group.")),
        ("status", schema::one_of(Status::ALL.map(Status::as_str))),
        ("error", error.nullable()),
        ("timestamp", schema::date_time()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}
