//! The watchdog: asks every few minutes whether a line that is said to be ready lives. One that does not is `disconnected`: what it shall
//! send waits, an event says so, it stands in the audit log, and the company's administrators get a letter. It goes on asking, and the line
//! is ready again as soon as somebody answers for it.

pub mod store;

use std::sync::Arc;

use loopd_kernel::job::{Job, Runner};
use loopd_kernel::schedule::Schedule;
use loopd_kernel::{Kernel, Tenant};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, Uuid};

use super::{Number, State};
use crate::engine::Change;
use crate::{Wave, number};

/// How often lines are looked for that are due.
const LOOK: Schedule = Schedule::every("loopwave.watch", MINUTE_US);
/// Between two questions about a line.
pub const EVERY_US: i64 = 5 * MINUTE_US;
/// Questions in a row without an answer, after which a line is not believed to live.
pub const FAILURES_MOST: i64 = 3;
/// Lines of one look.
const MOST: i64 = 500;
const SILENT: &str =
    "WhatsApp does not answer for this number. What it shall send waits, and goes out by itself when it does.";

pub fn register(runner: &mut Runner, wave: Arc<Wave>) {
    runner.schedule(LOOK, Arc::new(move |kernel: Arc<Kernel>, _: Job| Box::pin(look(wave.clone(), kernel))));
}

async fn look(wave: Arc<Wave>, kernel: Arc<Kernel>) -> Result<()> {
    for (company, id) in store::due(&kernel, MOST).await? {
        if let Err(problem) = ask(&wave, &kernel, company, id).await {
            tracing::warn!(number = %id, cause = problem.cause(), words = problem.message(), "a line could not be watched");
        }
    }
    Ok(())
}

/// Asks whether one line lives, and takes up what is said.
async fn ask(wave: &Arc<Wave>, kernel: &Arc<Kernel>, company: CompanyId, id: Uuid) -> Result<()> {
    let access = kernel.company_access(company).await?.ok_or_else(|| Problem::internal("a line of no company"))?;
    let tenant = Arc::new(Tenant::system(access, "loopwave watch"));
    let found = kernel.db.read(tenant.view(), move |reader| Ok(number::find(reader, company, id)?)).await?;
    let Some(number) = found else { return Ok(()) };
    let Some(engine) = wave.engine(&number.engine) else { return Ok(()) };
    let said = engine.probe(kernel, &number).await;
    if let Err(problem) = &said {
        tracing::debug!(number = number.public_id, cause = problem.cause(), "nobody answers for a line");
    }
    let said = said.ok();
    let (shared, view) = (kernel.clone(), tenant.view());
    kernel
        .db
        .write(view, move |tx| {
            let known = number::store::lock(tx, company, id)?;
            // Somebody unlinked it, or connects it, while it was asked.
            if known.state != number.state {
                return Ok(());
            }
            let failures = match &said {
                None => store::failures(tx, company, id)? + 1,
                Some(Some(change)) if change.state != State::Ready => store::failures(tx, company, id)?.max(1),
                Some(_) => 0,
            };
            store::asked(tx, company, id, failures, shared.now())?;
            let change = match said.clone() {
                None if failures >= FAILURES_MOST => Some(silent()),
                None => None,
                Some(change) => change,
            };
            match change.filter(|change| is_news(&known, change)) {
                Some(change) => taken_up(tx, &shared, &tenant, &known, &change),
                None => Ok(()),
            }
        })
        .await
}

fn silent() -> Change {
    Change { state: State::Disconnected, reason: Some(SILENT.to_owned()), qr: None, phone: None }
}

fn is_news(known: &Number, change: &Change) -> bool {
    known.state != change.state || (change.reason.is_some() && known.state_reason != change.reason)
}

fn taken_up(
    tx: &mut loopd_store::Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    known: &Number,
    change: &Change,
) -> Result<()> {
    number::change(tx, kernel, tenant, known.id, change)?;
    let is_up = change.state == State::Ready;
    store::record(tx, kernel, tenant, known, if is_up { "line-up" } else { "line-down" }, change)?;
    if known.state == State::Ready && !is_up {
        store::write_to_admins(tx, kernel, tenant, known, change)?;
    }
    if is_up {
        crate::outgoing::ring(tx);
    }
    Ok(())
}
