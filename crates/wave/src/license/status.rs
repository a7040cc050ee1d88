//! The six states of a licence (spec/loopwave.md 3.2).

use loopd_types::{DAY_US, Timestamp};

use super::{Invalid, Revocations, Terms, Verifier};

/// How an installation stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Active,
    /// Over, but within the days of grace: everything still works.
    Grace,
    Expired,
    /// Cancelled by the vendor; lifted by another licence only.
    Revoked,
    Invalid,
    Unlicensed,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Grace => "grace",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Invalid => "invalid",
            Self::Unlicensed => "unlicensed",
        }
    }

    /// Whether enforcing stops new writes. Reading, receiving, signing in and activating are never stopped.
    pub fn locks(self) -> bool {
        matches!(self, Self::Expired | Self::Revoked | Self::Invalid | Self::Unlicensed)
    }
}

/// A state with its reason and, where the vendor's signature is good, the terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub state: State,
    /// `bad_format`, `bad_signature`, `domain_mismatch`, `fingerprint_mismatch`.
    pub reason: Option<&'static str>,
    pub terms: Option<Terms>,
}

/// What licences are judged by.
#[derive(Clone, Debug)]
pub struct Judge {
    /// `None` where no vendor's key is set: then no licence can be good.
    pub verifier: Option<Verifier>,
    pub grace_days: i64,
    /// The host that serves the installation, if it is known.
    pub host: Option<String>,
    /// This installation's, if it is known.
    pub fingerprint: Option<String>,
}

impl Judge {
    /// The state of the licence that was activated, if any, at `now`.
    pub fn status(&self, token: Option<&str>, revocations: &Revocations, now: Timestamp) -> Status {
        let Some(token) = token else { return Status { state: State::Unlicensed, reason: None, terms: None } };
        let read = self.verifier.as_ref().ok_or(Invalid::Signature).and_then(|verifier| verifier.read(token));
        let terms = match read {
            Ok(terms) => terms,
            Err(invalid) => return Status { state: State::Invalid, reason: Some(invalid.code()), terms: None },
        };
        let is_elsewhere = match (&terms.dom, &self.host) {
            (Some(bound), Some(host)) => !same_host(bound, host),
            _ => false,
        };
        let is_another = match (&terms.fpr, &self.fingerprint) {
            (Some(bound), Some(own)) => bound != own,
            _ => false,
        };
        let (state, reason) = if revocations.holds(&terms.lid) {
            (State::Revoked, None)
        } else if is_elsewhere {
            (State::Invalid, Some(Invalid::Domain.code()))
        } else if is_another {
            (State::Invalid, Some(Invalid::Fingerprint.code()))
        } else if now < terms.expires_at() {
            (State::Active, None)
        } else if now.0 < terms.expires_at().0.saturating_add(self.grace_days.saturating_mul(DAY_US)) {
            (State::Grace, None)
        } else {
            (State::Expired, None)
        };
        Status { state, reason, terms: Some(terms) }
    }
}

/// Hosts are compared without case, port and final dot.
fn same_host(one: &str, other: &str) -> bool {
    fn bare(host: &str) -> String {
        let host = host.trim();
        let name = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name.trim_end_matches('.').to_ascii_lowercase()
    }
    bare(one) == bare(other)
}
