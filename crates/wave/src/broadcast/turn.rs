//! One turn of a broadcast, and what becomes of its messages.

use loopd_kernel::{Kernel, Tenant, audit, event as log};
use loopd_store::Tx;
use loopd_types::{HOUR_US, Kind, Result, SECOND_US, Timestamp, Uuid};

use super::rules::{day_of, next_day};
use super::store::{self, Broadcast, Outcome, Recipient};
use super::{FAILURES_MOST, Status, wire};
use crate::address::Address;
use crate::engine::Content;
use crate::message::{self, Draft, Message, Origin};
use crate::number::{self, Number};
use crate::preference::{self, Preferences};
use crate::{PRODUCT, contact, placeholder};

/// How long a broadcast waits before it looks again for a number that is not ready, or for its last messages.
const LOOK_AGAIN_US: i64 = 10 * SECOND_US;
/// How long a message of a broadcast may wait for its line.
const PATIENCE_US: i64 = HOUR_US;

/// Takes the next turn of a broadcast, if it is due.
///
/// # Errors
/// 404; 503 from the database.
pub fn turn(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let now = kernel.now();
    let mut broadcast = store::lock(tx, tenant.company, id)?;
    // Another node was faster.
    if broadcast.next_at.is_none_or(|at| at > now) {
        return Ok(());
    }
    if broadcast.status == Status::Queued {
        broadcast.status = Status::Sending;
        broadcast.started_at = Some(now);
    }
    if broadcast.status == Status::Sending {
        send_next(tx, kernel, tenant, &mut broadcast, now)?;
    } else {
        broadcast.next_at = None;
    }
    store::keep(tx, tenant.company, &broadcast, now)?;
    told(tx, kernel, tenant, &broadcast)
}

fn send_next(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    broadcast: &mut Broadcast,
    now: Timestamp,
) -> Result<()> {
    let Some(recipient) = store::next_pending(tx, tenant.company, broadcast.id)? else {
        if broadcast.is_done() {
            finish(broadcast, Status::Completed, now);
        } else {
            broadcast.next_at = Some(now.plus(LOOK_AGAIN_US));
        }
        return Ok(());
    };
    let preferences = preference::load(tx, tenant.company)?;
    let number = match broadcast.number {
        Some(id) => number::find(tx, tenant.company, id)?,
        None => number::first_ready(tx, tenant.company)?,
    };
    let Some(number) = number.filter(Number::is_ready) else {
        broadcast.pause_reason = Some("The number is not ready. It goes on when it is.".to_owned());
        broadcast.next_at = Some(now.plus(LOOK_AGAIN_US));
        return Ok(());
    };
    if number.is_paused(now) {
        let reason = number.pause_reason.as_deref().unwrap_or("The number is paused.");
        pause(broadcast, reason);
        return Ok(());
    }
    broadcast.pause_reason = None;
    let pacing = &preferences.pacing;
    if let Some(until) = pacing.quiet_until(now, tenant.timezone()) {
        broadcast.next_at = Some(until);
        return Ok(());
    }
    let day = day_of(now, tenant.timezone());
    let mut pace = store::lock_pace(tx, tenant.company, number.id, day)?;
    if pace.next_at > now {
        broadcast.next_at = Some(pace.next_at);
        return Ok(());
    }
    let age = number.warm_since.map_or(0, |since| day - day_of(since, tenant.timezone()));
    if pace.sent >= pacing.cap_on(age) {
        broadcast.next_at = Some(next_day(now, tenant.timezone()));
        return Ok(());
    }
    if write_to(tx, kernel, tenant, &preferences, &number, broadcast, &recipient, now)? {
        pace.sent += 1;
        pace.next_at = now.plus(pacing.gap_us(kernel.rng.as_ref()));
        store::keep_pace(tx, tenant.company, number.id, pace)?;
        broadcast.next_at = Some(pace.next_at);
    } else {
        broadcast.next_at = Some(now);
    }
    if broadcast.is_done() {
        finish(broadcast, Status::Completed, now);
    }
    Ok(())
}

/// Writes the message of a recipient down; `false` when nothing goes to them.
#[expect(clippy::too_many_arguments, reason = "everything that a message is made of")]
fn write_to(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    preferences: &Preferences,
    number: &Number,
    broadcast: &mut Broadcast,
    recipient: &Recipient,
    now: Timestamp,
) -> Result<bool> {
    let company = tenant.company;
    let none = |status, reason| Outcome { status, reason: Some(reason), message: None };
    let Some(address) = Address::parse(&recipient.jid) else {
        store::mark(tx, company, recipient, none("failed", "no_address"), now)?;
        broadcast.failed += 1;
        return Ok(false);
    };
    let known = contact::store::find_by(tx, company, &address)?;
    if known.as_ref().is_some_and(|contact| contact.opted_out_at.is_some()) {
        store::mark(tx, company, recipient, none("skipped", "opted_out"), now)?;
        broadcast.skipped += 1;
        return Ok(false);
    }
    let name = recipient.name.clone().or_else(|| known.map(|contact| contact.name)).unwrap_or_default();
    let text = placeholder::render(&broadcast.message, |word| (word == "name").then(|| name.clone()));
    let draft = Draft {
        number,
        to: &address,
        content: Content::text(text),
        origin: Origin::Broadcast,
        agent: None,
        due_at: now,
        expires_at: Some(now.plus(PATIENCE_US)),
    };
    match tx.attempt(|tx| message::enqueue(tx, kernel, tenant, preferences, &draft)) {
        Ok(queued) => {
            let outcome = Outcome { status: "sending", reason: None, message: Some(queued.message.id) };
            store::mark(tx, company, recipient, outcome, now)?;
            Ok(true)
        }
        // This one cannot be written to: the others can.
        Err(problem) if matches!(problem.kind(), Kind::Conflict | Kind::Invalid) => {
            let code = problem.code().to_owned();
            store::mark(tx, company, recipient, none("failed", &code), now)?;
            broadcast.failed += 1;
            count_failure(broadcast, &code);
            Ok(false)
        }
        Err(problem) => Err(problem),
    }
}

/// Takes up what became of a broadcast's message; nothing for other messages.
///
/// # Errors
/// 503 from the database.
pub fn settled(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, message: &Message) -> Result<()> {
    use message::Status as At;
    if message.origin != Origin::Broadcast.as_str() {
        return Ok(());
    }
    let Some(recipient) = store::of_message(tx, tenant.company, message.id)? else { return Ok(()) };
    let (status, reason) = match message.status {
        At::Sent | At::Delivered | At::Read => ("sent", None),
        At::Failed => ("failed", message.failure.as_ref().map(|failure| failure.code.as_str())),
        At::Unknown => ("failed", Some("unknown")),
        At::Queued | At::Received => return Ok(()),
    };
    if recipient.status == status {
        return Ok(());
    }
    let now = kernel.now();
    let mut broadcast = store::lock(tx, tenant.company, recipient.broadcast)?;
    match recipient.status.as_str() {
        "sent" => broadcast.sent -= 1,
        "failed" => broadcast.failed -= 1,
        _ => {}
    }
    store::mark(tx, tenant.company, &recipient, Outcome { status, reason, message: None }, now)?;
    if status == "sent" {
        broadcast.sent += 1;
        broadcast.failed_in_row = 0;
    } else {
        broadcast.failed += 1;
        count_failure(&mut broadcast, reason.unwrap_or("failed"));
    }
    if broadcast.status == Status::Sending && broadcast.is_done() {
        finish(&mut broadcast, Status::Completed, now);
    }
    store::keep(tx, tenant.company, &broadcast, now)?;
    told(tx, kernel, tenant, &broadcast)
}

fn count_failure(broadcast: &mut Broadcast, code: &str) {
    broadcast.failed_in_row += 1;
    if broadcast.failed_in_row >= FAILURES_MOST && broadcast.status == Status::Sending {
        pause(broadcast, &format!("{FAILURES_MOST} messages in a row failed ({code}). Look why before you go on."));
    }
}

fn pause(broadcast: &mut Broadcast, reason: &str) {
    broadcast.status = Status::Paused;
    broadcast.pause_reason = Some(reason.to_owned());
    broadcast.next_at = None;
}

fn finish(broadcast: &mut Broadcast, status: Status, now: Timestamp) {
    broadcast.status = status;
    broadcast.next_at = None;
    broadcast.pause_reason = None;
    broadcast.finished_at = Some(now);
}

/// What people do with a broadcast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Begins now, or at this moment.
    Start(Option<Timestamp>),
    Pause,
    Resume,
    Cancel,
    RetryFailed,
}

impl Act {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::RetryFailed => "retry-failed",
        }
    }

    /// From where it may be done.
    fn from(self) -> &'static [Status] {
        match self {
            Self::Start(_) => &[Status::Draft],
            Self::Pause => &[Status::Queued, Status::Sending],
            Self::Resume => &[Status::Paused],
            Self::Cancel => &[Status::Draft, Status::Queued, Status::Sending, Status::Paused],
            Self::RetryFailed => &[Status::Sending, Status::Paused, Status::Completed],
        }
    }
}

/// Does it.
///
/// # Errors
/// 404; 409 `invalid_transition` from where it cannot be done, with what can.
pub fn act(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, act: Act) -> Result<()> {
    let now = kernel.now();
    let mut broadcast = store::lock(tx, tenant.company, id)?;
    if !act.from().contains(&broadcast.status) {
        let all = [Act::Start(None), Act::Pause, Act::Resume, Act::Cancel, Act::RetryFailed];
        let can: Vec<&str> =
            all.into_iter().filter(|it| it.from().contains(&broadcast.status)).map(Act::as_str).collect();
        let words = format!("A broadcast that is {} cannot {}.", broadcast.status.as_str(), act.as_str());
        return Err(loopd_types::Problem::conflict("invalid_transition", words).with_extra("allowed", can));
    }
    let before = broadcast.status;
    match act {
        Act::Start(at) => {
            broadcast.status = Status::Queued;
            broadcast.scheduled_at = at;
            broadcast.next_at = Some(at.unwrap_or(now).max(now));
        }
        Act::Pause => pause(&mut broadcast, "Paused by hand."),
        Act::Resume => {
            broadcast.status = Status::Sending;
            broadcast.started_at.get_or_insert(now);
            broadcast.pause_reason = None;
            broadcast.failed_in_row = 0;
            broadcast.next_at = Some(now);
        }
        Act::Cancel => finish(&mut broadcast, Status::Cancelled, now),
        Act::RetryFailed => {
            let again = store::retry_failed(tx, tenant.company, id)?;
            broadcast.failed -= again;
            broadcast.failed_in_row = 0;
            broadcast.status = Status::Sending;
            broadcast.pause_reason = None;
            broadcast.finished_at = None;
            broadcast.next_at = Some(now);
        }
    }
    store::keep(tx, tenant.company, &broadcast, now)?;
    recorded(tx, kernel, tenant, &broadcast, act.as_str(), Some(before))?;
    told(tx, kernel, tenant, &broadcast)
}

/// Makes a draft.
///
/// # Errors
/// 503 from the database.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, new: &store::New) -> Result<()> {
    store::insert(tx, tenant.company, id, new, tenant.actor.user, kernel.now())?;
    let broadcast = store::get(tx, tenant.company, id)?;
    recorded(tx, kernel, tenant, &broadcast, "create", None)
}

fn recorded(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    broadcast: &Broadcast,
    action: &str,
    before: Option<Status>,
) -> Result<()> {
    let target = broadcast.id.to_string();
    let changes =
        before.map(|was| serde_json::json!({"status": [was.as_str(), broadcast.status.as_str()]}).to_string());
    let entry = audit::Entry {
        action,
        module: PRODUCT,
        resource: "broadcasts",
        target: &target,
        label: &broadcast.name,
        changes,
    };
    Ok(audit::record(tx, kernel, tenant, entry)?)
}

/// `broadcast.progress`, with the members that the original's pages name.
fn told(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, broadcast: &Broadcast) -> Result<()> {
    let subject = format!("{PRODUCT}/broadcasts/{}", broadcast.id);
    log::emit(tx, kernel, tenant, "loopwave.broadcasts.progress", &subject, wire::progress(broadcast).to_string())
}

/// Pauses a broadcast whose company may write nothing new.
///
/// # Errors
/// 404; 503 from the database.
pub fn hold(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let mut broadcast = store::lock(tx, tenant.company, id)?;
    pause(&mut broadcast, "The company's licence is over.");
    store::keep(tx, tenant.company, &broadcast, kernel.now())?;
    told(tx, kernel, tenant, &broadcast)
}
