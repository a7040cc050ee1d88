//! Writing down what shall go out: durable before anybody hears that it is on its way.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{HOUR_US, MINUTE_US, Result, Timestamp, Uuid};

use super::receive::preview;
use super::store::{self, Message, Origin, Status};
use super::wire;
use crate::address::Address;
use crate::chat::{self, Chat};
use crate::engine::Content;
use crate::number::Number;
use crate::preference::Preferences;
use crate::{contact, outgoing};

/// A person who writes.
#[derive(Clone, Debug)]
pub struct Agent {
    pub id: Uuid,
    pub name: String,
}

/// What shall go out.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    pub number: &'a Number,
    pub to: &'a Address,
    pub content: Content,
    pub origin: Origin,
    pub agent: Option<Agent>,
    /// Not before.
    pub due_at: Timestamp,
    /// Afterwards it fails instead; `None`: a day after it is due.
    pub expires_at: Option<Timestamp>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Queued {
    pub message: Message,
    pub chat: Chat,
}

/// How long a message waits for its line.
const PATIENCE_US: i64 = 24 * HOUR_US;

/// Writes a message down to be sent, and tells of it.
///
/// # Errors
/// 503 from the database; then nothing is sent.
pub fn enqueue(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    preferences: &Preferences,
    draft: &Draft<'_>,
) -> Result<Queued> {
    let (number, now) = (draft.number, kernel.now());
    let (mut chat, is_new) = chat::store::lock_or_create(tx, kernel, number, draft.to, now)?;
    if chat.contact_id.is_none() && !draft.to.is_group() {
        let contact = contact::of_person(tx, kernel, tenant, std::slice::from_ref(draft.to), None)?;
        chat.contact_id = contact.as_ref().map(|contact| contact.id);
        chat.name = contact.map(|contact| contact.name);
    }
    let message = Message {
        id: kernel.new_id(),
        chat_id: chat.id,
        number_id: number.id,
        wa_id: None,
        from_me: true,
        content: draft.content.clone(),
        origin: draft.origin.as_str().to_owned(),
        agent_id: draft.agent.as_ref().map(|agent| agent.id),
        agent_name: draft.agent.as_ref().map(|agent| agent.name.clone()),
        status: Status::Queued,
        status_at: now,
        failure: None,
        sent_at: now,
        created_at: now,
    };
    store::insert(tx, number.company, &message)?;
    let expires_at = draft.expires_at.unwrap_or_else(|| draft.due_at.plus(PATIENCE_US));
    let new = outgoing::store::New {
        message: message.id,
        number: number.id,
        chat: chat.id,
        to: draft.to,
        rank: draft.origin.rank(),
        content: &attributed(draft, preferences),
        due_at: draft.due_at,
        expires_at,
    };
    outgoing::store::insert(tx, number.company, &new, now)?;
    chat.last_text = Some(preview(&draft.content));
    chat.last_from_me = true;
    chat.last_message_at = chat.last_message_at.max(now);
    if draft.origin == Origin::Agent {
        chat.waiting_since = None;
        chat.unread_count = 0;
        chat.quiet_until = Some(now.plus(preferences.quiet_minutes * MINUTE_US));
    }
    chat::store::keep(tx, kernel, number.company, &chat)?;
    if let Some(contact) = chat.contact_id {
        contact::store::talked(tx, number.company, contact, now, is_new)?;
    }
    wire::told(tx, kernel, tenant, &message, &chat, "created")?;
    chat::store::told(tx, kernel, tenant, &chat)?;
    outgoing::ring(tx);
    Ok(Queued { message, chat })
}

/// The content as the customer sees it: an agent's words under their name (spec/loopwave.md 4.3).
fn attributed(draft: &Draft<'_>, preferences: &Preferences) -> Content {
    let mut content = draft.content.clone();
    if let (Some(agent), true, Some(text)) = (&draft.agent, preferences.attribution, &content.text) {
        content.text = Some(format!("*{}:*\n{text}", agent.name));
    }
    content
}
