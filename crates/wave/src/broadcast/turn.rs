//! One turn of a broadcast, and what becomes of its messages.

use loopd_kernel::{Kernel, Tenant, event as log};
use loopd_store::{Reader, Tx};
use loopd_types::{Problem, Result, SECOND_US, Timestamp, Uuid};

use super::act::recorded;
use super::rules::{day_of, next_day};
use super::say::{Line, say};
use super::store::{self, Broadcast, Outcome};
use super::{FAILURES_MOST, Status, wire};
use crate::message::{self, Message, Origin};
use crate::number::{self, Number};
use crate::preference;
use crate::{PRODUCT, limit, outgoing, template, window};

/// How long a broadcast waits before it looks again for a number that is not ready, or for its last messages.
const LOOK_AGAIN_US: i64 = 10 * SECOND_US;
/// People of one turn whom nothing goes to; a message ends it.
const PASSED_MOST: usize = 50;

/// Takes the next turn of a broadcast, if it is due.
///
/// # Errors
/// 404; 503 from the database.
pub fn turn(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let now = kernel.now();
    let mut broadcast = store::lock(tx, tenant.company, id)?;
    // Another node was faster.
    if !broadcast.is_due(now) {
        return Ok(());
    }
    if broadcast.resumes_at.is_some() {
        match line(tx, tenant, broadcast.number)?.filter(|number| number.is_paused(now)) {
            // It was banned for longer meanwhile.
            Some(number) => rest(&mut broadcast, &number),
            None => {
                go_on(&mut broadcast, now);
                broadcast.resumed_at = Some(now);
                recorded(tx, kernel, tenant, &broadcast, "resume", Some(Status::Paused))?;
            }
        }
    }
    if broadcast.status == Status::Queued {
        broadcast.status = Status::Sending;
        broadcast.started_at = Some(now);
    }
    if broadcast.status == Status::Sending {
        send_next(tx, kernel, tenant, &mut broadcast, now)?;
    } else if broadcast.resumes_at.is_none() {
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
    if store::next_pending(tx, tenant.company, broadcast.id)?.is_none() {
        wait_for_the_last(broadcast, now);
        return Ok(());
    }
    let preferences = preference::load(tx, tenant.company)?;
    let number = line(tx, tenant, broadcast.number)?;
    if number.is_none() && broadcast.number.is_some() {
        pause(broadcast, "Its number is no longer linked.");
        return Ok(());
    }
    let Some(number) = number.filter(Number::is_ready) else {
        broadcast.pause_reason = Some("The number is not ready. It goes on when it is.".to_owned());
        broadcast.next_at = Some(now.plus(LOOK_AGAIN_US));
        return Ok(());
    };
    if number.is_paused(now) {
        rest(broadcast, &number);
        return Ok(());
    }
    // Meta may have thought again of a template that was good when the broadcast was made.
    if let Some(words) = flaw(tx, &number, broadcast)? {
        pause(broadcast, &words);
        return Ok(());
    }
    broadcast.pause_reason = None;
    let pacing = &preferences.pacing;
    if let Some(until) = pacing.quiet_until(now, tenant.timezone()) {
        broadcast.pause_reason = Some("Quiet hours. It goes on when they are over.".to_owned());
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
    let cap = pacing.cap_on(age);
    if pace.sent >= cap {
        broadcast.pause_reason =
            Some(format!("The number has sent the {cap} that it may send today. It goes on tomorrow."));
        broadcast.next_at = Some(next_day(now, tenant.timezone()));
        return Ok(());
    }
    // What finds no room among those whom the number may write to first today only waits: the rest of the list does so here, and goes
    // nowhere when somebody cancels it.
    if broadcast.template.is_some()
        && let Some(until) = outgoing::store::waits_until(tx, tenant.company, number.id, limit::TIER_LIMITED)?
    {
        broadcast.pause_reason =
            Some("WhatsApp lets the number write first to no more people today. It goes on by itself.".to_owned());
        broadcast.next_at = Some(until.max(now.plus(LOOK_AGAIN_US)));
        return Ok(());
    }
    let line = Line { number: &number, preferences: &preferences };
    broadcast.next_at = Some(now);
    for _ in 0..PASSED_MOST {
        let Some(recipient) = store::next_pending(tx, tenant.company, broadcast.id)? else { break };
        if say(tx, kernel, tenant, &line, broadcast, &recipient, now)? {
            pace.sent += 1;
            pace.next_at = now.plus(pacing.gap_us(kernel.rng.as_ref()));
            store::keep_pace(tx, tenant.company, number.id, pace)?;
            broadcast.next_at = Some(pace.next_at);
            break;
        }
        if broadcast.status != Status::Sending {
            return Ok(());
        }
    }
    if broadcast.is_done() {
        finish(broadcast, Status::Completed, now);
    }
    Ok(())
}

/// Everybody was written to: it is over, or waits for what becomes of the last messages.
fn wait_for_the_last(broadcast: &mut Broadcast, now: Timestamp) {
    if broadcast.is_done() {
        finish(broadcast, Status::Completed, now);
    } else {
        broadcast.next_at = Some(now.plus(LOOK_AGAIN_US));
    }
}

/// The number that writes: the one that is named, or else the first that is ready. One that is banned is not relieved by another: what
/// had it banned would have the next one banned too.
pub(super) fn line(reader: &mut Reader<'_>, tenant: &Tenant, named: Option<Uuid>) -> Result<Option<Number>> {
    Ok(match named {
        Some(id) => number::find(reader, tenant.company, id)?,
        None => number::first_ready(reader, tenant.company)?,
    })
}

/// Pauses while its number rests. It goes on by itself when WhatsApp has said until when, and only once: a number that is banned again right
/// away needs a person.
fn rest(broadcast: &mut Broadcast, number: &Number) {
    pause(broadcast, number.pause_reason.as_deref().unwrap_or("The number is paused."));
    if number.is_pause_told && broadcast.resumed_at.is_none() {
        broadcast.resumes_at = number.paused_until;
        broadcast.next_at = number.paused_until;
    }
}

/// Why a broadcast's template cannot be sent by a number now, in words.
fn flaw(tx: &mut Tx<'_>, number: &Number, broadcast: &Broadcast) -> Result<Option<String>> {
    let Some(asked) = &broadcast.template else { return Ok(None) };
    match template::content(tx, number, asked) {
        Ok(_) => Ok(None),
        Err(problem) if message::is_refused(&problem) => Ok(Some(words_of(&problem))),
        Err(problem) => Err(problem),
    }
}

fn words_of(problem: &Problem) -> String {
    let complaint = problem.fields().iter().flat_map(|(_, complaints)| complaints).next();
    complaint.map_or(problem.message(), |complaint| &complaint.message).to_owned()
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
    if recipient.status == status && recipient.reason.as_deref() == reason {
        return Ok(());
    }
    // What nobody knew is known now, and it failed: it may be tried again.
    let was_failed = recipient.status == "failed";
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
        // The message that found out about a ban says nothing more of the list or the text.
        let number = number::find(tx, tenant.company, message.number_id)?.filter(|number| number.is_paused(now));
        match number.filter(|_| broadcast.status == Status::Sending && !broadcast.is_done()) {
            Some(number) => rest(&mut broadcast, &number),
            None if was_failed => {}
            None => count_failure(&mut broadcast, reason.unwrap_or("failed")),
        }
    }
    if broadcast.status == Status::Sending && broadcast.is_done() {
        finish(&mut broadcast, Status::Completed, now);
    }
    store::keep(tx, tenant.company, &broadcast, now)?;
    told(tx, kernel, tenant, &broadcast)
}

/// A failure that says something of the number, the list or the text: a run of them pauses. Of closed windows people were told beforehand,
/// and who opts out says nothing of the others.
pub(super) fn count_failure(broadcast: &mut Broadcast, code: &str) {
    if [window::CLOSED, message::OPTED_OUT].contains(&code) {
        return;
    }
    broadcast.failed_in_row += 1;
    if broadcast.failed_in_row >= FAILURES_MOST && broadcast.status == Status::Sending {
        pause(broadcast, &format!("{FAILURES_MOST} messages in a row failed ({code}). Look why before you go on."));
    }
}

pub(super) fn pause(broadcast: &mut Broadcast, reason: &str) {
    broadcast.status = Status::Paused;
    broadcast.pause_reason = Some(reason.to_owned());
    broadcast.next_at = None;
    broadcast.resumes_at = None;
}

pub(super) fn go_on(broadcast: &mut Broadcast, now: Timestamp) {
    broadcast.status = Status::Sending;
    broadcast.started_at.get_or_insert(now);
    broadcast.pause_reason = None;
    broadcast.failed_in_row = 0;
    broadcast.next_at = Some(now);
    broadcast.resumes_at = None;
}

pub(super) fn finish(broadcast: &mut Broadcast, status: Status, now: Timestamp) {
    broadcast.status = status;
    broadcast.next_at = None;
    broadcast.resumes_at = None;
    broadcast.pause_reason = None;
    broadcast.finished_at = Some(now);
}

/// `broadcast.progress`, with the members that the original's pages name.
pub(super) fn told(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, broadcast: &Broadcast) -> Result<()> {
    let subject = format!("{PRODUCT}/broadcasts/{}", broadcast.id);
    log::emit(tx, kernel, tenant, "loopwave.broadcasts.progress", &subject, wire::progress(broadcast).to_string())
}

/// Pauses a broadcast whose company may write nothing new.
///
/// # Errors
/// 404; 503 from the database.
pub fn hold(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, reason: &str) -> Result<()> {
    let (mut broadcast, now) = (store::lock(tx, tenant.company, id)?, kernel.now());
    // Somebody has cancelled it, or made a draft of it again.
    if !broadcast.is_due(now) {
        return Ok(());
    }
    pause(&mut broadcast, reason);
    store::keep(tx, tenant.company, &broadcast, now)?;
    told(tx, kernel, tenant, &broadcast)
}
