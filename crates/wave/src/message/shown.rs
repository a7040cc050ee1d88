//! Messages as signed-in people are shown them.

use std::collections::BTreeMap;

use loopd_store::Reader;
use loopd_types::{CompanyId, Result, Uuid};
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use super::{Message, Status, details, store};
use crate::chat::Chat;
use crate::contact;
use crate::mask::{Numbers, Sight, may_hold};

/// The component's name.
pub const NAME: &str = "LoopwaveMessage";

/// Messages of one chat, in this order, for somebody who sees this much of numbers.
///
/// # Errors
/// The database's.
pub fn rows(
    reader: &mut Reader<'_>,
    company: CompanyId,
    chat: &Chat,
    messages: &[Message],
    sight: Sight,
) -> Result<Vec<Json>> {
    let known = store::answered(reader, company, chat.number_id, messages)?;
    let texts = || messages.iter().filter_map(|it| it.content.text.as_deref());
    let numbers = match sight.is_masked() && texts().any(may_hold) {
        true => contact::store::numbers(reader, company, chat.contact_id, &chat.jid)?,
        false => Numbers::default(),
    };
    Ok(messages.iter().map(|message| row(message, &known, sight, &numbers)).collect())
}

fn row(message: &Message, known: &BTreeMap<String, Uuid>, sight: Sight, hidden: &Numbers) -> Json {
    let media = message.content.media.as_ref().map(|media| {
        json!({
            "url": media.file.map(|file| format!("/api/v1/files/{file}/content/")),
            "content_type": media.content_type,
            "name": media.name.as_deref().map(|name| sight.text(name)),
            "size_bytes": media.size_bytes,
        })
    });
    let reply_to = message.content.reply_to.as_ref().and_then(|wa_id| known.get(wa_id));
    // In a group it may be a number.
    let author =
        message.agent_name.as_deref().map(|name| if message.from_me { name.to_owned() } else { sight.name(name) });
    json!({
        "id": message.id.to_string(),
        "chat": message.chat_id.to_string(),
        "from_me": message.from_me,
        "kind": message.content.kind,
        "text": message.content.text.as_deref().map(|text| hidden.veiled(text)),
        "media": media,
        "location": details::location(&message.content),
        "contacts": details::contacts(&message.content, sight),
        "choice": details::choice(&message.content),
        "reply_to": reply_to.map(Uuid::to_string),
        "origin": message.origin,
        "author": message.agent_id.map(|id| id.to_string()),
        "author_name": author,
        "status": message.status.as_str(),
        "status_at": message.status_at.to_string(),
        "about": message.content.extra.get("about"),
        "failure": message.failure.as_ref().map(|failure| json!({"code": failure.code, "message": failure.words})),
        "sent_at": message.sent_at.to_string(),
    })
}

/// The component's schema.
pub fn schema() -> Json {
    let media = [
        ("url", schema::string().nullable()),
        ("content_type", schema::string()),
        ("name", schema::string().nullable()),
        ("size_bytes", schema::integer().nullable()),
    ];
    let about = ["module", "resource", "id", "label"].map(|name| (name, schema::string()));
    let failure = [("code", schema::string()), ("message", schema::string())];
    let all = |fields: &[(&'static str, Json)]| {
        schema::object(fields.iter().cloned()).required(fields.iter().map(|(name, _)| *name))
    };
    let [location, contacts, choice] = details::fields();
    all(&[
        ("id", schema::uuid()),
        ("chat", schema::uuid()),
        ("from_me", schema::boolean()),
        ("kind", schema::string().describe("text, image, video, audio, document, sticker, location, …")),
        ("text", schema::string().nullable()),
        ("media", all(&media).nullable()),
        location,
        contacts,
        choice,
        ("reply_to", schema::uuid().nullable().describe("The message of this chat that it answers.")),
        ("origin", schema::string().describe("Who caused it: phone, agent, api, automation, broadcast, system.")),
        ("author", schema::uuid().nullable().describe("The user who wrote it.")),
        ("author_name", schema::string().nullable()),
        ("status", schema::one_of(Status::ALL.map(Status::as_str))),
        ("status_at", schema::date_time()),
        ("about", all(&about).nullable().describe("The record of another product that it was sent for.")),
        ("failure", all(&failure).nullable().describe("Why it did not go, in words.")),
        ("sent_at", schema::date_time()),
    ])
}
