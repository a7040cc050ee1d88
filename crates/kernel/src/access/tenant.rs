//! [`Tenant`]: the proof that this caller may act in this company.

use std::sync::Arc;

use loopd_store::View;
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

use super::caller::Actor;
use super::load::CompanyAccess;
use crate::billing::calls;
use crate::billing::exact::Hard;
use crate::billing::usage::Passed;
use crate::permission::PermissionSet;
use crate::subscription::rules::Openness;

/// Proof of membership, and what it allows. Cannot be made outside this module's `enter` and [`Tenant::system`].
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The company's number: first parameter of every statement on a tenant table.
    pub company: CompanyId,
    /// `X-Workspace-ID`, already checked.
    pub workspace: Option<Uuid>,
    pub actor: Actor,
    pub(crate) access: Arc<CompanyAccess>,
    pub(crate) role: Arc<str>,
    pub(crate) permissions: Arc<PermissionSet>,
    /// What a further role allows in [`Tenant::workspace`]; never for core resources, which belong to the whole company.
    pub(crate) further: Option<Arc<PermissionSet>>,
    /// The scopes of the key that was used, if one was.
    pub(crate) scopes: Option<Arc<super::KeyAccess>>,
    /// `None`: all of the company; else only these, and rows without a workspace.
    pub(crate) workspaces: Option<Arc<[Uuid]>>,
    pub(crate) is_superuser: bool,
    /// Whether the caller has shown two factors.
    pub(crate) has_two_factor: bool,
}

impl Tenant {
    /// The system itself acting in a company (jobs, demo data, install), under a name that the audit shows.
    pub fn system(access: Arc<CompanyAccess>, reason: &'static str) -> Self {
        Self {
            company: access.company,
            workspace: None,
            actor: Actor { user: None, credential: None, origin: None, reason: Some(reason) },
            access,
            role: "system".into(),
            permissions: Arc::new(PermissionSet::all()),
            further: None,
            scopes: None,
            workspaces: None,
            is_superuser: false,
            has_two_factor: true,
        }
    }

    /// Whether role and key both allow `<module>.<resource>.<verb>`.
    pub fn may(&self, permission: &str) -> bool {
        self.role_allows(permission) && self.scopes.as_ref().is_none_or(|key| key.scopes.allows(permission))
    }

    /// Whether `permission` is allowed, or `other` is and `permission` was not taken away: a routine action is open to who may
    /// update, unless their role or key denies the action by name.
    pub fn may_either(&self, permission: &str, other: &str) -> bool {
        let is_denied = self.permissions.denies(permission)
            || self.scopes.as_ref().is_some_and(|key| key.scopes.denies(permission));
        self.may(permission) || (!is_denied && self.may(other))
    }

    /// Whether everything that `wanted` allows is allowed to this caller in the whole company, through the key they use: nobody
    /// hands out what they do not hold. A role in one workspace does not count.
    pub fn holds(&self, wanted: &PermissionSet) -> bool {
        let role_holds = *self.permissions == *wanted || self.permissions.covers(wanted);
        role_holds && self.scopes.as_ref().is_none_or(|key| key.scopes.covers(wanted))
    }

    /// Not for who is limited to some workspaces: what this goes before knows no workspace.
    ///
    /// # Errors
    /// 403 `workspace_access_denied`.
    pub fn require_all_workspaces(&self) -> Result<()> {
        match self.workspaces {
            None => Ok(()),
            Some(_) => Err(Problem::forbidden(
                "workspace_access_denied",
                "This reaches into every workspace of the company, and you are limited to some.",
            )),
        }
    }

    fn role_allows(&self, permission: &str) -> bool {
        let adds = |further: &Arc<PermissionSet>| !permission.starts_with("core.") && further.allows(permission);
        self.permissions.allows(permission) || self.further.as_ref().is_some_and(adds)
    }

    /// What decides about `permission` here.
    pub fn because(&self, permission: &str) -> Because {
        if self.role_allows(permission) {
            return match &self.scopes {
                Some(key) if !key.scopes.allows(permission) => Because::Key,
                _ if self.is_superuser => Because::Superuser,
                _ if self.permissions.allows(permission) => Because::Role,
                _ => Because::WorkspaceRole,
            };
        }
        if self.permissions.denies(permission) { Because::Denied } else { Because::NotGiven }
    }

    /// # Errors
    /// 403 `permission_denied` when the role lacks it, `insufficient_scope` when only the key does.
    pub fn require(&self, permission: &str) -> Result<()> {
        if !self.role_allows(permission) {
            return Err(Problem::permission_denied().with_needed(permission));
        }
        if self.may(permission) { Ok(()) } else { Err(insufficient_scope(permission)) }
    }

    /// What this caller may do in the whole company, as patterns: all sets together decide.
    pub(crate) fn grants(&self) -> Vec<Vec<String>> {
        let sets = [Some(&*self.permissions), self.scopes.as_deref().map(|key| &key.scopes)];
        sets.into_iter().flatten().map(|set| set.patterns().collect()).collect()
    }

    /// Everything that decides what this caller may see, as one text: two with the same text see the same.
    pub(crate) fn rights(&self) -> String {
        let mut text = String::new();
        let sets = [Some(&*self.permissions), self.further.as_deref(), self.scopes.as_deref().map(|key| &key.scopes)];
        for set in sets {
            for pattern in set.into_iter().flat_map(PermissionSet::patterns) {
                text.push_str(&pattern);
                text.push(',');
            }
            text.push('\n');
        }
        match self.workspaces.as_deref() {
            None => text.push('*'),
            Some(limit) => limit.iter().for_each(|workspace| text.push_str(&workspace.to_string())),
        }
        text
    }

    /// Whose rows a transaction for this tenant may touch.
    pub fn view(&self) -> View {
        View::Company(self.company)
    }
    pub fn code(&self) -> &str {
        &self.access.code
    }
    pub fn company_name(&self) -> &str {
        &self.access.name
    }
    /// ISO 4217 code used where a document names none.
    pub fn currency(&self) -> &str {
        &self.access.currency
    }
    /// IANA name, e.g. `Africa/Kigali`.
    pub fn timezone(&self) -> &str {
        &self.access.timezone
    }
    pub fn language(&self) -> &str {
        &self.access.language
    }
    /// Slug of the caller's role; `superuser` or `system` where there is no membership.
    pub fn role(&self) -> &str {
        &self.role
    }
    /// What the role allows in the whole company.
    pub fn permissions(&self) -> &PermissionSet {
        &self.permissions
    }
    /// What a further role adds in the workspace that was named.
    pub fn further_permissions(&self) -> Option<&PermissionSet> {
        self.further.as_deref()
    }
    pub fn is_superuser(&self) -> bool {
        self.is_superuser
    }
    /// The workspaces this caller is limited to; `None` for all.
    pub fn workspace_limit(&self) -> Option<&[Uuid]> {
        self.workspaces.as_deref()
    }
    /// The company's workspaces that this caller may use.
    pub fn may_use_workspace(&self, workspace: Uuid) -> bool {
        self.access.workspaces.iter().any(|known| known.id == workspace)
            && self.workspaces.as_ref().is_none_or(|limit| limit.contains(&workspace))
    }
    /// Whether the company may use `product` now (subscribed, trial not over), if only for reading.
    pub fn has_product(&self, product: &str, now: Timestamp) -> bool {
        self.is_superuser || self.access.has_product(product, now)
    }
    /// What of `product` is open now; superusers need nobody to let them in.
    pub fn openness(&self, product: &str, now: Timestamp) -> Openness {
        if self.is_superuser { Openness::Open } else { self.access.openness(product, now) }
    }
    /// The meters whose hard limits bind this company.
    pub(crate) fn hard_meters(&self) -> &[Hard] {
        &self.access.hard
    }
    /// Which meter of calls by API is full for this product, if one is.
    pub(crate) fn calls_are_over(&self, product: &str, now: Timestamp) -> Option<&Passed> {
        let mut full = self.access.passed.iter().filter(|passed| passed.is_hard && now < passed.resets_at);
        full.find(|passed| match passed.meter.split_once('.') {
            None => passed.meter == calls::METER,
            Some((all, one)) => all == calls::METER && one == product,
        })
    }
    /// The meters that have passed a limit and that a call with this permission would count for.
    pub fn passed_meters<'a>(&'a self, permission: &'a str, now: Timestamp) -> impl Iterator<Item = &'a Passed> + 'a {
        let is_about = move |passed: &&Passed| passed.guards.iter().any(|guard| guard == permission);
        self.access.passed.iter().filter(move |passed| now < passed.resets_at).filter(is_about)
    }
}

/// Why something is allowed, or is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Because {
    /// The role in the company gives it.
    Role,
    /// The further role in the workspace gives it.
    WorkspaceRole,
    Superuser,
    /// No role gives it.
    NotGiven,
    /// The role takes it away by name.
    Denied,
    /// The role gives it, the scopes of the key that is used do not.
    Key,
}

impl Because {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::WorkspaceRole => "workspace_role",
            Self::Superuser => "superuser",
            Self::NotGiven => "not_given",
            Self::Denied => "denied",
            Self::Key => "key",
        }
    }
}

pub(crate) fn insufficient_scope(permission: &str) -> Problem {
    Problem::forbidden("insufficient_scope", "The key does not have the scope that this call needs.")
        .with_extra("required", permission)
        .with_needed(permission)
}
