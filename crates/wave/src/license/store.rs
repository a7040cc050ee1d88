//! Licences that were activated, and what is known to be revoked.

use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::{Reader, StoreError, Tx, View, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp};
use serde_json::json;

use super::{Judge, Revocations, Settings, State, Status, fingerprint};
use crate::PRODUCT;

/// By what this installation judges; `host` is the one that a call came by, for installations that say none of their own.
pub fn judge(settings: &Settings, kernel: &Kernel, host: Option<String>) -> Judge {
    Judge {
        verifier: settings.public_key.clone(),
        grace_days: settings.grace_days,
        host: settings.host.clone().or(host),
        fingerprint: Some(fingerprint(kernel)),
    }
}

/// A licence as it was activated.
#[derive(Clone, Debug)]
pub struct Activated {
    pub token: String,
    pub at: Timestamp,
    pub told: String,
}

pub fn activated(reader: &mut Reader<'_>, company: CompanyId) -> Result<Option<Activated>, StoreError> {
    let sql = "SELECT token, activated_at, told_state FROM wave_licenses WHERE company_id = $1";
    reader.first(sql, &params![company], |row| {
        Ok(Activated { token: row.text(0)?.to_owned(), at: row.time(1)?, told: row.text(2)?.to_owned() })
    })
}

/// How a company's licence stands at `now`.
///
/// # Errors
/// The database's.
pub fn status(reader: &mut Reader<'_>, judge: &Judge, company: CompanyId, now: Timestamp) -> Result<Status> {
    let known = activated(reader, company)?;
    judged(reader, judge, known.as_ref().map(|it| it.token.as_str()), now)
}

/// How any licence would stand at `now`.
///
/// # Errors
/// The database's.
pub fn judged(reader: &mut Reader<'_>, judge: &Judge, token: Option<&str>, now: Timestamp) -> Result<Status> {
    let status = judge.status(token, &Revocations::default(), now);
    let Some(terms) = &status.terms else { return Ok(status) };
    let sql = "SELECT 1 FROM wave_revocations WHERE license_id = $1";
    if reader.first(sql, &params![terms.lid.as_str()], |row| row.i64(0))?.is_some() {
        return Ok(Status { state: State::Revoked, reason: None, ..status });
    }
    Ok(status)
}

/// Takes a licence into use, in place of the one before.
///
/// # Errors
/// 400 on `license` for one that the vendor did not sign, that is over, revoked, or for somebody else.
pub fn activate(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, judge: &Judge, token: &str) -> Result<Status> {
    let token = token.trim();
    let next = judged(tx, judge, Some(token), kernel.now())?;
    if next.state.locks() {
        let words = match (next.state, next.reason) {
            (State::Expired, _) => "This licence is over.",
            (State::Revoked, _) => "This licence was cancelled by its vendor.",
            (_, Some("domain_mismatch")) => "This licence is for another host.",
            (_, Some("fingerprint_mismatch")) => "This licence is for another installation.",
            _ if judge.verifier.is_none() => {
                "This server knows no vendor (LICENSE_PUBLIC_KEY): no licence can be verified."
            }
            _ => "This is no licence of the vendor.",
        };
        return Err(Problem::field("license", next.reason.unwrap_or(next.state.word()), words));
    }
    let before = activated(tx, tenant.company)?;
    if before.as_ref().is_some_and(|known| known.token == token && known.told == next.state.word()) {
        return Ok(next);
    }
    tx.execute(
        "INSERT INTO wave_licenses (company_id, token, activated_at, activated_by, told_state) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (company_id) DO UPDATE SET token = excluded.token, activated_at = excluded.activated_at, \
         activated_by = excluded.activated_by, told_state = excluded.told_state",
        &params![tenant.company, token, kernel.now(), tenant.actor.user, next.state.word()],
    )?;
    written(tx, kernel, tenant, &next, "activate")?;
    Ok(next)
}

/// Looks at the licence again, and tells when its state is not what was told last.
///
/// # Errors
/// 503 from the database.
pub fn refresh(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, judge: &Judge) -> Result<Status> {
    let Some(known) = activated(tx, tenant.company)? else { return status(tx, judge, tenant.company, kernel.now()) };
    let now = judged(tx, judge, Some(&known.token), kernel.now())?;
    if now.state.word() != known.told {
        tx.execute(
            "UPDATE wave_licenses SET told_state = $2 WHERE company_id = $1",
            &params![tenant.company, now.state.word()],
        )?;
        written(tx, kernel, tenant, &now, "refresh")?;
    }
    Ok(now)
}

/// Remembers what the vendor cancelled: for good, and for every company of this installation.
///
/// # Errors
/// The database's.
pub fn revoke(tx: &mut Tx<'_>, list: &Revocations, now: Timestamp) -> Result<(), StoreError> {
    for id in &list.revoked {
        tx.push(
            "INSERT INTO wave_revocations (license_id, known_since) VALUES ($1, $2) ON CONFLICT (license_id) DO NOTHING",
            params![id.as_str(), now],
        )?;
    }
    Ok(())
}

/// The view in which revocations are written: they belong to no company.
pub const REVOKING: View = View::System;

fn written(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, status: &Status, action: &str) -> Result<()> {
    let id = status.terms.as_ref().map_or("", |terms| terms.lid.as_str());
    let entry = audit::Entry {
        action,
        module: PRODUCT,
        resource: "license",
        target: id,
        label: status.state.word(),
        changes: None,
    };
    audit::record(tx, kernel, tenant, entry)?;
    let payload = json!({"id": id, "state": status.state.word(), "reason": status.reason});
    event::emit(tx, kernel, tenant, "loopwave.license.changed", "loopwave/license/license", payload.to_string())
}
