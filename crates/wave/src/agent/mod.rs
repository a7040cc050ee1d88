//! Agents: the people of a company who answer its customers.

pub mod store;

use loopd_kernel::Tenant;
use loopd_store::Reader;
use loopd_types::{CompanyId, Problem, Result, Uuid};

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

/// How somebody is called who works in this company now.
///
/// # Errors
/// 400 of this field for everybody else.
pub fn require_name(reader: &mut Reader<'_>, company: CompanyId, user: Uuid, field: &'static str) -> Result<String> {
    let unknown = || Problem::field(field, "does_not_exist", "Nobody of this company has this id.");
    Ok(store::member(reader, company, user)?.ok_or_else(unknown)?.name)
}
