//! What callers write of a ticket, in the public API's names or the management's.

use loopd_kernel::Tenant;
use loopd_kernel::input::Input;
use loopd_store::Tx;
use loopd_types::{Problem, Result, Timestamp, Uuid};
use loopd_web::{Schema as _, schema};
use serde_json::Value as Json;

use super::{Content, NAME_MOST, PRIORITIES, STATUSES, SUBJECT_MOST, TAG_MOST, TEXT_MOST};
use crate::address::Address;
use crate::mask::{Numbers, Sight, masked, may_hold};
use crate::{agent, chat, contact};

/// How the fields are called.
#[derive(Debug)]
pub struct Names {
    pub customer_name: &'static str,
    pub customer_phone: &'static str,
    pub customer_email: &'static str,
    pub assignee: &'static str,
    pub due_at: &'static str,
}

pub const PUBLIC: Names = Names {
    customer_name: "customerName",
    customer_phone: "customerPhone",
    customer_email: "customerEmail",
    assignee: "assigneeId",
    due_at: "dueAt",
};

pub const MANAGEMENT: Names = Names {
    customer_name: "customer_name",
    customer_phone: "customer_phone",
    customer_email: "customer_email",
    assignee: "assignee",
    due_at: "due_at",
};

/// Fields that were given; `Some(None)` empties one.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub subject: Option<String>,
    description: Option<String>,
    customer_name: Option<Option<String>>,
    customer_phone: Option<Option<String>>,
    customer_email: Option<Option<String>>,
    status: Option<String>,
    priority: Option<String>,
    assignee: Option<Option<Uuid>>,
    tag: Option<Option<String>>,
    chat: Option<Uuid>,
    due_at: Option<Option<Timestamp>>,
}

/// Reads a body. `subject` is required unless the body is `partial` or names a chat.
///
/// # Errors
/// 400 with every complaint.
pub fn read(body: Json, names: &Names, partial: bool) -> Result<Given> {
    let mut input = Input::new(body, partial)?;
    let chat = if partial { None } else { input.uuid("chat") };
    let subject = match chat {
        Some(_) if !input.has("subject") => None,
        _ => input.required_text("subject", SUBJECT_MOST),
    };
    let given = Given {
        subject,
        description: input.text("description", TEXT_MOST),
        customer_name: optional(&mut input, names.customer_name, NAME_MOST),
        customer_phone: optional(&mut input, names.customer_phone, 40),
        customer_email: optional(&mut input, names.customer_email, 254),
        status: input.choice("status", &STATUSES),
        priority: input.choice("priority", &PRIORITIES),
        assignee: if input.take_null(names.assignee) { Some(None) } else { input.uuid(names.assignee).map(Some) },
        tag: optional(&mut input, "tag", TAG_MOST),
        chat,
        due_at: input.moment(names.due_at),
    };
    if given.customer_email.as_ref().and_then(Option::as_ref).is_some_and(|email| !email.contains('@')) {
        input.refuse(names.customer_email, "invalid", "Enter a valid email address.");
    }
    input.finish()?;
    Ok(given)
}

/// A text that null and blank empty.
fn optional(input: &mut Input, name: &'static str, most: usize) -> Option<Option<String>> {
    if input.take_null(name) {
        return Some(None);
    }
    input.text(name, most).map(|text| Some(text).filter(|text| !text.is_empty()))
}

impl Given {
    /// What a new ticket holds; from a chat it takes what the chat knows.
    ///
    /// # Errors
    /// 400 for a person or a chat that is not there, and for a telephone number that is none.
    pub fn content(self, tx: &mut Tx<'_>, tenant: &Tenant, names: &Names, tag: Option<&str>) -> Result<Content> {
        let mut content = Content::of(String::new());
        content.tag = tag.map(str::to_owned);
        if let Some(id) = self.chat {
            let unknown = || Problem::field("chat", "does_not_exist", "There is no such chat.");
            content = super::of_chat(&chat::find(tx, tenant.company, id)?.ok_or_else(unknown)?);
        }
        self.apply(tx, tenant, names, content)
    }

    /// `content` with what was given.
    ///
    /// # Errors
    /// As [`Given::content`].
    pub fn apply(self, tx: &mut Tx<'_>, tenant: &Tenant, names: &Names, mut content: Content) -> Result<Content> {
        // Who may not see numbers sends back what they were shown.
        let numbers = if may_hold(&content.subject) || may_hold(&content.description) {
            super::store::numbers(tx, tenant.company, &content)?
        } else {
            Numbers::default()
        };
        let is_other = |known: &str, sent: &String| *sent != numbers.veiled(known);
        let subject = self.subject.filter(|sent| is_other(&content.subject, sent));
        let description = self.description.filter(|sent| is_other(&content.description, sent));
        set(&mut content.subject, subject);
        set(&mut content.description, description);
        set(&mut content.status, self.status);
        set(&mut content.priority, self.priority);
        set(&mut content.tag, self.tag);
        set(&mut content.due_at, self.due_at);
        set(&mut content.customer_email, self.customer_email);
        let is_echo = |known: &Option<String>, sent: &Option<String>| matches!((known, sent), (Some(known), Some(sent)) if *sent == masked(known));
        let is_shown =
            |sent: &String| content.customer_name.as_deref().is_some_and(|name| *sent == Sight::Masked.name(name));
        if let Some(name) = self.customer_name.filter(|sent| !sent.as_ref().is_some_and(is_shown)) {
            content.customer_name = name;
        }
        if let Some(phone) = self.customer_phone.filter(|phone| !is_echo(&content.customer_phone, phone)) {
            let address = phone.as_deref().map(|phone| address(phone, names.customer_phone)).transpose()?;
            content.customer_phone = address.as_ref().and_then(Address::telephone);
            if let Some(address) = address {
                content.contact_id = contact::store::find_by(tx, tenant.company, &address)?.map(|found| found.id);
            }
        }
        if let Some(assignee) = self.assignee
            && assignee != content.assignee_id
        {
            content.assignee_name = match assignee {
                Some(user) => Some(agent::require_name(tx, tenant.company, user, names.assignee)?),
                None => None,
            };
            content.assignee_id = assignee;
        }
        Ok(content)
    }
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}

/// A telephone number that somebody wrote.
///
/// # Errors
/// 400 of this field.
pub fn address(text: &str, field: &'static str) -> Result<Address> {
    let invalid = || Problem::field(field, "invalid", "Write the telephone number with its country code.");
    Address::phone(text).ok_or_else(invalid)
}

/// The fields' schemas.
pub fn fields(names: &Names) -> Vec<(&'static str, Json)> {
    vec![
        ("subject", schema::text(1, SUBJECT_MOST as u32).example("The parcel has not come")),
        ("description", schema::text(0, TEXT_MOST as u32)),
        (names.customer_name, schema::text(0, NAME_MOST as u32).nullable()),
        (names.customer_phone, schema::text(0, 40).nullable().example("+250788123456")),
        (names.customer_email, schema::text(0, 254).nullable()),
        ("status", schema::one_of(STATUSES)),
        ("priority", schema::one_of(PRIORITIES)),
        (names.assignee, schema::uuid().nullable().describe("Somebody who works in the company.")),
        ("tag", schema::text(0, TAG_MOST as u32).nullable()),
        (names.due_at, schema::date_time().nullable()),
    ]
}
