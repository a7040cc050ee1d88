//! Booking by strangers: free times and a request for an appointment, of a company that lets the public in.
//!
//! Strangers learn what a company shows to everybody and nothing else: no names of staff or customers, no ids but that of what they made,
//! and the same answer whether their address is known or not. A company that sets `booking.public` to false has none of these doors: the
//! engine answers 404 before anything here runs.

use loopd_types::MINUTE_US;
use serde_json::{Value as Json, json};

use super::APPOINTMENTS;
use super::availability::{self, Question};
use super::fit::{self, Wanted, range};
use super::hours::Span;
use super::store::{self, Service, Staff};
use crate::define::*;

const SERVICES: &str = "booking/services";
/// Requests of one customer that may wait for an answer.
const PENDING_MAX: i64 = 5;
/// How far ahead strangers may book, in days.
const AHEAD_DAYS: i64 = 366;

/// `POST /booking/public/{company}/appointments/`
pub fn book_operation() -> Custom {
    Custom::post("public_appointments_create", "public/{company}/appointments/", book)
        .public()
        .summary("Ask a company for an appointment")
        .help(
            "Makes a pending appointment with whoever is free to do the service. A telephone number or an e-mail address must be given. Of \
             one customer five requests at most wait for an answer.",
        )
        .input(reference("service", SERVICES).required().help("What is to be booked, from the company's public services."))
        .input(date_time("starts_at").required().help("Beginning, from the public free times.").example("2026-06-22T10:00:00Z"))
        .input(text("name", 120).required().help("Who comes.").example("Aline"))
        .input(phone("phone").help("Where to call.").example("+250788123456"))
        .input(email("email").help("Where to write."))
        .input(integer("party_size").min(1).max(1_000).default(1).help("How many people come."))
        .input(text("notes", 2_000).help("Anything to know beforehand."))
        .input(text("website", 200).help("Leave it empty: only programs that fill in everything write here."))
        .status(201)
        .answer(json!({
            "type": "object",
            "required": ["id", "status", "service", "starts_at", "ends_at", "party_size"],
            "properties": {
                "id": {"type": "string", "format": "uuid", "description": "To quote when you ask about it."},
                "status": {"type": "string", "enum": ["pending"]},
                "service": {"type": "string", "description": "The service's name."},
                "starts_at": {"type": "string", "format": "date-time"},
                "ends_at": {"type": "string", "format": "date-time"},
                "party_size": {"type": "integer"},
            },
        }))
}

/// `GET /booking/public/{company}/availability/`
pub fn availability_operation() -> Custom {
    Custom::get("public_availability", "public/{company}/availability/", show_availability)
        .public()
        .summary("Find a company's free times")
        .help("Times at which the service can be booked by anybody, soonest first; not with whom.")
        .input(reference("service", SERVICES).required().help("What is to be booked."))
        .input(text("from", 40).help("A day, or a moment; now when absent.").example("2026-06-22"))
        .input(text("to", 40).help("The last day, or a moment; 7 days after the beginning when absent, 62 at most.").example("2026-06-28"))
        .input(integer("party_size").min(1).max(1_000).default(1).help("How many people come."))
        .input(integer("limit").min(1).max(500).default(100).help("Most free times in the answer."))
        .answer(json!({
            "type": "object",
            "required": ["from", "to", "timezone", "duration_min", "step_min", "count", "slots", "next_from"],
            "properties": {
                "from": {"type": "string", "format": "date-time"},
                "to": {"type": "string", "format": "date-time"},
                "timezone": {"type": "string"},
                "duration_min": {"type": "integer"},
                "step_min": {"type": "integer"},
                "count": {"type": "integer"},
                "slots": {"type": "array", "items": {
                    "type": "object",
                    "required": ["starts_at", "ends_at"],
                    "properties": {
                        "starts_at": {"type": "string", "format": "date-time"},
                        "ends_at": {"type": "string", "format": "date-time"},
                    },
                }},
                "next_from": {"type": ["string", "null"], "format": "date-time", "description": "Where to go on; null when all was searched."},
            },
        }))
}

fn show_availability(viewer: &mut Viewer<'_, '_>, input: &Input) -> Result<Json> {
    let (company, now) = (viewer.company(), viewer.now());
    if viewer.find(SERVICES, input.require_id("service")?)?.is_none() {
        return Err(Problem::not_found());
    }
    let zone_name = viewer.tenant.timezone().to_owned();
    let question: Question = availability::ask(viewer.reader, company, now, input, &zone_name)?;
    let (mut slots, next) = availability::answer(viewer.reader, company, &question, None, None)?;
    // several people who are free at once are one time to a stranger
    slots.dedup_by_key(|slot| slot.time);
    Ok(availability::rendered(&question, &zone_name, (slots, next), |slot| range(slot.time)))
}

fn book(cx: &mut Cx<'_, '_>, input: &Input) -> Result<Json> {
    let company = cx.company();
    let service = store::service(cx.tx, company, input.require_id("service")?, false)?;
    let Some(service) = service.filter(|service| service.status == "active") else {
        return Err(Problem::field("service", "invalid", "This service is not offered at present."));
    };
    let (start, party) = (input.time("starts_at").unwrap_or_default(), input.int("party_size").unwrap_or(1));
    let time = Span::new(start, start.plus(service.length));
    let mut receipt = range(time);
    receipt["status"] = json!("pending");
    receipt["service"] = json!(service.title);
    receipt["party_size"] = json!(party);
    if input.has("website") {
        // A program that fills in every field is told that all went well, and nothing is kept.
        receipt["id"] = json!(cx.new_id().to_string());
        return Ok(receipt);
    }
    check(cx, &service, time, party, input)?;
    // before the customer is written: who closes the company waits for the company's counters while it holds the calendar
    fit::hold_for_booking(cx)?;
    let customer = customer(cx, input)?;
    let staff = choose_staff(cx, &service, time, party)?;
    let name = input.text("name").unwrap_or_default();
    let body = json!({
        "title": format!("{}: {name}", service.title).chars().take(255).collect::<String>(),
        "description": "",
        "service": service.id.to_string(),
        "staff": staff.map(|id| id.to_string()),
        "customer": customer.to_string(),
        "starts_at": start.to_string(),
        "party_size": party,
        "notes": input.text("notes"),
        "channel": "public",
    });
    receipt["id"] = json!(cx.create(APPOINTMENTS, &body)?.id().to_string());
    Ok(receipt)
}

fn check(cx: &mut Cx<'_, '_>, service: &Service, time: Span, party: i64, input: &Input) -> Result<()> {
    let mut problem = Problem::validation();
    if !input.has("phone") && !input.has("email") {
        problem.add_field("phone", "required", "Give a telephone number or an e-mail address.");
    }
    if time.from <= cx.now() {
        problem.add_field("starts_at", "invalid", "The time has passed.");
    } else if time.from > cx.now().plus(AHEAD_DAYS * 24 * 60 * MINUTE_US) {
        problem.add_field("starts_at", "invalid", "A year ahead at most can be booked.");
    }
    if service.capacity > 1 && party > service.capacity {
        problem.add_field("party_size", "max_value", format!("The service takes {} people at most.", service.capacity));
    }
    if problem.has_fields() { Err(problem) } else { Ok(()) }
}

/// The customer of this telephone number or address, or a new one. What is known of them is neither shown nor changed.
fn customer(cx: &mut Cx<'_, '_>, input: &Input) -> Result<Uuid> {
    let (company, now) = (cx.company(), cx.now());
    let (phone, email) = (input.text("phone"), input.text("email"));
    // two requests of somebody new at once make one customer
    let contact = phone.or(email).unwrap_or_default();
    cx.tx.lock(&format!("booking.customer:{}:{contact}", company.0))?;
    let Some(known) = store::customer_by_contact(cx.tx, company, phone, email)? else {
        let body = json!({"title": input.text("name"), "name": input.text("name"), "phone": phone, "email": email});
        return Ok(cx.create("booking/customers", &body)?.id());
    };
    if store::count_pending(cx.tx, company, known, now)? >= PENDING_MAX {
        let words = "Too many requests wait for an answer already. Please wait, or call.";
        return Err(Problem::conflict("too_many_requests_pending", words));
    }
    Ok(known)
}

/// Somebody who can do it and is free then; nobody where a company has no staff.
///
/// # Errors
/// As a booking with the last one who could have done it.
fn choose_staff(cx: &mut Cx<'_, '_>, service: &Service, time: Span, party: i64) -> Result<Option<Uuid>> {
    let company = cx.company();
    let zone = store::zone(Some(cx.tenant.timezone()));
    let able: Vec<Staff> = store::staff_for(cx.tx, company, Some(service))?;
    if able.is_empty() && !service.staff.is_empty() {
        return Err(Problem::field("service", "invalid", "This service is not offered at present."));
    }
    let mut refusal = None;
    for staff in &able {
        let wanted = Wanted { staff: Some(staff.id), resource: None, time, party, except: None };
        match fit::require_free(cx, &wanted, Some(service), &zone) {
            Ok(()) => return Ok(Some(staff.id)),
            Err(problem) if problem.status() == 409 => refusal = Some(problem),
            Err(problem) => return Err(problem),
        }
    }
    refusal.map_or(Ok(None), Err)
}
