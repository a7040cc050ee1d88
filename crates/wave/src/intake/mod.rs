//! Intake: tickets that open by themselves, from what customers write and from a public form (spec/loopwave.md 4.8).

pub mod form;
pub mod http;
mod preferences;
mod rules;
mod store;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{MINUTE_US, Result};

use crate::address::Address;
use crate::chat::{self, Chat};
use crate::message::Message;
use crate::ticket::{self, Content, tag};
use crate::{claim, mask};

pub use preferences::{Intake, change, schema};

/// Opens a ticket where the company's choices say so: one for a chat and cooldown, whatever asked for it. Groups open none.
///
/// # Errors
/// 503 from the database.
pub fn on_inbound(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    intake: &Intake,
    chat: &Chat,
    message: &Message,
) -> Result<()> {
    if chat.is_group || !(intake.keyword_enabled || intake.new_chat_enabled) {
        return Ok(());
    }
    let text = message.content.text.as_deref().unwrap_or_default();
    let (subject, tag) = if intake.keyword_enabled && rules::names_one(&intake.keywords, text) {
        (rules::keyword_subject(text), tag::KEYWORD)
    } else if intake.new_chat_enabled && chat::store::is_first_inbound(tx, tenant.company, chat, message.id)? {
        (rules::new_chat_subject(chat.name.as_deref().and_then(mask::bare).as_deref()), tag::NEW_CHAT)
    } else {
        return Ok(());
    };
    let cooldown = intake.cooldown_minutes * MINUTE_US;
    if !claim::claim(tx, tenant.company, chat.id, claim::TICKET, cooldown, kernel.now())? {
        return Ok(());
    }
    let content = Content {
        description: text.to_owned(),
        customer_name: chat.name.clone(),
        customer_phone: Address::parse(&chat.jid).and_then(|address| address.telephone()),
        tag: Some(tag.to_owned()),
        chat_id: Some(chat.id),
        contact_id: chat.contact_id,
        assignee_id: chat.assignee_id,
        assignee_name: chat.assignee_name.clone(),
        ..Content::of(subject)
    };
    ticket::create(tx, kernel, tenant, &content).map(drop)
}
