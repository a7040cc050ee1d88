//! What a key may less than its scopes say: from where, in which workspaces, how often.

use loopd_store::Value as Sql;
use loopd_types::{Network, Problem, Result, Uuid};
use serde_json::Value as Json;

use crate::access::Tenant;
use crate::input::Input;

/// The limits of a key; `None` is no limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    pub networks: Option<Vec<Network>>,
    pub workspaces: Option<Vec<Uuid>>,
    /// Calls a minute.
    pub rate_limit: Option<i64>,
}

/// The highest budget that a key can be given.
const RATE_MAX: i64 = 100_000;

impl Limits {
    pub(super) fn stored(networks: Option<&str>, workspaces: Option<&str>, rate_limit: Option<i64>) -> Self {
        let list = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap_or_default();
        Self {
            networks: networks.map(|text| list(text).iter().filter_map(|network| network.parse().ok()).collect()),
            workspaces: workspaces.map(|text| list(text).iter().filter_map(|id| Uuid::parse_str(id).ok()).collect()),
            rate_limit,
        }
    }

    /// Takes `allowed_networks`, `workspaces` and `rate_limit_per_minute` from a body: what is absent stays, null takes a limit away.
    pub(super) fn read(&mut self, input: &mut Input, tenant: &Tenant) {
        if let Some(networks) = take_networks(input) {
            self.networks = networks;
        }
        if input.take_null("workspaces") {
            self.workspaces = None;
        } else if let Some(texts) = input.texts("workspaces", 100, 64) {
            self.workspaces = Some(read_workspaces(&texts, input, tenant));
        }
        if input.take_null("rate_limit_per_minute") {
            self.rate_limit = None;
        } else if let Some(limit) = input.integer("rate_limit_per_minute", 1, RATE_MAX) {
            self.rate_limit = Some(limit);
        }
    }

    /// Limits that were not chosen are those of the key that makes this one, if a key does.
    pub(super) fn inherit(&mut self, tenant: &Tenant) {
        self.inherit_networks(tenant);
        let Some(key) = &tenant.scopes else { return };
        self.workspaces = self.workspaces.take().or_else(|| key.workspaces.as_ref().map(|list| list.to_vec()));
        self.rate_limit = self.rate_limit.or(key.rate_limit.map(i64::from));
    }

    pub(super) fn inherit_networks(&mut self, tenant: &Tenant) {
        let outer = tenant.scopes.as_ref().and_then(|key| key.allowed_networks.as_ref());
        self.networks = self.networks.take().or_else(|| outer.cloned());
    }

    /// Nobody gets out of a key's networks by a second key, of whatever kind.
    ///
    /// # Errors
    /// 403 `permission_denied`.
    pub(super) fn require_networks_within(&self, tenant: &Tenant) -> Result<()> {
        let outer = tenant.scopes.as_ref().and_then(|key| key.allowed_networks.as_ref());
        let is_within = outer.is_none_or(|outer| {
            self.networks
                .as_ref()
                .is_some_and(|inner| inner.iter().all(|network| outer.iter().any(|known| known.covers(network))))
        });
        if is_within { Ok(()) } else { Err(too_wide()) }
    }

    /// Nobody gets out of a key's limits by a second key.
    ///
    /// # Errors
    /// 403 `permission_denied`.
    pub(super) fn require_within(&self, tenant: &Tenant) -> Result<()> {
        let Some(key) = &tenant.scopes else { return Ok(()) };
        self.require_networks_within(tenant)?;
        let workspaces = key.workspaces.as_ref().is_none_or(|outer| {
            self.workspaces.as_ref().is_some_and(|inner| inner.iter().all(|id| outer.contains(id)))
        });
        let rate = key.rate_limit.is_none_or(|outer| self.rate_limit.is_some_and(|inner| inner <= i64::from(outer)));
        if workspaces && rate { Ok(()) } else { Err(too_wide()) }
    }

    pub(super) fn networks_json(&self) -> Option<Sql> {
        self.networks.as_ref().map(|list| as_json(list.iter().map(ToString::to_string).collect()))
    }
    pub(super) fn workspaces_json(&self) -> Option<Sql> {
        self.workspaces.as_ref().map(|list| as_json(list.iter().map(ToString::to_string).collect()))
    }
}

fn too_wide() -> Problem {
    Problem::forbidden("permission_denied", "You cannot give a key wider limits than your own key's.")
}

/// `allowed_networks` of a body; `Some(None)` is a null: from anywhere.
pub(super) fn take_networks(input: &mut Input) -> Option<Option<Vec<Network>>> {
    if input.take_null("allowed_networks") {
        return Some(None);
    }
    let texts = input.texts("allowed_networks", 100, 64)?;
    Some(Some(read_networks(&texts, input)))
}

fn as_json(list: Vec<String>) -> Sql {
    Sql::Json(Json::from(list).to_string())
}

fn read_networks(texts: &[String], input: &mut Input) -> Vec<Network> {
    let mut networks = Vec::with_capacity(texts.len());
    for text in texts {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(words) => input.refuse("allowed_networks", "invalid", words),
        }
    }
    if networks.is_empty() {
        input.refuse("allowed_networks", "empty", "This list may not be empty; send null for no limit.");
    }
    networks
}

fn read_workspaces(texts: &[String], input: &mut Input, tenant: &Tenant) -> Vec<Uuid> {
    let mut workspaces = Vec::with_capacity(texts.len());
    for text in texts {
        match Uuid::parse_str(text).ok().filter(|id| tenant.may_use_workspace(*id)) {
            Some(id) => workspaces.push(id),
            None => {
                input.refuse("workspaces", "does_not_exist", format!("Invalid pk \"{text}\" - object does not exist."))
            }
        }
    }
    if workspaces.is_empty() {
        input.refuse("workspaces", "empty", "This list may not be empty; send null for no limit.");
    }
    workspaces
}
