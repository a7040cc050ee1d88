//! Retention: what is over is removed, in one place, a little at a time. Every rule says what it removes, after how long, and how;
//! each transaction removes one batch, so that nobody waits behind a sweep, and a sweep that is cut short goes on where it was.
//!
//! What belongs to a noun of its own and is more than old rows (events with their deliveries, files with their bytes) is removed by
//! that noun.

use std::sync::Arc;

use loopd_store::{Db, Tx, Value, View, params};
use loopd_types::{CompanyId, DAY_US, Ids, Problem, Result, Timestamp};

use crate::{Kernel, audit, plan};

/// How long what is over is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Audit rows, of every company whatever its plan says, and of the installation itself.
    pub audit_days: i64,
    /// Sessions, after their end.
    pub session_days: i64,
    /// Jobs that were done.
    pub job_days: i64,
    /// Jobs that were given up, which a person may still want to look at.
    pub failed_job_days: i64,
    /// Archives that a company asked for.
    pub export_days: i64,
    /// Imports, after their end, with the rows that they refused.
    pub import_days: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { audit_days: 365, session_days: 30, job_days: 30, failed_job_days: 180, export_days: 7, import_days: 90 }
    }
}

/// Rows of one transaction.
const BATCH: usize = 500;
/// Transactions of one rule in one sweep; the next sweep goes on.
const MOST_BATCHES: usize = 400;

/// Rows of one table that are over. The kernel's own stand here; products bring those of their tables.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub name: &'static str,
    pub table: &'static str,
    /// The primary key, for the batch.
    pub key: &'static str,
    /// Whether a row is over: `$1` is the moment before which it is.
    pub is_over: &'static str,
    /// The moment, from now.
    pub keep_us: fn(&Settings) -> i64,
}

const RULES: [Rule; 12] = [
    Rule {
        name: "imports of contacts",
        table: "wave_contact_imports",
        key: "company_id, id",
        // Their rows go with them.
        is_over: "state IN ('done', 'failed') AND finished_at < $1",
        keep_us: |settings| settings.import_days * DAY_US,
    },
    Rule {
        name: "idempotency keys",
        table: "idempotency_keys",
        key: "scope, idempotency_key",
        is_over: "expires_at <= $1",
        keep_us: |_| 0,
    },
    Rule {
        name: "failed sign-ins",
        table: "login_failures",
        key: "subject",
        is_over: "window_started_at < $1 AND (locked_until IS NULL OR locked_until < $1)",
        keep_us: |_| DAY_US,
    },
    Rule {
        name: "sessions",
        table: "sessions",
        key: "id",
        is_over: "(expires_at < $1 OR revoked_at < $1)",
        keep_us: |settings| settings.session_days * DAY_US,
    },
    Rule {
        name: "links in letters",
        table: "account_tokens",
        key: "hash",
        is_over: "expires_at < $1",
        keep_us: |_| DAY_US,
    },
    Rule {
        name: "sign-ins that wait for a second factor",
        table: "sign_in_challenges",
        key: "hash",
        is_over: "expires_at < $1",
        keep_us: |_| 0,
    },
    Rule {
        name: "passkeys under way",
        table: "passkey_ceremonies",
        key: "id",
        is_over: "expires_at < $1",
        keep_us: |_| 0,
    },
    Rule {
        name: "sign-ins elsewhere",
        table: "oidc_sign_ins",
        key: "state_hash",
        is_over: "expires_at < $1",
        keep_us: |_| 0,
    },
    Rule {
        name: "letters",
        table: "mail_messages",
        key: "company_id, id",
        is_over: "created_at < $1 AND state <> 'queued'",
        keep_us: |_| 30 * DAY_US,
    },
    Rule { name: "jobs done", table: "jobs", key: "id", is_over: DONE, keep_us: |settings| settings.job_days * DAY_US },
    Rule {
        name: "jobs given up",
        table: "jobs",
        key: "id",
        is_over: "state = 'failed' AND finished_at < $1",
        keep_us: |settings| settings.failed_job_days * DAY_US,
    },
    Rule {
        name: "installation's audit rows",
        table: "audit_logs",
        key: "company_id, id",
        is_over: "company_id = 0 AND at < $1",
        keep_us: |settings| settings.audit_days * DAY_US,
    },
];

/// A job with a unique key of its own stays, because it keeps its like from being written again; a schedule's key holds its moment and
/// cannot come again.
const DONE: &str = "state = 'done' AND finished_at < $1 AND (unique_key IS NULL OR unique_key LIKE 'schedule:%')";

/// What the companies' audit rows are called.
const AUDIT: &str = "companies' audit rows";

/// What one rule removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed {
    pub what: &'static str,
    pub rows: u64,
}

impl Rule {
    fn cutoff(&self, settings: &Settings, now: Timestamp) -> Timestamp {
        now.plus(-(self.keep_us)(settings))
    }

    fn remove(&self, tx: &mut Tx<'_>, cutoff: Timestamp) -> Result<u64> {
        let Self { table, key, is_over, .. } = self;
        let sql =
            format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {is_over} LIMIT {BATCH})");
        Ok(tx.execute(&sql, &params![cutoff])?)
    }
}

/// Applies every rule, the kernel's and these, until nothing is over or `go_on` says no. A rule that fails is logged, and the others go on.
pub async fn sweep(kernel: &Arc<Kernel>, further: &[Rule], go_on: impl Fn() -> bool) -> Vec<Removed> {
    let (settings, now) = (kernel.settings.retention, kernel.now());
    let mut removed = Vec::new();
    for rule in RULES.iter().chain(further).copied() {
        let cutoff = rule.cutoff(&settings, now);
        let batch = || kernel.db.write(View::System, move |tx| rule.remove(tx, cutoff));
        removed.push(Removed { what: rule.name, rows: in_batches(rule.name, &go_on, batch).await });
    }
    let mut rows = 0;
    for (company, cutoff) in audit_ends(kernel).await.unwrap_or_else(|problem| failed(AUDIT, &problem)) {
        let batch = || kernel.db.write(View::Company(company), move |tx| remove_audit(tx, company, cutoff));
        rows += in_batches(AUDIT, &go_on, batch).await;
    }
    removed.push(Removed { what: AUDIT, rows });
    for Removed { what, rows } in removed.iter().filter(|removed| removed.rows > 0) {
        tracing::info!(what, rows, "removed what is over");
    }
    removed
}

async fn in_batches<F>(what: &'static str, go_on: &impl Fn() -> bool, batch: impl Fn() -> F) -> u64
where
    F: Future<Output = Result<u64>>,
{
    let mut removed = 0;
    for _ in 0..MOST_BATCHES {
        if !go_on() {
            break;
        }
        match batch().await {
            Ok(rows) => {
                removed += rows;
                if rows < BATCH as u64 {
                    break;
                }
            }
            Err(problem) => {
                let () = failed(what, &problem);
                break;
            }
        }
    }
    removed
}

fn failed<T: Default>(what: &'static str, problem: &Problem) -> T {
    tracing::warn!(what, cause = problem.cause(), "a sweep failed");
    T::default()
}

/// The companies whose plans do not keep audit rows for ever, and before which moment theirs are over.
async fn audit_ends(kernel: &Arc<Kernel>) -> Result<Vec<(CompanyId, Timestamp)>> {
    let companies = crate::company::all_ids(kernel).await?;
    let mut ends = Vec::new();
    for company in companies {
        ends.extend(audit_end(kernel, company).await?.map(|end| (company, end)));
    }
    Ok(ends)
}

/// Before which moment this log's rows are over; `None` when they are kept for ever.
pub(crate) async fn audit_end(kernel: &Arc<Kernel>, company: CompanyId) -> Result<Option<Timestamp>> {
    let (least, now) = (kernel.settings.retention.audit_days, kernel.now());
    let end = move |days: i64| now.plus(-days.max(least) * DAY_US);
    if company == audit::INSTALLATION {
        return Ok(Some(end(least)));
    }
    kernel.db.read(View::System, move |reader| Ok(plan::limits(reader, company)?.audit_days.map(end))).await
}

/// By the ids, which rise with time: the oldest rows are at the beginning of the key.
fn remove_audit(tx: &mut Tx<'_>, company: CompanyId, cutoff: Timestamp) -> Result<u64> {
    let sql = format!(
        "DELETE FROM audit_logs WHERE company_id = $1 AND id IN \
         (SELECT id FROM audit_logs WHERE company_id = $1 AND id < $2 ORDER BY id LIMIT {BATCH})"
    );
    Ok(tx.execute(&sql, &params![company, Value::Uuid(Ids::floor(cutoff))])?)
}

/// What is over and still there, by rule; for `loopd doctor`. Rows that the last sweep left behind are no fault, a growing number is.
///
/// # Errors
/// The database's.
pub async fn overdue(db: &Db, further: &[Rule], settings: Settings, now: Timestamp) -> Result<Vec<Removed>> {
    let rules: Vec<Rule> = RULES.iter().chain(further).copied().collect();
    db.read_long(View::System, move |reader| {
        let mut found = Vec::new();
        for rule in &rules {
            let sql = format!("SELECT count(*) FROM {} WHERE {}", rule.table, rule.is_over);
            let rows = reader.one(&sql, &params![rule.cutoff(&settings, now)], |row| row.i64(0))?;
            found.push(Removed { what: rule.name, rows: u64::try_from(rows).unwrap_or(0) });
        }
        Ok(found)
    })
    .await
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_jobs_of_schedules_are_recognised() {
        assert!(super::DONE.contains(&format!("'{}%'", crate::schedule::UNIQUE)));
    }
}
