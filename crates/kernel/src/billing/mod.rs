//! What companies owe the installation: bills with numbers and taxes, payments and attempts to collect them, coupons, metered usage.
//! Not to be mixed with the payments module, whose invoices are a company's own.

pub mod account;
pub mod amount;
pub mod bill;
pub mod calendar;
pub mod calls;
pub mod collector;
pub mod coupon;
pub mod daily;
pub(crate) mod exact;
pub(crate) mod letters;
pub mod meter;
pub mod payment;
pub mod seller;
pub mod tax;
pub mod usage;

pub use collector::{Collector, Collectors};
pub use daily::register_jobs;

use loopd_store::Tx;
use loopd_types::{Problem, Result};
use serde_json::{Map, Value as Json};

use crate::access::{Actor, Tenant};
use crate::{Kernel, audit, event};

/// What belongs to the operator alone.
///
/// # Errors
/// 403 `permission_denied`.
pub(crate) fn require_operator(tenant: &Tenant) -> Result<()> {
    if tenant.is_superuser() { Ok(()) } else { Err(Problem::permission_denied()) }
}

/// Audit row and event of something that happened to a company's bill, payment or usage.
pub(crate) fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    (resource, action, past): (&str, &str, &str),
    (target, label): (&str, &str),
    payload: Json,
) -> Result<()> {
    let entry = audit::Entry { action, module: "core", resource, target, label, changes: Some(payload.to_string()) };
    audit::record(tx, kernel, tenant, entry)?;
    let kind = format!("core.{}.{past}", resource.replace('-', "_"));
    event::emit(tx, kernel, tenant, &kind, &format!("core/{resource}/{target}"), payload.to_string())
}

/// Audit row of something that the operator changed for all; `changes` as [`audit::differences`] gives them.
pub(crate) fn written_by_operator(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    actor: &Actor,
    (resource, action): (&str, &str),
    (target, label): (&str, &str),
    changes: Map<String, Json>,
) -> Result<()> {
    let changes = (!changes.is_empty()).then(|| Json::Object(changes).to_string());
    let entry = audit::Entry { action, module: "core", resource, target, label, changes };
    Ok(kernel.audit_installation(tx, actor, entry)?)
}
