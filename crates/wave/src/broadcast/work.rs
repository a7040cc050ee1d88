//! The worker: takes the turns that are due, of every company.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::subscription::rules::Openness;
use loopd_kernel::{Kernel, Tenant};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use tokio::sync::watch;

use super::{store, turn};
use crate::{PRODUCT, Wave, license};

const POLL: Duration = Duration::from_millis(500);
/// Turns of one look.
const MOST: i64 = 100;

/// Works until `stop`.
pub async fn run(wave: Arc<Wave>, kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(problem) = run_due(&wave, &kernel).await {
            tracing::warn!(cause = problem.cause(), "broadcasts could not be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Takes the turns that are due now; how many.
///
/// # Errors
/// The database's.
pub async fn run_due(wave: &Arc<Wave>, kernel: &Arc<Kernel>) -> Result<usize> {
    let due = store::due(kernel, MOST).await?;
    for (company, id) in &due {
        if let Err(problem) = take(wave, kernel, *company, *id).await {
            tracing::warn!(broadcast = %id, cause = problem.cause(), words = problem.message(), "a broadcast could not go on");
        }
    }
    Ok(due.len())
}

async fn take(wave: &Arc<Wave>, kernel: &Arc<Kernel>, company: CompanyId, id: Uuid) -> Result<()> {
    let access = kernel.company_access(company).await?;
    let tenant = Arc::new(Tenant::system(access.ok_or_else(|| Problem::internal("no company"))?, "loopwave broadcast"));
    let locked = locked(wave, kernel, &tenant).await?;
    let shared = kernel.clone();
    let done = kernel
        .db
        .write(tenant.view(), move |tx| match locked {
            Some(reason) => turn::hold(tx, &shared, &tenant, id, reason),
            None => turn::turn(tx, &shared, &tenant, id),
        })
        .await;
    wave.settings.failpoint.at("turned");
    done
}

/// Why a company may write nothing new, if it may not: what stands on a broadcast that waits for it.
async fn locked(wave: &Arc<Wave>, kernel: &Arc<Kernel>, tenant: &Arc<Tenant>) -> Result<Option<&'static str>> {
    if tenant.openness(PRODUCT, kernel.now()) != Openness::Open {
        return Ok(Some("The company's subscription to Loopwave is not active."));
    }
    match license::require_open(wave, kernel, tenant, None).await {
        Ok(_) => Ok(None),
        Err(problem) if problem.status() == 402 => Ok(Some("The company's licence is over.")),
        Err(problem) => Err(problem),
    }
}
