//! No double booking: whether an appointment's time is free, decided under a lock on whoever serves it.
//!
//! Two that want the same staff member, resource or session wait for each other: on SQLite because there is one writer, on PostgreSQL at
//! the locked row. Rows are locked in one order (staff, resource, service), so that two who want the same things do not lock each other out.
//! Time off of the whole company concerns bookings of nobody in particular too: every booking shares one lock of the company's calendar, first
//! of all, and such a closure takes it alone ([`hold_for_closure`]).

use jiff::tz::TimeZone;
use loopd_types::{CompanyId, DAY_US, Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::calendar::{Refusal, Search, Wish};
use super::hours::Span;
use super::store::{self, Book, Only, Service};
use crate::define::Cx;

/// How far ahead free times are looked for when the wanted one is not.
const AHEAD_US: i64 = 14 * DAY_US;
/// How many free times a refusal names.
const OFFERS: usize = 3;

/// Who is to serve, whom.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub staff: Option<Uuid>,
    pub resource: Option<Uuid>,
    pub time: Span,
    pub party: i64,
    /// The appointment that is being moved.
    pub except: Option<Uuid>,
}

/// The stretch that an appointment keeps free, buffers included.
pub fn blocked(time: Span, service: Option<&Service>) -> Span {
    let (before, after) = service.map_or((0, 0), |service| (service.before, service.after));
    Span::new(time.from.plus(-before), time.to.plus(after))
}

/// Whether the time can be had; holds its locks to the end of the transaction.
///
/// # Errors
/// 409 `slot_unavailable` with the range that is taken, 409 `outside_hours`; both with the next free times.
pub fn require_free(cx: &mut Cx<'_, '_>, wanted: &Wanted, service: Option<&Service>, zone: &TimeZone) -> Result<()> {
    let company = cx.company();
    hold_for_booking(cx)?;
    let staff = match wanted.staff {
        Some(id) => store::staff(cx.tx, company, id, true)?,
        None => None,
    };
    let resource = match wanted.resource {
        Some(id) => store::resource(cx.tx, company, id, true)?,
        None => None,
    };
    let capacity = service.map_or(1, |service| service.capacity);
    if let (None, None, Some(service), true) = (wanted.staff, wanted.resource, service, capacity > 1) {
        store::service(cx.tx, company, service.id, true)?;
    }
    let service_id = service.map(|service| service.id);
    let wish = Wish {
        service: service_id,
        staff: wanted.staff,
        resource: wanted.resource,
        time: wanted.time,
        blocked: blocked(wanted.time, service),
        party: wanted.party,
        capacity,
    };
    let only = Some(Only { staff: wanted.staff, resource: wanted.resource, service: service_id });
    let book = Book::open(cx.tx, company, wish.blocked, only, wanted.except)?;
    let Some(refusal) = book.calendar(staff.as_ref(), resource.as_ref()).refusal(&wish) else { return Ok(()) };
    let from = wanted.time.from.max(cx.now());
    let window = Span::new(from, from.plus(AHEAD_US + wanted.time.length()));
    let reach = Span::new(window.from.plus(-DAY_US), window.to.plus(DAY_US));
    let wide = Book::open(cx.tx, company, reach, only, wanted.except)?;
    let search = Search {
        window,
        service: service_id,
        length: wanted.time.length(),
        before: service.map_or(0, |service| service.before),
        after: service.map_or(0, |service| service.after),
        capacity,
        party: wanted.party,
        step_min: store::settings(cx.tx, company)?.slot_step_min,
        limit: OFFERS,
        zone: zone.clone(),
    };
    let (mut offers, _) = search.free(&[wide.calendar(staff.as_ref(), resource.as_ref())]);
    offers.truncate(OFFERS);
    let offers: Vec<Json> = offers.iter().map(|slot| range(slot.time)).collect();
    Err(refused(refusal, wanted, zone).with_extra("next_free", offers))
}

fn calendar_lock(cx: &Cx<'_, '_>) -> String {
    format!("booking.calendar:{}", cx.company().0)
}

/// No closure of the whole company comes between what this transaction reads and what it writes.
pub fn hold_for_booking(cx: &mut Cx<'_, '_>) -> Result<()> {
    let name = calendar_lock(cx);
    Ok(cx.tx.lock_shared(&name)?)
}

/// No booking comes between what this transaction reads and what it writes.
pub fn hold_for_closure(cx: &mut Cx<'_, '_>) -> Result<()> {
    let name = calendar_lock(cx);
    Ok(cx.tx.lock(&name)?)
}

/// `{"starts_at", "ends_at"}`
pub fn range(span: Span) -> Json {
    json!({"starts_at": span.from.to_string(), "ends_at": span.to.to_string()})
}

fn refused(refusal: Refusal, wanted: &Wanted, zone: &TimeZone) -> Problem {
    let taken = |with: &str, span: Span, words: String| {
        let mut conflict = range(span);
        conflict["with"] = json!(with);
        Problem::conflict("slot_unavailable", words).with_extra("conflict", conflict)
    };
    let shown = |span: Span| format!("from {} to {}", local(span.from, zone), local(span.to, zone));
    match refusal {
        Refusal::OutsideHours => {
            let words = format!("The time {} lies outside the opening hours.", shown(wanted.time));
            Problem::conflict("outside_hours", words).with_extra("wanted", range(wanted.time))
        }
        Refusal::Away(span) => taken("time_off", span, format!("There is time off {}.", shown(span))),
        Refusal::StaffBusy(span) => {
            taken("staff", span, format!("The staff member is taken {} (buffers come on top).", shown(span)))
        }
        Refusal::ResourceFull(span) => {
            taken("resource", span, format!("The resource is fully taken {} (buffers come on top).", shown(span)))
        }
        Refusal::SessionFull(span, left) => {
            let seats = if left == 0 { "no seat".to_owned() } else { format!("only {left} of the seats wanted") };
            taken("session", span, format!("The session {} has {seats} left.", shown(span)))
                .with_extra("seats_left", left)
        }
    }
}

/// `2026-06-22 10:00`, as the clock on the wall shows it.
pub fn local(moment: Timestamp, zone: &TimeZone) -> String {
    let moment = jiff::Timestamp::from_microsecond(moment.micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Refuses unless the staff member is at work and offers the service.
pub fn require_staff(cx: &mut Cx<'_, '_>, company: CompanyId, id: Uuid, service: Option<&Service>) -> Result<()> {
    let found = store::staff(cx.tx, company, id, false)?;
    if found.is_none_or(|staff| staff.status != "active") {
        return Err(Problem::field("staff", "invalid", "This staff member is not active."));
    }
    match service {
        Some(service) if !service.staff.is_empty() && !service.staff.contains(&id) => {
            Err(Problem::field("staff", "invalid", "This staff member does not offer the service."))
        }
        _ => Ok(()),
    }
}
