//! The keeper: carries settlements, and takes up those that nobody carries any more.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_store::Engine as Database;
use loopd_types::{Result, Uuid};
use tokio::sync::watch;

use super::{LEASE_US, Progress, after, store};
use crate::Pay;

/// How often the table is looked at.
const POLL: Duration = Duration::from_secs(1);
/// How often whoever carries says that it still does.
const RENEW: Duration = Duration::from_millis(1_500);
/// Taken up at once by one look.
const MOST: usize = 64;

/// Takes up what is due until `stop`. What is under way then is taken up after the next start, or by another node.
pub async fn run(pay: Arc<Pay>, kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    if pay.engine().is_none() {
        return;
    }
    if kernel.db.engine() == Database::Sqlite
        && let Err(problem) = store::wake_all(&kernel, kernel.now()).await
    {
        tracing::warn!(
            cause = problem.cause(),
            "settlements could not be woken; each is taken up when its lease is over"
        );
    }
    while !*stop.borrow() {
        if let Err(problem) = take_up(&pay, &kernel).await {
            tracing::warn!(cause = problem.cause(), "settlements could not be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Takes up what is due now; how many.
///
/// # Errors
/// The database's.
pub async fn take_up(pay: &Arc<Pay>, kernel: &Arc<Kernel>) -> Result<usize> {
    let now = kernel.now();
    let mut taken = 0;
    for (id, seen) in store::due(kernel, now, MOST).await? {
        if !pay.flights.is_under_way(id) && store::take(kernel, id, seen, now.plus(LEASE_US)).await? {
            fly(pay, kernel, id);
            taken += 1;
        }
    }
    Ok(taken)
}

/// Carries a settlement in a task of its own, unless this process does.
pub(super) fn fly(pay: &Arc<Pay>, kernel: &Arc<Kernel>, id: Uuid) {
    // Begun before the task is: whoever asks next finds it under way.
    let Some(flight) = pay.flights.begin(id) else { return };
    let (pay, kernel) = (pay.clone(), kernel.clone());
    tokio::spawn(async move {
        // The whole of it: a block that names only `flight.id` takes no more than that along, and the flight lands before it begins.
        let flight = flight;
        if let Err(problem) = carried(&pay, &kernel, flight.id).await {
            tracing::warn!(settlement = %id, cause = problem.cause(), "a settlement could not be carried on; it is taken up again");
        }
    });
}

async fn carried(pay: &Pay, kernel: &Arc<Kernel>, id: Uuid) -> Result<()> {
    let settlement = store::get(kernel, id).await?;
    let was_concluded = settlement.state.is_concluded();
    let Some(engine) = pay.engine().filter(|_| pay.knows(&settlement)) else {
        if was_concluded {
            return store::rest(kernel, id).await;
        }
        // Another engine than the one that began: what it knows is not known here.
        return store::look_again(kernel, id, kernel.now().plus(LEASE_US)).await;
    };
    let mut carrying = match was_concluded {
        false => engine.carry(kernel, settlement),
        true => engine.look_back(kernel, settlement),
    };
    let progress = loop {
        tokio::select! {
            progress = &mut carrying => break progress?,
            () = tokio::time::sleep(RENEW) => store::look_again(kernel, id, kernel.now().plus(LEASE_US)).await?,
        }
    };
    match progress {
        Progress::Concluded if was_concluded => store::rest(kernel, id).await,
        Progress::Concluded => Ok(()),
        Progress::Later(pause) => store::look_again(kernel, id, after(kernel.now(), pause)).await,
    }
}
