//! The daily job of a company's billing, and the collection of its bills.

use std::sync::Arc;

use loopd_store::View;
use loopd_types::{CompanyId, HOUR_US, Result};

use super::{payment, usage};
use crate::access::Tenant;
use crate::job::{Handler, Runner};
use crate::schedule::Schedule;
use crate::{Kernel, subscription};

/// At two in the morning UTC, when the day before is surely over everywhere in the event log.
pub const DAILY: Schedule = Schedule::daily("billing.daily", 2 * HOUR_US).each_company();

/// Lets `runner` do the daily work and collect bills.
pub fn register_jobs(runner: &mut Runner) {
    let daily: Handler = Arc::new(|kernel, job| Box::pin(async move { run(&kernel, job.company).await }));
    runner.schedule(DAILY, daily);
    runner.register(payment::COLLECT_JOB, Arc::new(|kernel, job| Box::pin(payment::collect(kernel, job))));
}

/// Does to a company's subscriptions and bills all that is due by now; doing it again does nothing.
///
/// # Errors
/// The first that could not be done; the others are done all the same.
pub async fn run(kernel: &Arc<Kernel>, company: CompanyId) -> Result<()> {
    let Some(access) = kernel.company_access(company).await? else { return Ok(()) };
    let tenant = Arc::new(Tenant::system(access, "billing"));
    usage::count(kernel, company).await?;
    let ids = kernel.db.read(View::Company(company), move |reader| subscription::ids(reader, company)).await?;
    let mut failure = None;
    for id in ids {
        let (shared, tenant) = (kernel.clone(), tenant.clone());
        // A transaction each: what is wrong with one must not stop the rest.
        let done = kernel.db.write(View::System, move |tx| {
            subscription::settle(tx, &shared, &tenant, id)?;
            subscription::warn_of_end(tx, &shared, &tenant, id)
        });
        failure = failure.or(done.await.err());
    }
    let (shared, acting) = (kernel.clone(), tenant.clone());
    let rest = kernel.db.write(View::System, move |tx| {
        subscription::usage_bills(tx, &shared, &acting)?;
        payment::revive(tx, &shared, company)
    });
    failure = failure.or(rest.await.err());
    failure.map_or(Ok(()), Err)
}
