//! The outbox: a fact to tell others, written in the transaction that causes it, numbered in commit order within its company.

pub mod filter;
pub mod log;
pub mod signal;
pub mod stream;
pub mod veil;

use loopd_store::{StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Result};

use crate::access::{Actor, Tenant};
use crate::billing::exact;
use crate::{Kernel, counter};

/// The series that numbers a company's events.
pub(crate) const SERIES: &str = "events";

/// Emits `kind` (`booking.appointment.confirmed`) about `subject` (`booking/appointments/<id>`) with the payload as it will be told.
///
/// # Errors
/// 402 `usage_limit_reached` when it is one unit too many of what a plan limits.
pub fn emit(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    kind: &str,
    subject: &str,
    payload: String,
) -> Result<()> {
    let position = counter::next(tx, tenant.company, SERIES)?;
    exact::take(tx, kernel, tenant, kind, &payload)?;
    Ok(write(tx, kernel, tenant.company, &tenant.actor, kind, subject, payload, position)?)
}

/// As [`emit`], for acts without a tenant (a registration makes its company in the same transaction).
pub fn emit_by(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    kind: &str,
    subject: &str,
    payload: String,
) -> Result<(), StoreError> {
    // The counter's row lock is held until commit, so positions rise in commit order on Postgres too.
    let position = counter::next(tx, company, SERIES)?;
    write(tx, kernel, company, actor, kind, subject, payload, position)
}

#[expect(clippy::too_many_arguments, reason = "an event's columns")]
fn write(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    kind: &str,
    subject: &str,
    payload: String,
    position: i64,
) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO events (company_id, position, id, kind, subject, payload, actor_user_id, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![company, position, kernel.new_id(), kind, subject, Value::Json(payload), actor.user, kernel.now()],
    )?;
    let signals = kernel.signals.clone();
    tx.on_commit(move || signals.rise(company));
    Ok(())
}
