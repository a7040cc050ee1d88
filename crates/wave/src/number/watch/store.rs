//! What the watchdog keeps, and how a line stands as a whole.

use std::sync::Arc;

use loopd_kernel::mail::{self, Letter, Template};
use loopd_kernel::{Kernel, Tenant, audit};
use loopd_store::{Reader, StoreError, Tx, View, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::EVERY_US;
use crate::PRODUCT;
use crate::engine::Change;
use crate::number::Number;

/// Lines that should be asked about: those that are said to be ready, and those that the watchdog found dead; the longest unasked first.
///
/// # Errors
/// The database's.
pub async fn due(kernel: &Arc<Kernel>, most: i64) -> Result<Vec<(CompanyId, Uuid)>> {
    let before = kernel.now().plus(-EVERY_US);
    kernel
        .db
        .read(View::System, move |reader| {
            let sql = "SELECT company_id, id FROM wave_numbers WHERE deleted_at IS NULL AND (probed_at IS NULL OR probed_at <= $1) \
                 AND (state = 'ready' OR (state = 'disconnected' AND probe_failures > 0)) \
                 ORDER BY probed_at IS NOT NULL, probed_at LIMIT $2";
            Ok(reader.query(sql, &params![before, most], |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)))?)
        })
        .await
}

/// # Errors
/// The database's.
pub fn failures(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<i64, StoreError> {
    let sql = "SELECT probe_failures FROM wave_numbers WHERE company_id = $1 AND id = $2";
    Ok(reader.first(sql, &params![company, id], |row| row.i64(0))?.unwrap_or(0))
}

/// It was asked, and nobody answered for it so often in a row.
///
/// # Errors
/// The database's.
pub fn asked(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, failures: i64, now: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_numbers SET probed_at = $3, probe_failures = $4 WHERE company_id = $1 AND id = $2",
        params![company, id, now, failures],
    )
}

/// What the watchdog did stands in the audit log.
///
/// # Errors
/// The database's.
pub fn record(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    known: &Number,
    action: &str,
    change: &Change,
) -> Result<()> {
    let changes = json!({"state": [known.state.as_str(), change.state.as_str()], "state_reason": [known.state_reason, change.reason]});
    let entry = audit::Entry {
        action,
        module: PRODUCT,
        resource: "numbers",
        target: &known.public_id,
        label: &known.label,
        changes: Some(changes.to_string()),
    };
    Ok(audit::record(tx, kernel, tenant, entry)?)
}

/// A letter to everybody who could link the line again.
///
/// # Errors
/// The database's.
pub fn write_to_admins(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    known: &Number,
    change: &Change,
) -> Result<()> {
    let sql = "SELECT u.email, u.language FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.company_id = $1 AND m.role IN ('owner', 'admin') AND m.status = 'active' AND u.is_active ORDER BY u.email";
    let readers =
        tx.query(sql, &params![tenant.company], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?;
    for (to, language) in readers {
        let template = Template::NumberDown {
            company: tenant.company_name(),
            number: &known.label,
            reason: change.reason.as_deref().unwrap_or_default(),
        };
        mail::queue(tx, kernel, &Letter { company: tenant.company, to: &to, language: &language, template })?;
    }
    Ok(())
}

/// How a line stands, in numbers.
#[derive(Clone, Debug)]
pub struct Figures {
    pub sent: i64,
    pub failed: i64,
    pub received: i64,
    pub inbound_at: Option<Timestamp>,
    pub outbound_at: Option<Timestamp>,
    pub probed_at: Option<Timestamp>,
    pub probe_failures: i64,
}

/// # Errors
/// 404.
pub fn figures(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Figures> {
    let sql = "SELECT sent_count, failed_count, received_count, inbound_at, outbound_at, probed_at, probe_failures FROM wave_numbers \
         WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL";
    let found = reader.first(sql, &params![company, id], |row| {
        Ok(Figures {
            sent: row.i64(0)?,
            failed: row.i64(1)?,
            received: row.i64(2)?,
            inbound_at: row.opt_time(3)?,
            outbound_at: row.opt_time(4)?,
            probed_at: row.opt_time(5)?,
            probe_failures: row.i64(6)?,
        })
    })?;
    found.ok_or_else(Problem::not_found)
}
