//! A small booking module, so that the engine's tests stand apart from the rules of the real one.

use loopd_business::define::*;

pub fn module() -> Module {
    Module::new("booking", "Booking")
        .description(
            "Appointments with services, staff, rooms and customers; from a first request to a completed visit.",
        )
        .resource(services())
        .resource(staff_members())
        .resource(resources())
        .resource(customers())
        .resource(appointments())
        .resource(waitlist_entries())
}

fn appointments() -> Resource {
    Resource::new("appointments", "APT")
        .help("A meeting of a customer with a staff member or a resource, for a service. Without a time it is a draft.")
        .field(reference("service", "booking/services").help("What is booked."))
        .field(reference("staff", "booking/staff-members").help("Who serves the customer."))
        .field(reference("resource", "booking/resources").help("The room, chair or machine that is needed."))
        .field(reference("customer", "booking/customers").help("Who comes."))
        .field(date_time("starts_at").indexed().help("Beginning.").example("2026-06-22T10:00:00Z"))
        .field(date_time("ends_at").help("End; follows from the service's duration when it is not given."))
        .field(timezone("timezone").preset(Preset::CompanyTimezone).help("Time zone in which people read the time."))
        .field(integer("party_size").min(1).max(1_000).default(1).help("How many people come."))
        .field(money("price").help("What the visit costs; the service's price when it is not given."))
        .field(text("channel", 40).help("Where the booking came from: web, phone, walk-in.").example("web"))
        .field(long_text("notes").help("Notes for the staff."))
        .field(text("cancel_reason", 500).read_only().help("Why it was cancelled."))
        .field(date_time("checked_in_at").read_only().help("When the customer arrived."))
        .field(date_time("completed_at").read_only().help("When the visit was over."))
        .field(date_time("reminded_at").read_only().help("When the customer was last reminded."))
        .states(&["draft", "pending", "confirmed", "checked_in", "completed", "cancelled", "no_show"])
        .automatic(&["pending"])
        .action(
            Action::to("confirm", &["draft", "pending"], "confirmed")
                .needs(&["starts_at"])
                .routine()
                .help("Promise the time to the customer."),
        )
        .action(
            Action::new("reschedule", &["draft", "pending", "confirmed"])
                .to_one_of(&["pending", "confirmed"])
                .input(date_time("starts_at").required().help("The new beginning; the length stays."))
                .effect(reschedule)
                .routine()
                .help("Move it to another time."),
        )
        .action(
            Action::new("assign", &["draft", "pending", "confirmed"])
                .input(reference("staff", "booking/staff-members").required().help("Who serves the customer."))
                .routine()
                .help("Give it to a staff member."),
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
                .routine()
                .help("The visit is over."),
        )
        .action(
            Action::to("cancel", &["draft", "pending", "confirmed"], "cancelled")
                .input(text("reason", 500).goes_to("cancel_reason").help("Why."))
                .routine()
                .help("It does not take place."),
        )
        .action(
            Action::to("no-show", &["pending", "confirmed"], "no_show")
                .event("no_show")
                .routine()
                .help("The customer did not come."),
        )
        .action(
            Action::new("remind", &["pending", "confirmed"])
                .stamps("reminded_at")
                .routine()
                .help("Remind the customer now."),
        )
        .search(&["title", "description", "number", "notes"])
        .before_create(plan)
        .before_update(replan)
        .check(check_times)
        .public_create(&["title", "description", "service", "starts_at", "party_size", "notes"])
}

fn services() -> Resource {
    Resource::new("services", "SRV")
        .help("Something that can be booked.")
        .title_from(&["name"])
        .field(text("name", 255).help("Name of the service; the title when none is given.").example("Haircut"))
        .field(minutes("duration_min").default(30).help("How long it takes."))
        .field(minutes("buffer_before_min").default(0).help("Time kept free before."))
        .field(minutes("buffer_after_min").default(0).help("Time kept free after."))
        .field(money("price").help("What it costs."))
        .field(integer("capacity").min(1).max(10_000).default(1).help("How many customers can be served at once."))
        .field(references("staff", "booking/staff-members").help("Who can do it; everybody when empty."))
        .states(&["active", "inactive"])
        .action(Action::to("activate", &["inactive"], "active").help("Offer it again."))
        .action(Action::to("deactivate", &["active"], "inactive").help("Offer it no longer."))
        .search(&["title", "description", "name"])
        .before_create(name_it)
        .public_list(&["id", "title", "description", "duration_min", "price", "currency", "capacity"], &["active"])
}

fn staff_members() -> Resource {
    Resource::unnumbered("staff-members")
        .help("Somebody who serves customers.")
        .title_from(&["name"])
        .field(text("name", 255).help("Name as customers see it; the title when none is given."))
        .field(user("user").help("The account of this person, if there is one."))
        .field(email("email").help("Where notices go."))
        .field(phone("phone").help("Telephone."))
        .field(object("working_hours").help("Weekly hours: {\"mon\": [[\"08:00\", \"17:00\"]]}."))
        .field(timezone("timezone").preset(Preset::CompanyTimezone).help("Time zone of the working hours."))
        .search(&["title", "name", "email", "phone"])
}

fn resources() -> Resource {
    Resource::unnumbered("resources")
        .help("A room, chair or machine that appointments need.")
        .field(choice("kind", &["room", "chair", "machine", "other"]).default("room").help("What it is."))
        .field(integer("capacity").min(1).max(10_000).default(1).help("How many appointments it can take at once."))
}

fn customers() -> Resource {
    Resource::new("customers", "CUS")
        .help("Somebody who books.")
        .title_from(&["name"])
        .field(text("name", 255).help("Name of the customer; the title when none is given."))
        .field(phone("phone").indexed().help("Telephone.").example("+250788123456"))
        .field(email("email").indexed().help("E-mail address."))
        .field(user("user").help("The account of this person, if there is one."))
        .search(&["title", "name", "phone", "email", "number"])
}

fn waitlist_entries() -> Resource {
    Resource::unnumbered("waitlist-entries")
        .help("A customer who waits for a free time.")
        .title_optional()
        .field(reference("service", "booking/services").help("What they wait for."))
        .field(reference("customer", "booking/customers").help("Who waits."))
        .field(date_time("window_starts_at").help("Earliest time that suits."))
        .field(date_time("window_ends_at").help("Latest time that suits."))
        .field(date_time("offer_expires_at").help("Until when an offer holds."))
        .field(reference("appointment", "booking/appointments").read_only().help("What became of it."))
        .states(&["waiting", "offered", "booked", "expired"])
        .action(
            Action::to("offer", &["waiting", "expired"], "offered")
                .input(date_time("offer_expires_at").help("Until when the offer holds."))
                .help("Offer a time."),
        )
        .action(
            Action::to("book", &["waiting", "offered"], "booked")
                .input(reference("appointment", "booking/appointments").help("The appointment that was made."))
                .help("The customer has an appointment."),
        )
        .action(Action::to("expire", &["waiting", "offered"], "expired").help("Nobody waits any longer."))
}

/// A service is called by its title when it has no name of its own.
fn name_it(_: &mut Cx<'_, '_>, service: &mut Record) -> Result<()> {
    if !service.has("name") {
        let title = service.title().to_owned();
        service.set("name", title);
    }
    Ok(())
}

/// A new appointment with a time is pending; its end and price follow from its service.
fn plan(cx: &mut Cx<'_, '_>, appointment: &mut Record) -> Result<()> {
    follow_service(cx, appointment)?;
    if appointment.has("starts_at") {
        appointment.set_status("pending");
    }
    Ok(())
}

fn replan(cx: &mut Cx<'_, '_>, before: &Record, appointment: &mut Record) -> Result<()> {
    follow_service(cx, appointment)?;
    if before.status() == "draft" && appointment.has("starts_at") {
        appointment.set_status("pending");
    }
    Ok(())
}

fn follow_service(cx: &mut Cx<'_, '_>, appointment: &mut Record) -> Result<()> {
    let Some(service) = appointment.id_in("service") else { return Ok(()) };
    let needs_end = appointment.has("starts_at") && !appointment.has("ends_at");
    if !needs_end && appointment.has("price") {
        return Ok(());
    }
    let service = cx.get("booking/services", service)?;
    if let (true, Some(start), Some(length)) = (needs_end, appointment.time("starts_at"), service.int("duration_min")) {
        appointment.set("ends_at", start.plus(length * loopd_types::MINUTE_US));
    }
    if !appointment.has("price") && service.text("currency") == appointment.text("currency") {
        appointment.set("price", service.int("price"));
    }
    Ok(())
}

/// Moves the end along with the beginning.
fn reschedule(_: &mut Cx<'_, '_>, appointment: &mut Record, input: &Input) -> Result<()> {
    let before =
        appointment.original().and_then(|was| Some(was.time("ends_at")?.micros() - was.time("starts_at")?.micros()));
    if let (Some(length), Some(start)) = (before, input.time("starts_at")) {
        appointment.set("ends_at", start.plus(length));
    }
    Ok(())
}

/// An end lies behind its beginning.
fn check_times(_: &mut Cx<'_, '_>, record: &mut Record) -> Result<()> {
    match (record.time("starts_at"), record.time("ends_at")) {
        (Some(start), Some(end)) if end <= start => {
            Err(Problem::field("ends_at", "invalid", "The end must lie behind the beginning."))
        }
        _ => Ok(()),
    }
}
