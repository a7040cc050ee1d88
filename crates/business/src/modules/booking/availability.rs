//! Free times: `GET /booking/availability/`.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use loopd_store::Reader;
use loopd_types::{CompanyId, DAY_US, MINUTE_US, Timestamp};
use serde_json::{Value as Json, json};

use super::calendar::{Calendar, Search, Slot};
use super::fit::range;
use super::hours::{Span, midnight};
use super::store::{self, Book, Service};
use crate::define::*;

/// The longest stretch that is searched.
const RANGE_DAYS: i64 = 62;
/// Free times in one answer.
const SLOTS_MAX: i64 = 1_000;
/// How far ahead is looked when no end is given.
const USUAL_DAYS: i64 = 7;
/// Length of what is booked without a service.
const USUAL_MIN: i64 = 30;

/// `GET /booking/availability/`
pub fn operation() -> Custom {
    Custom::get("availability", "availability/", availability)
        .summary("Find free times")
        .help(
            "Times at which an appointment can be made now, soonest first: within opening hours, outside approved time off, beside what is \
             booked, buffers included. Without staff, everybody who can do the service is looked at. Nothing is reserved: whoever books \
             first gets the time.",
        )
        .permission("appointments.view")
        .input(reference("service", "booking/services").help("What is to be booked: length, buffers, capacity and staff follow from it."))
        .input(reference("staff", "booking/staff-members").help("Only with this staff member."))
        .input(reference("resource", "booking/resources").help("With this resource."))
        .input(text("from", 40).help("A day, or a moment; now when absent. What lies in the past is never offered.").example("2026-06-22"))
        .input(text("to", 40).help("The last day, or a moment; 7 days after the beginning when absent, 62 at most.").example("2026-06-28"))
        .input(minutes("duration_min").help("Length, when there is no service or another length is wanted."))
        .input(integer("party_size").min(1).max(10_000).default(1).help("How many people come."))
        .input(integer("step_min").min(5).max(1_440).help("Minutes between two offers, counted from when it opens; the company's setting booking.slot_step_min (15) when absent."))
        .input(timezone("timezone").help("Zone of the days given; the company's when absent."))
        .input(integer("limit").min(1).max(SLOTS_MAX).default(200).help("Most free times in the answer."))
        .answer(answer_schema())
}

fn answer_schema() -> Json {
    let slot = json!({
        "type": "object",
        "required": ["starts_at", "ends_at", "staff", "resource", "seats_left"],
        "properties": {
            "starts_at": {"type": "string", "format": "date-time"},
            "ends_at": {"type": "string", "format": "date-time"},
            "staff": {"type": ["string", "null"], "format": "uuid"},
            "resource": {"type": ["string", "null"], "format": "uuid"},
            "seats_left": {"type": "integer", "description": "People that still fit in; more than 1 in group sessions only."},
        },
    });
    json!({
        "type": "object",
        "required": ["from", "to", "timezone", "duration_min", "step_min", "count", "slots", "next_from"],
        "properties": {
            "from": {"type": "string", "format": "date-time"},
            "to": {"type": "string", "format": "date-time"},
            "timezone": {"type": "string"},
            "duration_min": {"type": "integer"},
            "step_min": {"type": "integer"},
            "count": {"type": "integer"},
            "slots": {"type": "array", "items": slot},
            "next_from": {"type": ["string", "null"], "format": "date-time", "description": "Where to go on; null when all was searched."},
        },
    })
}

/// What is looked for, before it is known with whom.
pub struct Question {
    pub search: Search,
    pub service: Option<Service>,
}

fn availability(viewer: &mut Viewer<'_, '_>, input: &Input) -> Result<Json> {
    let (company, now) = (viewer.company(), viewer.now());
    // a record of a workspace that the caller may not enter is not there for them
    for (field, path) in
        [("service", "booking/services"), ("staff", "booking/staff-members"), ("resource", "booking/resources")]
    {
        if let Some(id) = input.id_in(field)
            && viewer.find(path, id)?.is_none()
        {
            return Err(Problem::field(
                field,
                "does_not_exist",
                format!("Invalid pk \"{id}\" - object does not exist."),
            ));
        }
    }
    let zone_name = input.text("timezone").unwrap_or_else(|| viewer.tenant.timezone()).to_owned();
    let question = ask(viewer.reader, company, now, input, &zone_name)?;
    let found = answer(viewer.reader, company, &question, input.id_in("staff"), input.id_in("resource"))?;
    Ok(rendered(&question, &zone_name, found, |slot| {
        let mut shown = range(slot.time);
        shown["staff"] = json!(slot.staff.map(|id| id.to_string()));
        shown["resource"] = json!(slot.resource.map(|id| id.to_string()));
        shown["seats_left"] = json!(slot.seats_left);
        shown
    }))
}

/// Reads the question from the query.
///
/// # Errors
/// 400 on the field that cannot be read, on a range that is too long, and on a service that is not offered.
pub fn ask(
    reader: &mut Reader<'_>,
    company: CompanyId,
    now: Timestamp,
    input: &Input,
    zone_name: &str,
) -> Result<Question> {
    let zone = store::zone(Some(zone_name));
    let service = match input.id_in("service") {
        Some(id) => store::service(reader, company, id, false)?,
        None => None,
    };
    if service.as_ref().is_some_and(|service| service.status != "active") {
        return Err(Problem::field("service", "invalid", "This service is not offered at present."));
    }
    let settings = store::settings(reader, company)?;
    let from = match input.value("from") {
        Some(Value::Text(text)) if !text.is_empty() => read_moment("from", text, &zone, false)?,
        _ => now,
    };
    let to = match input.value("to") {
        Some(Value::Text(text)) if !text.is_empty() => read_moment("to", text, &zone, true)?,
        _ => from.plus(USUAL_DAYS * DAY_US),
    };
    if to <= from {
        return Err(Problem::field("to", "invalid", "The end must be after the beginning."));
    }
    // an hour more, for the day on which the clocks go back
    if to.micros() - from.micros() > RANGE_DAYS * DAY_US + DAY_US / 24 {
        return Err(Problem::field("to", "max_value", format!("Search {RANGE_DAYS} days at most at once.")));
    }
    let given_length = input.int("duration_min").filter(|minutes| *minutes > 0).map(|minutes| minutes * MINUTE_US);
    let length = given_length.or(service.as_ref().map(|service| service.length)).unwrap_or(USUAL_MIN * MINUTE_US);
    if length > store::LONGEST_US {
        return Err(Problem::field("duration_min", "max_value", "An appointment takes 31 days at most."));
    }
    let party = input.int("party_size").unwrap_or(1);
    let search = Search {
        window: Span::new(from.max(now), to),
        service: service.as_ref().map(|service| service.id),
        length,
        before: service.as_ref().map_or(0, |service| service.before),
        after: service.as_ref().map_or(0, |service| service.after),
        capacity: service.as_ref().map_or(1, |service| service.capacity),
        party,
        step_min: input.int("step_min").unwrap_or(settings.slot_step_min),
        limit: usize::try_from(input.int("limit").unwrap_or(200)).unwrap_or(200),
        zone,
    };
    Ok(Question { search, service })
}

/// A day stands for its beginning, at the end of a range for its end.
fn read_moment(field: &str, text: &str, zone: &TimeZone, is_end: bool) -> Result<Timestamp> {
    let day = || (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
    let moment = match day() {
        Some(day) => midnight(if is_end { day.tomorrow().unwrap_or(day) } else { day }, zone),
        None => Timestamp::parse(text),
    };
    // a year on either side keeps the arithmetic of days within what calendars can say
    let is_sensible = |moment: &Timestamp| (-62_100_000_000..253_370_000_000).contains(&moment.seconds());
    moment
        .filter(is_sensible)
        .ok_or_else(|| Problem::field(field, "invalid", "Give a day (YYYY-MM-DD) or a moment (YYYY-MM-DDThh:mm:ssZ)."))
}

/// The free times of one staff member, or of everybody who can do it.
pub fn answer(
    reader: &mut Reader<'_>,
    company: CompanyId,
    question: &Question,
    staff: Option<Uuid>,
    resource: Option<Uuid>,
) -> Result<(Vec<Slot>, Option<Timestamp>)> {
    let search = &question.search;
    if search.window.is_empty() || (search.capacity > 1 && search.party > search.capacity) {
        return Ok((Vec::new(), None));
    }
    let people = match staff {
        Some(id) => {
            let named = question.service.as_ref().map(|service| &service.staff).filter(|named| !named.is_empty());
            let found = store::staff(reader, company, id, false)?;
            let able = found.filter(|found| found.status == "active" && named.is_none_or(|named| named.contains(&id)));
            match able {
                Some(able) => vec![able],
                None => return Ok((Vec::new(), None)),
            }
        }
        None => store::staff_for(reader, company, question.service.as_ref())?,
    };
    let is_named = question.service.as_ref().is_some_and(|service| !service.staff.is_empty());
    if people.is_empty() && is_named {
        return Ok((Vec::new(), None));
    }
    let resource = match resource {
        Some(id) => match store::resource(reader, company, id, false)?.filter(|found| found.status == "active") {
            Some(found) => Some(found),
            None => return Ok((Vec::new(), None)),
        },
        None => None,
    };
    // beginnings near the edges of the window see what lies beyond them
    let around = search.before.max(search.after) + DAY_US;
    let reach = Span::new(search.window.from.plus(-around), search.window.to.plus(around));
    let book = Book::open(reader, company, reach, None, None)?;
    let calendars: Vec<Calendar> = match people.is_empty() {
        true => vec![book.calendar(None, resource.as_ref())],
        false => people.iter().map(|staff| book.calendar(Some(staff), resource.as_ref())).collect(),
    };
    Ok(search.free(&calendars))
}

/// The answer's JSON.
pub fn rendered(
    question: &Question,
    zone_name: &str,
    (slots, next): (Vec<Slot>, Option<Timestamp>),
    show: impl FnMut(&Slot) -> Json,
) -> Json {
    let search = &question.search;
    let slots: Vec<Json> = slots.iter().map(show).collect();
    json!({
        "from": search.window.from.to_string(),
        "to": search.window.to.to_string(),
        "timezone": zone_name,
        "duration_min": search.length / MINUTE_US,
        "step_min": search.step_min,
        "count": slots.len(),
        "slots": slots,
        "next_from": next.map(|moment| moment.to_string()),
    })
}
