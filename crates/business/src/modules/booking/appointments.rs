//! Appointments: fields, life cycle, and what must hold of them.

use jiff::tz::TimeZone;
use loopd_types::{MINUTE_US, Timestamp};

use super::fit::{self, Wanted};
use super::hours::Span;
use super::store::{self, LONGEST_US, Service, Settings};
use super::{APPOINTMENTS, reminders};
use crate::define::*;

/// States in which an appointment takes its time.
const LIVE: [&str; 3] = ["pending", "confirmed", "checked_in"];
/// What decides whether a time is free.
const PLANNING: [&str; 6] = ["service", "staff", "resource", "starts_at", "ends_at", "party_size"];

pub fn appointments() -> Resource {
    actions(fields())
        .index(&["staff", "blocked_from"])
        .index(&["resource", "blocked_from"])
        .search(&["title", "description", "number", "notes"])
        .before_create(plan)
        .before_update(replan)
        .check(check)
}

fn fields() -> Resource {
    Resource::new("appointments", "APT")
        .help("A meeting of a customer with a staff member or a resource, for a service. Without a time it is a draft.")
        .field(reference("service", "booking/services").help("What is booked."))
        .field(reference("staff", "booking/staff-members").help("Who serves the customer."))
        .field(reference("resource", "booking/resources").help("The room, chair or machine that is needed."))
        .field(reference("customer", "booking/customers").personal(Personal::Subject).help("Who comes."))
        .field(
            date_time("starts_at")
                .indexed()
                .help("Beginning. Changed alone, the end moves along.")
                .example("2026-06-22T10:00:00Z"),
        )
        .field(
            date_time("ends_at")
                .help("End; follows from the service's duration (30 minutes without a service) when it is not given."),
        )
        .field(timezone("timezone").preset(Preset::CompanyTimezone).help("Time zone in which people read the time."))
        .field(integer("party_size").min(1).max(10_000).default(1).help("How many people come."))
        .field(money("price").help("What the visit costs; the service's price and currency when it is not given."))
        .field(text("channel", 40).help("Where the booking came from: web, phone, walk-in.").example("web"))
        .field(long_text("notes").personal(Personal::Other).help("Notes for the staff."))
        .field(text("cancel_reason", 500).read_only().help("Why it was cancelled."))
        .field(date_time("checked_in_at").read_only().help("When the customer arrived."))
        .field(date_time("completed_at").read_only().help("When the visit was over."))
        .field(date_time("reminded_at").read_only().help("When the customer was last reminded of this time."))
        .field(date_time("reminder_due_at").read_only().help("When the reminder fell due."))
        .field(
            code("reminder_message")
                .read_only()
                .help("What became of the reminder's message: on_its_way, or why none was written (no_phone, opted_out, no_line, …)."),
        )
        .field(
            date_time("blocked_from")
                .read_only()
                .sparse()
                .help("Beginning of the time kept free for it, buffer included."),
        )
        .field(date_time("blocked_until").read_only().help("End of the time kept free for it, buffer included."))
        .states(&["draft", "pending", "confirmed", "checked_in", "completed", "cancelled", "no_show"])
        .automatic(&["pending"])
}

fn actions(resource: Resource) -> Resource {
    resource
        .action(
            Action::to("confirm", &["draft", "pending"], "confirmed")
                .needs(&["starts_at"])
                .routine()
                .help("Promise the time to the customer."),
        )
        .action(
            Action::new("reschedule", &["draft", "pending", "confirmed"])
                .to_one_of(&["pending", "confirmed"])
                .input(date_time("starts_at").required().help("The new beginning."))
                .input(date_time("ends_at").help("The new end; the length stays when it is not given."))
                .effect(reschedule)
                .routine()
                .help("Move it to another time, if that is free."),
        )
        .action(
            Action::new("assign", &["draft", "pending", "confirmed", "checked_in"])
                .input(
                    reference("staff", "booking/staff-members").help("Who serves the customer; null for nobody yet."),
                )
                .input(reference("resource", "booking/resources").help("What is needed for it; null for nothing."))
                .guard(require_somebody)
                .routine()
                .help("Give it to a staff member or a resource that is free."),
        )
        .action(
            Action::to("check-in", &["pending", "confirmed"], "checked_in")
                .stamps("checked_in_at")
                .routine()
                .help("The customer is here."),
        )
        .action(
            Action::to("complete", &["confirmed", "checked_in"], "completed")
                .stamps("completed_at")
                .guard(require_begun)
                .routine()
                .help("The visit is over; not before it began."),
        )
        .action(
            Action::to("cancel", &["draft", "pending", "confirmed"], "cancelled")
                .input(text("reason", 500).goes_to("cancel_reason").help("Why."))
                .input(
                    boolean("force")
                        .default(false)
                        .help("Cancel although it begins too soon; for those who may delete appointments."),
                )
                .guard(require_time_to_cancel)
                .routine()
                .help("It does not take place."),
        )
        .action(
            Action::to("no-show", &["pending", "confirmed"], "no_show")
                .event("no_show")
                .guard(require_begun)
                .routine()
                .help("The customer did not come; not before it began."),
        )
        .action(
            Action::new("remind", &["pending", "confirmed"])
                .input(
                    boolean("by_message")
                        .default(false)
                        .help("Also write to the customer by the company's messenger (Loopwave)."),
                )
                .stamps("reminded_at")
                .guard(require_future)
                .effect(reminders::remind)
                .routine()
                .help("Remind the customer now: emits booking.appointments.reminded."),
        )
}

/// Whether a record's time is taken by it.
fn is_live(status: &str) -> bool {
    LIVE.contains(&status)
}

/// The time of an appointment that has one.
fn time_of(appointment: &Record) -> Option<Span> {
    Some(Span::new(appointment.time("starts_at")?, appointment.time("ends_at")?))
}

fn zone_of(cx: &Cx<'_, '_>, appointment: &Record) -> TimeZone {
    store::zone(Some(appointment.text("timezone").unwrap_or_else(|| cx.tenant.timezone())))
}

/// The service in a record's field, deleted or not.
fn service_of(cx: &mut Cx<'_, '_>, record: &Record) -> Result<Option<Service>> {
    let company = cx.company();
    match record.id_in("service") {
        Some(id) => store::service(cx.tx, company, id, false),
        None => Ok(None),
    }
}

/// Length of an appointment without a service.
const USUAL_US: i64 = 30 * MINUTE_US;

/// A new appointment with a time is pending; its end and price follow from its service.
fn plan(cx: &mut Cx<'_, '_>, appointment: &mut Record) -> Result<()> {
    let service = service_of(cx, appointment)?;
    follow(cx, appointment, service.as_ref());
    if appointment.has("starts_at") {
        appointment.set_status("pending");
    }
    Ok(())
}

/// Fills in what follows from the service where nothing was given.
fn follow(cx: &Cx<'_, '_>, appointment: &mut Record, service: Option<&Service>) {
    if let (Some(start), false) = (appointment.time("starts_at"), appointment.has("ends_at")) {
        appointment.set("ends_at", start.plus(service.map_or(USUAL_US, |service| service.length)));
    }
    let Some(Service { price: Some(price), currency, .. }) = service else { return };
    // Only a currency that somebody chose keeps the service's price away: the company's own is what an absent one became.
    let is_free = appointment.text("currency").is_none_or(|known| known == cx.tenant.currency())
        || appointment.text("currency") == currency.as_deref();
    if !appointment.has("price") && is_free {
        appointment.set("price", *price);
        appointment.set("currency", currency.clone());
    }
}

/// A change: what follows from what was changed, and what may not be changed any more.
fn replan(cx: &mut Cx<'_, '_>, before: &Record, appointment: &mut Record) -> Result<()> {
    let changed: Vec<&str> =
        PLANNING.into_iter().filter(|field| before.value(field) != appointment.value(field)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    if before.status() != "draft" && !is_live(before.status()) {
        let status = before.status().replace('_', " ");
        let words =
            format!("The appointment is {status}; its {} cannot be changed any more.", changed[0].replace('_', " "));
        return Err(Problem::conflict("appointment_closed", words).with_extra("fields", changed));
    }
    if before.has("starts_at") && !appointment.has("starts_at") {
        let words = "An appointment keeps a time. Reschedule it, or cancel it.";
        return Err(Problem::field("starts_at", "null", words));
    }
    let service = service_of(cx, appointment)?;
    if changed.contains(&"service") {
        follow_new_service(cx, before, appointment, service.as_ref())?;
    }
    keep_length(before, appointment);
    follow(cx, appointment, service.as_ref());
    if before.status() == "draft" && appointment.has("starts_at") {
        appointment.set_status("pending");
    }
    forget_reminder(before, appointment);
    Ok(())
}

/// What followed from the old service follows from the new one; what somebody chose stays.
fn follow_new_service(
    cx: &mut Cx<'_, '_>,
    before: &Record,
    appointment: &mut Record,
    service: Option<&Service>,
) -> Result<()> {
    let Some(service) = service else { return Ok(()) };
    let old = service_of(cx, before)?;
    let same = |appointment: &Record, field: &str| before.value(field) == appointment.value(field);
    let had_length = time_of(before).map(Span::length);
    let old_length = old.as_ref().map_or(USUAL_US, |old| old.length);
    if same(appointment, "ends_at")
        && had_length == Some(old_length)
        && let Some(start) = appointment.time("starts_at")
    {
        appointment.set("ends_at", start.plus(service.length));
    }
    let old_price = old.as_ref().and_then(|old| old.price);
    if same(appointment, "price")
        && same(appointment, "currency")
        && appointment.int("price") == old_price
        && service.price.is_some()
    {
        appointment.set("price", service.price);
        appointment.set("currency", service.currency.clone());
    }
    Ok(())
}

/// A beginning that moves alone takes the end along.
fn keep_length(before: &Record, appointment: &mut Record) {
    if let (Some(was), Some(start)) = (time_of(before), appointment.time("starts_at"))
        && start != was.from
        && appointment.time("ends_at") == Some(was.to)
    {
        appointment.set("ends_at", start.plus(was.length()));
    }
}

/// A reminder of another time is no reminder.
fn forget_reminder(before: &Record, appointment: &mut Record) {
    if before.time("starts_at") != appointment.time("starts_at") {
        appointment.set("reminded_at", None::<Timestamp>);
        appointment.set("reminder_due_at", None::<Timestamp>);
    }
}

/// The end comes along unless it was given; a draft gets its first time.
fn reschedule(cx: &mut Cx<'_, '_>, appointment: &mut Record, input: &Input) -> Result<()> {
    let Some(before) = appointment.original().cloned() else { return Ok(()) };
    if !input.has("ends_at") {
        appointment.set("ends_at", before.time("ends_at"));
        keep_length(&before, appointment);
    }
    let service = service_of(cx, appointment)?;
    follow(cx, appointment, service.as_ref());
    forget_reminder(&before, appointment);
    Ok(())
}

fn require_somebody(_: &mut Cx<'_, '_>, _: &mut Record, input: &Input) -> Result<()> {
    if input.was_given("staff") || input.was_given("resource") {
        return Ok(());
    }
    Err(Problem::field("staff", "required", "Say whom or what to assign: staff, resource or both."))
}

fn require_begun(cx: &mut Cx<'_, '_>, appointment: &mut Record, _: &Input) -> Result<()> {
    match appointment.time("starts_at") {
        Some(start) if cx.now() < start => {
            let zone = zone_of(cx, appointment);
            let words = format!("The appointment only begins at {}.", fit::local(start, &zone));
            Err(Problem::conflict("too_early", words).with_extra("starts_at", start.to_string()))
        }
        _ => Ok(()),
    }
}

fn require_future(cx: &mut Cx<'_, '_>, appointment: &mut Record, _: &Input) -> Result<()> {
    match appointment.time("starts_at") {
        Some(start) if start <= cx.now() => {
            Err(Problem::conflict("too_late", "The appointment has begun; there is nothing to remind of."))
        }
        _ => Ok(()),
    }
}

fn require_time_to_cancel(cx: &mut Cx<'_, '_>, appointment: &mut Record, input: &Input) -> Result<()> {
    let Some(start) = appointment.time("starts_at") else { return Ok(()) };
    let company = cx.company();
    let own = service_of(cx, appointment)?.and_then(|service| service.cancellation_window_min);
    let window = match own {
        Some(window) => window,
        None => store::settings(cx.tx, company)?.cancellation_window_min,
    };
    let last = start.plus(-window * MINUTE_US);
    if window == 0 || cx.now() <= last {
        return Ok(());
    }
    if input.is("force") {
        return cx.tenant.require("booking.appointments.delete");
    }
    let zone = zone_of(cx, appointment);
    let words = format!("It could be cancelled until {}.", fit::local(last, &zone));
    Err(Problem::conflict("cancellation_window", words)
        .with_extra("cancellable_until", last.to_string())
        .with_extra("window_min", window))
}

/// What must hold after every create, update, action and restore: a sensible time, staff who can do it, and that it is free.
fn check(cx: &mut Cx<'_, '_>, appointment: &mut Record) -> Result<()> {
    let Some(time) = checked_time(appointment)? else {
        appointment.set("blocked_from", None::<Timestamp>);
        appointment.set("blocked_until", None::<Timestamp>);
        return Ok(());
    };
    let before = match appointment.original() {
        Some(before) => Some(before.clone()),
        // Saved by another rule, new, or deleted so far; the last two are to be checked from the ground up.
        None => cx.find(APPOINTMENTS, appointment.id())?,
    };
    let changed = |field: &str| before.as_ref().is_none_or(|b| b.value(field) != appointment.value(field));
    let was_live = before.as_ref().is_some_and(|before| is_live(before.status()));
    let is_live = is_live(appointment.status());
    if !PLANNING.into_iter().any(changed) && was_live == is_live {
        return Ok(());
    }
    let service = service_of(cx, appointment)?;
    let (is_new_service, is_new_staff, is_new_resource) = (changed("service"), changed("staff"), changed("resource"));
    let (is_new_start, is_new_party) = (changed("starts_at"), changed("party_size"));
    let blocked = fit::blocked(time, service.as_ref());
    appointment.set("blocked_from", blocked.from);
    appointment.set("blocked_until", blocked.to);
    if !is_live {
        return Ok(());
    }
    if let Some(service) = &service {
        if is_new_service && service.status != "active" {
            return Err(Problem::field("service", "invalid", "This service is not offered at present."));
        }
        if (is_new_service || is_new_party)
            && service.capacity > 1
            && appointment.int("party_size") > Some(service.capacity)
        {
            let words = format!("The service takes {} people at most.", service.capacity);
            return Err(Problem::field("party_size", "max_value", words));
        }
    }
    if let (Some(staff), true) = (appointment.id_in("staff"), is_new_staff || is_new_service) {
        let company = cx.company();
        fit::require_staff(cx, company, staff, service.as_ref())?;
    }
    if let (Some(resource), true) = (appointment.id_in("resource"), is_new_resource) {
        let company = cx.company();
        let found = store::resource(cx.tx, company, resource, false)?;
        if found.is_none_or(|resource| resource.status != "active") {
            return Err(Problem::field("resource", "invalid", "This resource is not in use."));
        }
    }
    let wanted = Wanted {
        staff: appointment.id_in("staff"),
        resource: appointment.id_in("resource"),
        time,
        party: appointment.int("party_size").unwrap_or(1),
        except: Some(appointment.id()),
    };
    let zone = zone_of(cx, appointment);
    fit::require_free(cx, &wanted, service.as_ref(), &zone)?;
    if is_new_start || !was_live {
        let company = cx.company();
        let Settings { reminder_min, .. } = store::settings(cx.tx, company)?;
        reminders::enqueue(cx, appointment.id(), time.from, reminder_min)?;
    }
    Ok(())
}

/// The time, if there is one and it makes sense.
fn checked_time(appointment: &Record) -> Result<Option<Span>> {
    let Some(time) = time_of(appointment) else {
        return match appointment.has("ends_at") {
            true => Err(Problem::field("starts_at", "required", "An appointment with an end needs a beginning.")),
            false => Ok(None),
        };
    };
    if time.is_empty() {
        return Err(Problem::field("ends_at", "invalid", "The end must be after the beginning."));
    }
    if time.length() > LONGEST_US {
        return Err(Problem::field("ends_at", "max_value", "An appointment takes 31 days at most."));
    }
    Ok(Some(time))
}
