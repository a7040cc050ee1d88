//! [`Limits`]: how much of what is shared a company may use.

use std::collections::BTreeSet;

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, Kind, Problem, Result, Timestamp, Uuid};
use serde_json::{Map, Value as Json};

use super::Terms;
use crate::invitation;

const GIB: i64 = 1024 * 1024 * 1024;

/// How much a company may use of what all products share. `None`: without limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Active members and open invitations.
    pub seats: Option<i64>,
    /// All files together.
    pub storage_bytes: Option<i64>,
    /// One file.
    pub file_bytes: Option<i64>,
    /// How long events can be read again.
    pub event_days: Option<i64>,
    /// How long the audit log is kept.
    pub audit_days: Option<i64>,
    pub webhook_endpoints: Option<i64>,
    /// Calls by API in a calendar month (UTC).
    pub api_calls: Option<i64>,
}

impl Limits {
    /// A trial's, and those of a company that bought nothing.
    pub const FREE: Self = Self {
        seats: Some(100),
        storage_bytes: Some(5 * GIB),
        file_bytes: Some(GIB),
        event_days: Some(30),
        audit_days: Some(365),
        webhook_endpoints: Some(20),
        api_calls: None,
    };

    /// As plans name them.
    pub const NAMES: [&'static str; 7] =
        ["seats", "storage_bytes", "file_bytes", "event_days", "audit_days", "webhook_endpoints", "api_calls"];

    fn each(&mut self) -> [&mut Option<i64>; 7] {
        [
            &mut self.seats,
            &mut self.storage_bytes,
            &mut self.file_bytes,
            &mut self.event_days,
            &mut self.audit_days,
            &mut self.webhook_endpoints,
            &mut self.api_calls,
        ]
    }

    /// By name; null for no limit.
    pub fn to_json(mut self) -> Json {
        Self::NAMES.iter().zip(self.each()).map(|(name, limit)| ((*name).to_owned(), Json::from(*limit))).collect()
    }

    /// What a plan gives: the limits that it names, and of the others what everybody has.
    fn of_plan(terms: &Map<String, Json>) -> Self {
        let mut limits = Self::FREE;
        for (name, limit) in Self::NAMES.iter().zip(limits.each()) {
            if let Some(value) = terms.get(*name) {
                *limit = value.as_i64();
            }
        }
        limits
    }

    /// Of each limit the wider one.
    fn widen(&mut self, other: &mut Self) {
        for (mine, theirs) in self.each().into_iter().zip(other.each()) {
            *mine = mine.and_then(|mine| theirs.map(|theirs| mine.max(theirs)));
        }
    }
}

/// A subscription in force that was sold.
struct Held {
    id: Uuid,
    seats: Option<i64>,
    terms: Terms,
}

fn held(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Held>, StoreError> {
    let sql = format!(
        "SELECT s.id, s.seats, {} FROM product_subscriptions s \
         JOIN plan_editions e ON e.plan_id = s.plan_id AND e.number = s.plan_edition \
         WHERE s.company_id = $1 AND s.status IN ('trialing', 'active', 'past_due', 'suspended', 'cancelled')",
        Terms::SQL
    );
    reader.query(&sql, &params![company], |row| {
        Ok(Held { id: row.uuid(0)?, seats: row.opt_i64(1)?, terms: Terms::of_row(row, 2)? })
    })
}

/// The limits of a company by what it is subscribed to: of each limit the widest that one of its plans gives; [`Limits::FREE`] when it
/// bought none.
///
/// Reads a few rows by key; keep the answer rather than ask for every row.
///
/// # Errors
/// The database's.
pub fn limits(reader: &mut Reader<'_>, company: CompanyId) -> Result<Limits, StoreError> {
    Ok(widest(&held(reader, company)?))
}

/// What [`limits`] would be if this subscription had these terms and seats.
///
/// # Errors
/// The database's.
pub(crate) fn limits_with(
    reader: &mut Reader<'_>,
    company: CompanyId,
    subscription: Uuid,
    seats: Option<i64>,
    terms: &Terms,
) -> Result<Limits, StoreError> {
    let mut held = held(reader, company)?;
    held.retain(|one| one.id != subscription);
    held.push(Held { id: subscription, seats, terms: terms.clone() });
    Ok(widest(&held))
}

fn widest(held: &[Held]) -> Limits {
    let mut widest: Option<Limits> = None;
    for one in held {
        let terms = &one.terms;
        let mut limits = Limits::of_plan(&terms.limits);
        // Seats that were bought are there, whatever the plan's bound for who buys none.
        let bought = one.seats.unwrap_or(terms.included_seats);
        if let Some(bound) = limits.seats
            && terms.sells_seats()
        {
            limits.seats = Some(if terms.limits.contains_key("seats") { bound.max(bought) } else { bought });
        }
        match &mut widest {
            Some(widest) => widest.widen(&mut limits),
            None => widest = Some(limits),
        }
    }
    widest.unwrap_or(Limits::FREE)
}

/// What a company's subscriptions in force were sold by.
pub(crate) fn held_terms(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Terms>, StoreError> {
    Ok(held(reader, company)?.into_iter().map(|one| one.terms).collect())
}

/// The features of a company's plans.
///
/// # Errors
/// The database's.
pub fn features(reader: &mut Reader<'_>, company: CompanyId) -> Result<BTreeSet<String>, StoreError> {
    let held = held(reader, company)?;
    Ok(held.into_iter().flat_map(|one| one.terms.features).collect())
}

/// Seats of a company that are taken: its active members'…
pub(crate) fn seats_worked_in(tx: &mut Tx<'_>, company: CompanyId) -> Result<i64> {
    let sql = "SELECT count(*) FROM memberships WHERE company_id = $1 AND status = 'active'";
    Ok(tx.one(sql, &params![company], |row| row.i64(0))?)
}

/// …and those that open invitations hold.
pub(crate) fn seats_taken(tx: &mut Tx<'_>, company: CompanyId, now: Timestamp) -> Result<i64> {
    Ok(seats_worked_in(tx, company)? + invitation::open(tx, company, now)?)
}

/// Makes sure that one more person may be invited to a company or come back to it. The caller holds the lock on the company's memberships
/// (`membership::lock`), so that two cannot take the last seat together.
///
/// # Errors
/// 402 `seat_limit_reached` with `limit` and `used`.
pub fn require_seat(tx: &mut Tx<'_>, company: CompanyId, now: Timestamp) -> Result<()> {
    let used = seats_taken(tx, company, now)?;
    require_below(tx, company, used)
}

/// Makes sure that this person may begin to work in a company. Who was invited has a seat already; it is refused only when the plan has
/// become smaller than those who work here, and then whoever accepts first is in.
///
/// # Errors
/// As [`require_seat`].
pub(crate) fn require_seat_for(tx: &mut Tx<'_>, company: CompanyId, person: Uuid, now: Timestamp) -> Result<()> {
    let used = match invitation::has_seat(tx, company, person, now)? {
        true => seats_worked_in(tx, company)?,
        false => seats_taken(tx, company, now)?,
    };
    require_below(tx, company, used)
}

fn require_below(tx: &mut Tx<'_>, company: CompanyId, used: i64) -> Result<()> {
    let Some(limit) = limits(tx, company)?.seats else { return Ok(()) };
    if used < limit {
        return Ok(());
    }
    let words = format!("All {limit} seats of this company are taken. Add seats or choose a larger plan.");
    Err(Problem::new(Kind::PaymentRequired, "seat_limit_reached", words)
        .with_extra("limit", limit)
        .with_extra("used", used))
}
