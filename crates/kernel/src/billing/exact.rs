//! Hard limits that refuse exactly: what a call would use is added up in its own transaction, and one unit too many takes the whole
//! transaction back.
//!
//! Bills are made from the counters that follow the event log (`usage.rs`); this sum only decides. It stands in a counter row of the
//! company, moves under the lock that gives the event its position, and so sees every other use that is committed or will be. It begins at
//! its first use in a month with what the log says by then, which is exact under that lock; a sum that the log proves too small (a node that
//! learnt of a new limit a second late) begins anew.

use loopd_store::{Reader, StoreError, Tally, Tx, params};
use loopd_types::{CompanyId, DAY_US, Kind, Problem, Result, Timestamp};

use super::calendar::{month_of, months_after};
use super::meter::{self, Meter};
use super::usage;
use crate::Kernel;
use crate::access::Tenant;

/// A meter whose hard limit a company's plans set, as every transaction knows it.
#[derive(Clone, Debug)]
pub struct Hard {
    pub meter: Meter,
    pub limit: i64,
}

/// The meters that refuse calls of this company when they are full.
///
/// # Errors
/// The database's.
pub(crate) fn load(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Hard>, StoreError> {
    let meters = meter::active(reader)?;
    if meters.iter().all(|meter| !meter.is_guarded) {
        return Ok(Vec::new());
    }
    let bounds = usage::bounds(reader, company)?;
    let hard = meters.into_iter().filter(|meter| meter.is_guarded).filter_map(|meter| {
        let limit = bounds.iter().find(|bound| bound.meter == meter.code)?.hard_limit?;
        Some(Hard { meter, limit })
    });
    Ok(hard.collect())
}

fn series(meter: &str) -> String {
    format!("usage:{meter}")
}

/// Days from 1970 to a month's first, and one: which month a sum is of; 0 is none.
fn ordinal(month: Timestamp) -> i64 {
    month.micros().div_euclid(DAY_US) + 1
}

/// Uses what an event of this kind counts for. The caller has taken the event's position, and with it the lock of the company's log.
///
/// # Errors
/// 402 `usage_limit_reached`, but for superusers and for what the server does by itself.
pub(crate) fn take(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, kind: &str, payload: &str) -> Result<()> {
    for Hard { meter, limit } in tenant.hard_meters() {
        let now = kernel.now();
        if meter.since > now || !meter.kinds.iter().any(|known| known == kind) {
            continue;
        }
        let units = usage::units(meter, payload);
        let (company, name, month) = (tenant.company, series(&meter.code), month_of(now));
        let mut sum = tx.count(company.0, &name, Tally { value: units, ..Tally::default() })?;
        if sum.live != ordinal(month) {
            let used = used_by_now(tx, company, meter, month)? + units;
            let set = Tally { value: used - sum.value, live: ordinal(month) - sum.live, deleted: 0 };
            sum = tx.count(company.0, &name, set)?;
        }
        if sum.value > *limit && units > 0 && !tenant.is_superuser() && tenant.actor.reason.is_none() {
            return Err(reached(&meter.code, *limit, sum.value - units, months_after(month, 1)));
        }
    }
    Ok(())
}

/// What the log holds of a meter in a month: what is counted, and what was written since.
fn used_by_now(tx: &mut Tx<'_>, company: CompanyId, meter: &Meter, month: Timestamp) -> Result<i64, StoreError> {
    // One statement, because the cursor and the counter move together.
    let (mut used, position) = tx.one(
        "SELECT COALESCE((SELECT value FROM usage_counters WHERE company_id = $1 AND meter = $2 AND month = $3), 0), \
         COALESCE((SELECT position FROM usage_cursors WHERE company_id = $1), 0)",
        &params![company, meter.code.as_str(), month],
        |row| Ok((row.i64(0)?, row.i64(1)?)),
    )?;
    let sql = "SELECT kind, payload FROM events WHERE company_id = $1 AND position > $2 AND created_at >= $3 ORDER BY position";
    tx.each(sql, &params![company, position, month.max(meter.since)], |row| {
        let kind = row.text(0)?;
        if meter.kinds.iter().any(|known| known == kind) {
            used += usage::units(meter, row.json(1)?);
        }
        Ok(())
    })?;
    Ok(used)
}

/// The log has come to `counted` in a month: a sum that is smaller begins anew.
pub(super) fn check(
    tx: &mut Tx<'_>,
    company: CompanyId,
    meter: &str,
    month: Timestamp,
    counted: i64,
) -> Result<(), StoreError> {
    let name = series(meter);
    let sum = tx.tally(company.0, &name)?;
    if sum.live != ordinal(month) || sum.value >= counted {
        return Ok(());
    }
    tx.shift(company.0, &name, Tally { value: 0, live: -sum.live, deleted: 0 })
}

/// Lets every sum of a company begin anew: its limits have changed, and nobody added up what had none.
pub(crate) fn forget(tx: &mut Tx<'_>, company: CompanyId) -> Result<()> {
    for meter in meter::active(tx)?.into_iter().filter(|meter| meter.is_guarded) {
        let name = series(&meter.code);
        let sum = tx.tally(company.0, &name)?;
        if sum.live != 0 {
            tx.shift(company.0, &name, Tally { value: 0, live: -sum.live, deleted: 0 })?;
        }
    }
    Ok(())
}

/// The refusal of a call beyond a hard limit.
pub(crate) fn reached(meter: &str, limit: i64, used: i64, resets_at: Timestamp) -> Problem {
    let words = format!("The plan's limit of {limit} {meter} in this month is reached.");
    Problem::new(Kind::PaymentRequired, "usage_limit_reached", words)
        .with_extra("meter", meter)
        .with_extra("limit", limit)
        .with_extra("used", used)
        .with_extra("resets_at", resets_at.to_string())
}
