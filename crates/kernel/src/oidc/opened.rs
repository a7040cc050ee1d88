//! What a provider has opened lasts no longer than the trust in it: sessions, and sign-ins that wait for a second factor.

use loopd_store::{Tx, params};
use loopd_types::{Result, Uuid};

use super::wire;
use crate::Kernel;

/// By what a session was opened whose provider asked for both factors and is trusted in that: its person need not have one here.
pub(crate) const TRUSTED_METHOD: &str = "oidc+mfa";

/// Whoever opens sessions by a provider and whoever ends them take turns, so that none is opened behind the back of who switches it off.
fn take_turn(tx: &mut Tx<'_>, provider: Uuid) -> Result<()> {
    Ok(tx.lock(&format!("oidc-sessions:{provider}"))?)
}

/// Before a session is opened by a provider, in the transaction that opens it.
///
/// # Errors
/// 401 `oidc_not_valid` when it was switched off or deleted while the sign-in was under way.
pub(crate) fn require_enabled(tx: &mut Tx<'_>, provider: Uuid) -> Result<()> {
    take_turn(tx, provider)?;
    let sql = "SELECT 1 FROM oidc_providers WHERE id = $1 AND is_enabled";
    let enabled = tx.first(sql, &params![provider], |_| Ok(()))?;
    enabled.ok_or_else(|| wire::not_valid("the provider was switched off meanwhile"))
}

/// Ends every session that a provider opened, and every sign-in that waits; gives how many sessions.
pub(super) fn end(tx: &mut Tx<'_>, kernel: &Kernel, provider: Uuid, reason: &str) -> Result<u64> {
    take_turn(tx, provider)?;
    let ended = tx.execute(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = $3 WHERE provider_id = $1 AND revoked_at IS NULL",
        &params![provider, kernel.now(), reason],
    )?;
    tx.push("DELETE FROM sign_in_challenges WHERE provider_id = $1", params![provider])?;
    kernel.forget_all_users(tx);
    Ok(ended)
}

/// Its word for a second factor counts no longer, for sessions that were opened on it too.
pub(super) fn distrust(tx: &mut Tx<'_>, kernel: &Kernel, provider: Uuid) -> Result<()> {
    take_turn(tx, provider)?;
    tx.push(
        "UPDATE sessions SET second_factor_at = NULL WHERE provider_id = $1 AND method = $2",
        params![provider, TRUSTED_METHOD],
    )?;
    kernel.forget_all_users(tx);
    Ok(())
}
