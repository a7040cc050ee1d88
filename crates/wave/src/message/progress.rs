//! What is heard of messages of ours: in any order, any number of times.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;

use super::store::{self, Message, Status};
use super::wire;
use crate::engine::{Progress, Stage};
use crate::number::{self, Number, store::Counted};
use crate::{chat, outgoing};

/// Takes news of a message. Steps back are not taken: `read` may come before `delivered`, and both after a repeat of `sent`.
/// `false` when no message of this line is meant.
///
/// # Errors
/// 503 from the database; then the other side says it again.
pub fn progress(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, number: &Number, news: &Progress) -> Result<bool> {
    let mut found = store::lock_by_wa(tx, number.company, number.id, &news.wa_id)?;
    if found.is_none()
        && let Some(id) = news.message
    {
        // Told before the hand-over was, or of one whose outcome nobody knew.
        found = store::lock(tx, number.company, id)?.filter(|it| it.number_id == number.id && it.wa_id.is_none());
    }
    let Some(known) = found else { return Ok(false) };
    let Some(next) = step(&known, news.stage) else { return Ok(true) };
    let failure = news.failure.as_ref().filter(|_| next == Status::Failed);
    store::set_status(tx, number.company, known.id, next, Some(&news.wa_id), failure, news.at)?;
    outgoing::store::forget(tx, number.company, known.id)?;
    // Whoever hears first of a hand-over counts it: this, or the worker that made it.
    if next == Status::Failed {
        number::store::count(tx, number.company, number.id, Counted::Failed, kernel.now())?;
    } else if matches!(known.status, Status::Queued | Status::Unknown) {
        number::store::count(tx, number.company, number.id, Counted::Sent, kernel.now())?;
    }
    let changed = Message {
        status: next,
        status_at: news.at,
        wa_id: Some(news.wa_id.clone()),
        failure: failure.cloned(),
        ..known.clone()
    };
    crate::broadcast::settled(tx, kernel, tenant, &changed)?;
    if let Some(chat) = chat::find(tx, number.company, known.chat_id)? {
        wire::told(tx, kernel, tenant, &changed, &chat, "updated")?;
    }
    Ok(true)
}

/// The next status, or `None` when the news is old. A message that was delivered did not fail, whatever another device says later.
fn step(known: &Message, stage: Stage) -> Option<Status> {
    if !known.from_me {
        return None;
    }
    match (known.status, stage) {
        (Status::Received | Status::Read, _)
        | (Status::Sent | Status::Delivered | Status::Failed, Stage::Sent)
        | (Status::Delivered, Stage::Delivered | Stage::Failed)
        | (Status::Failed, Stage::Failed) => None,
        (_, Stage::Sent) => Some(Status::Sent),
        (_, Stage::Delivered) => Some(Status::Delivered),
        (_, Stage::Read) => Some(Status::Read),
        (_, Stage::Failed) => Some(Status::Failed),
    }
}
