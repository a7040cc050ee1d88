//! Chats as the public API and events write them.

use loopd_store::Reader;
use loopd_types::{CompanyId, Result};
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use super::Chat;
use crate::address::Address;
use crate::mask::{Sight, may_hold};
use crate::{contact, window};

/// A chat for somebody who sees this much of numbers.
pub fn row(chat: &Chat, sight: Sight) -> Json {
    let phone = Address::parse(&chat.jid).and_then(|address| address.telephone());
    json!({
        "id": chat.id.to_string(),
        "chatId": sight.jid(&chat.jid),
        "numberId": chat.number,
        "contactId": chat.contact_id.map(|id| id.to_string()),
        "name": chat.name.as_deref().map(|name| sight.name(name)),
        "phone": phone.as_deref().map(|phone| sight.phone(phone)),
        "isGroup": chat.is_group,
        "status": chat.status,
        "assigneeId": chat.assignee_id.map(|id| id.to_string()),
        "assigneeName": chat.assignee_name,
        "labels": chat.labels,
        "unreadCount": chat.unread_count,
        "lastMessage": chat.last_text,
        "lastMessageAt": chat.last_message_at.to_millis(),
        "windowOpenUntil": window::open_until(chat).map(|at| at.to_millis()),
        "createdAt": chat.created_at.to_millis(),
    })
}

/// What events tell of a chat, and what of that is masked.
///
/// # Errors
/// The database's.
pub fn payload(reader: &mut Reader<'_>, company: CompanyId, chat: &Chat) -> Result<(Json, Json)> {
    let (full, masked) = (row(chat, Sight::Full), row(chat, Sight::Masked));
    let shown = ["chatId", "name", "phone"].iter().map(|name| ((*name).to_owned(), masked[*name].clone()));
    let mut shown = Json::Object(shown.collect());
    if let Some(text) = chat.last_text.as_deref().filter(|text| may_hold(text)) {
        let numbers = contact::store::numbers(reader, company, chat.contact_id, &chat.jid)?;
        shown["lastMessage"] = numbers.veiled(text).into();
    }
    Ok((full, shown))
}

pub fn row_schema() -> Json {
    schema::object([
        ("id", schema::uuid()),
        ("chatId", schema::string().nullable().describe("WhatsApp's jid.")),
        ("numberId", schema::string()),
        ("contactId", schema::uuid().nullable()),
        ("name", schema::string().nullable()),
        ("phone", schema::string().nullable()),
        ("isGroup", schema::boolean()),
        ("status", schema::one_of(super::STATUSES)),
        ("assigneeId", schema::uuid().nullable()),
        ("assigneeName", schema::string().nullable()),
        ("labels", schema::array(schema::string())),
        ("unreadCount", schema::integer()),
        ("lastMessage", schema::string().nullable()),
        ("lastMessageAt", schema::date_time()),
        (
            "windowOpenUntil",
            schema::date_time().nullable().describe("Cloud API: from then on only approved templates go."),
        ),
        ("createdAt", schema::date_time()),
    ])
    .required([
        "id",
        "chatId",
        "numberId",
        "contactId",
        "name",
        "phone",
        "isGroup",
        "status",
        "assigneeId",
        "assigneeName",
        "labels",
        "unreadCount",
        "lastMessage",
        "lastMessageAt",
        "windowOpenUntil",
        "createdAt",
    ])
}
