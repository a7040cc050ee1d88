//! Writing down what shall go out: durable before anybody hears that it is on its way.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{HOUR_US, Kind, MINUTE_US, Problem, Result, Timestamp, Uuid};

use super::receive::preview;
use super::store::{self, Message, Origin, Status};
use super::wire;
use crate::address::Address;
use crate::chat::{self, Chat};
use crate::engine::Content;
use crate::number::Number;
use crate::preference::{self, Preferences};
use crate::{contact, outgoing, report, window};

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
    /// Afterwards it fails instead; `None`: a day after it is due, a template two.
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
/// The same of a template, which may wait for room among the people whom a number may write to first: longer than that takes to come.
const TEMPLATE_PATIENCE_US: i64 = 48 * HOUR_US;

fn patience(content: &Content) -> i64 {
    if content.kind == "template" { TEMPLATE_PATIENCE_US } else { PATIENCE_US }
}

/// Writes a message down to be sent, and tells of it.
///
/// # Errors
/// 409 `opted_out` for what no person wrote, to somebody who asked not to be written to, `window_closed` for what only a template may say now;
/// 503 from the database. Then nothing is sent.
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
    if let Some(id) = chat.contact_id.filter(|_| draft.origin.is_by_itself())
        && contact::store::is_opted_out(tx, number.company, id)?
    {
        return Err(opted_out());
    }
    window::require(&chat, &draft.content, now)?;
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
    report::counted(tx, number.company, &message)?;
    let expires_at = draft.expires_at.unwrap_or_else(|| draft.due_at.plus(patience(&draft.content)));
    let new = outgoing::store::New {
        message: message.id,
        number: number.id,
        chat: chat.id,
        to: draft.to,
        rank: draft.origin.rank(),
        content: &attributed(&draft.content, draft.agent.as_ref().map(|agent| agent.name.as_str()), preferences),
        due_at: draft.due_at,
        expires_at,
    };
    outgoing::store::insert(tx, number.company, &new, now)?;
    chat.last_text = Some(preview(&draft.content));
    chat.last_from_me = true;
    chat.last_message_at = chat.last_message_at.max(now);
    if draft.origin == Origin::Agent {
        report::answered(tx, number.company, &chat, message.agent_id, now)?;
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

/// What is said where somebody asked not to be written to.
pub const OPTED_OUT: &str = "opted_out";

/// 409: automations and broadcasts leave out who asked for it.
pub fn opted_out() -> Problem {
    Problem::conflict(OPTED_OUT, "This person asked not to be written to.")
}

/// The content as the customer sees it: an agent's words under their name (spec/loopwave.md 4.3).
fn attributed(content: &Content, agent: Option<&str>, preferences: &Preferences) -> Content {
    let mut content = content.clone();
    if let (Some(agent), true, Some(text)) = (agent, preferences.attribution, &content.text) {
        content.text = Some(format!("*{agent}:*\n{text}"));
    }
    content
}

/// Sends a message again that failed, or of which nobody knows what became: a person says so, and takes the risk of a second one.
/// It stays the same message, so an engine that can tell repeats does.
///
/// # Errors
/// 404; 409 `not_retryable` for a message that is on its way, went out, or came in, `window_closed` as [`enqueue`].
pub fn again(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: Uuid, id: Uuid) -> Result<Queued> {
    let chat = chat::store::lock(tx, tenant.company, chat)?;
    let known =
        store::lock(tx, tenant.company, id)?.filter(|it| it.chat_id == chat.id).ok_or_else(Problem::not_found)?;
    if !known.from_me || !matches!(known.status, Status::Failed | Status::Unknown) {
        let words = "Only a message that failed, or whose outcome nobody knows, can be sent again.";
        return Err(Problem::conflict("not_retryable", words).with_extra("status", known.status.as_str()));
    }
    let (preferences, now) = (preference::load(tx, tenant.company)?, kernel.now());
    let origin = Origin::parse(&known.origin).unwrap_or(Origin::Agent);
    window::require(&chat, &known.content, now)?;
    store::requeue(tx, tenant.company, id, now)?;
    outgoing::store::forget(tx, tenant.company, id)?;
    let new = outgoing::store::New {
        message: id,
        number: known.number_id,
        chat: chat.id,
        to: &chat.address()?,
        rank: origin.rank(),
        content: &attributed(&known.content, known.agent_name.as_deref(), &preferences),
        due_at: now,
        expires_at: now.plus(patience(&known.content)),
    };
    outgoing::store::insert(tx, tenant.company, &new, now)?;
    let message = Message { status: Status::Queued, status_at: now, wa_id: None, failure: None, ..known };
    wire::told(tx, kernel, tenant, &message, &chat, "updated")?;
    outgoing::ring(tx);
    Ok(Queued { message, chat })
}

/// Whether a message is refused for what it is or whom it is to, and not because this server is in trouble: others may still go.
pub fn is_refused(problem: &Problem) -> bool {
    matches!(problem.kind(), Kind::Conflict | Kind::Invalid)
}
