//! Reports: how much was written, and how long customers waited. They are read from sums that are kept in the transactions that change
//! them (so each message counts once), in quarters of an hour, which every time zone's hours are made of. No report counts messages.
//!
//! Times are kept as how many fell into which span (eight spans to each doubling), so a median or a ninth decile is told to within 5 %.

mod http;
mod rules;
pub mod store;

pub use http::{components, operations};
pub use rules::{Figures, What};

use loopd_store::Tx;
use loopd_types::{CompanyId, Result, Timestamp, Uuid};

use crate::chat::Chat;
use crate::message::Message;

/// A message was taken or written down.
///
/// # Errors
/// The database's.
pub fn counted(tx: &mut Tx<'_>, company: CompanyId, message: &Message) -> Result<()> {
    let what = if message.from_me { What::of_origin(&message.origin) } else { What::Received };
    Ok(store::add(tx, company, message.created_at, what, Some(message.number_id), message.agent_id, None)?)
}

/// A conversation began: the customer wrote in a chat that is new, or was resolved.
///
/// # Errors
/// The database's.
pub fn began(tx: &mut Tx<'_>, company: CompanyId, chat: Uuid, at: Timestamp) -> Result<()> {
    Ok(store::begin(tx, company, chat, at)?)
}

/// A person answered; the first answer of a conversation is counted with how long it took.
///
/// # Errors
/// The database's.
pub fn answered(tx: &mut Tx<'_>, company: CompanyId, chat: &Chat, agent: Option<Uuid>, now: Timestamp) -> Result<()> {
    // Nobody waits where nobody wrote since.
    if chat.waiting_since.is_none() {
        return Ok(());
    }
    if let Some(since) = store::answer(tx, company, chat.id, now)? {
        let took = now.0 - since.0;
        store::add(tx, company, now, What::FirstResponse, Some(chat.number_id), agent, Some(took))?;
    }
    Ok(())
}

/// A chat was resolved; its conversation is counted with how long it took, for who had it.
///
/// # Errors
/// The database's.
pub fn resolved(tx: &mut Tx<'_>, company: CompanyId, chat: &Chat, now: Timestamp) -> Result<()> {
    if let Some(since) = store::end(tx, company, chat.id)? {
        let took = now.0 - since.0;
        store::add(tx, company, now, What::Resolution, Some(chat.number_id), chat.assignee_id, Some(took))?;
    }
    Ok(())
}

/// A ticket was opened, or is done (`took`: since it was opened).
///
/// # Errors
/// The database's.
pub fn ticket(
    tx: &mut Tx<'_>,
    company: CompanyId,
    agent: Option<Uuid>,
    took: Option<i64>,
    now: Timestamp,
) -> Result<()> {
    let what = if took.is_some() { What::TicketDone } else { What::TicketOpened };
    Ok(store::add(tx, company, now, what, None, agent, took)?)
}
