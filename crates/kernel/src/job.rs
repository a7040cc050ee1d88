//! Jobs: work for later, written in the transaction that causes it, claimed by row under a lease, repeated with growing pauses.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loopd_store::{Engine, StoreError, Tx, Value, View, dialect, params};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, SECOND_US, Timestamp, Uuid};
use tokio::task::JoinSet;

use crate::Kernel;
use crate::schedule::{self, Schedule};

/// A job to be done.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    pub kind: &'a str,
    pub company: CompanyId,
    pub payload: String,
    /// Not before this moment.
    pub run_at: Timestamp,
    /// At most one unfinished or finished job of this name exists; a second enqueue is a no-op.
    pub unique_key: Option<&'a str>,
}

/// A claimed job, as its handler sees it.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: Uuid,
    pub kind: String,
    pub company: CompanyId,
    pub payload: serde_json::Value,
    /// 1 at the first attempt.
    pub attempt: i64,
}

/// Does the work of one kind. May run more than once (a lease can run out): handlers must be repeatable.
pub type Handler = Arc<dyn Fn(Arc<Kernel>, Job) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync>;

/// How long a claimed job is its worker's alone, unless the worker renews it.
const LEASE_US: i64 = 5 * MINUTE_US;
/// How often a worker renews the lease of the job it is doing.
const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How long a handler may take; one that hangs must not keep its lane for ever.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Attempts before a job is left as `failed` for a person to look at.
pub(crate) const MOST_ATTEMPTS: i64 = 12;
/// How many are done at once; no more are claimed than that, so that none waits under a lease that runs.
const LANES: usize = 4;
/// How often the table is looked at when nothing wakes the runner.
const POLL: Duration = Duration::from_secs(1);

/// Writes a job in this transaction.
pub fn enqueue(tx: &mut Tx<'_>, kernel: &Kernel, job: &NewJob<'_>) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO jobs (id, kind, company_id, payload, unique_key, state, run_at, created_at) VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7) \
         ON CONFLICT (unique_key) DO NOTHING",
        params![kernel.new_id(), job.kind, job.company, Value::Json(job.payload.clone()), job.unique_key, job.run_at, kernel.now()],
    )
}

/// The kinds this process can do, and a task that does them.
#[derive(Default, Clone)]
pub struct Runner {
    handlers: HashMap<String, (Handler, Duration)>,
    /// Recurring work; see [`crate::schedule`].
    pub(crate) schedules: Vec<Schedule>,
    /// The leases that this process holds: job and owner.
    leases: Leases,
}

type Leases = Arc<Mutex<HashMap<Uuid, String>>>;

impl Runner {
    pub fn register(&mut self, kind: &str, handler: Handler) {
        self.register_long(kind, LONGEST, handler);
    }

    /// A kind whose jobs may take longer than others: every one keeps a lane as long.
    pub fn register_long(&mut self, kind: &str, longest: Duration, handler: Handler) {
        self.handlers.insert(kind.to_owned(), (handler, longest));
    }

    /// Works until `stop` is cancelled; running jobs are finished first. A long job keeps one of the lanes, not the others. Whoever
    /// cannot wait drops this future, which ends the handlers, and gives their leases back by [`Runner::release`].
    pub async fn run(self, kernel: Arc<Kernel>, stop: tokio::sync::watch::Receiver<bool>) {
        let mut stop = stop;
        let mut running = JoinSet::new();
        if let Err(problem) = free_orphans(&kernel).await {
            tracing::warn!(cause = problem.cause(), "jobs of a process that was killed wait for their leases");
        }
        while !*stop.borrow() {
            while running.try_join_next().is_some() {}
            if let Err(problem) = schedule::tick(&kernel, &self.schedules).await {
                tracing::warn!(cause = problem.cause(), "schedules could not be looked at");
            }
            let free = LANES - running.len();
            let claimed = match self.claim(&kernel, free).await {
                Ok(claimed) => claimed,
                Err(problem) => {
                    tracing::warn!(cause = problem.cause(), "jobs could not be claimed");
                    Vec::new()
                }
            };
            let may_be_more = free > 0 && claimed.len() == free;
            for claimed in claimed {
                running.spawn(self.work(&kernel, claimed));
            }
            if !may_be_more || running.len() == LANES {
                tokio::select! {
                    () = tokio::time::sleep(POLL) => {}
                    Some(_) = running.join_next() => {}
                    _ = stop.changed() => {}
                }
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Claims and does some of what is due now, all at once; returns how many were tried. Tests call it directly.
    pub async fn run_due(&self, kernel: &Arc<Kernel>) -> Result<usize> {
        schedule::tick(kernel, &self.schedules).await?;
        let mut running = JoinSet::new();
        for claimed in self.claim(kernel, LANES).await? {
            running.spawn(self.work(kernel, claimed));
        }
        Ok(running.join_all().await.len())
    }

    /// Gives the jobs back that this process has claimed and not finished, so that they are done again at once and not when their
    /// leases have run out; returns how many. An attempt that the server itself cut short does not count.
    pub async fn release(&self, kernel: &Arc<Kernel>) -> Result<u64> {
        let held: Vec<(Uuid, String)> = lock(&self.leases).drain().collect();
        if held.is_empty() {
            return Ok(0);
        }
        let now = kernel.now();
        kernel
            .db
            .write(View::System, move |tx| {
                let mut released = 0;
                for (id, owner) in &held {
                    released += tx.execute(
                        "UPDATE jobs SET state = 'queued', run_at = $3, attempts = attempts - 1, lease_owner = NULL, lease_until = NULL \
                         WHERE id = $1 AND lease_owner = $2 AND state = 'running'",
                        &params![*id, owner.as_str(), now],
                    )?;
                }
                Ok(released)
            })
            .await
    }

    async fn claim(&self, kernel: &Arc<Kernel>, most: usize) -> Result<Vec<Claimed>> {
        if most == 0 || self.handlers.is_empty() {
            return Ok(Vec::new());
        }
        let claimed = claim(kernel, self.handlers.keys().cloned().collect(), most).await?;
        let mut leases = lock(&self.leases);
        leases.extend(claimed.iter().map(|claimed| (claimed.job.id, claimed.owner.clone())));
        Ok(claimed)
    }

    /// Does one job and writes down what became of it; renews its lease meanwhile.
    fn work(&self, kernel: &Arc<Kernel>, claimed: Claimed) -> impl Future<Output = ()> + Send + 'static {
        let (handler, kernel) = (self.handlers.get(&claimed.job.kind).cloned(), kernel.clone());
        let leases = self.leases.clone();
        async move {
            let Some((handler, longest)) = handler else { return };
            // A task of its own: a handler that panics fails its job, not the runner. It ends when this future is dropped.
            let mut task = Task(tokio::spawn(handler(kernel.clone(), claimed.job.clone())));
            let deadline = tokio::time::sleep(longest);
            tokio::pin!(deadline);
            let outcome = loop {
                tokio::select! {
                    done = &mut task.0 => break match done {
                        Ok(outcome) => outcome,
                        Err(error) => Err(Problem::internal(format!("the handler did not end: {error}"))),
                    },
                    () = &mut deadline => {
                        task.0.abort();
                        break Err(Problem::internal("the handler took too long"));
                    }
                    () = tokio::time::sleep(RENEW_EVERY) => {
                        if let Err(problem) = renew(&kernel, &claimed).await {
                            tracing::warn!(job = %claimed.job.id, cause = problem.cause(), "a lease could not be renewed");
                        }
                    }
                }
            };
            if let Err(problem) = settle(&kernel, &claimed, outcome).await {
                // Its lease runs out and it is done again.
                tracing::warn!(job = %claimed.job.id, cause = problem.cause(), "what became of a job could not be written");
            }
            lock(&leases).remove(&claimed.job.id);
        }
    }
}

/// Frees the jobs that a killed process held, where nobody else can hold any: a SQLite database has one process at a time, which its lock
/// proves. On PostgreSQL another node may be at them, and their leases decide. The attempt that was cut counts: it may be what killed.
async fn free_orphans(kernel: &Arc<Kernel>) -> Result<()> {
    if kernel.db.engine() != Engine::Sqlite {
        return Ok(());
    }
    let now = kernel.now();
    let freed = kernel.db.write(View::System, move |tx| {
        let sql = "UPDATE jobs SET state = 'queued', run_at = $1, lease_owner = NULL, lease_until = NULL WHERE state = 'running'";
        Ok(tx.execute(sql, &params![now])?)
    });
    if let freed @ 1.. = freed.await? {
        tracing::info!(jobs = freed, "jobs that were cut short are done again");
    }
    Ok(())
}

/// A handler at work; ended when dropped.
struct Task(tokio::task::JoinHandle<Result<()>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lock(leases: &Leases) -> MutexGuard<'_, HashMap<Uuid, String>> {
    leases.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A job with whose it is.
struct Claimed {
    job: Job,
    owner: String,
}

async fn claim(kernel: &Arc<Kernel>, kinds: Vec<String>, most: usize) -> Result<Vec<Claimed>> {
    let (now, owner) = (kernel.now(), kernel.new_id().to_string());
    let due = {
        let kinds = kinds.clone();
        // Looked at without a write first: an idle server must not write once a second.
        kernel
            .db
            .read(View::System, move |reader| {
                Ok(reader.first(&due_sql(&kinds, 1, ""), &due_params(&kinds, now), |_| Ok(()))?)
            })
            .await?
    };
    if due.is_none() {
        return Ok(Vec::new());
    }
    kernel
        .db
        .write(View::System, move |tx| {
            let sql = due_sql(&kinds, most, dialect::for_update_skip_locked(tx.engine()));
            let jobs = tx.query(&sql, &due_params(&kinds, now), |row| {
                let job = Job {
                    id: row.uuid(0)?,
                    kind: row.text(1)?.to_owned(),
                    company: CompanyId(row.i64(2)?),
                    payload: serde_json::from_str(row.json(3)?).unwrap_or_default(),
                    attempt: row.i64(4)? + 1,
                };
                Ok(Claimed { job, owner: owner.clone() })
            })?;
            for Claimed { job, owner } in &jobs {
                tx.push(
                    "UPDATE jobs SET state = 'running', attempts = $2, lease_owner = $3, lease_until = $4 WHERE id = $1",
                    params![job.id, job.attempt, owner.as_str(), now.plus(LEASE_US)],
                )?;
            }
            Ok(jobs)
        })
        .await
}

fn due_sql(kinds: &[String], most: usize, suffix: &str) -> String {
    let markers: Vec<String> = (2..kinds.len() + 2).map(|n| format!("${n}")).collect();
    format!(
        "SELECT id, kind, company_id, payload, attempts FROM jobs WHERE kind IN ({}) AND \
         ((state = 'queued' AND run_at <= $1) OR (state = 'running' AND lease_until <= $1)) ORDER BY run_at LIMIT {most}{suffix}",
        markers.join(", ")
    )
}

fn due_params(kinds: &[String], now: Timestamp) -> Vec<Value> {
    std::iter::once(Value::from(now)).chain(kinds.iter().map(Value::from)).collect()
}

/// Keeps a job its worker's for another lease, if it still is.
async fn renew(kernel: &Arc<Kernel>, claimed: &Claimed) -> Result<()> {
    let (id, owner, until) = (claimed.job.id, claimed.owner.clone(), kernel.now().plus(LEASE_US));
    kernel
        .db
        .write(View::System, move |tx| {
            let sql = "UPDATE jobs SET lease_until = $3 WHERE id = $1 AND lease_owner = $2";
            tx.execute(sql, &params![id, owner.as_str(), until])?;
            Ok(())
        })
        .await
}

/// Writes down what became of a job; a worker whose job was taken over after its lease changes nothing.
async fn settle(kernel: &Arc<Kernel>, claimed: &Claimed, outcome: Result<()>) -> Result<()> {
    let Claimed { job, owner } = claimed;
    let (id, now, attempt, owner) = (job.id, kernel.now(), job.attempt, owner.clone());
    let (state, run_at, error) = match outcome {
        Ok(()) => ("done", now, None),
        Err(problem) => {
            let words = problem.cause().map_or_else(|| problem.to_string(), |cause| format!("{problem} ({cause})"));
            tracing::warn!(job = %id, kind = job.kind, attempt, words, "a job failed");
            let state = if attempt >= MOST_ATTEMPTS { "failed" } else { "queued" };
            (state, now.plus(pause_us(attempt)), Some(words))
        }
    };
    kernel
        .db
        .write(View::System, move |tx| {
            tx.execute(
                "UPDATE jobs SET state = $2, run_at = $3, last_error = $4, lease_owner = NULL, lease_until = NULL, finished_at = $5 \
                 WHERE id = $1 AND lease_owner = $6",
                &params![id, state, run_at, error.as_deref(), (state != "queued").then_some(now), owner.as_str()],
            )?;
            Ok(())
        })
        .await
}

/// 5 s, 10 s, 20 s … capped at an hour.
fn pause_us(attempt: i64) -> i64 {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(12);
    (5 * SECOND_US).saturating_mul(1 << doublings).min(60 * MINUTE_US)
}
