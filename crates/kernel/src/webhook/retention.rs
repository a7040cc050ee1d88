//! How long events, and what was delivered of them, are kept: as long as the company's plan says.

use std::sync::Arc;

use loopd_store::View;
use loopd_types::{DAY_US, HOUR_US, Result};

use crate::event::log;
use crate::job::{Handler, Job, Runner};
use crate::schedule::Schedule;
use crate::{Kernel, plan};

use super::delivery;

/// Three in the morning, UTC.
const DAILY: Schedule = Schedule::daily("events.forget", 3 * HOUR_US).each_company();
/// A plan may not keep less than this: deliveries are attempted for longer than a day.
const LEAST_DAYS: i64 = 2;

/// Registers the daily job.
pub(super) fn register(runner: &mut Runner) {
    let handler: Handler = Arc::new(|kernel, job| Box::pin(forget(kernel, job)));
    runner.schedule(DAILY, handler);
}

/// Repeatable; in small transactions, so that nobody waits for it.
async fn forget(kernel: Arc<Kernel>, job: Job) -> Result<()> {
    let (company, view) = (job.company, View::Company(job.company));
    let limits = kernel.db.read(view.clone(), move |reader| Ok(plan::limits(reader, company)?)).await?;
    let Some(days) = limits.event_days else { return Ok(()) };
    let older_than = kernel.now().plus(-days.max(LEAST_DAYS) * DAY_US);
    // Deliveries first: none is left behind whose event is gone.
    while kernel.db.write(view.clone(), move |tx| delivery::prune(tx, company, older_than)).await? {}
    while kernel.db.write(view.clone(), move |tx| log::prune(tx, company, older_than)).await? {}
    Ok(())
}
