//! Telling the administrators that a line rests.

use loopd_kernel::mail::{self, Letter, Template};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;

use super::Number;
use crate::agent;

/// Writes to the owners and administrators; nothing for a line that does not rest.
///
/// # Errors
/// The database's.
pub fn rests(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, number: &Number) -> Result<()> {
    let Some(until) = number.paused_until else { return Ok(()) };
    let reason = number.pause_reason.as_deref().unwrap_or_default();
    for (to, language) in agent::store::administrators(tx, tenant.company)? {
        let template =
            Template::NumberRestricted { company: tenant.company_name(), number: &number.label, reason, until };
        mail::queue(tx, kernel, &Letter { company: tenant.company, to: &to, language: &language, template })?;
    }
    Ok(())
}
