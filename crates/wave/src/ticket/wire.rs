//! Tickets as the public API and events write them.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{Result, Timestamp, Uuid};
use loopd_web::{Schema as _, schema};
use serde_json::{Map, Value as Json, json};

use super::{Content, PRIORITIES, STATUSES, Ticket, store};
use crate::mask::{Sight, masked, may_hold};
use crate::{PRODUCT, event};

fn id(id: Option<Uuid>) -> Option<String> {
    id.map(|id| id.to_string())
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_millis)
}

/// A ticket for somebody who sees all.
pub fn row(ticket: &Ticket) -> Json {
    let content = &ticket.content;
    json!({
        "id": ticket.id.to_string(),
        "ref": ticket.reference,
        "subject": content.subject,
        "description": content.description,
        "customerName": content.customer_name,
        "customerPhone": content.customer_phone,
        "customerEmail": content.customer_email,
        "status": content.status,
        "priority": content.priority,
        "assigneeId": id(content.assignee_id),
        "assigneeName": content.assignee_name,
        "tag": content.tag,
        "chat": id(content.chat_id),
        "contactId": id(content.contact_id),
        "dueAt": time(content.due_at),
        "commentCount": ticket.comment_count,
        "resolvedAt": time(ticket.resolved_at),
        "closedAt": time(ticket.closed_at),
        "createdAt": ticket.created_at.to_millis(),
        "updatedAt": ticket.updated_at.to_millis(),
    })
}

/// What can change, by the names of the management API.
pub fn fields(content: &Content) -> Map<String, Json> {
    let value = json!({
        "subject": content.subject,
        "description": content.description,
        "customer_name": content.customer_name,
        "customer_phone": content.customer_phone,
        "customer_email": content.customer_email,
        "status": content.status,
        "priority": content.priority,
        "assignee": id(content.assignee_id),
        "tag": content.tag,
        "chat": id(content.chat_id),
        "contact": id(content.contact_id),
        "due_at": time(content.due_at),
    });
    match value {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}

/// Emits `loopwave.tickets.<act>`.
///
/// # Errors
/// As [`event::emit`].
pub fn told(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, ticket: &Ticket, act: &str) -> Result<()> {
    let content = &ticket.content;
    let mut shown = json!({
        "customerName": content.customer_name.as_deref().map(|name| Sight::Masked.name(name)),
        "customerPhone": content.customer_phone.as_deref().map(masked),
    });
    if may_hold(&content.subject) || may_hold(&content.description) {
        let numbers = store::numbers(tx, tenant.company, content)?;
        shown["subject"] = numbers.veiled(&content.subject).into();
        shown["description"] = numbers.veiled(&content.description).into();
    }
    let subject = format!("{PRODUCT}/tickets/{}", ticket.id);
    event::emit(tx, kernel, tenant, &format!("{PRODUCT}.tickets.{act}"), &subject, row(ticket), Some(shown))
}

pub fn row_schema() -> Json {
    let fields = [
        ("id", schema::uuid()),
        ("ref", schema::string().example("TKT-2041")),
        ("subject", schema::string()),
        ("description", schema::string()),
        ("customerName", schema::string().nullable()),
        ("customerPhone", schema::string().nullable()),
        ("customerEmail", schema::string().nullable()),
        ("status", schema::one_of(STATUSES)),
        ("priority", schema::one_of(PRIORITIES)),
        ("assigneeId", schema::uuid().nullable()),
        ("assigneeName", schema::string().nullable()),
        (
            "tag",
            schema::string()
                .nullable()
                .describe("Where it came from: chat, keyword, new-chat, form, api, or your own word."),
        ),
        ("chat", schema::uuid().nullable()),
        ("contactId", schema::uuid().nullable()),
        ("dueAt", schema::date_time().nullable()),
        ("commentCount", schema::integer()),
        ("resolvedAt", schema::date_time().nullable()),
        ("closedAt", schema::date_time().nullable()),
        ("createdAt", schema::date_time()),
        ("updatedAt", schema::date_time()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}
