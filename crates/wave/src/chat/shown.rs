//! Chats as signed-in people are shown them.

use loopd_store::Reader;
use loopd_types::{CompanyId, Result, Uuid};
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};

use super::Chat;
use crate::address::Address;
use crate::mask::{Numbers, Sight, may_hold};
use crate::{contact, window};

/// The component's name.
pub const NAME: &str = "LoopwaveChat";

/// Chats, in this order, for somebody who sees this much of numbers.
///
/// # Errors
/// The database's.
pub fn rows(reader: &mut Reader<'_>, company: CompanyId, chats: &[Chat], sight: Sight) -> Result<Vec<Json>> {
    let telling = |chat: &&Chat| sight.is_masked() && chat.last_text.as_deref().is_some_and(may_hold);
    let contacts: Vec<Uuid> = chats.iter().filter(telling).filter_map(|chat| chat.contact_id).collect();
    let known = contact::store::phones(reader, &[company], &contacts)?;
    let veiled = |chat: &Chat| {
        let mut row = row(chat, sight);
        if telling(&chat) {
            let own = Address::parse(&chat.jid).and_then(|address| address.telephone());
            let phones = chat.contact_id.and_then(|contact| known.get(&contact));
            let numbers = match chat.is_group {
                true => Numbers::Any,
                false => Numbers::of(phones.into_iter().flatten().chain(&own).map(String::as_str)),
            };
            row["last_message"] = chat.last_text.as_deref().map(|text| numbers.veiled(text)).into();
        }
        row
    };
    Ok(chats.iter().map(veiled).collect())
}

fn row(chat: &Chat, sight: Sight) -> Json {
    let phone = Address::parse(&chat.jid).and_then(|address| address.telephone());
    json!({
        "id": chat.id.to_string(),
        "number": chat.number,
        "contact": chat.contact_id.map(|id| id.to_string()),
        "jid": sight.jid(&chat.jid),
        "name": chat.name.as_deref().map(|name| sight.name(name)),
        "phone": phone.as_deref().map(|phone| sight.phone(phone)),
        "is_group": chat.is_group,
        "status": chat.status,
        "assignee": chat.assignee_id.map(|id| id.to_string()),
        "assignee_name": chat.assignee_name,
        "assigned_at": chat.assigned_at.map(|at| at.to_string()),
        "labels": chat.labels,
        "unread_count": chat.unread_count,
        "last_message": chat.last_text,
        "last_message_from_me": chat.last_from_me,
        "last_message_at": chat.last_message_at.to_string(),
        "last_inbound_at": chat.last_inbound_at.map(|at| at.to_string()),
        "has_window": window::has_window(chat),
        "window_open_until": window::open_until(chat).map(|at| at.to_string()),
        "waiting_since": chat.waiting_since.map(|at| at.to_string()),
        "resolved_at": chat.resolved_at.map(|at| at.to_string()),
        "created_at": chat.created_at.to_string(),
        "version": chat.version,
    })
}

/// The component's schema.
pub fn schema() -> Json {
    let fields = [
        ("id", schema::uuid()),
        ("number", schema::string().describe("Our number that it is a conversation of.").example("n1a2b3c4")),
        ("contact", schema::uuid().nullable()),
        ("jid", schema::string().nullable().describe("WhatsApp's address; null for who may not see numbers.")),
        ("name", schema::string().nullable()),
        ("phone", schema::string().nullable().describe("Obscured for who may not see numbers.")),
        ("is_group", schema::boolean()),
        ("status", schema::one_of(super::STATUSES)),
        ("assignee", schema::uuid().nullable().describe("The user who has it.")),
        ("assignee_name", schema::string().nullable()),
        ("assigned_at", schema::date_time().nullable()),
        ("labels", schema::array(schema::string())),
        ("unread_count", schema::integer()),
        ("last_message", schema::string().nullable()),
        ("last_message_from_me", schema::boolean()),
        ("last_message_at", schema::date_time()),
        ("last_inbound_at", schema::date_time().nullable().describe("When the customer last wrote.")),
        (
            "has_window",
            schema::boolean()
                .describe("Whether WhatsApp takes words only within 24 hours of the customer's last message."),
        ),
        (
            "window_open_until",
            schema::date_time()
                .nullable()
                .describe("From then on only approved templates go; null when the customer never wrote."),
        ),
        ("waiting_since", schema::date_time().nullable().describe("Since when the customer waits for an answer.")),
        ("resolved_at", schema::date_time().nullable()),
        ("created_at", schema::date_time()),
        ("version", schema::integer()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}
