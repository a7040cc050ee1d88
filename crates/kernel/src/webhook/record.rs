//! The outcomes of attempts, many in one transaction: the attempt's row, what becomes of the delivery, and how its endpoint does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loopd_store::{Tx, View, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};
use tokio::sync::{mpsc, oneshot, watch};

use super::attempt::Attempt;
use super::endpoint::{self, FAILING_MOST_US};
use super::verdict::Verdict;
use crate::Kernel;

/// What is to be written of one attempt.
pub(super) struct Outcome {
    pub company: CompanyId,
    pub endpoint: Uuid,
    pub is_ordered: bool,
    pub delivery: Uuid,
    /// `None`: given up without an attempt.
    pub attempt: Option<Attempt>,
    pub tries: i64,
    pub verdict: Verdict,
    /// Why not, in a sentence.
    pub error: Option<String>,
}

/// An outcome and whoever waits for it to be written.
pub(super) type Written = (Outcome, oneshot::Sender<()>);

/// Outcomes that one transaction writes.
const TOGETHER: usize = 256;
/// Pause after the database refused.
const AGAIN: Duration = Duration::from_millis(200);
/// How often it is asked once more when the server stops.
const LAST_TRIES: u32 = 10;

/// Writes outcomes until every sender is gone. Whatever waits while a transaction runs shares the next one.
pub(super) async fn run(kernel: Arc<Kernel>, mut outcomes: mpsc::Receiver<Written>, stop: watch::Receiver<bool>) {
    let mut batch = Vec::with_capacity(TOGETHER);
    while outcomes.recv_many(&mut batch, TOGETHER).await > 0 {
        let (written, waiting): (Vec<Outcome>, Vec<_>) = batch.drain(..).unzip();
        let written = Arc::new(written);
        // An outcome is kept until it is written: what is forgotten here would be delivered again. The database may be away for a
        // while; a server that stops waits for it no longer than a moment.
        let mut patience = LAST_TRIES;
        while let Err(problem) = write(&kernel, written.clone()).await {
            tracing::warn!(cause = problem.cause(), "outcomes of deliveries could not be written");
            if *stop.borrow() {
                patience -= 1;
                if patience == 0 {
                    break;
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        for waiting in waiting {
            let _ = waiting.send(());
        }
    }
}

async fn write(kernel: &Arc<Kernel>, outcomes: Arc<Vec<Outcome>>) -> Result<()> {
    let (shared, now) = (kernel.clone(), kernel.now());
    kernel
        .db
        .write(View::System, move |tx| {
            let mut endpoints: BTreeMap<(CompanyId, Uuid), Health> = BTreeMap::new();
            for outcome in outcomes.iter() {
                one(tx, outcome, now)?;
                endpoints.entry((outcome.company, outcome.endpoint)).or_default().note(outcome.verdict);
            }
            // Sorted, so that two nodes' batches lock endpoints in one order.
            for ((company, id), health) in &endpoints {
                health.write(tx, &shared, *company, *id, now)?;
            }
            Ok(())
        })
        .await
}

fn one(tx: &mut Tx<'_>, outcome: &Outcome, now: Timestamp) -> Result<()> {
    let Outcome { company, delivery, attempt, tries, verdict, error, is_ordered, .. } = outcome;
    if let Some(attempt) = attempt {
        attempt.insert(tx, *company, *delivery)?;
    }
    let (status, next) = match verdict {
        Verdict::Succeeded => ("succeeded", None),
        Verdict::Retry(at) => ("pending", Some(*at)),
        Verdict::Failed | Verdict::Gone => ("failed", None),
    };
    let turn = next.filter(|_| !is_ordered);
    let finished = next.is_none().then_some(now);
    // Only what is still pending changes its state: another node, or somebody who deleted the endpoint, may have been faster.
    tx.push(
        "UPDATE webhook_deliveries SET attempts = attempts + $9, \
         tries = CASE WHEN status = 'pending' THEN $3 ELSE tries END, \
         turn = CASE WHEN status = 'pending' THEN COALESCE($4, turn) ELSE turn END, \
         next_attempt_at = CASE WHEN status = 'pending' THEN $5 ELSE next_attempt_at END, \
         last_status = $6, last_error = $7, \
         finished_at = CASE WHEN status = 'pending' THEN $8 ELSE finished_at END, \
         status = CASE WHEN status = 'pending' THEN $10 ELSE status END \
         WHERE company_id = $1 AND id = $2",
        params![
            *company,
            *delivery,
            *tries,
            turn,
            next,
            attempt.as_ref().and_then(Attempt::status),
            error.as_deref(),
            finished,
            i64::from(attempt.is_some()),
            status
        ],
    )?;
    Ok(())
}

/// How an endpoint did in one batch.
#[derive(Default)]
struct Health {
    succeeded: bool,
    failed: bool,
    is_gone: bool,
}

impl Health {
    fn note(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Succeeded => self.succeeded = true,
            Verdict::Retry(_) | Verdict::Failed => self.failed = true,
            Verdict::Gone => (self.failed, self.is_gone) = (true, true),
        }
    }

    fn write(&self, tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid, now: Timestamp) -> Result<()> {
        tx.push(
            "UPDATE webhook_endpoints SET last_success_at = CASE WHEN $3 THEN $5 ELSE last_success_at END, \
             last_failure_at = CASE WHEN $4 THEN $5 ELSE last_failure_at END, \
             failing_since = CASE WHEN $3 THEN NULL ELSE COALESCE(failing_since, $5) END WHERE company_id = $1 AND id = $2",
            params![company, id, self.succeeded, self.failed, now],
        )?;
        if self.is_gone {
            return endpoint::give_up(tx, kernel, company, id, "gone");
        }
        if self.succeeded {
            return Ok(());
        }
        let failing = tx.first(
            "SELECT 1 FROM webhook_endpoints WHERE company_id = $1 AND id = $2 AND status = 'enabled' AND failing_since <= $3",
            &params![company, id, now.plus(-FAILING_MOST_US)],
            |_| Ok(()),
        )?;
        if failing.is_some() { endpoint::give_up(tx, kernel, company, id, "failing") } else { Ok(()) }
    }
}
