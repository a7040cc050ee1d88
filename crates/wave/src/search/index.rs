//! Filling SQLite's index: what triggers put into the queue, in batches. PostgreSQL needs none of it.

use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::Kernel;
use loopd_store::{Engine, View};
use loopd_types::Result;
use tokio::sync::watch;

use super::store::sqlite;

/// How often the queue is looked at: a search is behind by this and a batch.
const POLL: Duration = Duration::from_millis(250);
/// Messages of one transaction: some milliseconds of the writer, between which everybody else writes.
const BATCH: i64 = 300;

/// Indexes what comes, until `stop`.
pub async fn run(kernel: Arc<Kernel>, mut stop: watch::Receiver<bool>) {
    if kernel.db.engine() != Engine::Sqlite {
        return;
    }
    while !*stop.borrow() {
        match run_some(&kernel).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(problem) => tracing::warn!(cause = problem.cause(), "messages could not be made to be found"),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Whether messages wait to be found.
///
/// # Errors
/// The database's.
pub async fn is_behind(kernel: &Kernel) -> Result<bool> {
    if kernel.db.engine() != Engine::Sqlite {
        return Ok(false);
    }
    kernel.db.read(View::System, |reader| Ok(sqlite::is_behind(reader)?)).await
}

/// Indexes one batch; whether there may be more.
async fn run_some(kernel: &Arc<Kernel>) -> Result<bool> {
    if !is_behind(kernel).await? {
        return Ok(false);
    }
    let taken = kernel.db.write(View::System, |tx| Ok(sqlite::take_up(tx, BATCH)?)).await?;
    Ok(taken == BATCH)
}
