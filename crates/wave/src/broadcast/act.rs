//! What people do with a broadcast, from making it on.

use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, Tx};
use loopd_types::{MINUTE_US, Problem, Result, Timestamp, Uuid};

use super::Status;
use super::say::WORDS;
use super::store::{self, Broadcast};
use super::turn::{finish, go_on, line, pause, told};
use crate::number::Number;
use crate::template::{self, Asked};
use crate::{PRODUCT, message, placeholder, window};

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
        let all = [Act::Start(None), Act::Pause, Act::Resume, Act::Cancel, Act::RetryFailed];
        let can: Vec<&str> = all.into_iter().filter(|it| it.may(&broadcast)).map(Act::as_str).collect();
        let words = format!("A broadcast that is {} cannot {}.", broadcast.status.as_str(), act.as_str());
        return Err(Problem::conflict("invalid_transition", words).with_extra("allowed", can));
    }
    let before = broadcast.status;
    match act {
        Act::Start(Some(at)) if at < now.plus(-LATE_US) => {
            return Err(Problem::field("scheduled_at", "invalid", "This moment is over."));
        }
        Act::Start(at) => {
            broadcast.status = Status::Queued;
            broadcast.scheduled_at = at;
            let begins_at = at.unwrap_or(now).max(now);
            broadcast.next_at = Some(begins_at);
            broadcast.outside_window = outside_window(tx, tenant, &broadcast, begins_at)?;
        }
        Act::Pause => pause(&mut broadcast, "Paused by hand."),
        Act::Resume => {
            broadcast.started_at.get_or_insert(now);
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

/// Makes a draft. One of a template belongs to a number from then on, because each business account has templates of its own.
///
/// # Errors
/// 400 under `template`; 409 as [`template::content`], `no_ready_session` for a template when no number is named and none is ready.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, new: &store::New) -> Result<()> {
    let mut new = new.clone();
    if let Some(asked) = &new.template {
        let number = line(tx, tenant, new.number)?.ok_or_else(message::no_ready_session)?;
        new.message = said(tx, &number, asked)?;
        new.number = Some(number.id);
    }
    let mut problem = Problem::validation();
    if new.template.is_none() {
        placeholder::check(&new.message, &WORDS, "message", &mut problem);
    }
    if problem.has_fields() {
        return Err(problem);
    }
    let now = kernel.now();
    store::insert(tx, tenant.company, id, &new, tenant.actor.user, now)?;
    let mut broadcast = store::get(tx, tenant.company, id)?;
    broadcast.outside_window = outside_window(tx, tenant, &broadcast, now)?;
    if broadcast.outside_window.is_some() {
        store::keep(tx, tenant.company, &broadcast, now)?;
    }
    recorded(tx, kernel, tenant, &broadcast, "create", None)
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

/// How many a broadcast of words would not reach at that moment, because they have not written within a day before.
fn outside_window(
    reader: &mut Reader<'_>,
    tenant: &Tenant,
    broadcast: &Broadcast,
    at: Timestamp,
) -> Result<Option<i64>> {
    if broadcast.template.is_some() {
        return Ok(None);
    }
    let number = line(reader, tenant, broadcast.number)?.filter(window::is_kept_by);
    let since = at.plus(-window::OPEN_US);
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
