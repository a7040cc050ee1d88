//! One node's share of the work: it takes lanes that are due, keeps their leases, and hands events over.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loopd_store::{Engine, View, dialect, params};
use loopd_types::{CompanyId, Result, SECOND_US, Timestamp, Uuid};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::hand_over;
use super::lane::Lane;
use super::record::{self, Written};
use crate::Kernel;
use crate::event::signal::lock;

/// Lanes that this node works at once.
const LANES: usize = 512;
/// Requests that one company may have under way on this node, over all its endpoints: its slow receivers cost others nothing.
const COMPANY_SLOTS: usize = 64;
/// Companies whose events are handed over at once.
const HANDS: usize = 4;
/// How often the tables are looked at when nobody rings.
pub(super) const POLL: Duration = Duration::from_millis(500);
/// How long a lane is its node's alone, unless renewed: after so long others go on with what a dead node worked.
const LEASE_US: i64 = 10 * SECOND_US;
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// Without a renewal for so long, a node stops: somebody else may have begun. Shorter than the lease by what clocks may differ.
const STALE_US: i64 = 7 * SECOND_US;
const STALE: Duration = Duration::from_micros(STALE_US.unsigned_abs());
/// Pause after leases could not be renewed.
const AGAIN: Duration = Duration::from_millis(200);
/// Outcomes that wait to be written.
const OUTCOMES: usize = 4_096;

/// What the lanes of one node share.
pub(super) struct Shared {
    pub kernel: Arc<Kernel>,
    /// By whose name leases are held; new at every start.
    pub owner: String,
    pub recorder: mpsc::Sender<Written>,
    lanes: Mutex<HashMap<(CompanyId, Uuid), Held>>,
    company_slots: Mutex<HashMap<CompanyId, Arc<Semaphore>>>,
    stop: watch::Receiver<bool>,
    /// When leases were renewed last, by both clocks: one goes on while a process is stopped, the other while a machine sleeps.
    renewed: Mutex<(Instant, Timestamp)>,
    /// Rung when the leases may have run out.
    is_late: Notify,
    others_wait: AtomicBool,
}

/// A lane that is worked by this node.
struct Held {
    lost: Arc<AtomicBool>,
}

/// Delivers webhooks until `stop`; what is under way is ended and written first.
pub async fn run(kernel: Arc<Kernel>, stop: watch::Receiver<bool>) {
    let (recorder, outcomes) = mpsc::channel(OUTCOMES);
    let owner = kernel.new_id().to_string();
    let writing = tokio::spawn(record::run(kernel.clone(), owner.clone(), outcomes, stop.clone()));
    let renewed = Mutex::new((Instant::now(), kernel.now()));
    let shared = Arc::new(Shared {
        owner,
        kernel,
        recorder,
        lanes: Mutex::default(),
        company_slots: Mutex::default(),
        stop,
        renewed,
        is_late: Notify::new(),
        others_wait: AtomicBool::new(false),
    });
    shared.take_back().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(shared.clone().pump());
    tasks.spawn(shared.clone().keep_leases());
    shared.clone().take_lanes().await;
    while tasks.join_next().await.is_some() {}
    drop(shared);
    // The last sender is gone: what is left is written, and it ends.
    let _ = writing.await;
}

impl Shared {
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    pub async fn stopped(&self) {
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Whether the leases may have run out unseen. If so, they are asked for again.
    pub fn is_stale(&self) -> bool {
        let (at, moment) = *lock(&self.renewed);
        let is_stale = at.elapsed() > STALE || self.kernel.now() > moment.plus(STALE_US);
        if is_stale {
            self.is_late.notify_one();
        }
        is_stale
    }

    /// Whether more lanes are due than this node has places for.
    pub fn others_wait(&self) -> bool {
        self.others_wait.load(Ordering::SeqCst)
    }

    /// A process that holds its database alone takes back what an earlier one left: nobody else can be at it.
    async fn take_back(&self) {
        if self.kernel.db.engine() != Engine::Sqlite {
            return;
        }
        let work = |tx: &mut loopd_store::Tx<'_>| {
            tx.execute(
                "UPDATE webhook_lanes SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL",
                &[],
            )?;
            Ok(())
        };
        if let Err(problem) = self.kernel.db.write(View::System, work).await {
            tracing::warn!(cause = problem.cause(), "leases of an earlier process could not be taken back");
        }
    }

    /// Takes lanes that are due, and works them.
    async fn take_lanes(self: Arc<Self>) {
        let mut working = JoinSet::new();
        while !self.is_stopping() {
            while working.try_join_next().is_some() {}
            let free = LANES - working.len().min(LANES);
            let taken = if self.is_stale() { Ok(Vec::new()) } else { self.take(free).await };
            let taken = taken.unwrap_or_else(|problem| {
                tracing::warn!(cause = problem.cause(), "lanes of webhooks could not be taken");
                Vec::new()
            });
            let is_full = taken.len() == free;
            self.others_wait.store(is_full, Ordering::SeqCst);
            for (company, endpoint) in taken {
                let lane = self.lane(company, endpoint);
                working.spawn(lane.run());
            }
            tokio::select! {
                () = self.kernel.lanes.dispatch.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                Some(_) = working.join_next(), if is_full => {}
                () = self.stopped() => {}
            }
        }
        while working.join_next().await.is_some() {}
    }

    fn lane(self: &Arc<Self>, company: CompanyId, endpoint: Uuid) -> Lane {
        let (bell, lost) = (Arc::<Notify>::default(), Arc::<AtomicBool>::default());
        lock(&self.kernel.lanes.lanes).insert((company, endpoint), bell.clone());
        lock(&self.lanes).insert((company, endpoint), Held { lost: lost.clone() });
        let mut slots = lock(&self.company_slots);
        // Companies that rest are forgotten.
        slots.retain(|known, slots| *known == company || Arc::strong_count(slots) > 1);
        let company_slots = slots.entry(company).or_insert_with(|| Arc::new(Semaphore::new(COMPANY_SLOTS))).clone();
        Lane { shared: self.clone(), company, endpoint, bell, lost, company_slots }
    }

    /// The lane is not worked here any more.
    pub fn leave(&self, company: CompanyId, endpoint: Uuid) {
        lock(&self.kernel.lanes.lanes).remove(&(company, endpoint));
        lock(&self.lanes).remove(&(company, endpoint));
    }

    async fn take(&self, most: usize) -> Result<Vec<(CompanyId, Uuid)>> {
        let (now, owner) = (self.kernel.now(), self.owner.clone());
        let sql = |most: usize, suffix: &str| {
            format!(
                "SELECT company_id, endpoint_id FROM webhook_lanes WHERE due_at <= $1 AND (lease_until IS NULL OR lease_until < $1) \
                 ORDER BY due_at LIMIT {most}{suffix}"
            )
        };
        // Looked at without a write first: an idle server must not write twice a second.
        let probe = sql(1, "");
        let due = self
            .kernel
            .db
            .read(View::System, move |reader| Ok(reader.first(&probe, &params![now], |_| Ok(()))?))
            .await?;
        if due.is_none() || most == 0 {
            return Ok(Vec::new());
        }
        // What this node still works is its own, even where a clock that jumped says that the lease is over.
        let held: HashSet<(CompanyId, Uuid)> = lock(&self.lanes).keys().copied().collect();
        self.kernel
            .db
            .write(View::System, move |tx| {
                let sql = sql(most + held.len(), dialect::for_update_skip_locked(tx.engine()));
                let mut lanes = tx.query(&sql, &params![now], |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)))?;
                lanes.retain(|lane| !held.contains(lane));
                lanes.truncate(most);
                for (company, endpoint) in &lanes {
                    tx.push(
                        "UPDATE webhook_lanes SET lease_owner = $3, lease_until = $4 WHERE company_id = $1 AND endpoint_id = $2",
                        params![*company, *endpoint, owner.as_str(), now.plus(LEASE_US)],
                    )?;
                }
                Ok(lanes)
            })
            .await
    }

    /// Renews this node's leases, and tells lanes whose lease went to somebody else.
    async fn keep_leases(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(RENEW_EVERY) => {}
                () = self.is_late.notified() => {}
                () = self.stopped() => if lock(&self.lanes).is_empty() { return } else { tokio::time::sleep(Duration::from_millis(50)).await; continue },
            }
            if let Err(problem) = self.renew().await {
                tracing::warn!(cause = problem.cause(), "leases of webhooks could not be renewed");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn renew(&self) -> Result<()> {
        let (began, now) = (Instant::now(), self.kernel.now());
        let mut held: Vec<(CompanyId, Uuid)> = lock(&self.lanes).keys().copied().collect();
        held.sort_unstable();
        let asked: HashSet<_> = held.iter().copied().collect();
        let kept = if held.is_empty() { HashSet::new() } else { self.prolong(held, now.plus(LEASE_US)).await? };
        // A lane that was taken while this ran was not asked for, and holds a lease of its own age.
        for (_, held) in lock(&self.lanes).iter().filter(|(lane, _)| asked.contains(lane) && !kept.contains(lane)) {
            held.lost.store(true, Ordering::SeqCst);
        }
        // Only now: whoever was stopped for long must not go on before it knows what it lost.
        *lock(&self.renewed) = (began, now);
        Ok(())
    }

    /// Prolongs the leases that are still this node's, and gives those.
    async fn prolong(&self, held: Vec<(CompanyId, Uuid)>, until: Timestamp) -> Result<HashSet<(CompanyId, Uuid)>> {
        let owner = self.owner.clone();
        self.kernel
            .db
            .write(View::System, move |tx| {
                let sql = "UPDATE webhook_lanes SET lease_until = $4 WHERE company_id = $1 AND endpoint_id = $2 AND lease_owner = $3";
                let mut kept = HashSet::new();
                for (company, endpoint) in &held {
                    if tx.execute(sql, &params![*company, *endpoint, owner.as_str(), until])? > 0 {
                        kept.insert((*company, *endpoint));
                    }
                }
                Ok(kept)
            })
            .await
    }

    /// Hands events over as logs grow.
    async fn pump(self: Arc<Self>) {
        let mut looked: Option<Instant> = None;
        let mut waiting: HashSet<CompanyId> = HashSet::new();
        while !self.is_stopping() {
            {
                let listening = lock(&self.kernel.lanes.listening);
                waiting
                    .extend(self.kernel.signals.take_grown().into_iter().filter(|company| listening.contains(company)));
            }
            if looked.is_none_or(|at| at.elapsed() >= POLL) {
                looked = Some(Instant::now());
                match hand_over::behind(&self.kernel).await {
                    Ok((behind, listening)) => {
                        waiting.extend(behind);
                        *lock(&self.kernel.lanes.listening) = listening;
                    }
                    Err(problem) => tracing::warn!(cause = problem.cause(), "logs could not be looked at"),
                }
            }
            let now: Vec<CompanyId> = waiting.drain().collect();
            let mut handing = JoinSet::new();
            for company in now {
                if handing.len() >= HANDS
                    && let Some(Ok(Some(more))) = handing.join_next().await
                {
                    waiting.insert(more);
                }
                let kernel = self.kernel.clone();
                handing.spawn(async move {
                    match hand_over::hand_over(&kernel, company).await {
                        Ok(more) => more.then_some(company),
                        Err(problem) => {
                            // It is found behind at the next look.
                            tracing::warn!(
                                company = company.0,
                                cause = problem.cause(),
                                "events could not be handed over"
                            );
                            None
                        }
                    }
                });
            }
            while let Some(done) = handing.join_next().await {
                waiting.extend(done.ok().flatten());
            }
            if waiting.is_empty() {
                tokio::select! {
                    () = self.kernel.signals.grown() => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = self.stopped() => {}
                }
            }
        }
    }
}
