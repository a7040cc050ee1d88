//! Messages as the public API and events write them.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use super::{Message, Status};
use crate::chat::Chat;
use crate::mask::{Sight, may_hold};
use crate::{PRODUCT, contact, event};

/// A message of a chat for somebody who sees this much of numbers.
pub fn row(message: &Message, chat: &Chat, sight: Sight) -> Json {
    let media = message.content.media.as_ref();
    json!({
        "id": message.id.to_string(),
        "chatId": sight.jid(&chat.jid),
        "chat": chat.id.to_string(),
        "numberId": chat.number,
        "fromMe": message.from_me,
        "type": message.content.kind,
        "text": message.content.text,
        "mediaUrl": media.and_then(|media| media.file).map(|file| format!("/api/v1/files/{file}/content/")),
        "mediaType": media.map(|media| media.content_type.clone()),
        "replyTo": message.content.reply_to,
        "origin": message.origin,
        "agentName": message.agent_name,
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
    let mut data = row(message, chat, Sight::Full);
    data["contactId"] = json!(chat.contact_id.map(|id| id.to_string()));
    data["name"] = json!(chat.name);
    let masked = |name: &Option<String>| name.as_deref().map(|name| Sight::Masked.name(name));
    let mut shown = json!({
        // WhatsApp's own ids hold the number that they went to.
        "chatId": null, "replyTo": null, "name": masked(&chat.name), "agentName": masked(&message.agent_name),
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
    let fields = [
        ("id", schema::uuid()),
        ("chatId", schema::string().nullable()),
        ("chat", schema::uuid()),
        ("numberId", schema::string()),
        ("fromMe", schema::boolean()),
        ("type", schema::string().describe("text, image, video, audio, document, sticker, location, …")),
        ("text", schema::string().nullable()),
        ("mediaUrl", schema::string().nullable()),
        ("mediaType", schema::string().nullable()),
        ("replyTo", schema::string().nullable()),
        ("origin", schema::string().describe("Who caused it: phone, agent, api, automation, broadcast, system.")),
        ("agentName", schema::string().nullable()),
        ("status", schema::one_of(Status::ALL.map(Status::as_str))),
        ("error", error.nullable()),
        ("timestamp", schema::date_time()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}
