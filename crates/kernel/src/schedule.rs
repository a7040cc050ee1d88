//! Schedules: recurring work, once for the installation or once for each company, whichever node comes first.
//!
//! A schedule is declared in code ([`Schedule`]) and remembered in a row: when it is due next. Moving that moment on and writing the job is
//! one transaction, so several nodes write one job, a restart forgets nothing, and a server that was down for a week runs once when it is
//! back. What the job does must therefore be all that is due by now, not one day's share. Time is the [`Clock`](loopd_types::Clock)'s.

use std::sync::Arc;

use loopd_store::{Tx, View, params};
use loopd_types::{CompanyId, DAY_US, Problem, Result, Timestamp};

use crate::job::{self, Handler, Job, NewJob, Runner};
use crate::{Kernel, audit};

/// Recurring work by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Also the kind of its jobs; unique in the installation.
    pub name: &'static str,
    period_us: i64,
    /// Where the slots lie within the period, from the epoch.
    offset_us: i64,
    each_company: bool,
}

impl Schedule {
    /// Every day at this time of day, in microseconds after midnight UTC.
    pub const fn daily(name: &'static str, at_us: i64) -> Self {
        Self { name, period_us: DAY_US, offset_us: at_us, each_company: false }
    }

    /// Every so often.
    pub const fn every(name: &'static str, period_us: i64) -> Self {
        Self { name, period_us, offset_us: 0, each_company: false }
    }

    /// A job for each company that is not closed, in place of one for the installation.
    pub const fn each_company(mut self) -> Self {
        self.each_company = true;
        self
    }

    /// The first slot after `now`.
    pub fn next_after(&self, now: Timestamp) -> Timestamp {
        let passed = (now.0 - self.offset_us).div_euclid(self.period_us);
        Timestamp((passed + 1) * self.period_us + self.offset_us)
    }

    /// Whether a remembered moment is further off than any slot can be: the clock stood wrong when it was written.
    fn is_astray(&self, next_at: Timestamp, now: Timestamp) -> bool {
        next_at.0 - now.0 > self.period_us
    }
}

/// Companies for which jobs are written in one transaction.
const PAGE: usize = 500;

/// The handler of a schedule's jobs: the installation's job of a schedule for each company only writes theirs.
pub(crate) fn handler(schedule: Schedule, work: Handler) -> Handler {
    if !schedule.each_company {
        return work;
    }
    Arc::new(move |kernel: Arc<Kernel>, job: Job| {
        let work = work.clone();
        Box::pin(async move {
            if job.company == audit::INSTALLATION {
                fan_out(kernel, schedule, job).await
            } else {
                work(kernel, job).await
            }
        })
    })
}

/// Looks which schedules are due and writes their jobs.
pub(crate) async fn tick(kernel: &Arc<Kernel>, schedules: &[Schedule]) -> Result<()> {
    if schedules.is_empty() {
        return Ok(());
    }
    let now = kernel.now();
    // Looked at without a write first, as the jobs are.
    let known = kernel
        .db
        .read(View::System, |reader| {
            let row = |row: &loopd_store::Row<'_>| Ok((row.text(0)?.to_owned(), row.time(1)?));
            Ok(reader.query("SELECT name, next_at FROM schedules", &[], row)?)
        })
        .await?;
    let remembered = |schedule: &Schedule| known.iter().find(|(name, _)| name == schedule.name).map(|(_, at)| *at);
    let waiting = |schedule: &Schedule| {
        remembered(schedule).is_some_and(|next_at| next_at > now && !schedule.is_astray(next_at, now))
    };
    let due: Vec<(Schedule, Option<Timestamp>)> =
        schedules.iter().filter(|schedule| !waiting(schedule)).map(|one| (*one, remembered(one))).collect();
    if due.is_empty() {
        return Ok(());
    }
    let shared = kernel.clone();
    kernel
        .db
        .write(View::System, move |tx| {
            for (schedule, next_at) in &due {
                move_on(tx, &shared, schedule, *next_at, now)?;
            }
            Ok(())
        })
        .await
}

fn move_on(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    schedule: &Schedule,
    next_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let Some(slot) = next_at else {
        tx.push(
            "INSERT INTO schedules (name, next_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            params![schedule.name, schedule.next_after(now)],
        )?;
        return Ok(());
    };
    // The condition on what was read makes one of several nodes the one that writes the job.
    let moved = tx.execute(
        "UPDATE schedules SET next_at = $3, last_at = $4 WHERE name = $1 AND next_at = $2",
        &params![schedule.name, slot, schedule.next_after(now), now],
    )?;
    if moved == 1 && slot <= now {
        write_job(tx, kernel, schedule.name, audit::INSTALLATION, slot, now)?;
    }
    Ok(())
}

fn write_job(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    name: &str,
    company: CompanyId,
    slot: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let key = format!("{UNIQUE}{name}:{}:{}", company.0, slot.0);
    let payload = serde_json::json!({"slot": slot}).to_string();
    let job = NewJob { kind: name, company, payload, run_at: now, unique_key: Some(&key) };
    Ok(job::enqueue(tx, kernel, &job)?)
}

/// How the unique keys of scheduled jobs begin.
pub(crate) const UNIQUE: &str = "schedule:";

async fn fan_out(kernel: Arc<Kernel>, schedule: Schedule, job: Job) -> Result<()> {
    let slot = job.payload["slot"].as_str().and_then(Timestamp::parse);
    let slot = slot.ok_or_else(|| Problem::internal("a scheduled job without its slot"))?;
    let mut after = CompanyId(0);
    loop {
        let shared = kernel.clone();
        let page = kernel
            .db
            .write(View::System, move |tx| {
                let companies = tx.query(
                    &format!(
                        "SELECT company_id FROM companies WHERE company_id > $1 AND status <> 'closed' ORDER BY company_id LIMIT {PAGE}"
                    ),
                    &params![after],
                    |row| Ok(CompanyId(row.i64(0)?)),
                )?;
                for company in &companies {
                    write_job(tx, &shared, schedule.name, *company, slot, shared.now())?;
                }
                Ok(companies)
            })
            .await?;
        match page.last() {
            Some(last) if page.len() == PAGE => after = *last,
            _ => return Ok(()),
        }
    }
}

impl Runner {
    /// Does `work` whenever `schedule` is due. The job's payload holds the slot: `{"slot": "2026-06-22T00:10:00.000000Z"}`.
    pub fn schedule(&mut self, schedule: Schedule, work: Handler) {
        self.register(schedule.name, handler(schedule, work));
        self.schedules.push(schedule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_types::HOUR_US;

    #[test]
    fn a_slot_lies_after_now_and_within_one_period() {
        let daily = Schedule::daily("x", 2 * HOUR_US);
        for now in [-DAY_US, -1, 0, HOUR_US, 2 * HOUR_US, 2 * HOUR_US + 1, 40 * DAY_US] {
            let next = daily.next_after(Timestamp(now));
            assert!(next.0 > now && next.0 - now <= DAY_US, "{now}: {next}");
            assert_eq!(next.0.rem_euclid(DAY_US), 2 * HOUR_US);
        }
    }
}
