//! The waiting list: who wants a time, what was offered to them, and the appointment that came of it.

use std::sync::Arc;

use loopd_kernel::job::{self, Job, NewJob};
use loopd_kernel::{Kernel, Tenant};
use loopd_types::{MINUTE_US, Timestamp};
use serde_json::json;

use super::fit::{self, Wanted};
use super::hours::Span;
use super::{APPOINTMENTS, store};
use crate::define::*;

const ENTRIES: &str = "booking/waitlist-entries";
/// The kind of job that ends an offer nobody took.
pub const JOB: &str = "booking.offer_expiry";

pub fn waitlist_entries() -> Resource {
    Resource::unnumbered("waitlist-entries")
        .help("A customer who waits for a free time.")
        .title_optional()
        .field(reference("service", "booking/services").help("What they wait for."))
        .field(reference("customer", "booking/customers").personal(Personal::Subject).help("Who waits."))
        .field(reference("staff", "booking/staff-members").help("With whom; with anybody when empty."))
        .field(integer("party_size").min(1).max(10_000).default(1).help("How many people come."))
        .field(date_time("window_starts_at").help("Earliest time that suits."))
        .field(date_time("window_ends_at").help("Latest time that suits."))
        .field(date_time("offered_starts_at").read_only().help("Beginning of the time that was offered."))
        .field(date_time("offered_ends_at").read_only().help("End of the time that was offered."))
        .field(reference("offered_staff", "booking/staff-members").read_only().help("Who would serve them."))
        .field(reference("offered_resource", "booking/resources").read_only().help("What would be used."))
        .field(date_time("offer_expires_at").read_only().help("Until when the offer holds."))
        .field(reference("appointment", APPOINTMENTS).read_only().help("What became of it."))
        .states(&["waiting", "offered", "booked", "expired"])
        .action(
            Action::to("offer", &["waiting", "offered", "expired"], "offered")
                .input(
                    date_time("starts_at")
                        .goes_to("offered_starts_at")
                        .help("The time that is offered; it must be free."),
                )
                .input(
                    date_time("ends_at")
                        .goes_to("offered_ends_at")
                        .help("Its end; the service's duration when absent."),
                )
                .input(
                    reference("staff", "booking/staff-members").goes_to("offered_staff").help("Who would serve them."),
                )
                .input(
                    reference("resource", "booking/resources").goes_to("offered_resource").help("What would be used."),
                )
                .input(
                    date_time("offer_expires_at")
                        .help("Until when the offer holds; a day, or the setting booking.offer_min, when absent."),
                )
                .effect(offer)
                .help("Offer a time. Nothing is reserved: book while it is free."),
        )
        .action(
            Action::to("book", &["waiting", "offered"], "booked")
                .input(date_time("starts_at").help("The time; the offered one when absent."))
                .input(date_time("ends_at").help("Its end; the service's duration when absent."))
                .input(
                    reference("staff", "booking/staff-members")
                        .goes_to("offered_staff")
                        .help("Who serves them; as offered when absent."),
                )
                .input(
                    reference("resource", "booking/resources")
                        .goes_to("offered_resource")
                        .help("What is used; as offered when absent."),
                )
                .input(
                    reference("appointment", APPOINTMENTS)
                        .help("An appointment that was already made, in place of a new one."),
                )
                .guard(require_offer_in_force)
                .effect(book)
                .help("Make the appointment."),
        )
        .action(Action::to("expire", &["waiting", "offered"], "expired").help("Nobody waits any longer."))
        .check(check_window)
}

fn check_window(_: &mut Cx<'_, '_>, entry: &mut Record) -> Result<()> {
    match (entry.time("window_starts_at"), entry.time("window_ends_at")) {
        (Some(start), Some(end)) if end <= start => {
            Err(Problem::field("window_ends_at", "invalid", "The end must be after the beginning."))
        }
        _ => Ok(()),
    }
}

/// An offered time suits and is free now; the offer ends by itself.
fn offer(cx: &mut Cx<'_, '_>, entry: &mut Record, input: &Input) -> Result<()> {
    let company = cx.company();
    for (field, of) in
        [("offered_starts_at", "starts_at"), ("offered_ends_at", "ends_at"), ("offered_resource", "resource")]
    {
        if !input.was_given(of) {
            // an offer is what this call says, nothing of an earlier one is left
            entry.set(field, Value::Null);
        }
    }
    if !input.was_given("staff") {
        let staff = entry.id_in("staff");
        entry.set("offered_staff", staff);
    }
    if let Some(start) = entry.time("offered_starts_at") {
        let service = match entry.id_in("service") {
            Some(id) => store::service(cx.tx, company, id, false)?,
            None => None,
        };
        let usual = start.plus(service.as_ref().map_or(30 * MINUTE_US, |service| service.length));
        let time = Span::new(start, entry.time("offered_ends_at").unwrap_or(usual));
        if time.is_empty() {
            return Err(Problem::field("ends_at", "invalid", "The end must be after the beginning."));
        }
        let suits = entry.time("window_starts_at").is_none_or(|earliest| earliest <= time.from)
            && entry.time("window_ends_at").is_none_or(|latest| time.from <= latest);
        if !suits {
            return Err(Problem::field(
                "starts_at",
                "invalid",
                "The time lies outside the window that suits the customer.",
            ));
        }
        entry.set("offered_ends_at", time.to);
        let wanted = Wanted {
            staff: entry.id_in("offered_staff"),
            resource: entry.id_in("offered_resource"),
            time,
            party: entry.int("party_size").unwrap_or(1),
            except: None,
        };
        let zone = store::zone(Some(cx.tenant.timezone()));
        fit::require_free(cx, &wanted, service.as_ref(), &zone)?;
    }
    let expires_at = match input.time("offer_expires_at") {
        Some(expires_at) if expires_at <= cx.now() => {
            return Err(Problem::field("offer_expires_at", "invalid", "The offer would have ended already."));
        }
        Some(expires_at) => expires_at,
        None => {
            let holds = cx.now().plus(store::settings(cx.tx, company)?.offer_min * MINUTE_US);
            // an offer of a time does not outlive the time
            entry.time("offered_starts_at").filter(|start| *start > cx.now()).map_or(holds, |start| start.min(holds))
        }
    };
    entry.set("offer_expires_at", expires_at);
    let key = format!("{JOB}:{}:{}:{}", company.0, entry.id(), expires_at.micros());
    let payload = json!({"entry": entry.id().to_string(), "expires_at": expires_at.to_string()});
    let new = NewJob { kind: JOB, company, payload: payload.to_string(), run_at: expires_at, unique_key: Some(&key) };
    job::enqueue(cx.tx, cx.kernel(), &new)?;
    Ok(())
}

fn require_offer_in_force(cx: &mut Cx<'_, '_>, entry: &mut Record, _: &Input) -> Result<()> {
    match entry.time("offer_expires_at") {
        Some(end) if entry.status() == "offered" && end <= cx.now() => {
            Err(Problem::conflict("offer_expired", "The offer has ended. Make a new one.")
                .with_extra("offer_expires_at", end.to_string()))
        }
        _ => Ok(()),
    }
}

fn book(cx: &mut Cx<'_, '_>, entry: &mut Record, input: &Input) -> Result<()> {
    if input.has("appointment") {
        return Ok(());
    }
    let (given, offered) = (input.time("starts_at"), entry.time("offered_starts_at"));
    let Some(start) = given.or(offered) else {
        return Err(Problem::field("starts_at", "required", "Say when: no time was offered yet."));
    };
    let end = input.time("ends_at").or(if given.is_none() { entry.time("offered_ends_at") } else { None });
    let title = match (entry.title(), entry.id_in("service")) {
        ("", Some(service)) => {
            let company = cx.company();
            store::service(cx.tx, company, service, false)?.map(|service| service.title).unwrap_or_default()
        }
        (title, _) => title.to_owned(),
    };
    let shown = |id: Option<Uuid>| id.map(|id| id.to_string());
    let staff = entry.id_in("offered_staff").or(if input.was_given("staff") { None } else { entry.id_in("staff") });
    let body = json!({
        "title": if title.is_empty() { "Appointment" } else { &title },
        "description": entry.description(),
        "workspace": shown(entry.workspace()),
        "service": shown(entry.id_in("service")),
        "customer": shown(entry.id_in("customer")),
        "staff": shown(staff),
        "resource": shown(entry.id_in("offered_resource")),
        "party_size": entry.int("party_size").unwrap_or(1),
        "starts_at": start.to_string(),
        "ends_at": end.map(|end| end.to_string()),
        "channel": "waitlist",
    });
    let appointment = cx.create(APPOINTMENTS, &body)?;
    entry.set("appointment", appointment.id());
    Ok(())
}

/// Ends an offer whose time has come, unless it was taken or renewed meanwhile.
pub async fn run(engine: Engine, kernel: Arc<Kernel>, job: Job) -> Result<()> {
    let text = |name: &str| job.payload[name].as_str().unwrap_or_default();
    let (Ok(id), Some(end)) = (Uuid::parse_str(text("entry")), Timestamp::parse(text("expires_at"))) else {
        return Err(Problem::internal("an offer's end without an entry"));
    };
    let Some(access) = kernel.company_access(job.company).await? else { return Ok(()) };
    let tenant = Arc::new(Tenant::system(access, "an offer ended"));
    let view = tenant.view();
    kernel
        .db
        .write(view, move |tx| {
            let mut cx = Cx::new(tx, &engine, &tenant);
            let Some(entry) = cx.find(ENTRIES, id)? else { return Ok(()) };
            if entry.status() == "offered" && entry.time("offer_expires_at") == Some(end) {
                cx.act(ENTRIES, id, "expire", &json!({}))?;
            }
            Ok(())
        })
        .await
}
