//! The outcomes of attempts, many in one transaction: the attempt's row, what becomes of the delivery, and how its endpoint does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loopd_store::{StoreError, Tx, View, dialect, params};
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

/// Writes outcomes of the node `owner` until every sender is gone. Whatever waits while a transaction runs shares the next one.
pub(super) async fn run(
    kernel: Arc<Kernel>,
    owner: String,
    mut outcomes: mpsc::Receiver<Written>,
    stop: watch::Receiver<bool>,
) {
    let mut batch = Vec::with_capacity(TOGETHER);
    while outcomes.recv_many(&mut batch, TOGETHER).await > 0 {
        let (written, waiting): (Vec<Outcome>, Vec<_>) = batch.drain(..).unzip();
        let written = Arc::new(written);
        // An outcome is kept until it is written: what is forgotten here would be delivered again. The database may be away for a
        // while; a server that stops waits for it no longer than a moment.
        let (mut patience, mut is_repeat) = (LAST_TRIES, false);
        while let Err(problem) = write(&kernel, &owner, written.clone(), is_repeat).await {
            tracing::warn!(cause = problem.cause(), "outcomes of deliveries could not be written");
            is_repeat = true;
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

async fn write(kernel: &Arc<Kernel>, owner: &str, outcomes: Arc<Vec<Outcome>>, is_repeat: bool) -> Result<()> {
    let (shared, owner, now) = (kernel.clone(), owner.to_owned(), kernel.now());
    kernel
        .db
        .write(View::System, move |tx| {
            // A connection that is lost during COMMIT does not say what became of it; all are written together or none is.
            if is_repeat && is_written(tx, &outcomes)? {
                return Ok(());
            }
            let mut endpoints: BTreeMap<(CompanyId, Uuid), Health> = BTreeMap::new();
            for outcome in outcomes.iter() {
                endpoints.entry((outcome.company, outcome.endpoint)).or_default().note(outcome.verdict);
            }
            // Sorted, so that two nodes' batches lock lanes and endpoints in one order.
            for ((company, id), health) in &mut endpoints {
                health.is_ours = holds(tx, &owner, *company, *id)?;
            }
            for outcome in outcomes.iter() {
                match &endpoints[&(outcome.company, outcome.endpoint)] {
                    Health { is_ours: true, .. } => one(tx, outcome, now)?,
                    _ => late(tx, outcome)?,
                }
            }
            for ((company, id), health) in endpoints.iter().filter(|(_, health)| health.is_ours) {
                health.write(tx, &shared, *company, *id, now)?;
            }
            Ok(())
        })
        .await
}

fn is_written(tx: &mut Tx<'_>, outcomes: &[Outcome]) -> Result<bool, StoreError> {
    let Some((outcome, attempt)) = outcomes.iter().find_map(|one| one.attempt.as_ref().map(|attempt| (one, attempt)))
    else {
        return Ok(false);
    };
    let sql = "SELECT 1 FROM webhook_attempts WHERE company_id = $1 AND delivery_id = $2 AND id = $3";
    Ok(tx.first(sql, &params![outcome.company, outcome.delivery, attempt.id], |_| Ok(()))?.is_some())
}

/// Whether this node still works the lane; if so, nobody takes it before the transaction ends.
fn holds(tx: &mut Tx<'_>, owner: &str, company: CompanyId, endpoint: Uuid) -> Result<bool, StoreError> {
    let kept = dialect::for_key_share(tx.engine());
    let sql =
        format!("SELECT 1 FROM webhook_lanes WHERE company_id = $1 AND endpoint_id = $2 AND lease_owner = $3{kept}");
    Ok(tx.first(&sql, &params![company, endpoint, owner], |_| Ok(()))?.is_some())
}

/// An outcome of a node that was thought dead: it happened and is remembered, and what becomes of the delivery is its new node's.
fn late(tx: &mut Tx<'_>, outcome: &Outcome) -> Result<()> {
    let Outcome { company, delivery, attempt, .. } = outcome;
    let Some(attempt) = attempt else { return Ok(()) };
    attempt.insert(tx, *company, *delivery)?;
    tx.push(
        "UPDATE webhook_deliveries SET attempts = attempts + 1 WHERE company_id = $1 AND id = $2",
        params![*company, *delivery],
    )?;
    Ok(())
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
    // Only what is still pending changes its state: somebody who deleted the endpoint may have been faster.
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
    /// Whether the endpoint's lane is this node's.
    is_ours: bool,
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
