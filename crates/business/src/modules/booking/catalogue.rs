//! What can be booked and with whom: services, staff members, resources; and when: schedules and time off.

use super::fit;
use super::hours::{Span, Week, read_exceptions};
use super::store::{self, LONGEST_BUFFER_MIN, LONGEST_US};
use crate::define::*;
use loopd_types::MINUTE_US;

const TIME_OFF: &str = "booking/time-off";
/// The status in which a time off takes its time.
const APPROVED: &str = "approved";
/// What decides which appointments lie in a time off.
const PLANNING: [&str; 4] = ["staff", "resource", "starts_at", "ends_at"];

pub fn services() -> Resource {
    Resource::new("services", "SRV")
        .help("Something that can be booked.")
        .title_from(&["name"])
        .field(text("name", 255).help("Name of the service; the title when none is given.").example("Haircut"))
        .field(minutes("duration_min").default(30).help("How long it takes; at least 1."))
        .field(minutes("buffer_before_min").default(0).help("Time kept free before; at most a day."))
        .field(minutes("buffer_after_min").default(0).help("Time kept free after; at most a day."))
        .field(money("price").help("What it costs."))
        .field(
            integer("capacity")
                .min(1)
                .max(10_000)
                .default(1)
                .help("How many people take part at once. More than 1 makes it a group session: bookings of the same time share it until the party sizes fill it."),
        )
        .field(references("staff", "booking/staff-members").help("Who can do it; everybody when empty."))
        .field(minutes("cancellation_window_min").help(
            "How near to the beginning an appointment cannot be cancelled any more; the company's setting booking.cancellation_window_min when empty.",
        ))
        .states(&["active", "inactive"])
        .action(Action::to("activate", &["inactive"], "active").help("Offer it again."))
        .action(Action::to("deactivate", &["active"], "inactive").help("Offer it no longer; what is booked stays booked."))
        .search(&["title", "description", "name"])
        .before_create(name_it)
        .before_delete(require_unused)
        .check(check_service)
        .public_list(&["id", "title", "description", "duration_min", "price", "currency", "capacity"], &["active"])
}

pub fn staff_members() -> Resource {
    Resource::unnumbered("staff-members")
        .help("Somebody who serves customers.")
        .personal()
        .title_from(&["name"])
        .field(
            text("name", 255).personal(Personal::Name).help("Name as customers see it; the title when none is given."),
        )
        .field(user("user").help("The account of this person, if there is one."))
        .field(email("email").personal(Personal::Contact).help("Where notices go."))
        .field(phone("phone").personal(Personal::Contact).help("Telephone."))
        .field(object("working_hours").help(
            "Weekly hours: {\"mon\": [[\"08:00\", \"17:00\"]]}. Schedules, where there are some, take their place.",
        ))
        .field(timezone("timezone").preset(Preset::CompanyTimezone).help("Time zone of the working hours."))
        .search(&["title", "name", "email", "phone"])
        .before_create(name_it)
        .before_delete(require_unused)
        .check(check_staff)
}

pub fn resources() -> Resource {
    Resource::unnumbered("resources")
        .help("A room, chair or machine that appointments need.")
        .field(choice("kind", &["room", "chair", "machine", "other"]).default("room").help("What it is."))
        .field(
            integer("capacity")
                .min(1)
                .max(10_000)
                .default(1)
                .help("How many appointments it can take at once; a group session counts as one."),
        )
        .before_delete(require_unused)
}

pub fn schedules() -> Resource {
    Resource::unnumbered("schedules")
        .help("When a staff member, a resource or the whole company can be booked. Whoever has no schedule can always be booked.")
        .title_optional()
        .field(reference("staff", "booking/staff-members").help("Whose schedule it is."))
        .field(reference("resource", "booking/resources").help("Or of which resource; of the whole company when neither is given."))
        .field(
            object("weekly_hours")
                .required()
                .help("Hours by weekday, none for a schedule of `exceptions` alone: {\"mon\": [[\"08:00\", \"12:00\"], [\"13:00\", \"17:00\"]]}. An end before its beginning lies in the next day.")
                .example(serde_json::json!({"mon": [["08:00", "12:00"], ["13:00", "17:00"]]})),
        )
        .field(json("exceptions").help(
            "Single days with other hours, none when closed: [{\"date\": \"2026-07-01\", \"hours\": []}]. Those of the company bind everybody who has none of their own for the day.",
        ))
        .field(date("valid_from").help("First day it holds."))
        .field(date("valid_until").help("Last day it holds."))
        .field(timezone("timezone").preset(Preset::CompanyTimezone).help("Time zone of the hours."))
        .check(check_schedule)
}

pub fn time_off() -> Resource {
    Resource::unnumbered("time-off")
        .title("Time off")
        .help(
            "A time in which a staff member, a resource or (neither given) nobody can be booked, once it is approved.",
        )
        .title_optional()
        .field(reference("staff", "booking/staff-members").help("Who is away."))
        .field(reference("resource", "booking/resources").help("Or what is out of use."))
        .field(date_time("starts_at").required().indexed().help("Beginning."))
        .field(date_time("ends_at").required().help("End."))
        .field(text("reason", 500).help("Why."))
        .field(text("decision", 500).read_only().help("Why it was refused."))
        .states(&["requested", "approved", "rejected", "cancelled"])
        .action(
            Action::to("approve", &["requested", "rejected"], "approved")
                .input(
                    boolean("force")
                        .default(false)
                        .help("Approve although appointments lie in it; they stay as they are."),
                )
                .guard(require_no_appointments)
                .help("Grant it."),
        )
        .action(
            Action::to("reject", &["requested", "approved"], "rejected")
                .input(text("reason", 500).goes_to("decision").help("Why not."))
                .help("Refuse it."),
        )
        .action(Action::to("cancel", &["requested", "approved"], "cancelled").routine().help("Take it back."))
        .check(check_time_off)
}

/// Whoever has no name of their own is called by the title.
pub fn name_it(_: &mut Cx<'_, '_>, record: &mut Record) -> Result<()> {
    if !record.has("name") {
        let title = record.title().to_owned();
        record.set("name", title);
    }
    Ok(())
}

/// What appointments to come still need cannot go. Locked, so that none can be made meanwhile.
fn require_unused(cx: &mut Cx<'_, '_>, record: &mut Record) -> Result<()> {
    let (company, now, id) = (cx.company(), cx.now(), record.id());
    let (path, by) = match record.resource().resource.slug.as_str() {
        "staff-members" => ("booking/staff-members", "staff"),
        "resources" => ("booking/resources", "resource"),
        _ => ("booking/services", "service"),
    };
    cx.lock(path, id)?;
    let count = store::count_upcoming(cx.tx, company, by, id, now)?;
    if count == 0 {
        return Ok(());
    }
    let words = format!("{count} appointments to come need it. Move or cancel them first.");
    Err(Problem::conflict("in_use", words).with_extra("appointments", count))
}

fn check_service(_: &mut Cx<'_, '_>, service: &mut Record) -> Result<()> {
    let mut problem = Problem::validation();
    let most = LONGEST_US / MINUTE_US;
    for (field, least, most) in [
        ("duration_min", 1, most),
        ("buffer_before_min", 0, LONGEST_BUFFER_MIN),
        ("buffer_after_min", 0, LONGEST_BUFFER_MIN),
    ] {
        match service.int(field) {
            Some(value) if value < least => {
                problem.add_field(
                    field,
                    "min_value",
                    format!("Ensure this value is greater than or equal to {least}."),
                );
            }
            Some(value) if value > most => {
                problem.add_field(field, "max_value", format!("Ensure this value is less than or equal to {most}."));
            }
            _ => {}
        }
    }
    if problem.has_fields() { Err(problem) } else { Ok(()) }
}

fn check_staff(_: &mut Cx<'_, '_>, staff: &mut Record) -> Result<()> {
    match staff.json("working_hours").map(|hours| Week::read(&hours)) {
        Some(Err(words)) => Err(Problem::field("working_hours", "invalid", words)),
        _ => Ok(()),
    }
}

fn check_schedule(_: &mut Cx<'_, '_>, schedule: &mut Record) -> Result<()> {
    let mut problem = Problem::validation();
    require_one_owner(schedule, &mut problem);
    if let Some(Err(words)) = schedule.json("weekly_hours").map(|hours| Week::read(&hours)) {
        problem.add_field("weekly_hours", "invalid", words);
    }
    if let Some(Err(words)) =
        schedule.json("exceptions").filter(|json| !json.is_null()).map(|json| read_exceptions(&json))
    {
        problem.add_field("exceptions", "invalid", words);
    }
    if let (Some(from), Some(until)) = (schedule.date("valid_from"), schedule.date("valid_until"))
        && until < from
    {
        problem.add_field("valid_until", "invalid", "The last day lies before the first.");
    }
    if problem.has_fields() { Err(problem) } else { Ok(()) }
}

/// Sensible times, one owner; and what is approved already takes no appointment that it had not taken before.
fn check_time_off(cx: &mut Cx<'_, '_>, time_off: &mut Record) -> Result<()> {
    let mut problem = Problem::validation();
    require_one_owner(time_off, &mut problem);
    if let (Some(start), Some(end)) = (time_off.time("starts_at"), time_off.time("ends_at"))
        && end <= start
    {
        problem.add_field("ends_at", "invalid", "The end must be after the beginning.");
    }
    if problem.has_fields() {
        return Err(problem);
    }
    if time_off.status() != APPROVED {
        return Ok(());
    }
    let before = match time_off.original() {
        Some(before) => Some(before.clone()),
        // saved by another rule, or deleted so far: then all that lies in it is new to it
        None => cx.find(TIME_OFF, time_off.id())?,
    };
    match before {
        // being approved now: the action has looked, and may have been told to look away
        Some(before) if before.status() != APPROVED => Ok(()),
        Some(before) if PLANNING.iter().all(|field| before.value(field) == time_off.value(field)) => Ok(()),
        before => {
            let known = match &before {
                Some(before) => taken_by(cx, before)?,
                None => Vec::new(),
            };
            refuse_appointments(
                cx,
                time_off,
                &known,
                "Move them first, or reject it, change it and approve it with \"force\": true.",
            )
        }
    }
}

fn require_one_owner(record: &Record, problem: &mut Problem) {
    if record.has("staff") && record.has("resource") {
        problem.add_field("resource", "invalid", "Give a staff member or a resource, not both.");
    }
}

/// Whoever approves must know of the appointments that lie in it.
fn require_no_appointments(cx: &mut Cx<'_, '_>, time_off: &mut Record, input: &Input) -> Result<()> {
    if input.is("force") {
        return Ok(());
    }
    refuse_appointments(cx, time_off, &[], "Move them first, or approve with \"force\": true.")
}

/// Refuses when live appointments other than the `known` ones lie in it. Locked, so that none can be made meanwhile.
fn refuse_appointments(cx: &mut Cx<'_, '_>, time_off: &Record, known: &[Uuid], way_out: &'static str) -> Result<()> {
    let company = cx.company();
    match (time_off.id_in("staff"), time_off.id_in("resource")) {
        (Some(id), _) => {
            store::staff(cx.tx, company, id, true)?;
        }
        (_, Some(id)) => {
            store::resource(cx.tx, company, id, true)?;
        }
        (None, None) => fit::hold_for_closure(cx)?,
    }
    let count = taken_by(cx, time_off)?.iter().filter(|id| !known.contains(id)).count();
    if count == 0 {
        return Ok(());
    }
    let words = format!("{count} appointments lie in this time. {way_out}");
    Err(Problem::conflict("has_appointments", words).with_extra("appointments", count))
}

/// The live appointments that lie in a time off.
fn taken_by(cx: &mut Cx<'_, '_>, time_off: &Record) -> Result<Vec<Uuid>> {
    let (Some(start), Some(end)) = (time_off.time("starts_at"), time_off.time("ends_at")) else {
        return Ok(Vec::new());
    };
    let (company, owner) = (cx.company(), (time_off.id_in("staff"), time_off.id_in("resource")));
    store::live_in(cx.tx, company, owner, Span::new(start, end))
}
