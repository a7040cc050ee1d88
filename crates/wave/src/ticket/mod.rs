//! Tickets: what somebody has to see to, with a number that a customer can be told (spec/loopwave.md 4.7).

mod api;
pub mod http;
pub(crate) mod input;
pub mod store;
mod wire;

use loopd_types::{Timestamp, Uuid};

use crate::address::Address;
use crate::chat::Chat;
use crate::mask;

pub use store::{create, get};

/// New, at work, blocked on somebody else, fixed and to be confirmed, done. Any may follow any.
pub const STATUSES: [&str; 5] = ["open", "in_progress", "waiting", "resolved", "closed"];

/// Least first.
pub const PRIORITIES: [&str; 4] = ["low", "med", "high", "urgent"];

/// What a ticket has unless somebody says.
pub const PRIORITY: &str = "med";

/// The first that a company gets is one more.
pub const FIRST_NUMBER: i64 = 2040;

/// Longest subject, in characters.
pub const SUBJECT_MOST: usize = 300;
/// Longest description or comment.
pub const TEXT_MOST: usize = 10_000;
/// Longest name of a customer.
pub const NAME_MOST: usize = 200;
/// Longest tag.
pub const TAG_MOST: usize = 40;

/// Where tickets come from, as their tags say; people may write others.
pub mod tag {
    pub const CHAT: &str = "chat";
    pub const KEYWORD: &str = "keyword";
    pub const NEW_CHAT: &str = "new-chat";
    pub const FORM: &str = "form";
    pub const API: &str = "api";
}

/// A ticket.
#[derive(Clone, PartialEq, Debug)]
pub struct Ticket {
    pub id: Uuid,
    /// `TKT-2041`
    pub reference: String,
    pub content: Content,
    pub comment_count: i64,
    pub resolved_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub created_by: Option<Uuid>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What people and intake write of a ticket.
#[derive(Clone, PartialEq, Debug)]
pub struct Content {
    pub subject: String,
    pub description: String,
    pub customer_name: Option<String>,
    /// With a plus sign.
    pub customer_phone: Option<String>,
    pub customer_email: Option<String>,
    pub status: String,
    pub priority: String,
    pub assignee_id: Option<Uuid>,
    pub assignee_name: Option<String>,
    pub tag: Option<String>,
    pub chat_id: Option<Uuid>,
    pub contact_id: Option<Uuid>,
    pub due_at: Option<Timestamp>,
}

impl Content {
    /// A new one of this subject.
    pub fn of(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            description: String::new(),
            customer_name: None,
            customer_phone: None,
            customer_email: None,
            status: "open".to_owned(),
            priority: PRIORITY.to_owned(),
            assignee_id: None,
            assignee_name: None,
            tag: None,
            chat_id: None,
            contact_id: None,
            due_at: None,
        }
    }
}

/// What an agent's ticket about a chat begins with: the customer's name and number, and the tag `chat`.
pub fn of_chat(chat: &Chat) -> Content {
    let phone = Address::parse(&chat.jid).and_then(|address| address.telephone());
    let known = chat.name.as_deref().and_then(mask::bare);
    let subject = known.map_or_else(|| "Conversation".to_owned(), |name| format!("Conversation with {name}"));
    Content {
        customer_name: chat.name.clone(),
        customer_phone: phone,
        tag: Some(tag::CHAT.to_owned()),
        chat_id: Some(chat.id),
        contact_id: chat.contact_id,
        assignee_id: chat.assignee_id,
        assignee_name: chat.assignee_name.clone(),
        ..Content::of(subject)
    }
}
