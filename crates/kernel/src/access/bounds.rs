//! [`Bounds`]: what a session may less than its person.

use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

use super::Caller;
use crate::permission::PermissionSet;

/// Why a session has less than its person's rights.
#[derive(Debug)]
pub struct Bounds {
    /// The operator sits there.
    pub impersonation: Option<Impersonation>,
    /// Only this company's own provider of identity vouched for it, so it goes nowhere else.
    pub confined_to: Option<CompanyId>,
}

/// An operator who acts under a person's name.
#[derive(Debug)]
pub struct Impersonation {
    pub by: Uuid,
    pub reason: String,
    pub expires_at: Timestamp,
    /// Permission patterns that the operator chose not to have.
    pub withheld: Vec<String>,
}

impl Impersonation {
    /// `set` without what is withheld: the last pattern that matches decides.
    pub fn narrow(&self, set: &PermissionSet) -> PermissionSet {
        let denied = self.withheld.iter().map(|pattern| format!("!{pattern}"));
        // Both halves were read before, so nothing is lost here; if anything were, nothing would be allowed.
        PermissionSet::parse(set.patterns().chain(denied)).unwrap_or_default()
    }
}

impl Caller {
    /// The operator behind this caller, if one is.
    pub fn impersonation(&self) -> Option<&Impersonation> {
        self.bounds.as_ref().and_then(|bounds| bounds.impersonation.as_ref())
    }

    /// Refuses whoever is not the person themselves, for what is a person's own: credentials, factors, password, profile.
    ///
    /// # Errors
    /// 403 `impersonation_forbidden`, `session_confined`.
    pub fn require_personal(&self) -> Result<()> {
        match self.bounds.as_deref() {
            None => Ok(()),
            Some(Bounds { impersonation: Some(_), .. }) => Err(Problem::forbidden(
                "impersonation_forbidden",
                "This is for the person alone, not for an operator in their name.",
            )),
            Some(_) => Err(Problem::forbidden(
                "session_confined",
                "This sign-in is good for one company; sign in with your own password or passkey for this.",
            )),
        }
    }
}
