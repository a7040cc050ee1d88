//! Customers, and making one of two.

use super::catalogue::name_it;
use super::{APPOINTMENTS, CUSTOMERS};
use crate::define::*;

const ENTRIES: &str = "booking/waitlist-entries";
/// Records that are moved before the next ones are read.
const BATCH: i64 = 200;

pub fn customers() -> Resource {
    Resource::new("customers", "CUS")
        .help("Somebody who books.")
        .personal()
        .title_from(&["name"])
        .field(text("name", 255).personal(Personal::Name).help("Name of the customer; the title when none is given."))
        .field(phone("phone").personal(Personal::Contact).sparse().help("Telephone.").example("+250788123456"))
        .field(email("email").personal(Personal::Contact).sparse().help("E-mail address."))
        .field(user("user").help("The account of this person, if there is one."))
        .field(integer("visits").count_of(APPOINTMENTS, "customer", &["completed"]).help("Visits that took place."))
        .field(integer("no_shows").count_of(APPOINTMENTS, "customer", &["no_show"]).help("Visits that they missed."))
        .field(reference("merged_into", CUSTOMERS).personal(Personal::Subject).read_only().help("Whose record took this one's place."))
        .action(
            Action::new("merge", &[])
                .input(reference("duplicate", CUSTOMERS).required().help("The record that goes; this one stays."))
                .guard(require_another)
                .effect(take_over)
                .after(move_records)
                .help("Make one of two: appointments and waiting-list entries move here, what is empty here is taken over, the other record is deleted."),
        )
        .search(&["title", "name", "phone", "email", "number"])
        .before_create(name_it)
}

fn require_another(_: &mut Cx<'_, '_>, customer: &mut Record, input: &Input) -> Result<()> {
    if input.require_id("duplicate")? == customer.id() {
        return Err(Problem::field("duplicate", "invalid", "A customer cannot be merged with themselves."));
    }
    Ok(())
}

/// What is empty here comes from there.
fn take_over(cx: &mut Cx<'_, '_>, customer: &mut Record, input: &Input) -> Result<()> {
    let duplicate = cx.lock(CUSTOMERS, input.require_id("duplicate")?)?;
    for field in ["phone", "email", "user"] {
        if !customer.has(field)
            && let Some(value) = duplicate.value(field)
        {
            customer.set(field, value.clone());
        }
    }
    Ok(())
}

fn move_records(cx: &mut Cx<'_, '_>, customer: &mut Record, input: &Input) -> Result<()> {
    let duplicate = input.require_id("duplicate")?;
    for path in [APPOINTMENTS, ENTRIES] {
        loop {
            let found = cx.select(path, &Where::new().eq("customer", duplicate).limit(BATCH))?;
            if found.is_empty() {
                break;
            }
            for mut record in found {
                record.set("customer", customer.id());
                cx.save(&mut record)?;
            }
        }
    }
    let mut gone = cx.get(CUSTOMERS, duplicate)?;
    gone.set("merged_into", customer.id());
    cx.save(&mut gone)?;
    cx.delete(CUSTOMERS, duplicate)
}
