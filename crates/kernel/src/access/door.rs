//! [`Door`]: how a surface with keys of its own lets their holders in. LOOP's callers are people and their servers
//! ([`Kernel::authenticate`]); Loomal's and Loopwave's are keys that act as something else, and their pages fix the words of every refusal.

use std::sync::Arc;

use loopd_types::{CompanyId, Problem, Result};

use super::caller::{Auth, Caller, KeyAccess, Origin, Presented};
use super::enter::company_access_denied;
use super::tenant::Tenant;
use crate::Kernel;
use crate::credential::Kind;
use crate::limit::Rate;
use crate::permission::PermissionSet;

/// A surface's keys, and what it says to whoever has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Door {
    /// Name of the security scheme in the API's description.
    pub scheme: &'static str,
    /// The product that the company must subscribe to.
    pub product: &'static str,
    /// Every kind of key of this surface; what begins like none of them is malformed.
    pub kinds: &'static [Kind],
    /// A header that may carry the key beside `Authorization`; lower case.
    pub header: Option<&'static str>,
    /// 401 without a readable credential.
    pub missing: &'static str,
    /// 401 for what cannot be a key.
    pub malformed: &'static str,
    /// 401 for a key that opens nothing.
    pub unknown: &'static str,
    /// 403 for a key of another kind than the operation's.
    pub wrong_kind: &'static str,
    /// Begins the 403 for a missing scope; the scope follows.
    pub missing_scope: &'static str,
    /// Calls of one identity.
    pub rate: Rate,
    /// Wrong credentials from one address.
    pub attempts: Rate,
}

impl Kernel {
    /// Finds the key that is presented at `door`.
    ///
    /// # Errors
    /// 401 in the door's words; 403 `address_not_allowed`; 503 when the database cannot be asked.
    pub async fn admit_key(&self, door: &Door, presented: Presented<'_>, origin: Origin) -> Result<Caller> {
        let refuse = |words: &'static str| Problem::unauthenticated("unauthorized", words);
        let bearer = |header: &str| -> Option<String> {
            let (scheme, token) = header.trim().split_once(' ')?;
            let token = token.trim();
            (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
        };
        let own_header = presented.api_key.map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned);
        let Some(secret) = own_header.or_else(|| presented.authorization.and_then(bearer)) else {
            return Err(refuse(door.missing));
        };
        let Some(kind) = door.kinds.iter().find(|kind| kind.claims(&secret)) else {
            return Err(refuse(door.malformed));
        };
        let found = self.find_key(kind, &secret).await?.ok_or_else(|| refuse(door.unknown))?;
        found.require_network(origin.address)?;
        self.used_key(&found, origin.address);
        Ok(Caller { origin, auth: Auth::Key(found), user: None, bounds: None })
    }

    /// Enters the company that a key of `door` belongs to. What the key may do there is for its scopes to say, which are words of its own
    /// surface: no permission of LOOP's is given.
    ///
    /// # Errors
    /// 403 `company_suspended`, `product_not_subscribed`, 402 `subscription_suspended` for writes, `usage_limit_reached`.
    pub async fn enter_by_key(
        &self,
        door: &Door,
        caller: &Caller,
        key: &Arc<KeyAccess>,
        is_write: bool,
    ) -> Result<Arc<Tenant>> {
        let company =
            key.companies.as_ref().and_then(|list| list.first()).copied().ok_or_else(company_access_denied)?;
        let access = self.company_access(company).await?.ok_or_else(company_access_denied)?;
        match access.status.as_str() {
            "suspended" => return Err(Problem::forbidden("company_suspended", "This company is suspended.")),
            "closed" => return Err(company_access_denied()),
            _ => {}
        }
        let tenant = Tenant {
            company,
            workspace: None,
            actor: caller.actor(),
            access,
            role: "key".into(),
            permissions: Arc::new(PermissionSet::default()),
            further: None,
            scopes: Some(key.clone()),
            workspaces: None,
            is_superuser: false,
            has_two_factor: false,
        };
        self.require_open(&tenant, door.product, is_write)?;
        Ok(Arc::new(tenant))
    }

    /// The company that a key acts in, for the access log.
    pub fn company_of_key(key: &KeyAccess) -> Option<CompanyId> {
        key.companies.as_ref().and_then(|list| list.first()).copied()
    }
}

impl KeyAccess {
    /// Whom calls count for: what the key acts as, or else the key itself.
    pub fn identity(&self) -> String {
        self.subject.clone().or_else(|| self.id.map(|id| id.to_string())).unwrap_or_default()
    }

    /// # Errors
    /// 403 in the door's words.
    pub fn require_word(&self, door: &Door, scope: &str) -> Result<()> {
        if self.words.iter().any(|word| word == scope || word == "*") {
            return Ok(());
        }
        Err(Problem::forbidden("insufficient_scope", format!("{}{scope}", door.missing_scope)).with_needed(scope))
    }
}
