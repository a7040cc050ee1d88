//! `/plans/` and `/billing/`: what the installation sells, and what companies owe it. Not `/payments/`, whose invoices are a company's own.

mod catalogue;
mod invoices;
mod pdf;
mod print;
mod settings;

use std::sync::Arc;

use loopd_kernel::listing::{Conditions, Listing};
use loopd_kernel::{Actor, Kernel};
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, Uuid};
use loopd_web::{Call, Operation, Reply};
use serde_json::Value;

use loopd_web::rows::{Rows, handled};

pub(super) use catalogue::{COUPONS, METERS, PLANS, TAX_RATES};
pub(super) use invoices::{INVOICES, PAYMENTS, USAGE};

/// Reading a company's bills; owners hold it.
const VIEW: &str = "core.billing.view";
/// What costs or saves a company money.
const UPDATE: &str = "core.billing.update";

pub fn operations() -> Vec<Operation> {
    let mut all = catalogue::operations();
    all.extend(invoices::operations());
    all.extend(settings::operations());
    all
}

/// A write by the operator, of what belongs to no company, that answers with the row it touched.
fn operate<F>(core: Rows, operation: Operation, status: u16, work: F) -> Operation
where
    F: Fn(&mut Tx<'_>, &Kernel, &Actor, Option<Uuid>, Value) -> Result<Uuid> + Send + Sync + 'static,
{
    let work = Arc::new(work);
    let has_id = operation.path.contains("{id}");
    let answered = operation.superuser().responds(status, "The row as it is now.", core.row());
    handled(answered, move |call: Call| {
        let work = work.clone();
        async move {
            let id = if has_id { Some(call.id()?) } else { None };
            let (kernel, actor, body) = (call.kernel.clone(), call.caller.actor(), call.json()?);
            call.commit(View::System, move |tx| {
                let id = work(tx, &kernel, &actor, id, body.clone())?;
                answer(tx, core.listing, status, id)
            })
            .await
        }
    })
}

fn answer(tx: &mut Tx<'_>, listing: &Listing, status: u16, id: Uuid) -> Result<Reply> {
    let row = listing.find(tx, id, None, Conditions::default())?;
    Ok(Reply::json_bytes(status, row.ok_or_else(Problem::not_found)?))
}

/// The id of a path that has one.
fn given(id: Option<Uuid>) -> Result<Uuid> {
    id.ok_or_else(Problem::not_found)
}
