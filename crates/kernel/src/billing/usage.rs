//! Usage: what a company's events count for, exactly once. The cursor over its event log moves in the transaction that counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use loopd_store::{Reader, StoreError, Tx, View, dialect, params};
use loopd_types::{CompanyId, Result, Timestamp};
use serde_json::{Value as Json, json};

use super::calendar::{month_of, months_after};
use super::meter::{self, Meter};
use super::{calls, exact, letters};
use crate::access::Tenant;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::plan::{Metered, Terms};
use crate::{Kernel, event, plan};

/// Counters as the API shows them; the newest month first.
pub const LISTING: Listing = Listing {
    from: "usage_counters u JOIN meters m ON m.code = u.meter",
    columns: &COLUMNS,
    company: Some("u.company_id"),
    id: "m.id",
    order: "u.month DESC, u.company_id, u.meter",
};
const COLUMNS: [Column; 7] = [
    column("company", "u.company_id", ColumnKind::Company),
    searched("meter", "u.meter"),
    column("product", "m.product", ColumnKind::Text),
    column("unit", "m.unit", ColumnKind::Text),
    column("month", "u.month", ColumnKind::Time),
    column("value", "u.value", ColumnKind::Int),
    column("is_billed", "u.is_billed", ColumnKind::Bool),
];

/// Events that one transaction counts.
const PAGE: i64 = 1_000;

/// Counts every company's new events; returns how many events were looked at.
///
/// # Errors
/// The database's; what was counted before stays counted.
pub async fn count_all(kernel: &Arc<Kernel>) -> Result<u64> {
    let behind = kernel
        .db
        .read_long(View::System, |reader| {
            if meter::active(reader)?.is_empty() {
                return Ok(Vec::new());
            }
            Ok(reader.query(
                "SELECT c.company_id FROM counters c LEFT JOIN usage_cursors u ON u.company_id = c.company_id \
                 WHERE c.name = 'events' AND c.company_id > 0 AND c.value > COALESCE(u.position, 0) ORDER BY c.company_id",
                &[],
                |row| Ok(CompanyId(row.i64(0)?)),
            )?)
        })
        .await?;
    let mut seen = 0;
    for company in behind {
        seen += count(kernel, company).await?;
    }
    Ok(seen)
}

/// Counts a company's new events to the last one that is there.
///
/// # Errors
/// The database's.
pub async fn count(kernel: &Arc<Kernel>, company: CompanyId) -> Result<u64> {
    let Some(access) = kernel.company_access(company).await? else { return Ok(0) };
    let tenant = Arc::new(Tenant::system(access, "metering"));
    let mut seen = 0;
    loop {
        let (shared, tenant) = (kernel.clone(), tenant.clone());
        let page = kernel.db.write(View::Company(company), move |tx| count_page(tx, &shared, &tenant)).await?;
        seen += page;
        if page < PAGE as u64 {
            return Ok(seen);
        }
    }
}

fn count_page(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant) -> Result<u64> {
    let company = tenant.company;
    tx.push(
        "INSERT INTO usage_cursors (company_id, position) VALUES ($1, 0) ON CONFLICT (company_id) DO NOTHING",
        params![company],
    )?;
    // Another node that counts the same company waits here, and then finds nothing left.
    let sql = format!("SELECT position FROM usage_cursors WHERE company_id = $1{}", dialect::for_update(tx.engine()));
    let position = tx.one(&sql, &params![company], |row| row.i64(0))?;
    let meters = meter::active(tx)?;
    let mut sums: BTreeMap<(String, Timestamp), i64> = BTreeMap::new();
    let (mut last, mut seen) = (position, 0u64);
    let sql = format!(
        "SELECT position, kind, payload, created_at FROM events WHERE company_id = $1 AND position > $2 ORDER BY position LIMIT {PAGE}"
    );
    tx.each(&sql, &params![company, position], |row| {
        (last, seen) = (row.i64(0)?, seen + 1);
        let (kind, at) = (row.text(1)?, row.time(3)?);
        for meter in meters.iter().filter(|meter| meter.since <= at && meter.kinds.iter().any(|known| known == kind)) {
            *sums.entry((meter.code.clone(), month_of(at))).or_default() += units(meter, row.json(2)?);
        }
        Ok(())
    })?;
    for ((meter, month), units) in sums.into_iter().filter(|(_, units)| *units != 0) {
        add(tx, kernel, tenant, &meter, month, units)?;
    }
    if seen > 0 {
        tx.execute("UPDATE usage_cursors SET position = $2 WHERE company_id = $1", &params![company, last])?;
    }
    Ok(seen)
}

/// What an event counts for: one, or a whole number in its payload.
pub(super) fn units(meter: &Meter, payload: &str) -> i64 {
    if meter.field.is_empty() {
        return 1;
    }
    let payload: Json = serde_json::from_str(payload).unwrap_or_default();
    payload[&meter.field].as_i64().unwrap_or(0).max(0)
}

pub(super) fn add(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    meter: &str,
    month: Timestamp,
    units: i64,
) -> Result<()> {
    let company = tenant.company;
    // A month that is billed is closed: what was written in its last moments and seen later counts in the next one.
    let billed = tx.one(
        "SELECT COALESCE(MAX(month), -1) FROM usage_counters WHERE company_id = $1 AND meter = $2 AND is_billed",
        &params![company, meter],
        |row| row.time(0),
    )?;
    let month = if billed >= month { months_after(billed, 1) } else { month };
    let (value, told) = tx.one(
        "INSERT INTO usage_counters (company_id, meter, month, value) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (company_id, meter, month) DO UPDATE SET value = usage_counters.value + $4 RETURNING value, told",
        &params![company, meter, month, units],
        |row| Ok((row.i64(0)?, row.i64(1)?)),
    )?;
    exact::check(tx, company, meter, month, value)?;
    tell(tx, kernel, tenant, (meter, month), value, told)
}

/// Tells the company once when it passes its soft limit, four fifths of its hard limit, and the hard limit itself in a month; of the latter
/// two by letter too.
fn tell(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    (meter, month): (&str, Timestamp),
    value: i64,
    told: i64,
) -> Result<()> {
    let Some(bounds) = bounds(tx, tenant.company)?.into_iter().find(|one| one.meter == meter) else { return Ok(()) };
    let level = match () {
        () if bounds.hard_limit.is_some_and(|limit| value >= limit) => 3,
        () if bounds.hard_limit.is_some_and(|limit| value >= limit - limit / 5) => 2,
        () if bounds.soft_limit.is_some_and(|limit| value >= limit) => 1,
        () => 0,
    };
    if level <= told {
        return Ok(());
    }
    tx.push(
        "UPDATE usage_counters SET told = $4 WHERE company_id = $1 AND meter = $2 AND month = $3",
        params![tenant.company, meter, month, level],
    )?;
    let (kind, limit) = match level {
        3 => ("core.usage.hard_limit_reached", bounds.hard_limit),
        2 => ("core.usage.hard_limit_near", bounds.hard_limit),
        _ => ("core.usage.soft_limit_reached", bounds.soft_limit),
    };
    if let (2 | 3, Some(limit)) = (level, limit) {
        let resets_at = months_after(month, 1);
        letters::usage(tx, kernel, tenant, meter, (value, limit), resets_at, level == 3)?;
    }
    let payload = json!({"meter": meter, "month": month, "used": value, "limit": limit});
    event::emit(tx, kernel, tenant, kind, &format!("core/usage/{meter}"), payload.to_string())?;
    kernel.forget_company(tx, tenant.company);
    Ok(())
}

/// The limits of a meter.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub meter: String,
    pub soft_limit: Option<i64>,
    pub hard_limit: Option<i64>,
}

/// What a company's plans say about meters, and what they give of calls by API in all.
pub(super) fn bounds(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Bound>, StoreError> {
    let mut all: Vec<Bound> = metered(reader, company)?
        .into_iter()
        .map(|one| Bound { meter: one.meter, soft_limit: one.soft_limit, hard_limit: one.hard_limit })
        .collect();
    if let Some(limit) = plan::limits(reader, company)?.api_calls {
        all.retain(|one| one.meter != calls::METER);
        all.push(Bound { meter: calls::METER.to_owned(), soft_limit: None, hard_limit: Some(limit) });
    }
    Ok(all)
}

/// What a company's plans say about meters; of a meter in several plans, the widest limits.
fn metered(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Metered>, StoreError> {
    let mut all: Vec<Metered> = Vec::new();
    for Terms { metered, .. } in plan::held_terms(reader, company)? {
        for one in metered {
            match all.iter_mut().find(|known| known.meter == one.meter) {
                Some(known) => {
                    let wider = |mine: Option<i64>, theirs: Option<i64>| {
                        mine.and_then(|mine| theirs.map(|theirs| mine.max(theirs)))
                    };
                    known.hard_limit = wider(known.hard_limit, one.hard_limit);
                    known.soft_limit = wider(known.soft_limit, one.soft_limit);
                }
                None => all.push(one),
            }
        }
    }
    Ok(all)
}

/// A meter that has passed a limit this month, as the hot path knows it.
#[derive(Clone, Debug)]
pub struct Passed {
    pub meter: String,
    pub used: i64,
    pub limit: i64,
    /// Calls are refused; else the company is only warned.
    pub is_hard: bool,
    /// The permissions whose calls it is about.
    pub guards: Vec<String>,
    pub resets_at: Timestamp,
}

/// The meters of a company that have passed a limit in the month of `now`.
///
/// # Errors
/// The database's.
pub(crate) fn passed(reader: &mut Reader<'_>, company: CompanyId, now: Timestamp) -> Result<Vec<Passed>, StoreError> {
    let month = month_of(now);
    let used = reader.query(
        "SELECT u.meter, u.value, m.guards FROM usage_counters u JOIN meters m ON m.code = u.meter \
         WHERE u.company_id = $1 AND u.month = $2",
        &params![company, month],
        |row| {
            let guards: Vec<String> = serde_json::from_str(row.json(2)?).unwrap_or_default();
            Ok((row.text(0)?.to_owned(), row.i64(1)?, guards))
        },
    )?;
    if used.is_empty() {
        return Ok(Vec::new());
    }
    let bounds = bounds(reader, company)?;
    let resets_at = months_after(month, 1);
    let passed = used.into_iter().filter_map(|(meter, used, guards)| {
        let bound = bounds.iter().find(|bound| bound.meter == meter)?;
        let hard = bound.hard_limit.filter(|limit| used >= *limit);
        let limit = hard.or_else(|| bound.soft_limit.filter(|limit| used >= *limit))?;
        Some(Passed { meter, used, limit, is_hard: hard.is_some(), guards, resets_at })
    });
    Ok(passed.collect())
}

/// Units of a meter in a month that are not billed yet.
pub(crate) fn unbilled(
    reader: &mut Reader<'_>,
    company: CompanyId,
    before: Timestamp,
) -> Result<Vec<(String, Timestamp, i64)>> {
    Ok(reader.query(
        "SELECT meter, month, value FROM usage_counters WHERE company_id = $1 AND month < $2 AND NOT is_billed ORDER BY month, meter",
        &params![company, before],
        |row| Ok((row.text(0)?.to_owned(), row.time(1)?, row.i64(2)?)),
    )?)
}

/// Closes a month of a meter.
pub(crate) fn mark_billed(tx: &mut Tx<'_>, company: CompanyId, meter: &str, month: Timestamp) -> Result<()> {
    tx.push(
        "UPDATE usage_counters SET is_billed = TRUE WHERE company_id = $1 AND meter = $2 AND month = $3",
        params![company, meter, month],
    )?;
    Ok(())
}

/// Lets a company be told of its limits anew.
pub(crate) fn forget_told(tx: &mut Tx<'_>, company: CompanyId, month: Timestamp) -> Result<()> {
    tx.push("UPDATE usage_counters SET told = 0 WHERE company_id = $1 AND month >= $2", params![company, month])?;
    Ok(())
}
