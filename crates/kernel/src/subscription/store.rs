//! A subscription's row.

use loopd_store::{Tx, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::Value as Json;

use super::rules::{State, Status};
use crate::Kernel;
use crate::billing::calendar::Interval;

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub id: Uuid,
    pub product: String,
    /// The plan's code; `trial` and `free` are none.
    pub plan: String,
    pub sold: Option<(Uuid, i64)>,
    pub seats: Option<i64>,
    pub interval: Interval,
    pub currency: String,
    pub anchor_at: Option<Timestamp>,
    pub period_starts_at: Option<Timestamp>,
    /// What it becomes with the next period.
    pub next_terms: Option<Json>,
    pub state: State,
    pub version: i64,
}

/// Reads a subscription under its lock.
pub(super) fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Subscription> {
    let sql = format!(
        "SELECT product, plan, plan_id, plan_edition, seats, billing_interval, currency, anchor_at, period_starts_at, next_terms, status, \
         trial_ends_at, ends_at, grace_ends_at, by_operator, version FROM product_subscriptions WHERE company_id = $1 AND id = $2{}",
        dialect::for_update(tx.engine())
    );
    let found = tx.first(&sql, &params![company, id], |row| {
        let sold = row.opt_uuid(2)?.zip(row.opt_i64(3)?);
        Ok(Subscription {
            id,
            product: row.text(0)?.to_owned(),
            plan: row.text(1)?.to_owned(),
            sold,
            seats: row.opt_i64(4)?,
            interval: Interval::parse(row.text(5)?).unwrap_or(Interval::Month),
            currency: row.text(6)?.to_owned(),
            anchor_at: row.opt_time(7)?,
            period_starts_at: row.opt_time(8)?,
            next_terms: row.opt_json(9)?.and_then(|text| serde_json::from_str(text).ok()),
            state: State {
                status: Status::parse(row.text(10)?).unwrap_or(Status::Expired),
                trial_ends_at: row.opt_time(11)?,
                ends_at: row.opt_time(12)?,
                grace_ends_at: row.opt_time(13)?,
                is_sold: sold.is_some(),
                by_operator: row.bool(14)?,
            },
            version: row.i64(15)?,
        })
    })?;
    found.ok_or_else(Problem::not_found)
}

pub(super) fn save(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, subscription: &Subscription) -> Result<()> {
    let Subscription { id, state, sold, .. } = subscription;
    tx.execute(
        "UPDATE product_subscriptions SET plan = $3, plan_id = $4, plan_edition = $5, seats = $6, billing_interval = $7, currency = $8, \
         anchor_at = $9, period_starts_at = $10, next_terms = $11, status = $12, trial_ends_at = $13, ends_at = $14, grace_ends_at = $15, \
         by_operator = $16, updated_at = $17, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![
            company,
            *id,
            &subscription.plan,
            sold.map(|(plan, _)| plan),
            sold.map(|(_, edition)| edition),
            subscription.seats,
            subscription.interval.as_str(),
            &subscription.currency,
            subscription.anchor_at,
            subscription.period_starts_at,
            subscription.next_terms.as_ref().map_or(Value::Null, Value::from),
            state.status.as_str(),
            state.trial_ends_at,
            state.ends_at,
            state.grace_ends_at,
            state.by_operator,
            kernel.now()
        ],
    )?;
    kernel.forget_company(tx, company);
    Ok(())
}
