//! What surfaces with kinds of their own give their keys besides scopes: an end, networks, and a successor when the secret must change.

use loopd_store::{Tx, params};
use loopd_types::{Network, Problem, Result, Timestamp, Uuid};

use super::{GRACE_MOST, Kind, Limits, Minted, find, limits, read_expiry, revoked, succeed};
use crate::Kernel;
use crate::access::Tenant;
use crate::input::Input;

/// `expires_at` and `allowed_networks` of a body. What is `None` stays as it is; `Some(None)` takes the bound away.
#[derive(Clone, Debug, Default)]
pub struct KeyBounds {
    pub expires_at: Option<Option<Timestamp>>,
    pub networks: Option<Option<Vec<Network>>>,
}

impl KeyBounds {
    pub fn read(input: &mut Input, now: Timestamp) -> Self {
        Self { expires_at: read_expiry(input, now), networks: limits::take_networks(input) }
    }

    /// The limits of a new key: those that were chosen, or else those of the key that makes it.
    ///
    /// # Errors
    /// 403 `permission_denied` for networks wider than the maker's own.
    pub fn of_new(&self, tenant: &Tenant) -> Result<Limits> {
        let mut limits = Limits { networks: self.networks.clone().flatten(), ..Limits::default() };
        limits.inherit_networks(tenant);
        limits.require_networks_within(tenant)?;
        Ok(limits)
    }
}

/// Changes when a key of whatever kind ends and from where it may be used; counts at its next request. Whoever calls writes who did it.
///
/// # Errors
/// 403 `permission_denied` for networks wider than the caller's own key's.
pub fn set_bounds(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, bounds: &KeyBounds) -> Result<()> {
    let networks = bounds.networks.clone().map(|networks| Limits { networks, ..Limits::default() });
    if let Some(limits) = &networks {
        limits.require_networks_within(tenant)?;
    }
    tx.execute(
        "UPDATE credentials SET expires_at = CASE WHEN $3 THEN $4 ELSE expires_at END, \
         allowed_networks = CASE WHEN $5 THEN $6 ELSE allowed_networks END, updated_at = $7, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![
            tenant.company,
            id,
            bounds.expires_at.is_some(),
            bounds.expires_at.flatten(),
            networks.is_some(),
            networks.as_ref().and_then(Limits::networks_json),
            kernel.now()
        ],
    )?;
    kernel.forget_all_keys(tx);
    Ok(())
}

/// `grace_seconds` of a body that asks for a successor.
pub fn read_grace(input: &mut Input) -> Option<i64> {
    input.integer("grace_seconds", 0, GRACE_MOST)
}

/// Makes a successor with the same rights and bounds; the old secret lives on for `grace` seconds, a day unless said. Whoever calls
/// writes who did it, of the key whose name comes with it.
///
/// # Errors
/// 403 for bounds wider than the caller's own key's; 404; 409 `key_revoked`, `key_disabled`, `key_expired`, `key_rotated` with its
/// `successor`.
pub fn rotate_of(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    kind: &Kind,
    id: Uuid,
    grace: Option<i64>,
) -> Result<(Minted, String)> {
    let old = find(tx, tenant.company, kind, id)?;
    if old.revoked_at.is_some() {
        return Err(revoked());
    }
    if old.disabled_at.is_some() {
        return Err(Problem::conflict("key_disabled", "This key is switched off; switch it on first."));
    }
    old.limits.require_networks_within(tenant)?;
    let minted = succeed(tx, kernel, tenant, kind, id, &old, grace)?;
    Ok((minted, old.name))
}
