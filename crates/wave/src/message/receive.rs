//! Taking a message that came in: once, whole, and in the transaction that is acknowledged to the other side.

use std::borrow::Cow;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;

use super::store::{self, Message, Origin, Status};
use super::wire;
use crate::address::Server;
use crate::assign::Began;
use crate::chat::{self, Chat};
use crate::contact;
use crate::engine::{Content, Received};
use crate::number::{self, Number};
use crate::report;

/// What became of a message that came in.
#[derive(Clone, Debug)]
pub enum Taken {
    /// It was known already: nothing happened.
    Known,
    New {
        message: Box<Message>,
        chat: Box<Chat>,
    },
}

/// Characters of a message that a list of chats shows.
const PREVIEW: usize = 200;

/// Takes a message: its chat and contact are made when they are new, a resolved chat is open again when a customer writes, and what
/// reacts to messages reacts in the same transaction. The same message a second time changes nothing.
///
/// # Errors
/// 503 from the database; then nothing of it is kept, and the other side sends it again.
pub fn receive(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    number: &Number,
    received: &Received,
) -> Result<Taken> {
    let now = kernel.now();
    // Chats are held while they are written in, so what comes at once to one of them comes one after the other.
    let (before, is_new) = chat::store::lock_or_create(tx, kernel, number, &received.chat, received.at)?;
    let mut chat = before.clone();
    let message = Message {
        id: kernel.new_id(),
        chat_id: chat.id,
        number_id: number.id,
        wa_id: Some(received.wa_id.clone()),
        from_me: received.from_me,
        content: received.content.clone(),
        origin: Origin::Phone.as_str().to_owned(),
        agent_id: None,
        agent_name: received.author.clone(),
        status: if received.from_me { Status::Sent } else { Status::Received },
        status_at: now,
        failure: None,
        sent_at: received.at,
        created_at: now,
    };
    if !store::insert(tx, number.company, &message)? {
        return Ok(Taken::Known);
    }
    if !received.is_history {
        report::counted(tx, number.company, &message)?;
    }
    if !received.chat.is_group() {
        let found = contact::of_person(tx, kernel, tenant, &received.identities, received.push_name.as_deref())?;
        if let Some(contact) = found {
            contact::store::talked(tx, number.company, contact.id, received.at, is_new)?;
            chat.contact_id = Some(contact.id);
            chat.name = Some(contact.name);
        }
    } else if chat.name.is_none() {
        chat.name.clone_from(&received.push_name);
    }
    // One that we began becomes a conversation when the customer writes.
    let began = Began { is_anew: is_new || chat.status == "resolved" || chat.first_inbound_at.is_none() };
    if received.from_me && !received.is_history {
        report::answered(tx, number.company, &chat, None, now)?;
    } else if began.is_anew && !received.is_history && !chat.is_group {
        report::began(tx, number.company, chat.id, received.at)?;
    }
    came_in(&mut chat, received);
    if !received.is_history && !received.from_me {
        number::store::count(tx, number.company, number.id, number::store::Counted::Received, now)?;
        if crate::window::has_window(&chat) {
            crate::outgoing::store::hurry(tx, number.company, chat.id, now)?;
        }
        crate::react::on_inbound(tx, kernel, tenant, number, &mut chat, &message, began)?;
    } else if !received.is_history {
        crate::react::on_own(tx, kernel, tenant, &mut chat)?;
    }
    chat::store::keep_from(tx, kernel, number.company, &before, &chat)?;
    if !received.is_history {
        wire::told(tx, kernel, tenant, &message, &chat, "created")?;
        chat::store::told(tx, kernel, tenant, &chat)?;
    }
    Ok(Taken::New { message: Box::new(message), chat: Box::new(chat) })
}

/// A message of somebody who hides their telephone number since: what they write goes on where they wrote before.
///
/// # Errors
/// The database's.
pub fn at_home<'a>(tx: &mut Tx<'_>, number: &Number, received: &'a Received) -> Result<Cow<'a, Received>> {
    let is_hidden = matches!(received.chat.server(), Server::BusinessScoped | Server::Lid);
    if is_hidden
        && let Some(known) = contact::store::find_by(tx, number.company, &received.chat)?
        && let Some(before) = chat::store::latest_of(tx, number.company, number.id, known.id)?
    {
        return Ok(Cow::Owned(Received { chat: before.address()?, ..received.clone() }));
    }
    Ok(Cow::Borrowed(received))
}

/// What a message makes of its chat.
fn came_in(chat: &mut Chat, received: &Received) {
    // History, and what was delayed, must not push newer words aside.
    if received.at >= chat.last_message_at || chat.last_text.is_none() {
        chat.last_text = Some(preview(&received.content));
        chat.last_from_me = received.from_me;
        chat.last_message_at = chat.last_message_at.max(received.at);
    }
    if received.is_history {
        return;
    }
    if received.from_me {
        // Somebody answered on the shop's own telephone.
        chat.waiting_since = None;
        chat.unread_count = 0;
        return;
    }
    chat.first_inbound_at.get_or_insert(received.at);
    chat.last_inbound_at = chat.last_inbound_at.max(Some(received.at));
    chat.waiting_since.get_or_insert(received.at);
    chat.unread_count += 1;
    if chat.status == "resolved" {
        "open".clone_into(&mut chat.status);
        chat.resolved_at = None;
    }
}

/// How a list of chats shows a message.
pub fn preview(content: &Content) -> String {
    match content.text.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => text.chars().take(PREVIEW).collect(),
        None => format!("[{}]", content.kind),
    }
}
