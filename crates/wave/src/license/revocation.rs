//! The vendor's signed list of revoked licences: how a revocation reaches a server that never calls home.

use std::collections::BTreeSet;

use loopd_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Invalid, Signer, Verifier};

const LIST: &str = "LWR1";

/// Licences that are cancelled, by id.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revocations {
    /// Seconds since 1970; a server takes no list that is older than the one it has.
    pub iat: i64,
    pub revoked: BTreeSet<String>,
}

impl Revocations {
    /// Reads a list that the vendor signed.
    ///
    /// # Errors
    /// [`Invalid::Format`], [`Invalid::Signature`].
    pub fn read(verifier: &Verifier, text: &str) -> Result<Self, Invalid> {
        verifier.open(LIST, text)
    }

    pub fn holds(&self, lid: &str) -> bool {
        self.revoked.contains(lid)
    }

    /// This list with one licence more, signed. A licence never leaves a list.
    pub fn revoke(&mut self, signer: &Signer, lid: &str, now: Timestamp) -> String {
        self.revoked.insert(lid.to_owned());
        self.iat = now.seconds().max(self.iat);
        signer.sign(LIST, self)
    }

    /// What both lists say together: a revocation that was known stays known, whatever a later list leaves out.
    pub fn and(mut self, later: Self) -> Self {
        self.iat = self.iat.max(later.iat);
        self.revoked.extend(later.revoked);
        self
    }
}
