//! A lane: all that one endpoint is sent, worked off by the node that holds its lease.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loopd_store::{View, dialect, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::attempt::{self, Parcel};
use super::delivery::{self, Due};
use super::dispatch::{POLL, Shared};
use super::endpoint::{self, Target};
use super::record::Outcome;
use super::verdict::Verdict;

/// Deliveries that are read at once.
const PAGE: usize = 64;
/// Deliveries that were sent and whose outcome is not yet written, at most.
const UNWRITTEN: usize = 256;
/// How long a lane without work is kept, so that a steady trickle does not take and give a lease for each delivery.
const IDLE: Duration = Duration::from_secs(2);
/// How long a lane works on while others wait for a place.
const TURN: Duration = Duration::from_secs(10);

/// Whose lane, and what it needs.
pub(super) struct Lane {
    pub shared: Arc<Shared>,
    pub company: CompanyId,
    pub endpoint: Uuid,
    pub bell: Arc<Notify>,
    /// Set when the lease went to somebody else.
    pub lost: Arc<AtomicBool>,
    /// How many requests this company may have under way.
    pub company_slots: Arc<Semaphore>,
}

/// What the database says there is to do.
struct Look {
    target: Target,
    due: Vec<Due>,
    next_at: Option<Timestamp>,
}

impl Lane {
    /// Works until there is nothing to do, somebody else should have the place, or the server stops; then gives the lease back.
    pub async fn run(self) {
        let lane = Arc::new(self);
        if let Err(problem) = lane.work().await {
            tracing::warn!(endpoint = %lane.endpoint, cause = problem.cause(), "a webhook's lane stopped");
            // The database is away; the lease is given back when it is there again, or runs out.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        if let Err(problem) = lane.release().await {
            tracing::warn!(endpoint = %lane.endpoint, cause = problem.cause(), "a webhook's lane could not be given back");
        }
    }

    async fn work(self: &Arc<Self>) -> Result<()> {
        let began = Instant::now();
        let (mut waiting, mut busy) = (VecDeque::new(), HashSet::new());
        let mut tasks: JoinSet<Uuid> = JoinSet::new();
        let mut slots: Option<(i64, Arc<Semaphore>)> = None;
        let mut target: Option<Target> = None;
        let mut quiet: Option<Instant> = None;
        let outcome = loop {
            while let Some(done) = tasks.try_join_next() {
                forget(&mut busy, done);
            }
            if self.should_stop(began) {
                break Ok(());
            }
            let mut next_at = None;
            if waiting.is_empty() && busy.len() < UNWRITTEN {
                let look = match self.look(&busy).await {
                    Ok(Some(look)) => look,
                    Ok(None) => break Ok(()),
                    Err(problem) => break Err(problem),
                };
                waiting.extend(look.due);
                next_at = look.next_at;
                target = Some(look.target);
            }
            let Some(target) = &target else { break Ok(()) };
            if let Some(due) = waiting.pop_front() {
                quiet = None;
                let most = if target.is_ordered { 1 } else { target.concurrency };
                let slots = match &slots {
                    Some((known, slots)) if *known == most => slots.clone(),
                    _ => slots.insert((most, Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(1))))).1.clone(),
                };
                let Some(permits) = self.permits(slots).await else { break Ok(()) };
                busy.insert(due.id);
                let (told, tells) = oneshot::channel();
                tasks.spawn(self.clone().send(target.clone(), due, permits, told));
                if target.is_ordered && tells.await != Ok(Verdict::Succeeded) {
                    // It blocks what comes after it. What it waits for is in its row once its outcome is written.
                    waiting.clear();
                    while let Some(done) = tasks.join_next().await {
                        forget(&mut busy, done);
                    }
                }
                continue;
            }
            if busy.is_empty() && (next_at.is_some() || quiet.get_or_insert_with(Instant::now).elapsed() >= IDLE) {
                break Ok(());
            }
            tokio::select! {
                Some(done) = tasks.join_next() => forget(&mut busy, done),
                () = self.bell.notified() => {}
                () = self.shared.stopped() => {}
                // Another node hands over too, and cannot ring here.
                () = tokio::time::sleep(POLL) => {}
            }
        };
        // What was sent is written, also when the server stops: its answer is there.
        while tasks.join_next().await.is_some() {}
        outcome
    }

    fn should_stop(&self, began: Instant) -> bool {
        self.lost.load(Ordering::SeqCst)
            || self.shared.is_stopping()
            || self.shared.is_stale()
            || (began.elapsed() > TURN && self.shared.others_wait())
    }

    async fn permits(&self, slots: Arc<Semaphore>) -> Option<[OwnedSemaphorePermit; 2]> {
        let both =
            async { Some([slots.acquire_owned().await.ok()?, self.company_slots.clone().acquire_owned().await.ok()?]) };
        tokio::select! {
            both = both => both.filter(|_| !self.should_stop(Instant::now())),
            () = self.shared.stopped() => None,
        }
    }

    /// What is to be done now, without what is being done; `None` when the endpoint wants nothing any more.
    async fn look(&self, busy: &HashSet<Uuid>) -> Result<Option<Look>> {
        let (company, id, now, most) = (self.company, self.endpoint, self.shared.kernel.now(), PAGE + busy.len());
        let busy = busy.clone();
        let read = self.shared.kernel.db.read(View::Company(company), move |reader| {
            let Some(target) = endpoint::find(reader, company, id)?.filter(|target| target.is_enabled) else {
                return Ok(None);
            };
            let mut due = delivery::due(reader, company, id, target.is_ordered, now, most)?;
            due.retain(|due| !busy.contains(&due.id));
            if target.is_ordered {
                let ready = due.iter().take_while(|due| due.next_attempt_at <= now).count();
                due.truncate(ready);
            }
            let next_at = match due.is_empty() && busy.is_empty() {
                true => delivery::next_at(reader, company, id, target.is_ordered)?,
                false => None,
            };
            Ok(Some(Look { target, due, next_at }))
        });
        read.await
    }

    /// Sends one delivery, says what it means as soon as it is known, and ends when that is written.
    async fn send(
        self: Arc<Self>,
        target: Target,
        due: Due,
        permits: [OwnedSemaphorePermit; 2],
        told: oneshot::Sender<Verdict>,
    ) -> Uuid {
        let kernel = &self.shared.kernel;
        let (delivery, tries) = (due.id, due.tries + 1);
        let (attempt, verdict, error) = match due.event {
            Some(event) => {
                let attempt =
                    attempt::make(kernel, &target, &Parcel { delivery, number: due.attempts + 1, event }).await;
                let (verdict, error) = (attempt.judge(kernel, tries), attempt.error());
                (Some(attempt), verdict, error)
            }
            None => (None, Verdict::Failed, Some("the event is no longer kept".to_owned())),
        };
        drop(permits);
        let (company, endpoint, is_ordered) = (self.company, self.endpoint, target.is_ordered);
        let outcome = Outcome { company, endpoint, is_ordered, delivery, attempt, tries, verdict, error };
        let (written, waits) = oneshot::channel();
        let sent = self.shared.recorder.send((outcome, written)).await;
        let _ = told.send(verdict);
        if sent.is_ok() {
            let _ = waits.await;
        }
        delivery
    }

    /// Gives the lease back and says when there is something to do next, as the rows say it now.
    async fn release(&self) -> Result<()> {
        self.shared.leave(self.company, self.endpoint);
        let (company, id, owner) = (self.company, self.endpoint, self.shared.owner.clone());
        self.shared
            .kernel
            .db
            .write(View::Company(company), move |tx| {
                // Locked before looking: whoever hands over meanwhile either is seen here, or sets the moment after this.
                let locked = dialect::for_update(tx.engine());
                let sql = format!("SELECT lease_owner FROM webhook_lanes WHERE company_id = $1 AND endpoint_id = $2{locked}");
                let holder = tx.first(&sql, &params![company, id], |row| Ok(row.opt_text(0)?.map(str::to_owned)))?.flatten();
                if holder.as_deref() != Some(owner.as_str()) {
                    return Ok(());
                }
                let due_at = match endpoint::find(tx, company, id)?.filter(|target| target.is_enabled) {
                    Some(target) => delivery::next_at(tx, company, id, target.is_ordered)?,
                    None => None,
                };
                tx.push(
                    "UPDATE webhook_lanes SET due_at = $3, lease_owner = NULL, lease_until = NULL WHERE company_id = $1 AND endpoint_id = $2",
                    params![company, id, due_at],
                )?;
                Ok(())
            })
            .await
    }
}

fn forget(busy: &mut HashSet<Uuid>, done: Result<Uuid, tokio::task::JoinError>) {
    match done {
        Ok(delivery) => {
            busy.remove(&delivery);
        }
        // A task that panicked names no delivery: all are read again, and what is still under way may be sent twice.
        Err(error) => {
            tracing::error!(%error, "a delivery did not end");
            busy.clear();
        }
    }
}
