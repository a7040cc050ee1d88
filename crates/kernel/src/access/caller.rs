//! [`Caller`]: whoever makes this request. `Kernel::authenticate` is the only way to make one that is not anonymous.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use loopd_types::{CompanyId, Network, Problem, Result, Timestamp, Uuid};

use super::bounds::Bounds;
use super::load::UserAccess;
use crate::Kernel;
use crate::permission::PermissionSet;
use crate::token::Verified;

/// Where a request comes from; never trusted for a decision but the rate limit's.
#[derive(Clone, Debug)]
pub struct Origin {
    pub address: IpAddr,
    pub request_id: Arc<str>,
    /// `X-LOOP-APP-ID`, as sent.
    pub app_id: Option<Arc<str>>,
    pub user_agent: Option<Arc<str>>,
    /// The operator who sits there under the caller's name.
    pub impersonator: Option<Uuid>,
}

impl Origin {
    /// Whose budget a call counts against.
    pub fn network(&self) -> String {
        network(self.address)
    }
}

/// The address by which limits and lock-outs tell callers apart: an IPv6 household has a whole /64 and would never run out of
/// addresses.
pub fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let mut segments = v6.segments();
            segments[4..].fill(0);
            Ipv6Addr::from(segments).to_string()
        }
    }
}

/// What a request presents. An empty bearer counts as none (spec/loop.md 2.9).
#[derive(Clone, Copy, Debug, Default)]
pub struct Presented<'a> {
    /// The value of `X-LOOP-API-KEY`.
    pub api_key: Option<&'a str>,
    /// The whole value of `Authorization`.
    pub authorization: Option<&'a str>,
}

/// How the caller proved who they are.
#[derive(Clone, Debug)]
pub enum Auth {
    Anonymous,
    /// A JWT of this session.
    Session(Uuid),
    /// An internal key; `KeyAccess::id` is `None` for the environment's own.
    Key(Arc<KeyAccess>),
}

/// A stored key as the cache knows it. Its power is the intersection of its user's memberships, its companies and its scopes.
#[derive(Debug)]
pub struct KeyAccess {
    pub id: Option<Uuid>,
    /// [`crate::credential::Kind::slug`]
    pub kind: String,
    /// Whom it acts as; `None` for kinds that act as something else.
    pub user_id: Option<Uuid>,
    /// What it acts as where that is no person: a project's id.
    pub subject: Option<String>,
    /// `None`: from anywhere.
    pub allowed_networks: Option<Vec<Network>>,
    /// `None`: all of its user's workspaces.
    pub workspaces: Option<Arc<[Uuid]>>,
    /// Calls a minute, instead of the common budget.
    pub rate_limit: Option<u32>,
    /// `None`: all of its user's companies.
    pub companies: Option<Vec<CompanyId>>,
    pub scopes: PermissionSet,
    /// The scopes as they were given, for surfaces whose words are no permissions (`payments:accept`).
    pub words: Vec<String>,
    pub expires_at: Option<Timestamp>,
}

impl KeyAccess {
    /// # Errors
    /// 403 `address_not_allowed` for an address that the key's list does not hold.
    pub fn require_network(&self, address: IpAddr) -> Result<()> {
        let address = address.to_canonical();
        if self.allowed_networks.as_ref().is_none_or(|list| list.iter().any(|network| network.contains(address))) {
            return Ok(());
        }
        Err(Problem::forbidden("address_not_allowed", "This key may not be used from your address.")
            .with_extra("address", address.to_string()))
    }
}

/// Whoever makes this request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub origin: Origin,
    pub auth: Auth,
    pub(crate) user: Option<Arc<UserAccess>>,
    pub(crate) bounds: Option<Arc<Bounds>>,
}

/// The audit's view of a caller.
#[derive(Clone, Debug)]
pub struct Actor {
    pub user: Option<Uuid>,
    pub credential: Option<Uuid>,
    pub origin: Option<Origin>,
    /// Why the system acts by itself (`Tenant::system`).
    pub reason: Option<&'static str>,
}

impl Caller {
    pub fn anonymous(origin: Origin) -> Self {
        Self { origin, auth: Auth::Anonymous, user: None, bounds: None }
    }

    pub fn user(&self) -> Option<&Arc<UserAccess>> {
        self.user.as_ref()
    }

    /// # Errors
    /// 401 `not_authenticated` for anonymous callers.
    pub fn require_user(&self) -> Result<&Arc<UserAccess>> {
        self.user.as_ref().ok_or_else(Problem::not_authenticated)
    }

    pub fn is_superuser(&self) -> bool {
        let is_own = self.bounds.is_none() && !matches!(self.auth, Auth::Key(_));
        is_own && self.user.as_ref().is_some_and(|user| user.is_superuser)
    }

    /// Whether this caller has shown two factors: a session that did, or a key of a person who has them. The environment's key is the
    /// operator's own and counts.
    pub fn has_two_factor(&self) -> bool {
        let Some(user) = &self.user else { return false };
        match &self.auth {
            Auth::Anonymous => false,
            Auth::Session(session) => user.session_has_two_factor(*session),
            Auth::Key(key) => key.id.is_none() || user.has_two_factor,
        }
    }

    pub fn key(&self) -> Option<&Arc<KeyAccess>> {
        match &self.auth {
            Auth::Key(key) => Some(key),
            _ => None,
        }
    }

    /// What `auth` says in `/auth/me/`.
    pub fn auth_word(&self) -> &'static str {
        match self.auth {
            Auth::Anonymous => "anonymous",
            Auth::Session(_) => "jwt",
            Auth::Key(_) => "internal_key",
        }
    }

    pub fn actor(&self) -> Actor {
        Actor {
            user: self.user.as_ref().map(|user| user.id),
            credential: self.key().and_then(|key| key.id),
            origin: Some(self.origin.clone()),
            reason: None,
        }
    }

    /// Whether this caller's key or session, if it is limited, may be used for `company`.
    pub fn key_allows(&self, company: CompanyId) -> bool {
        let confined_to = self.bounds.as_ref().and_then(|bounds| bounds.confined_to);
        confined_to.is_none_or(|only| only == company)
            && self.key().is_none_or(|key| key.companies.as_ref().is_none_or(|list| list.contains(&company)))
    }
}

impl Kernel {
    /// Finds out who presents these credentials. A key, if present, decides alone: a wrong key is refused even beside a good token.
    ///
    /// # Errors
    /// 401 `invalid_api_key`, `internal_key_user_unavailable`, `authentication_failed` (not a bearer), `token_not_valid`,
    /// `user_not_found`, `user_inactive`; 503 when the database cannot be asked.
    /// Source: spec/loop.md 4.5, 5.1 step 4, 5.2.
    pub async fn authenticate(&self, presented: Presented<'_>, origin: Origin) -> Result<Caller> {
        if let Some(key) = presented.api_key.map(str::trim).filter(|key| !key.is_empty()) {
            return self.authenticate_key(key, origin).await;
        }
        let Some(header) = presented.authorization.map(str::trim).filter(|header| !header.is_empty()) else {
            return Ok(Caller::anonymous(origin));
        };
        let mut words = header.split_ascii_whitespace();
        let (scheme, token, rest) = (words.next(), words.next(), words.next());
        match (scheme, token, rest) {
            (Some("Bearer"), None, _) => Ok(Caller::anonymous(origin)),
            (Some("Bearer"), Some(token), None) => self.authenticate_token(token, origin).await,
            (Some("Bearer"), ..) => Err(Problem::unauthenticated(
                "authentication_failed",
                "Authorization header must contain two space-delimited values.",
            )),
            // Another scheme is not ours to judge; DRF treats it as absent too.
            _ => Ok(Caller::anonymous(origin)),
        }
    }

    async fn authenticate_token(&self, token: &str, origin: Origin) -> Result<Caller> {
        let now = self.now();
        let claims = self.verify_access(token, now)?;
        let user = self
            .user_access_of(claims.user_id, claims.session_id, now)
            .await?
            .ok_or_else(|| Problem::unauthenticated("user_not_found", "User not found."))?;
        if !user.is_active {
            return Err(Problem::unauthenticated("user_inactive", "User is inactive."));
        }
        if !user.has_session(claims.session_id, now) {
            return Err(crate::token::not_valid("Session has ended"));
        }
        let bounds = user.bounds_of(claims.session_id);
        let impersonator = bounds.as_ref().and_then(|bounds| bounds.impersonation.as_ref()).map(|found| found.by);
        let origin = Origin { impersonator, ..origin };
        Ok(Caller { origin, auth: Auth::Session(claims.session_id), user: Some(user), bounds })
    }

    /// A token's signature is checked at its first use; whether its time and its session last, at every use.
    fn verify_access(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>> {
        if let Some(known) = self.cache.tokens.get(token) {
            known.require_current(now)?;
            return Ok(known);
        }
        let ticket = self.cache.tokens.ticket();
        let verified = Arc::new(self.tokens.verify_access(token, now)?);
        self.cache.tokens.put(ticket, token.to_owned(), verified.clone());
        Ok(verified)
    }

    async fn authenticate_key(&self, key: &str, origin: Origin) -> Result<Caller> {
        let found = match self.environment_key(key).await? {
            Some(found) => found,
            None => self.find_key(&crate::credential::INTERNAL, key).await?.ok_or_else(invalid_key)?,
        };
        found.require_network(origin.address)?;
        let user = match found.user_id {
            Some(id) => self.user_access(id).await?.filter(|user| user.is_active),
            None => None,
        };
        let Some(user) = user else {
            tracing::error!(credential = ?found.id, "an internal key was used whose user is missing or inactive");
            return Err(Problem::unauthenticated(
                "internal_key_user_unavailable",
                "The user that this key acts as is not available.",
            ));
        };
        self.used_key(&found, origin.address);
        Ok(Caller { origin, auth: Auth::Key(found), user: Some(user), bounds: None })
    }

    /// Notes that a key was used, for its last-used time, address and count; written in batches.
    pub fn used_key(&self, key: &KeyAccess, address: IpAddr) {
        if let Some(id) = key.id {
            self.usage.saw(id, self.now(), address);
        }
    }

    /// The key of the environment acts as the user of its configured email; it has no scopes of its own.
    async fn environment_key(&self, key: &str) -> Result<Option<Arc<KeyAccess>>> {
        let Some(internal) = &self.settings.internal_key else { return Ok(None) };
        if !internal.key.matches(key.as_bytes()) {
            return Ok(None);
        }
        let user_id = crate::account::find_id_by_email(self, &internal.user_email).await?;
        let Some(user_id) = user_id else {
            tracing::error!("LOOP_INTERNAL_API_USER_EMAIL names no user; the environment's key is refused");
            return Err(Problem::unauthenticated(
                "internal_key_user_unavailable",
                "The user that this key acts as is not available.",
            ));
        };
        Ok(Some(Arc::new(KeyAccess {
            id: None,
            kind: crate::credential::INTERNAL.slug.to_owned(),
            user_id: Some(user_id),
            subject: None,
            allowed_networks: None,
            workspaces: None,
            rate_limit: None,
            companies: None,
            scopes: PermissionSet::all(),
            words: Vec::new(),
            expires_at: None,
        })))
    }
}

fn invalid_key() -> Problem {
    Problem::unauthenticated("invalid_api_key", "Invalid API key.")
}
