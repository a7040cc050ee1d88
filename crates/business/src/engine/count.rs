//! How many rows a list has: from the counters where they know, else counted piece by piece for as long as a list may take.

use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use loopd_kernel::{Tenant, counter};
use loopd_store::{Reader, Value};
use loopd_types::{Result, Uuid};

use super::condition::{Deleted, bind};
use super::list::conditions;
use super::request::ListRequest;
use super::runtime::ResourceRuntime;

/// How far lists count that no counter knows.
#[derive(Clone, Copy, Debug)]
pub struct Counting {
    /// Rows counted in one statement.
    pub step: u32,
    /// When this is over no further step begins.
    pub budget: Duration,
}

impl Default for Counting {
    /// A million rows that are looked at one by one take a second or less on one core; more than three make a list no better.
    fn default() -> Self {
        Self { step: 100_000, budget: Duration::from_secs(3) }
    }
}

/// A number of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    pub rows: u64,
    /// There are exactly `rows`; else there are at least so many.
    pub is_exact: bool,
}

/// How many rows the list has in all its companies.
///
/// # Errors
/// 503 from the database.
pub(super) fn count(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    tenants: &[Arc<Tenant>],
    request: &ListRequest,
    counting: Counting,
) -> Result<Count> {
    let sees_all = tenants.iter().all(|tenant| tenant.workspace.is_none() && tenant.workspace_limit().is_none());
    if sees_all && runtime.audience.is_none() && request.which.clone().deleted(Deleted::Hidden).is_plain() {
        return known(reader, runtime, tenants, request.which.wants_deleted());
    }
    let (began, all) = (Instant::now(), up_to(reader, runtime, tenants, request, None, counting.step)?);
    if all < u64::from(counting.step) {
        return Ok(Count { rows: all, is_exact: true });
    }
    let mut rows = 0;
    // Company by company, so that each step walks one stretch of the key.
    for tenant in tenants.iter().map(slice::from_ref) {
        let mut after = None;
        while let Some(id) = end_of_step(reader, runtime, tenant, request, after, counting.step)? {
            rows += u64::from(counting.step);
            if began.elapsed() >= counting.budget {
                return Ok(Count { rows, is_exact: false });
            }
            after = Some(id);
        }
        rows += up_to(reader, runtime, tenant, request, after, counting.step)?;
    }
    Ok(Count { rows, is_exact: true })
}

/// The rows that the list has behind `after`, up to `limit`.
fn up_to(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    tenants: &[Arc<Tenant>],
    request: &ListRequest,
    after: Option<Uuid>,
    limit: u32,
) -> Result<u64> {
    let (mut params, table) = (Vec::new(), &runtime.table);
    let wanted = behind(reader, runtime, tenants, request, after, &mut params)?;
    let sql = format!("SELECT COUNT(*) FROM (SELECT 1 AS one FROM {table} WHERE {wanted} LIMIT {limit}) AS bounded");
    Ok(reader.one(&sql, &params, |row| row.i64(0)).map(|rows| u64::try_from(rows).unwrap_or(0))?)
}

/// The id of the row that ends a whole step behind `after`; `None` when fewer rows are left.
fn end_of_step(
    reader: &mut Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    tenant: &[Arc<Tenant>],
    request: &ListRequest,
    after: Option<Uuid>,
    step: u32,
) -> Result<Option<Uuid>> {
    let (mut params, table) = (Vec::new(), &runtime.table);
    let wanted = behind(reader, runtime, tenant, request, after, &mut params)?;
    let sql = format!("SELECT id FROM {table} WHERE {wanted} ORDER BY id DESC LIMIT 1 OFFSET {}", step.max(1) - 1);
    Ok(reader.first(&sql, &params, |row| row.uuid(0))?)
}

fn behind(
    reader: &Reader<'_>,
    runtime: &Arc<ResourceRuntime>,
    tenants: &[Arc<Tenant>],
    request: &ListRequest,
    after: Option<Uuid>,
    params: &mut Vec<Value>,
) -> Result<String> {
    let mut wanted = conditions(reader, runtime, tenants, request, params)?;
    if let Some(id) = after {
        wanted.push_str(&format!(" AND id < {}", bind(params, Value::Uuid(id))));
    }
    Ok(wanted)
}

fn known(
    reader: &mut Reader<'_>,
    runtime: &ResourceRuntime,
    tenants: &[Arc<Tenant>],
    deleted: Deleted,
) -> Result<Count> {
    let mut rows = 0;
    for tenant in tenants {
        let (live, gone) = counter::counts(reader, tenant.company, &runtime.counter)?;
        rows += match deleted {
            Deleted::Hidden => live,
            Deleted::Only => gone,
            Deleted::Too => live + gone,
        };
    }
    Ok(Count { rows: u64::try_from(rows).unwrap_or(0), is_exact: true })
}
