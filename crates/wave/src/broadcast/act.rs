//! What people do with a broadcast, from making it on.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Tx};
use loopd_types::{MINUTE_US, Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::Status;
use super::say::WORDS;
use super::store::{self, Broadcast, TOLD};
use super::turn::{finish, go_on, line, pause, told};
use crate::address::Address;
use crate::number::Number;
use crate::template::{self, Asked};
use crate::{PRODUCT, event, message, placeholder, window};

/// How long ago the moment of a start may be: clocks differ.
const LATE_US: i64 = 5 * MINUTE_US;

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

    /// What would go on by itself can be paused until somebody says otherwise.
    fn may(self, broadcast: &Broadcast) -> bool {
        self.from().contains(&broadcast.status) || self == Self::Pause && broadcast.resumes_at.is_some()
    }
}

/// Does it.
///
/// # Errors
/// 400 on `scheduled_at` for a moment that is over; 404; 409 `invalid_transition` from where it cannot be done, with what can.
pub fn act(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, act: Act) -> Result<()> {
    let now = kernel.now();
    let mut broadcast = store::lock(tx, tenant.company, id)?;
    if !act.may(&broadcast) {
        let words = format!("A broadcast that is {} cannot {}.", broadcast.status.as_str(), act.as_str());
        return Err(refused(&broadcast, "invalid_transition", words));
    }
    let before = broadcast.status;
    match act {
        Act::Start(at) => {
            queue(&mut broadcast, at, now)?;
            broadcast.outside_window = outside_window(tx, tenant, &broadcast, now)?;
        }
        Act::Pause => pause(&mut broadcast, "Paused by hand."),
        Act::Resume => {
            go_on(&mut broadcast, now);
            broadcast.resumed_at = None;
        }
        Act::Cancel => finish(&mut broadcast, Status::Cancelled, now),
        Act::RetryFailed => {
            let again = store::retry_failed(tx, tenant.company, id)?;
            broadcast.failed -= again;
            broadcast.finished_at = None;
            go_on(&mut broadcast, now);
        }
    }
    store::keep(tx, tenant.company, &broadcast, now)?;
    recorded(tx, kernel, tenant, &broadcast, act.as_str(), Some(before))?;
    told(tx, kernel, tenant, &broadcast)
}

/// Has a broadcast begin by itself, now or at a moment.
fn queue(broadcast: &mut Broadcast, at: Option<Timestamp>, now: Timestamp) -> Result<()> {
    if at.is_some_and(|at| at < now.plus(-LATE_US)) {
        return Err(Problem::field("scheduled_at", "invalid", "This moment is over."));
    }
    broadcast.status = Status::Queued;
    broadcast.pause_reason = None;
    broadcast.scheduled_at = at;
    broadcast.next_at = Some(at.unwrap_or(now).max(now));
    Ok(())
}

/// 409, with what can be done from where it stands.
fn refused(broadcast: &Broadcast, code: &'static str, words: String) -> Problem {
    let all = [Act::Start(None), Act::Pause, Act::Resume, Act::Cancel, Act::RetryFailed];
    let mut can: Vec<&str> = all.into_iter().filter(|it| it.may(broadcast)).map(Act::as_str).collect();
    can.extend(may_change(broadcast).then_some("update"));
    can.extend(may_delete(broadcast).then_some("delete"));
    Problem::conflict(code, words).with_extra("allowed", can)
}

fn may_change(broadcast: &Broadcast) -> bool {
    !broadcast.has_begun() && broadcast.status != Status::Cancelled
}

/// What waits to begin is cancelled first: nobody deletes it from under the worker.
fn may_delete(broadcast: &Broadcast) -> bool {
    !broadcast.has_begun() && matches!(broadcast.status, Status::Draft | Status::Cancelled)
}

/// Why a broadcast cannot be `done` to as somebody wanted.
fn stays(broadcast: &Broadcast, done: &str) -> Problem {
    if broadcast.has_begun() {
        let words = format!("A broadcast that has begun cannot be {done}. Cancel it, if the rest shall not have it.");
        return refused(broadcast, "already_begun", words);
    }
    let words = format!("A broadcast that is {} cannot be {done}.", broadcast.status.as_str());
    refused(broadcast, "invalid_transition", words)
}

/// What changes of a broadcast; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub name: Option<String>,
    /// Words, or a template in their place.
    pub says: Option<(String, Option<Asked>)>,
    /// `Some(None)`: the first that is ready.
    pub number: Option<Option<Uuid>>,
    pub recipients: Option<Vec<(Address, Option<String>)>>,
    /// When it begins; `Some(None)`: when somebody starts it.
    pub scheduled_at: Option<Option<Timestamp>>,
}

/// Changes a broadcast that has not begun. Nothing happens when nothing changed.
///
/// # Errors
/// 404; 409 `already_begun`, or `invalid_transition` for one that was cancelled, with what can be done; else as [`create`] and [`act`].
pub fn change(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, change: &Change) -> Result<()> {
    let now = kernel.now();
    // Held from here on: the worker takes no turn of it before this is written, and its turn sees what was.
    let known = store::lock(tx, tenant.company, id)?;
    if !may_change(&known) {
        return Err(stays(&known, "changed"));
    }
    let before = TOLD.row(tx, tenant.company, id)?;
    let mut next = known.clone();
    if let Some(name) = &change.name {
        next.name.clone_from(name);
    }
    if change.says.is_some() || change.number.is_some() {
        let (message, template) = change.says.clone().unwrap_or((known.message.clone(), known.template.clone()));
        let number = change.number.unwrap_or(known.number);
        (next.message, next.number) = checked(tx, tenant, message, template.as_ref(), number)?;
        next.template = template;
    }
    match change.scheduled_at {
        Some(Some(at)) => queue(&mut next, Some(at), now)?,
        Some(None) => {
            next.status = Status::Draft;
            (next.pause_reason, next.scheduled_at, next.next_at) = (None, None, None);
        }
        None => {}
    }
    if let Some(recipients) = &change.recipients {
        store::readdress(tx, tenant.company, id, recipients)?;
        next.total = i64::try_from(recipients.len()).unwrap_or(i64::MAX);
    } else if next == known {
        return Ok(());
    }
    next.outside_window = outside_window(tx, tenant, &next, now)?;
    store::rewrite(tx, tenant.company, &next)?;
    store::keep(tx, tenant.company, &next, now)?;
    let mut told = TOLD.change(tx, tenant.company, id, &before)?;
    if change.recipients.is_some() {
        told.fields.insert("recipients".to_owned(), json!([known.total, next.total]));
    }
    on_record(tx, kernel, tenant, &next, "update", told.to_text())?;
    tell(tx, kernel, tenant, &next, "updated")
}

/// Deletes a broadcast that nothing became of.
///
/// # Errors
/// 404; 409 `already_begun`, or `invalid_transition` for one that waits to begin, with what can be done.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let broadcast = store::lock(tx, tenant.company, id)?;
    if !may_delete(&broadcast) {
        return Err(stays(&broadcast, "deleted"));
    }
    store::delete(tx, tenant.company, id)?;
    on_record(tx, kernel, tenant, &broadcast, "delete", None)?;
    tell(tx, kernel, tenant, &broadcast, "deleted")
}

/// `loopwave.broadcasts.<act>`: customers are not in it.
fn tell(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, broadcast: &Broadcast, act: &str) -> Result<()> {
    let data = json!({"id": broadcast.id.to_string(), "name": broadcast.name, "status": broadcast.status.as_str()});
    let subject = format!("{PRODUCT}/broadcasts/{}", broadcast.id);
    event::emit(tx, kernel, tenant, &format!("{PRODUCT}.broadcasts.{act}"), &subject, data, None)
}

/// Makes a draft. One of a template belongs to a number from then on, because each business account has templates of its own.
///
/// # Errors
/// 400 under `template`; 409 as [`template::content`], `no_ready_session` for a template when no number is named and none is ready.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, new: &store::New) -> Result<()> {
    let mut new = new.clone();
    (new.message, new.number) = checked(tx, tenant, new.message, new.template.as_ref(), new.number)?;
    let now = kernel.now();
    store::insert(tx, tenant.company, id, &new, tenant.actor.user, now)?;
    let mut broadcast = store::get(tx, tenant.company, id)?;
    broadcast.outside_window = outside_window(tx, tenant, &broadcast, now)?;
    if broadcast.outside_window.is_some() {
        store::keep(tx, tenant.company, &broadcast, now)?;
    }
    recorded(tx, kernel, tenant, &broadcast, "create", None)
}

/// What a broadcast says and the number that says it, where it can be said so.
fn checked(
    reader: &mut Reader<'_>,
    tenant: &Tenant,
    message: String,
    template: Option<&Asked>,
    number: Option<Uuid>,
) -> Result<(String, Option<Uuid>)> {
    if let Some(asked) = template {
        let number = line(reader, tenant, number)?.ok_or_else(message::no_ready_session)?;
        return Ok((said(reader, &number, asked)?, Some(number.id)));
    }
    let mut problem = Problem::validation();
    placeholder::check(&message, &WORDS, "message", &mut problem);
    if problem.has_fields() { Err(problem) } else { Ok((message, number)) }
}

/// What a template says before anybody's words are filled in.
fn said(reader: &mut Reader<'_>, number: &Number, asked: &Asked) -> Result<String> {
    let unknown = asked.unknown_words(&WORDS);
    if let Some(word) = unknown.first() {
        let known = WORDS.map(|word| format!("{{{{{word}}}}}")).join(", ");
        let words = format!("{{{{{word}}}}} is not known; there are {known}.");
        return Err(Problem::field("template", "unknown_word", words));
    }
    Ok(template::content(reader, number, asked)?.text.unwrap_or_default())
}

/// How many a broadcast of words would not reach when it begins (now, unless that is said), because they have not written within a day before.
fn outside_window(
    reader: &mut Reader<'_>,
    tenant: &Tenant,
    broadcast: &Broadcast,
    now: Timestamp,
) -> Result<Option<i64>> {
    if broadcast.template.is_some() {
        return Ok(None);
    }
    let number = line(reader, tenant, broadcast.number)?.filter(window::is_kept_by);
    let since = broadcast.next_at.unwrap_or(now).max(now).plus(-window::OPEN_US);
    let count = |number: Number| store::silent_since(reader, tenant.company, broadcast.id, number.id, since);
    Ok(number.map(count).transpose()?)
}

/// Puts what was done with a broadcast on record.
pub(super) fn recorded(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    broadcast: &Broadcast,
    action: &str,
    before: Option<Status>,
) -> Result<()> {
    let changes = before.map(|was| json!({"status": [was.as_str(), broadcast.status.as_str()]}).to_string());
    on_record(tx, kernel, tenant, broadcast, action, changes)
}

fn on_record(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    broadcast: &Broadcast,
    action: &str,
    changes: Option<String>,
) -> Result<()> {
    let target = broadcast.id.to_string();
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
