//! Booking: appointments, and the services, people, rooms and hours they need.
//!
//! | file | what |
//! | --- | --- |
//! | `appointments` | fields, life cycle and rules of an appointment |
//! | `catalogue` | services, staff members, resources, schedules, time off |
//! | `hours`, `calendar` | pure: opening hours as stretches of time; what fits in, and the search for free times |
//! | `fit` | no double booking: the decision under a lock |
//! | `availability`, `public` | free times, and booking by strangers |
//! | `reminders`, `waitlist`, `customers` | what else there is |
//! | `store` | all SQL |
//!
//! Invariant: of the appointments that are pending, confirmed or checked in no two overlap on one staff member, buffers included, unless
//! they share one group session; and no more of them than its capacity on one resource.

mod appointments;
mod availability;
mod calendar;
mod catalogue;
mod customers;
mod fit;
mod hours;
mod public;
mod reminders;
mod store;
mod waitlist;

use std::sync::Arc;

use loopd_kernel::job::Runner;

use crate::define::{Engine, Module, boolean, integer};

const APPOINTMENTS: &str = "booking/appointments";
const CUSTOMERS: &str = "booking/customers";

pub fn module() -> Module {
    Module::new("booking", "Booking")
        .description(
            "Appointments with services, staff, rooms and customers; from a first request to a completed visit.",
        )
        .resource(catalogue::services())
        .resource(catalogue::staff_members())
        .resource(catalogue::resources())
        .resource(customers::customers())
        .resource(catalogue::schedules())
        .resource(catalogue::time_off())
        .resource(appointments::appointments())
        .resource(waitlist::waitlist_entries())
        .setting(
            integer("reminder_min")
                .min(0)
                .max(store::SETTING_MAX_MIN)
                .default(24 * 60)
                .help("Minutes before the beginning at which a reminder falls due; 0 for never."),
        )
        .setting(boolean("reminder_message").default(false).help(
            "Whether the customer is written to by the company's messenger (Loopwave) when a reminder falls due.",
        ))
        .setting(
            integer("cancellation_window_min")
                .min(0)
                .max(store::SETTING_MAX_MIN)
                .default(0)
                .help("Minutes before the beginning from which cancelling needs force; a service may say otherwise."),
        )
        .setting(
            integer("slot_step_min")
                .min(5)
                .max(store::SETTING_MAX_MIN)
                .default(15)
                .help("Minutes between two offered times."),
        )
        .setting(
            integer("offer_min")
                .min(1)
                .max(store::SETTING_MAX_MIN)
                .default(24 * 60)
                .help("Minutes for which an offer to somebody who waits holds."),
        )
        .setting(boolean("public").default(true).help("Whether strangers may see services and free times, and book."))
        .operation(availability::operation())
        .operation(reminders::operation())
        .operation(public::availability_operation())
        .operation(public::book_operation())
}

/// Reminders that fall due, and offers that end.
pub fn register_jobs(runner: &mut Runner, engine: &Engine) {
    let known = engine.clone();
    runner.register(reminders::JOB, Arc::new(move |kernel, job| Box::pin(reminders::run(known.clone(), kernel, job))));
    let known = engine.clone();
    runner.register(waitlist::JOB, Arc::new(move |kernel, job| Box::pin(waitlist::run(known.clone(), kernel, job))));
}
