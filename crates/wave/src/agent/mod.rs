//! Agents: the people of a company who answer its customers.

pub mod store;

use loopd_kernel::Tenant;
use loopd_store::Reader;
use loopd_types::Result;

pub use crate::message::Agent;

/// Whoever makes this call, by name; `None` for what is no person (a key of the environment, the system itself).
///
/// # Errors
/// The database's.
pub fn caller(reader: &mut Reader<'_>, tenant: &Tenant) -> Result<Option<Agent>> {
    match tenant.actor.user {
        Some(user) => Ok(store::person(reader, user)?),
        None => Ok(None),
    }
}
