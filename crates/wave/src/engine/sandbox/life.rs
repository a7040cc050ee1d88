//! The simulated telephones' side: what was sent is delivered, then read.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::{Kernel, Tenant};
use loopd_types::{Problem, Result};
use tokio::sync::watch;

use super::store::{self, Step};
use crate::engine::{Failure, Progress, Stage};
use crate::{Wave, message, number};

const POLL: Duration = Duration::from_millis(250);
const MOST: usize = 200;

/// Lives until `stop`, where the sandbox is in use.
pub async fn run(wave: Arc<Wave>, kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    if wave.engine(super::NAME).is_none() {
        return;
    }
    while !*stop.borrow() {
        if let Err(problem) = step(&kernel).await {
            tracing::warn!(cause = problem.cause(), "the sandbox's telephones could not be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// One look; how many messages came further. Tests call it.
///
/// # Errors
/// The database's.
pub async fn step(kernel: &Arc<Kernel>) -> Result<usize> {
    let steps = store::walk(kernel, MOST).await?;
    for step in &steps {
        tell(kernel, step).await?;
    }
    Ok(steps.len())
}

async fn tell(kernel: &Arc<Kernel>, step: &Step) -> Result<()> {
    let access = kernel.company_access(step.company).await?;
    let access = access.ok_or_else(|| Problem::internal("a simulated telephone of no company"))?;
    let tenant = Arc::new(Tenant::system(access, "loopwave sandbox"));
    let (shared, number) = (kernel.clone(), step.number);
    let news = Progress {
        wa_id: store::wa_id(step.message),
        message: Some(step.message),
        stage: step.stage,
        at: kernel.now(),
        failure: (step.stage == Stage::Failed).then(|| Failure {
            code: "undeliverable".to_owned(),
            words: "Sandbox: it was told not to deliver this message.".to_owned(),
        }),
    };
    kernel
        .db
        .write(tenant.view(), move |tx| {
            if let Some(number) = number::find(tx, tenant.company, number)? {
                message::progress(tx, &shared, &tenant, &number, &news)?;
            }
            Ok(())
        })
        .await
}
