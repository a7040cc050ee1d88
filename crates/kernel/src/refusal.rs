//! Why somebody was refused, in the audit log of the company that they were refused in: which permission was missing, whose, when.
//!
//! Nothing is written on a request's path, and nobody can fill the disk by asking for what they may not have. Refusals are counted in
//! memory by caller, operation and reason; the first of a kind is written within seconds, its repetitions as one row with their
//! number, ever more seldom. Kinds are bounded for each caller and company, rows are bounded for each company and hour, and what
//! goes beyond is still counted: one row says how many there were.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loopd_store::{Tx, View, params};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, Timestamp, Uuid};

use crate::access::Actor;
use crate::{Kernel, audit};

/// The action of these rows: `?action=refused`.
pub const ACTION: &str = "refused";

/// Kinds of refusals that are told apart, in all, in one company, and of one caller in it.
const MOST: usize = 20_000;
const MOST_OF_COMPANY: usize = 2_000;
const MOST_OF_CALLER: usize = 100;
/// Rows of one company in one hour.
const ROWS_OF_HOUR: u32 = 1_000;
const HOUR_US: i64 = 60 * MINUTE_US;
/// Pauses between the rows of one kind: at once, then after a minute, after ten, then hourly.
const PAUSES: [i64; 4] = [0, MINUTE_US, 10 * MINUTE_US, HOUR_US];

/// One refusal.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    pub company: CompanyId,
    pub actor: &'a Actor,
    /// The id of the operation that was asked for.
    pub operation: &'a str,
    /// What the operation itself asks for; a problem that names another permission is believed.
    pub permission: Option<&'a str>,
    pub problem: &'a Problem,
}

/// What was refused since it was last written down.
#[derive(Default)]
pub struct Refusals(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    kinds: HashMap<Kind, Tally>,
    companies: HashMap<CompanyId, Budget>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Kind {
    company: CompanyId,
    user: Option<Uuid>,
    credential: Option<Uuid>,
    operation: String,
    code: String,
    permission: Option<String>,
}

struct Tally {
    /// Not yet written.
    count: u64,
    first_at: Timestamp,
    last_at: Timestamp,
    /// How many rows there were.
    written: usize,
    next_at: Timestamp,
    status: u16,
    message: String,
    actor: Actor,
}

#[derive(Default)]
struct Budget {
    hour: i64,
    rows: u32,
    kinds: usize,
    callers: HashMap<(Option<Uuid>, Option<Uuid>), usize>,
    /// Refusals of this hour that no row tells about.
    lost: u64,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one refusal; a look into a table, nothing more.
    pub fn note(&self, refused: Refused<'_>, now: Timestamp) {
        let Refused { company, actor, operation, permission, problem } = refused;
        let kind = Kind {
            company,
            user: actor.user,
            credential: actor.credential,
            operation: operation.to_owned(),
            code: problem.code().to_owned(),
            permission: problem.needed().or(permission).map(str::to_owned),
        };
        let mut seen = self.lock();
        let Seen { kinds, companies } = &mut *seen;
        let is_full = kinds.len() >= MOST;
        match kinds.entry(kind) {
            Slot::Occupied(mut known) => {
                let tally = known.get_mut();
                if tally.count == 0 {
                    tally.first_at = now;
                }
                (tally.count, tally.last_at) = (tally.count + 1, now);
                tally.actor.origin.clone_from(&actor.origin);
            }
            Slot::Vacant(free) => {
                // A flood over more companies than there is room for is counted no longer, instead of taking memory.
                if is_full && !companies.contains_key(&company) {
                    return;
                }
                let budget = companies.entry(company).or_default();
                let of_caller = budget.callers.entry((actor.user, actor.credential)).or_default();
                if is_full || budget.kinds >= MOST_OF_COMPANY || *of_caller >= MOST_OF_CALLER {
                    budget.lost += 1;
                    return;
                }
                (*of_caller, budget.kinds) = (*of_caller + 1, budget.kinds + 1);
                free.insert(Tally {
                    count: 1,
                    first_at: now,
                    last_at: now,
                    written: 0,
                    next_at: now,
                    status: problem.status(),
                    message: problem.message().to_owned(),
                    actor: actor.clone(),
                });
            }
        }
    }

    /// Takes out what is to be written now; `all` at the end of the process.
    fn due(&self, now: Timestamp, all: bool) -> Vec<Row> {
        let mut seen = self.lock();
        let Seen { kinds, companies } = &mut *seen;
        let hour = now.micros().div_euclid(HOUR_US);
        let mut rows = Vec::new();
        for (company, budget) in companies.iter_mut().filter(|(_, budget)| budget.hour != hour) {
            if budget.lost > 0 {
                rows.push(Row::lost(*company, std::mem::take(&mut budget.lost)));
            }
            (budget.hour, budget.rows) = (hour, 0);
        }
        kinds.retain(|kind, tally| {
            let budget = companies.entry(kind.company).or_default();
            if tally.count > 0 && (all || tally.next_at <= now) {
                if budget.rows < ROWS_OF_HOUR {
                    budget.rows += 1;
                    rows.push(Row::of(kind, tally));
                } else {
                    budget.lost += tally.count;
                }
                tally.written += 1;
                tally.count = 0;
                tally.next_at = now.plus(PAUSES[tally.written.min(PAUSES.len() - 1)]);
            }
            // Nothing new within the longest pause: the next one of this kind is a first again.
            let stays = tally.count > 0 || tally.last_at.plus(HOUR_US) > now;
            if !stays {
                budget.kinds -= 1;
                if let Some(count) = budget.callers.get_mut(&(kind.user, kind.credential)) {
                    *count -= 1;
                }
            }
            stays
        });
        for (company, budget) in companies.iter_mut() {
            budget.callers.retain(|_, kinds| *kinds > 0);
            if all && budget.lost > 0 {
                rows.push(Row::lost(*company, std::mem::take(&mut budget.lost)));
            }
        }
        companies.retain(|_, budget| budget.kinds > 0 || budget.lost > 0 || budget.rows > 0 && budget.hour == hour);
        rows
    }
}

/// What a row will say.
struct Row {
    company: CompanyId,
    actor: Actor,
    operation: String,
    permission: Option<String>,
    label: String,
    changes: String,
}

impl Row {
    fn of(kind: &Kind, tally: &Tally) -> Self {
        let told = serde_json::json!({
            "code": kind.code,
            "status": tally.status,
            "permission": kind.permission,
            "message": tally.message,
            "times": tally.count,
            "first_at": tally.first_at.to_string(),
            "last_at": tally.last_at.to_string(),
        });
        let label = match &kind.permission {
            Some(permission) => format!("{}: {permission}", kind.code),
            None => kind.code.clone(),
        };
        Self {
            company: kind.company,
            actor: tally.actor.clone(),
            operation: kind.operation.clone(),
            permission: kind.permission.clone(),
            label,
            changes: told.to_string(),
        }
    }

    fn lost(company: CompanyId, count: u64) -> Self {
        Self {
            company,
            actor: Actor { user: None, credential: None, origin: None, reason: Some("refusals") },
            operation: String::new(),
            permission: None,
            label: format!("{count} more refusals, not told apart"),
            changes: serde_json::json!({"times": count}).to_string(),
        }
    }

    /// `erased` is what is known of who was erased meanwhile: from where they came is not written down any more.
    fn write(&self, tx: &mut Tx<'_>, kernel: &Kernel, erased: &mut HashMap<Uuid, bool>) -> Result<()> {
        let mut actor = self.actor.clone();
        if let Some(user) = actor.user {
            let is_erased = match erased.entry(user) {
                Slot::Occupied(known) => *known.get(),
                Slot::Vacant(free) => {
                    let sql = "SELECT id FROM users WHERE id = $1 AND erased_at IS NOT NULL";
                    *free.insert(tx.first(sql, &params![user], |row| row.uuid(0))?.is_some())
                }
            };
            actor.origin = actor.origin.filter(|_| !is_erased);
        }
        let (module, rest) = self.permission.as_deref().and_then(|text| text.split_once('.')).unwrap_or(("core", ""));
        let resource = rest.split_once('.').map_or("", |(resource, _)| resource);
        let entry = audit::Entry {
            action: ACTION,
            module,
            resource,
            target: &self.operation,
            label: &self.label,
            changes: Some(self.changes.clone()),
        };
        Ok(audit::record_by(tx, kernel, self.company, &actor, entry)?)
    }
}

impl Kernel {
    /// Writes down which refusals are due, in one transaction; run every few seconds, and with `all` at shutdown. What cannot be
    /// written (a full disk) is lost but for the log: memory must not grow in its place.
    ///
    /// # Errors
    /// The database's.
    pub async fn flush_refusals(self: &Arc<Self>, all: bool) -> Result<()> {
        let rows = self.refusals.due(self.now(), all);
        if rows.is_empty() {
            return Ok(());
        }
        let (kernel, count) = (self.clone(), rows.len());
        let written = self.db.write(View::System, move |tx| {
            let mut erased = HashMap::new();
            rows.iter().try_for_each(|row| row.write(tx, &kernel, &mut erased))
        });
        written.await.inspect_err(|problem| {
            tracing::warn!(count, cause = problem.cause(), "refusals could not be put on record");
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn actor(user: u128) -> Actor {
        Actor { user: Some(Uuid::from_u128(user)), credential: None, origin: None, reason: None }
    }

    fn note(refusals: &Refusals, company: i64, user: u128, operation: &str, now: Timestamp) {
        let problem = Problem::permission_denied().with_needed("booking.appointments.delete");
        let actor = actor(user);
        let refused =
            Refused { company: CompanyId(company), actor: &actor, operation, permission: None, problem: &problem };
        refusals.note(refused, now);
    }

    #[test]
    fn repetitions_become_one_row_with_their_number_ever_more_seldom() {
        let (refusals, mut rows) = (Refusals::default(), Vec::new());
        for second in 0..3_600 {
            let now = NOW.plus(second * 1_000_000);
            for _ in 0..10 {
                note(&refusals, 1, 7, "x_delete", now);
            }
            rows.extend(refusals.due(now, false));
        }
        rows.extend(refusals.due(NOW.plus(HOUR_US), true));
        assert!(rows.len() <= 6, "{} rows for one kind in an hour", rows.len());
        let times =
            |row: &Row| serde_json::from_str::<serde_json::Value>(&row.changes).unwrap()["times"].as_u64().unwrap();
        assert_eq!(rows.iter().map(times).sum::<u64>(), 36_000, "each is counted once");
        assert_eq!(times(&rows[0]), 10, "and the first is told at once");
        assert_eq!(rows[0].label, "permission_denied: booking.appointments.delete");
    }

    #[test]
    fn a_flood_of_kinds_is_bounded_and_counted_and_crowds_out_nobody_else() {
        let refusals = Refusals::default();
        for number in 0..100_000_u64 {
            note(&refusals, 1, 7, &format!("operation_{number}"), NOW);
        }
        // Others of the same company, and other companies, are still told apart.
        note(&refusals, 1, 8, "x", NOW);
        note(&refusals, 2, 7, "x", NOW);
        let rows = refusals.due(NOW, true);
        assert_eq!(rows.len(), MOST_OF_CALLER + 1 + 2);
        assert!(rows.iter().any(|row| row.label == "99900 more refusals, not told apart"));
    }

    #[test]
    fn rows_of_a_company_are_bounded_by_the_hour_and_memory_by_the_kinds() {
        let (refusals, mut rows) = (Refusals::default(), 0);
        for minute in 0..59 {
            let now = Timestamp(NOW.micros() / HOUR_US * HOUR_US + minute * MINUTE_US);
            for user in 0..200 {
                note(&refusals, 1, user, &format!("operation_{minute}"), now);
            }
            rows += refusals.due(now, false).len();
        }
        assert_eq!(rows, ROWS_OF_HOUR as usize);
        let later = NOW.plus(3 * HOUR_US);
        assert_eq!(refusals.due(later, false).len(), 1, "and the rest is told as a number");
        refusals.due(later.plus(2 * HOUR_US), false);
        let seen = refusals.lock();
        assert!(seen.kinds.is_empty() && seen.companies.is_empty(), "what is over is forgotten");
    }
}
