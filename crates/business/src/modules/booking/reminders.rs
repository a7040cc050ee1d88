//! Reminders: when they fall due, and who is to be reminded. The sending itself is for whoever listens to the events.

use std::sync::Arc;

use loopd_kernel::job::{self, Job, NewJob};
use loopd_kernel::messenger::{self, Notice, Purpose, Said, Why};
use loopd_kernel::{Kernel, Tenant, mail};
use loopd_types::{MINUTE_US, Timestamp};
use serde_json::json;

use super::hours::Span;
use super::store;
use super::{APPOINTMENTS, CUSTOMERS};
use crate::define::*;

/// The kind of job that waits for a reminder to fall due.
pub const JOB: &str = "booking.reminder";
/// Last part of the event `booking.appointments.reminder_due`.
const EVENT: &str = "reminder_due";
/// Appointments in one answer of the list.
const LIST_MAX: i64 = 500;

/// Writes the job that makes the reminder due `reminder_min` before `start`. Moved appointments leave their old job behind: it finds another
/// beginning than it was written for, and does nothing.
pub fn enqueue(cx: &mut Cx<'_, '_>, appointment: Uuid, start: Timestamp, reminder_min: i64) -> Result<()> {
    let run_at = start.plus(-reminder_min * MINUTE_US);
    if reminder_min == 0 || run_at <= cx.now() {
        // Whoever books this late needs no reminder of what they have just done.
        return Ok(());
    }
    let key = format!("{JOB}:{}:{appointment}:{}", cx.company().0, start.micros());
    let payload = json!({"appointment": appointment.to_string(), "starts_at": start.to_string()});
    let new = NewJob { kind: JOB, company: cx.company(), payload: payload.to_string(), run_at, unique_key: Some(&key) };
    job::enqueue(cx.tx, cx.kernel(), &new)?;
    Ok(())
}

/// Marks the reminder due and tells of it, once for each beginning; a job that is repeated finds the mark.
pub async fn run(engine: Engine, kernel: Arc<Kernel>, job: Job) -> Result<()> {
    let text = |name: &str| job.payload[name].as_str().unwrap_or_default();
    let (Ok(id), Some(start)) = (Uuid::parse_str(text("appointment")), Timestamp::parse(text("starts_at"))) else {
        return Err(Problem::internal("a reminder without an appointment"));
    };
    let Some(access) = kernel.company_access(job.company).await? else { return Ok(()) };
    if matches!(access.status.as_str(), "suspended" | "closed") {
        return Ok(());
    }
    let tenant = Arc::new(Tenant::system(access, "a reminder fell due"));
    let view = tenant.view();
    kernel.db.write(view, move |tx| fall_due(&mut Cx::new(tx, &engine, &tenant), id, start)).await
}

fn fall_due(cx: &mut Cx<'_, '_>, id: Uuid, start: Timestamp) -> Result<()> {
    let mut appointment = match cx.lock(APPOINTMENTS, id) {
        Ok(appointment) => appointment,
        Err(problem) if problem.status() == 404 => return Ok(()),
        Err(problem) => return Err(problem),
    };
    let is_open = ["pending", "confirmed"].contains(&appointment.status());
    if !is_open
        || appointment.time("starts_at") != Some(start)
        || start <= cx.now()
        || appointment.has("reminder_due_at")
    {
        return Ok(());
    }
    appointment.set("reminder_due_at", cx.now());
    let company = cx.company();
    if store::settings(cx.tx, company)?.reminder_message {
        let reference = format!("{JOB}:{id}:{}", start.micros());
        match write_to(cx, &appointment, start, &reference)? {
            Said::OnItsWay { .. } => {
                appointment.set("reminder_message", ON_ITS_WAY);
                appointment.set("reminded_at", cx.now());
            }
            Said::Unsaid(why) => appointment.set("reminder_message", why.as_str()),
            Said::Before => {}
        }
    }
    cx.save(&mut appointment)?;
    let payload = appointment.to_json()?;
    cx.emit(&appointment, EVENT, &payload)
}

/// What `reminder_message` says of one that was written.
const ON_ITS_WAY: &str = "on_its_way";

/// Writes to the customer when whoever reminds them by hand wants it so.
pub fn remind(cx: &mut Cx<'_, '_>, appointment: &mut Record, input: &Input) -> Result<()> {
    if !input.is("by_message") {
        return Ok(());
    }
    let start = appointment.time("starts_at");
    let start = start.ok_or_else(|| Problem::conflict("no_time", "The appointment has no time to be reminded of."))?;
    let reference = format!("{JOB}.by-hand:{}:{}", appointment.id(), cx.now().micros());
    match write_to(cx, appointment, start, &reference)? {
        Said::Unsaid(why) => Err(Problem::conflict(why.as_str(), why.words())),
        Said::OnItsWay { .. } | Said::Before => {
            appointment.set("reminder_message", ON_ITS_WAY);
            Ok(())
        }
    }
}

/// Has the reminder written to the customer, once for its reference.
fn write_to(cx: &mut Cx<'_, '_>, appointment: &Record, start: Timestamp, reference: &str) -> Result<Said> {
    let customer = match appointment.id_in("customer") {
        Some(id) => cx.find(CUSTOMERS, id)?,
        None => None,
    };
    let Some(customer) = customer.filter(|customer| customer.has("phone")) else {
        return Ok(Said::Unsaid(Why::NoPhone));
    };
    let (company, zone) = (cx.tenant.company_name(), appointment.text("timezone").unwrap_or(cx.tenant.timezone()));
    let when = mail::moment(cx.tenant.language(), start, zone);
    let (what, name) = (appointment.title(), customer.title());
    let text = match cx.tenant.language() {
        "fr" => format!("Bonjour {name}, {company} vous rappelle votre rendez-vous : {what}, le {when}."),
        "rw" => format!("Muraho {name}, {company} irakwibutsa gahunda yawe: {what}, {when}."),
        _ => format!("Hello {name}, {company} reminds you of your appointment: {what}, {when}."),
    };
    let words = [
        ("name", name),
        ("company", company),
        ("title", what),
        ("when", when.as_str()),
        ("number", appointment.number()),
    ];
    let notice = Notice {
        purpose: Purpose::Reminder,
        reference,
        phone: customer.text("phone").unwrap_or_default(),
        name,
        text: &text,
        language: cx.tenant.language(),
        words: &words,
        module: "booking",
        resource: "appointments",
        id: appointment.id(),
        label: appointment.number(),
        person: Some((CUSTOMERS, customer.id())),
        expires_at: Some(start),
    };
    messenger::say(cx.tx, cx.engine.kernel.as_ref(), cx.tenant, &notice)
}

/// `GET /booking/reminders/due/`
pub fn operation() -> Custom {
    Custom::get("reminders_due", "reminders/due/", due)
        .summary("List the appointments whose customers are to be reminded now")
        .help(
            "Pending and confirmed appointments that begin within the company's setting booking.reminder_min (a day when not set), \
             soonest first, and of which nobody was reminded. Call the action remind on each when it is done.",
        )
        .permission("appointments.view")
        .input(minutes("within_min").help("Look so many minutes ahead instead of as many as the setting says."))
        .input(integer("limit").min(1).max(LIST_MAX).default(100).help("Most appointments in the answer."))
        .answer(json!({
            "type": "object",
            "required": ["count", "results"],
            "properties": {
                "count": {"type": "integer", "description": "Appointments in this answer."},
                "results": {"type": "array", "items": {"$ref": "#/components/schemas/Appointment"}},
            },
        }))
}

fn due(viewer: &mut Viewer<'_, '_>, input: &Input) -> Result<serde_json::Value> {
    let (company, now) = (viewer.company(), viewer.now());
    let ahead = match input.int("within_min") {
        Some(minutes) => minutes,
        None => store::settings(viewer.reader, company)?.reminder_min,
    };
    let window = Span::new(now, now.plus(ahead * MINUTE_US));
    let ids = store::unreminded(viewer.reader, company, window, input.int("limit").unwrap_or(100))?;
    let mut results = Vec::with_capacity(ids.len());
    for id in ids {
        // one that this caller may not see is none of theirs to remind of
        if let Some(appointment) = viewer.find(APPOINTMENTS, id)? {
            results.push(appointment.to_json()?);
        }
    }
    Ok(json!({"count": results.len(), "results": results}))
}
