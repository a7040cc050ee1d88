//! What can be done to a simulated line and in its customers' names; the API, the command line and the demo do the same.

use std::collections::HashSet;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{Problem, Result, Timestamp, Uuid, sha256_hex};

use super::behaviour::Behaviour;
use super::{NAME, store};
use crate::address::Address;
use crate::engine::{Brought, Change, Content, Failure, Received, Signal};
use crate::message::{self, Taken};
use crate::number::{self, Number, State};
use crate::outgoing;

/// Messages that a telephone brings from before it was linked.
pub const HISTORY_MOST: usize = 1_000;
/// Messages that it tells at once when it is asked, as many as WhatsApp does.
pub const BATCH: i64 = 50;

/// What a simulated customer, or somebody in a group, wrote.
#[derive(Clone, Debug)]
pub struct Written {
    pub chat: Address,
    pub text: Option<String>,
    /// A file of the company's library, which the customer sends.
    pub file: Option<Uuid>,
    /// What the customer calls themselves; a group's name.
    pub name: Option<String>,
    /// Who wrote, in a group.
    pub author: Option<String>,
    /// Written on the shop's own telephone.
    pub from_me: bool,
    /// `None` gives it one of its own.
    pub wa_id: Option<String>,
    /// `None` for now.
    pub at: Option<Timestamp>,
}

impl Written {
    pub fn text(chat: Address, text: impl Into<String>) -> Self {
        Self {
            chat,
            text: Some(text.into()),
            file: None,
            name: None,
            author: None,
            from_me: false,
            wa_id: None,
            at: None,
        }
    }
}

/// # Errors
/// 409 for a number of another engine: nobody can play with the real WhatsApp.
pub fn require_sandbox(number: &Number) -> Result<()> {
    if number.engine == NAME {
        return Ok(());
    }
    Err(Problem::conflict("not_a_sandbox", "This number is real: nobody can write for its customers."))
}

/// A simulated telephone scans the code of a number: it is linked, and what the telephone knows from before comes with it. What is older than
/// that it keeps until it is asked ([`older`]).
///
/// # Errors
/// 404; 409 `no_code` for a number that shows none.
pub fn scan(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    phone: Option<String>,
    history: &[Written],
    older: &[Written],
) -> Result<()> {
    let known = number::store::lock(tx, tenant.company, id)?;
    require_sandbox(&known)?;
    if known.state != State::Qr {
        return Err(Problem::conflict("no_code", "This number shows no code. Connect it first."));
    }
    let reason = Some("Sandbox: nothing leaves this server.".to_owned());
    let number = number::change(tx, kernel, tenant, id, &Change { state: State::Ready, reason, qr: None, phone })?;
    for (place, written) in history.iter().enumerate() {
        let received = received(tx, kernel, tenant, written, Some(place))?;
        message::receive(tx, kernel, tenant, &number, &received)?;
    }
    store::forget_past(tx, tenant.company, id)?;
    for (place, written) in (history.len()..).zip(older) {
        let received = received(tx, kernel, tenant, written, Some(place))?;
        store::keep_past(tx, tenant.company, id, kernel.new_id(), &received)?;
    }
    Ok(())
}

/// The telephone tells the newest of what it kept, in the transaction in which it is taken.
///
/// # Errors
/// 404.
pub fn older(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<Brought> {
    // Two that ask at once are told one after the other.
    let number = number::store::lock(tx, tenant.company, id)?;
    let (mut messages, mut chats) = (0, HashSet::new());
    for received in store::take_past(tx, tenant.company, id, BATCH)? {
        if let Taken::New { chat, .. } = message::receive(tx, kernel, tenant, &number, &received)? {
            messages += 1;
            chats.insert(chat.id);
        }
    }
    Ok(Brought { messages, chats: chats.len(), has_more: store::has_past(tx, tenant.company, id)?, is_pending: false })
}

/// Somebody writes to a number, or in a group that it is in.
///
/// # Errors
/// 404; 409 for a number that is real; 400 for a file that is not there.
pub fn receive(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, written: &Written) -> Result<Taken> {
    let number = number::get(tx, tenant.company, id)?;
    require_sandbox(&number)?;
    let received = received(tx, kernel, tenant, written, None)?;
    message::receive(tx, kernel, tenant, &number, &received)
}

/// `history` is the place among what comes from before.
fn received(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    written: &Written,
    history: Option<usize>,
) -> Result<Received> {
    let at = written.at.unwrap_or_else(|| kernel.now());
    let wa_id = match (&written.wa_id, history) {
        (Some(wa_id), _) => wa_id.clone(),
        // The same history a second time is known by what it says.
        (None, Some(place)) => digest(written, at, if written.at.is_some() { 0 } else { place }),
        (None, None) => format!("sandbox.{}", kernel.new_id().simple()),
    };
    let mut content = Content { kind: "text".to_owned(), text: written.text.clone(), ..Content::default() };
    if let Some(id) = written.file {
        content = content.with_file(tx, tenant.company, id)?;
    }
    Ok(Received {
        wa_id,
        identities: if written.chat.is_group() { Vec::new() } else { vec![written.chat.clone()] },
        chat: written.chat.clone(),
        push_name: written.name.clone().filter(|name| !name.is_empty()),
        author: written.author.clone().filter(|author| !author.is_empty()),
        from_me: written.from_me,
        content,
        at,
        is_history: history.is_some(),
    })
}

fn digest(written: &Written, at: Timestamp, place: usize) -> String {
    let text = written.text.as_deref().unwrap_or_default();
    let told = format!("{}\n{}\n{}\n{place}\n{text}", written.chat, at.micros(), written.from_me);
    format!("sandbox.h.{}", &sha256_hex(told.as_bytes())[..32])
}

/// Tells a line how to behave from now on; `change` gets it as it is.
///
/// # Errors
/// 404; 409 for a number that is real; 400 for what no line can do.
pub fn behave(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    change: impl FnOnce(&mut Behaviour),
) -> Result<Behaviour> {
    let number = number::store::lock(tx, tenant.company, id)?;
    require_sandbox(&number)?;
    let mut line = store::lock_behaviour(tx, tenant.company, id)?;
    change(&mut line);
    line.check()?;
    store::behave(tx, tenant.company, id, &line, kernel.now())?;
    Ok(line)
}

/// WhatsApp bans a number for a time: what is handed over is refused until then, and everything that goes out by itself rests.
///
/// # Errors
/// 404; 409 for a number that is real.
pub fn ban(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    until: Timestamp,
    reason: &str,
) -> Result<Behaviour> {
    let line = behave(tx, kernel, tenant, id, |line| {
        line.banned_until = Some(until);
        line.ban_reason = Some(reason.to_owned());
    })?;
    outgoing::store::heard(tx, kernel, tenant, id, &banned(reason, until), Signal::Restricted(Some(until)))?;
    Ok(line)
}

/// WhatsApp lifts its ban.
///
/// # Errors
/// 404; 409 for a number that is real.
pub fn lift(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<Behaviour> {
    let line = behave(tx, kernel, tenant, id, |line| {
        line.banned_until = None;
        line.ban_reason = None;
    })?;
    if number::get(tx, tenant.company, id)?.is_paused(kernel.now()) {
        number::store::pause(tx, kernel, tenant, id, None, "Sandbox: the ban is lifted.")?;
    }
    Ok(line)
}

/// Why a banned number refuses.
pub fn banned(reason: &str, until: Timestamp) -> Failure {
    Failure {
        code: "restricted".to_owned(),
        words: format!(
            "Sandbox: WhatsApp has banned this number until {until} ({reason}). Nothing can be sent before."
        ),
    }
}

/// The connection drops, or the telephone unlinks the number.
///
/// # Errors
/// 404; 409 for a number that is real.
pub fn leave(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, state: State) -> Result<()> {
    let number = number::store::lock(tx, tenant.company, id)?;
    require_sandbox(&number)?;
    let words = match state {
        State::LoggedOut => "Sandbox: the telephone unlinked this number. Connect it and scan the new code.",
        _ => "Sandbox: the connection dropped. Connect the number again.",
    };
    let change = Change { state, reason: Some(words.to_owned()), qr: None, phone: None };
    number::change(tx, kernel, tenant, id, &change).map(drop)
}
