//! Entering a company: the table of spec/loop.md 5.3, and steps 5 to 9 of 5.1.

use std::sync::Arc;

use loopd_types::{CompanyCode, CompanyId, Kind, Problem, Result, Timestamp, Uuid};

use super::caller::Caller;
use super::load::{CompanyAccess, MembershipAccess, UserAccess};
use super::tenant::{Tenant, insufficient_scope};
use crate::billing::exact;
use crate::billing::usage::Passed;
use crate::permission::PermissionSet;
use crate::subscription::rules::Openness;
use crate::{Kernel, audit};

/// What an operation needs from whoever enters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Need<'a> {
    /// `X-Company-ID` as sent.
    pub company: Option<&'a str>,
    /// `X-Workspace-ID` as sent.
    pub workspace: Option<&'a str>,
    /// The product that the path belongs to.
    pub product: Option<&'a str>,
    /// `<module>.<resource>.<verb>`
    pub permission: Option<&'a str>,
    /// A second permission that also opens the door (a routine action is open to who may update).
    pub or_permission: Option<&'a str>,
    /// Something will be written: not for a product whose subscription is suspended, nor beyond a hard limit.
    pub is_write: bool,
    /// A suspended company may not be entered, except by who can lift the suspension.
    pub allow_suspended: bool,
}

impl Kernel {
    /// Enters exactly one company: the header's, or the only one the caller has.
    ///
    /// # Errors
    /// 401 `not_authenticated`; 400 `company_required`; 403 `company_access_denied` (unknown and foreign alike),
    /// `company_suspended`, `workspace_access_denied`, `product_not_subscribed`, `permission_denied`, `insufficient_scope`, `app_disabled`;
    /// for writes 402 `subscription_suspended`, `usage_limit_reached`.
    pub async fn enter(&self, caller: &Caller, need: Need<'_>) -> Result<Arc<Tenant>> {
        let user = caller.require_user()?;
        let company = match named_company(need.company)? {
            Some(company) => company,
            None => {
                let mut open = user.memberships.iter().filter(|m| m.is_active && caller.key_allows(m.company));
                match (open.next(), open.next()) {
                    (Some(only), None) => only.company,
                    (None, _) if !caller.is_superuser() => return Err(company_access_denied()),
                    _ => {
                        return Err(Problem::invalid(
                            "company_required",
                            "Name the company with the X-Company-ID header.",
                        ));
                    }
                }
            }
        };
        let tenant = self.enter_company(caller, user, company, need).await?;
        self.note_visits(caller, std::slice::from_ref(&tenant), need).await?;
        Ok(tenant)
    }

    /// The company that the caller means, when they are or were a member of it: whose administrators may know that they were refused.
    pub fn own_company(&self, caller: &Caller, header: Option<&str>) -> Option<CompanyId> {
        let user = caller.user()?;
        match named_company(header).ok()? {
            Some(company) => user.membership(company).map(|membership| membership.company),
            None => match user.memberships.as_slice() {
                [only] => Some(only.company),
                _ => None,
            },
        }
    }

    /// Enters a company again for a call that goes on (a stream): the same refusals, but a superuser's visit is on record already.
    ///
    /// # Errors
    /// As [`Kernel::enter`].
    pub async fn enter_again(&self, caller: &Caller, company: CompanyId, need: Need<'_>) -> Result<Arc<Tenant>> {
        self.enter_company(caller, caller.require_user()?, company, need).await
    }

    /// A superuser's look into companies that they are no member of is on record before they see anything.
    async fn note_visits(&self, caller: &Caller, entered: &[Arc<Tenant>], need: Need<'_>) -> Result<()> {
        if !caller.is_superuser() {
            return Ok(());
        }
        let is_own = |tenant: &Tenant| {
            let membership = caller.user().and_then(|user| user.membership(tenant.company));
            membership.is_some_and(|membership| membership.is_active)
        };
        let foreign: Vec<Arc<Tenant>> = entered.iter().filter(|tenant| !is_own(tenant)).cloned().collect();
        if foreign.is_empty() {
            return Ok(());
        }
        audit::record_superuser_visits(self, foreign, need.permission.unwrap_or("")).await
    }

    /// Enters for a list: the header's company, or every company that the caller may see (T4's union).
    ///
    /// Companies without the product or the permission are left out of the union; when none is left, the refusal of the first is given.
    /// Empty only for superusers of an installation without a company.
    ///
    /// # Errors
    /// As [`Kernel::enter`], without `company_required`.
    pub async fn enter_union(&self, caller: &Caller, need: Need<'_>) -> Result<Vec<Arc<Tenant>>> {
        let user = caller.require_user()?;
        if named_company(need.company)?.is_some() {
            return Ok(vec![self.enter(caller, need).await?]);
        }
        let companies: Vec<CompanyId> = if caller.is_superuser() {
            crate::company::all_ids(self).await?
        } else {
            user.memberships.iter().filter(|m| m.is_active && caller.key_allows(m.company)).map(|m| m.company).collect()
        };
        if companies.len() == 1 {
            let entered = vec![self.enter_company(caller, user, companies[0], need).await?];
            self.note_visits(caller, &entered, need).await?;
            return Ok(entered);
        }
        let (mut entered, mut refusal) = (Vec::new(), None);
        for company in companies {
            match self.enter_company(caller, user, company, need).await {
                Ok(tenant) => entered.push(tenant),
                Err(problem) if problem.status() == 403 => refusal = refusal.or(Some(problem)),
                Err(problem) => return Err(problem),
            }
        }
        match refusal {
            Some(problem) if entered.is_empty() => Err(problem),
            // Superusers need nobody to let them in: no company is just an empty installation.
            None if entered.is_empty() && caller.is_superuser() => Ok(entered),
            // Nobody has let this caller in anywhere: an empty list would be true, a refusal says why.
            None if entered.is_empty() => Err(company_access_denied()),
            _ => {
                self.note_visits(caller, &entered, need).await?;
                Ok(entered)
            }
        }
    }

    /// Enters in the name of somebody whose call left work for later, with what they may do by now; the caller asks for the permission.
    /// The key or second factor that they showed then is not asked for again.
    ///
    /// # Errors
    /// 403 when they are no member any more or not active, or the company is suspended or closed.
    pub async fn enter_for(
        &self,
        user: Uuid,
        company: CompanyId,
        workspace: Option<Uuid>,
        reason: &'static str,
    ) -> Result<Arc<Tenant>> {
        let user = self.user_access(user).await?.filter(|user| user.is_active).ok_or_else(company_access_denied)?;
        let access = self.company_access(company).await?.ok_or_else(company_access_denied)?;
        let (id, is_superuser) = (user.id, user.is_superuser);
        if !is_superuser && ["suspended", "closed"].contains(&access.status.as_str()) {
            return Err(Problem::forbidden("company_suspended", "This company is suspended."));
        }
        let origin = super::Origin {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            request_id: "".into(),
            app_id: None,
            user_agent: None,
            impersonator: None,
        };
        let caller = Caller { origin, auth: super::Auth::Session(Uuid::nil()), user: Some(user.clone()), bounds: None };
        let membership = user.memberships.iter().find(|m| m.company == company && m.is_active);
        if membership.is_none() && !is_superuser {
            return Err(company_access_denied());
        }
        let workspace = workspace.map(|id| id.to_string());
        let mut tenant = build(&caller, membership, access, workspace.as_deref(), is_superuser)?;
        tenant.actor = super::Actor { user: Some(id), credential: None, origin: None, reason: Some(reason) };
        tenant.has_two_factor = true;
        Ok(Arc::new(tenant))
    }

    async fn enter_company(
        &self,
        caller: &Caller,
        user: &Arc<UserAccess>,
        company: CompanyId,
        need: Need<'_>,
    ) -> Result<Arc<Tenant>> {
        let membership = user.memberships.iter().find(|m| m.company == company && m.is_active);
        let is_superuser = caller.is_superuser();
        if (membership.is_none() && !is_superuser) || !caller.key_allows(company) {
            return Err(company_access_denied());
        }
        let access = self.company_access(company).await?.ok_or_else(company_access_denied)?;
        match access.status.as_str() {
            "suspended" if !is_superuser && !need.allow_suspended => {
                return Err(Problem::forbidden("company_suspended", "This company is suspended."));
            }
            "closed" if !is_superuser => return Err(company_access_denied()),
            _ => {}
        }
        if access.requires_two_factor && !caller.has_two_factor() {
            return Err(two_factor_required(user));
        }
        self.admit_app(caller, &access).await?;
        let tenant = build(caller, membership, access, need.workspace, is_superuser)?;
        let now = self.now();
        if let Some(product) = need.product {
            require_open(&tenant, product, need.is_write, now)?;
        }
        if let Some(permission) = need.permission
            && !need.or_permission.is_some_and(|other| tenant.may_either(permission, other))
        {
            tenant.require(permission)?;
        }
        if need.is_write && !is_superuser {
            require_quota(&tenant, need.permission.unwrap_or(""), now)?;
        }
        Ok(Arc::new(tenant))
    }

    /// Whether the company's subscription to `product` is open, and its calls by API are not used up.
    ///
    /// # Errors
    /// 403 `product_not_subscribed`, 402 `subscription_suspended` for writes, `usage_limit_reached`.
    pub fn require_open(&self, tenant: &Tenant, product: &str, is_write: bool) -> Result<()> {
        require_open(tenant, product, is_write, self.now())
    }
}

fn require_open(tenant: &Tenant, product: &str, is_write: bool, now: Timestamp) -> Result<()> {
    require_product(tenant, product, is_write, now)?;
    match tenant.calls_are_over(product, now).filter(|_| !tenant.is_superuser) {
        Some(over) => Err(reached(over)),
        None => Ok(()),
    }
}

fn require_product(tenant: &Tenant, product: &str, is_write: bool, now: Timestamp) -> Result<()> {
    let refusal = match tenant.openness(product, now) {
        Openness::Open => return Ok(()),
        Openness::ReadOnly if !is_write => return Ok(()),
        Openness::ReadOnly => Problem::new(
            Kind::PaymentRequired,
            "subscription_suspended",
            format!("The subscription to {product} is suspended: its records can be read, but not changed."),
        ),
        Openness::Closed => Problem::forbidden(
            "product_not_subscribed",
            format!("This company has no active subscription to {product}."),
        ),
    };
    Err(refusal.with_extra("product", product))
}

fn require_quota(tenant: &Tenant, permission: &str, now: Timestamp) -> Result<()> {
    let Some(passed) = tenant.passed_meters(permission, now).find(|passed| passed.is_hard) else { return Ok(()) };
    Err(reached(passed))
}

fn reached(passed: &Passed) -> Problem {
    exact::reached(&passed.meter, passed.limit, passed.used, passed.resets_at)
}

fn build(
    caller: &Caller,
    membership: Option<&MembershipAccess>,
    access: Arc<CompanyAccess>,
    workspace: Option<&str>,
    is_superuser: bool,
) -> Result<Tenant> {
    let mut tenant = Tenant {
        company: access.company,
        workspace: None,
        actor: caller.actor(),
        access,
        role: membership.map_or_else(|| "superuser".into(), |m| m.role.clone()),
        permissions: match membership {
            Some(m) if !is_superuser => m.permissions.clone(),
            _ => Arc::new(PermissionSet::all()),
        },
        further: None,
        scopes: caller.key().cloned(),
        workspaces: if is_superuser { None } else { reach(caller, membership) },
        is_superuser,
        has_two_factor: caller.has_two_factor(),
    };
    if let Some(impersonation) = caller.impersonation() {
        tenant.permissions = Arc::new(impersonation.narrow(&tenant.permissions));
    }
    if let Some(text) = workspace.map(str::trim).filter(|text| !text.is_empty()) {
        let denied = || Problem::forbidden("workspace_access_denied", "You do not have access to this workspace.");
        let id = Uuid::parse_str(text).map_err(|_| denied())?;
        if !tenant.may_use_workspace(id) {
            return Err(denied());
        }
        tenant.workspace = Some(id);
        // A further role adds to the company-wide one in its workspace only, so the caller sees no other meanwhile.
        if let Some(further) = membership.filter(|_| !is_superuser).and_then(|m| m.role_in(id)) {
            tenant.further = Some(match caller.impersonation() {
                Some(impersonation) => Arc::new(impersonation.narrow(&further)),
                None => further,
            });
            tenant.workspaces = Some(Arc::from([id]));
        }
    }
    Ok(tenant)
}

/// The workspaces that both the member and their key are limited to; `None` for all.
fn reach(caller: &Caller, membership: Option<&MembershipAccess>) -> Option<Arc<[Uuid]>> {
    let own = membership.and_then(|m| m.workspace_ids());
    let key = caller.key().and_then(|key| key.workspaces.clone());
    match (own, key) {
        (Some(own), Some(key)) => Some(own.iter().filter(|id| key.contains(id)).copied().collect()),
        (own, key) => own.or(key),
    }
}

/// The header's company; `None` when it is absent or empty. A code that cannot exist is refused like one that is not the caller's.
fn named_company(header: Option<&str>) -> Result<Option<CompanyId>> {
    match header.map(str::trim).filter(|code| !code.is_empty()) {
        None => Ok(None),
        Some(code) => CompanyCode::parse(code).map(|code| Some(code.0)).ok_or_else(company_access_denied),
    }
}

/// Told to members only, after they are known to be one. `enrolled` says whether signing in again is enough.
fn two_factor_required(user: &UserAccess) -> Problem {
    let words = if user.has_two_factor {
        "This company requires two-factor: sign in again with your second factor."
    } else {
        "This company requires two-factor: enable it for your account under /auth/2fa/."
    };
    Problem::forbidden("two_factor_required", words).with_extra("enrolled", user.has_two_factor)
}

/// One refusal for unknown and foreign companies: codes are sequential and must not be enumerable (spec/loop.md 5.3).
pub(crate) fn company_access_denied() -> Problem {
    Problem::forbidden("company_access_denied", "You do not have access to this company.")
}

impl Caller {
    /// For core resources that stand above a company: whether a key's scopes allow `permission`.
    ///
    /// # Errors
    /// 403 `insufficient_scope`.
    pub fn require_scope(&self, permission: &str) -> Result<()> {
        match self.key() {
            Some(key) if !key.scopes.allows(permission) => Err(insufficient_scope(permission)),
            _ => Ok(()),
        }
    }
}
