//! Steps 2 to 11 of spec/loop.md 5.1, in that order. Every decision is the kernel's; this file reads headers and orders the steps.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Parts;
use loopd_kernel::access::{Door, KeyAccess, network};
use loopd_kernel::idempotency::Claim;
use loopd_kernel::limit::{Decision, Rate};
use loopd_kernel::{Actor, Caller, Kernel, Need, Origin, Presented, Tenant};
use loopd_types::{CompanyId, Kind, Problem, Result, Uuid};
use serde_json::{Map, Value};

use crate::idempotent::{Key, fingerprint, read_key};
use crate::operation::{Access, Keyed, Operation, RateClass};
use crate::{Call, Query, negotiate};

// spec/loop.md 5.11
const AUTH: Rate = Rate::per_minute("auth-ip", 10);
const ANONYMOUS: Rate = Rate::per_minute("anonymous", 60);
const VERIFY: Rate = Rate::per_minute("verify-ip", 60);
const USER: Rate = Rate::per_minute("user", 600);
const KEY: Rate = Rate::per_minute("key", 1200);
const AI: Rate = Rate::per_minute("ai-company", 20);
/// Credentials that were shown and are wrong, for each address: generous, because many may share one behind a wall.
const WRONG_CREDENTIALS: Rate = Rate::per_minute("wrong-credentials", 300);

/// Longest `X-LOOP-APP-ID` and user agent that are kept.
const MAX_NAME: usize = 200;

/// What the access log and the answer's headers learn on the way; outlives a timeout of the work itself.
#[derive(Default)]
pub(crate) struct Trail {
    pub template: Option<Arc<str>>,
    pub operation: Option<Arc<Operation>>,
    pub company: Option<CompanyId>,
    pub user: Option<Uuid>,
    /// The operator who acts in the user's name.
    pub impersonator: Option<Uuid>,
    pub app_id: Option<Arc<str>>,
    pub decision: Option<Decision>,
    /// A key that was found and counted before anything else was asked.
    pub counted: Option<(Caller, Arc<KeyAccess>)>,
    /// The key that the user acts by, if it is a stored one.
    pub credential: Option<Uuid>,
    /// The company that a member was not let into.
    pub refused_in: Option<CompanyId>,
    /// A soft limit of the company's plan that this write counts towards and that is passed.
    pub usage_warning: Option<String>,
}

impl Trail {
    /// Whoever asked, as the audit tells it; `None` for strangers. Made for refusals only: most requests are granted.
    pub(crate) fn actor(&self, parts: &Parts, address: IpAddr, request_id: &Arc<str>) -> Option<Actor> {
        let user = self.user?;
        let origin = Origin { impersonator: self.impersonator, ..origin(parts, address, request_id) };
        Some(Actor { user: Some(user), credential: self.credential, origin: Some(origin), reason: None })
    }
}

/// Who may do this, in which companies.
pub(crate) struct Admission {
    pub caller: Caller,
    pub tenants: Vec<Arc<Tenant>>,
    pub is_union: bool,
}

/// Step 10 for the classes that count by address: before anything expensive is done for a stranger.
pub(crate) async fn limit_address(
    kernel: &Kernel,
    operation: &Operation,
    address: IpAddr,
    trail: &mut Trail,
) -> Result<()> {
    let rate = match operation.rate {
        RateClass::Auth => AUTH,
        RateClass::Anonymous => ANONYMOUS,
        RateClass::PublicVerify => VERIFY,
        RateClass::Caller | RateClass::Ai | RateClass::Unlimited => return Ok(()),
    };
    hit(kernel, rate, &network(address), trail).await
}

/// Steps 4 to 10: identity, app, company, workspace, product, permission, budget.
pub(crate) async fn admit(
    kernel: &Arc<Kernel>,
    operation: &Operation,
    parts: &Parts,
    origin: Origin,
    trail: &mut Trail,
) -> Result<Admission> {
    trail.app_id = origin.app_id.clone();
    if operation.access == Access::Public {
        return Ok(Admission { caller: Caller::anonymous(origin), tenants: Vec::new(), is_union: false });
    }
    if let Access::Any(doors) = operation.access
        && let Some(door) = door_of(doors, parts)
    {
        let (caller, _) = present(kernel, door, parts, origin, trail).await?;
        return Ok(Admission { caller, tenants: Vec::new(), is_union: false });
    }
    if let Access::Key(keyed) = &operation.access {
        return admit_key(kernel, keyed, operation, parts, origin, trail).await;
    }
    let address = origin.address;
    let caller = match identify(kernel, parts, origin).await {
        Err(problem) if problem.kind() == Kind::Unauthenticated => {
            // Only a credential that was shown can be refused here: who shows none is anonymous and not counted. A good one is
            // never refused for the wrong ones of its neighbours.
            hit(kernel, WRONG_CREDENTIALS, &network(address), trail).await?;
            return Err(problem);
        }
        identified => identified?,
    };
    let user = caller.require_user()?;
    trail.user = Some(user.id);
    trail.credential = caller.key().and_then(|key| key.id);
    // A stranger leaves no mark in a company that is not theirs.
    trail.refused_in = kernel.own_company(&caller, company_header(parts).ok().flatten());
    trail.impersonator = caller.impersonation().map(|found| found.by);
    if operation.personal {
        caller.require_personal()?;
    }
    let need = |product, permission| -> Result<Need<'_>> {
        Ok(Need {
            company: company_header(parts)?,
            workspace: workspace_header(parts)?,
            product,
            permission: Some(permission),
            or_permission: operation.or_permission.as_deref(),
            is_write: !operation.method.is_safe() && operation.has_effect,
            allow_suspended: operation.allow_suspended,
        })
    };
    if matches!(operation.access, Access::Authenticated | Access::Superuser | Access::Any(_)) {
        kernel.admit_first_party_app(&caller).await?;
    }
    let (tenants, is_union) = match &operation.access {
        Access::Public | Access::Authenticated | Access::Key(_) | Access::Any(_) => (Vec::new(), false),
        Access::Superuser if caller.is_superuser() => (Vec::new(), false),
        Access::Superuser => return Err(Problem::permission_denied()),
        Access::Tenant { product, permission } => {
            (vec![kernel.enter(&caller, need(product.as_deref(), permission)?).await?], false)
        }
        Access::Union { product, permission } => {
            let need = need(product.as_deref(), permission)?;
            let is_union = need.company.is_none_or(|code| code.trim().is_empty());
            (kernel.enter_union(&caller, need).await?, is_union)
        }
    };
    if let [only] = tenants.as_slice() {
        trail.company = Some(only.company);
        if let (Access::Tenant { permission, .. }, false) = (&operation.access, operation.method.is_safe()) {
            let passed = only.passed_meters(permission, kernel.now()).next();
            trail.usage_warning = passed.map(|it| format!("{}; used={}; limit={}", it.meter, it.used, it.limit));
        }
    }
    limit_caller(kernel, operation, &caller, address, &tenants, trail).await?;
    if let ([only], Access::Tenant { product, .. } | Access::Union { product, .. }) =
        (tenants.as_slice(), &operation.access)
    {
        ask_gate(kernel, operation, parts, only).await?;
        kernel.note_call(only.company, product.as_deref());
    }
    Ok(Admission { caller, tenants, is_union })
}

/// Finds and counts a key that is shown at `door`, before anything else of the request is looked at: so that a refusal of its method, its
/// `Accept` or its size counts as well, and tells what is left.
///
/// # Errors
/// 401, 403 `address_not_allowed`, 429.
pub(crate) async fn count_first(
    kernel: &Kernel,
    door: Option<&'static Door>,
    parts: &Parts,
    origin: impl FnOnce() -> Origin,
    trail: &mut Trail,
) -> Result<()> {
    let is_shown = |door: &&Door| {
        parts.headers.contains_key(AUTHORIZATION) || door.header.is_some_and(|name| parts.headers.contains_key(name))
    };
    let Some(door) = door.filter(is_shown) else { return Ok(()) };
    let (caller, key) = present(kernel, door, parts, origin(), trail).await?;
    limit_key(kernel, door, &key, trail).await?;
    trail.counted = Some((caller, key));
    Ok(())
}

/// The same for the keys of a surface of its own: key, budget, kind, scope, company.
async fn admit_key(
    kernel: &Arc<Kernel>,
    keyed: &Keyed,
    operation: &Operation,
    parts: &Parts,
    origin: Origin,
    trail: &mut Trail,
) -> Result<Admission> {
    let door = keyed.door;
    let (caller, key) = match trail.counted.take() {
        Some(counted) => counted,
        None => {
            let (caller, key) = present(kernel, door, parts, origin, trail).await?;
            if operation.rate != RateClass::Unlimited {
                limit_key(kernel, door, &key, trail).await?;
            }
            (caller, key)
        }
    };
    if !keyed.kinds.iter().any(|kind| kind.slug == key.kind) {
        return Err(Problem::forbidden("wrong_key_kind", door.wrong_kind));
    }
    if let Some(scope) = keyed.scope {
        key.require_word(door, scope)?;
    }
    if keyed.is_alone {
        return Ok(Admission { caller, tenants: Vec::new(), is_union: false });
    }
    let is_write = !operation.method.is_safe() && operation.has_effect;
    let tenant = kernel.enter_by_key(door, &caller, &key, is_write).await?;
    ask_gate(kernel, operation, parts, &tenant).await?;
    kernel.note_call(tenant.company, Some(door.product));
    Ok(Admission { caller, tenants: vec![tenant], is_union: false })
}

/// What may still refuse whoever was let into a company.
async fn ask_gate(kernel: &Arc<Kernel>, operation: &Operation, parts: &Parts, tenant: &Arc<Tenant>) -> Result<()> {
    let Some(gate) = &operation.gate else { return Ok(()) };
    let host = parts.headers.get(HOST).and_then(|value| value.to_str().ok()).or_else(|| parts.uri.host());
    gate(kernel.clone(), tenant.clone(), host.map(str::to_owned)).await
}

/// The door whose key is shown; `None` for what may be LOOP's, and for nothing at all.
fn door_of(doors: &'static [&'static Door], parts: &Parts) -> Option<&'static Door> {
    doors.iter().copied().find(|door| {
        let own = door.header.and_then(|name| parts.headers.get(name));
        let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.trim().split_once(' ')).map_or("", |(_, token)| token.trim());
        own.is_some() || door.kinds.iter().any(|kind| bearer.starts_with(kind.prefix))
    })
}

/// Finds the key that is shown at a door.
async fn present(
    kernel: &Kernel,
    door: &Door,
    parts: &Parts,
    origin: Origin,
    trail: &mut Trail,
) -> Result<(Caller, Arc<KeyAccess>)> {
    let address = origin.address;
    // A credential that cannot be read is none at all here: both have the same words.
    let authorization = header(parts, AUTHORIZATION.as_str()).unwrap_or(None);
    let api_key = door.header.and_then(|name| header(parts, name).unwrap_or(None));
    let caller = match kernel.admit_key(door, Presented { api_key, authorization }, origin).await {
        Err(problem) if problem.kind() == Kind::Unauthenticated => {
            hit(kernel, door.attempts, &network(address), trail).await?;
            return Err(problem);
        }
        admitted => admitted?,
    };
    let Some(key) = caller.key().cloned() else { return Err(Problem::internal("a key's caller has no key")) };
    trail.credential = key.id;
    trail.company = Kernel::company_of_key(&key);
    Ok((caller, key))
}

/// Counts one call of whom a key acts as.
async fn limit_key(kernel: &Kernel, door: &Door, key: &KeyAccess, trail: &mut Trail) -> Result<()> {
    let rate = key.rate_limit.map_or(door.rate, |limit| Rate { limit, ..door.rate });
    hit(kernel, rate, &key.identity(), trail).await
}

/// Counts a call of an operation that leads to others and was not counted itself.
pub(crate) async fn limit_any(call: &Call, doors: &[&Door]) -> Result<()> {
    let (kernel, mut trail) = (&*call.kernel, Trail::default());
    let door_of = |key: &KeyAccess| doors.iter().find(|door| door.kinds.iter().any(|kind| kind.slug == key.kind));
    match call.caller.key().and_then(|key| Some((key, door_of(key)?))) {
        Some((key, door)) => limit_key(kernel, door, key, &mut trail).await,
        None => count_caller(kernel, &call.caller, call.caller.origin.address, &mut trail).await,
    }
}

/// Whether the caller of `call` would be let into `operation`, in the company that its header names or in any of theirs.
pub(crate) async fn would_admit(call: &Call, operation: &Operation) -> bool {
    let (kernel, caller) = (&call.kernel, &call.caller);
    let is_person = caller.user().is_some();
    match &operation.access {
        Access::Public => operation
            .tool_door
            .is_none_or(|door| caller.key().is_some_and(|key| door.kinds.iter().any(|kind| kind.slug == key.kind))),
        Access::Authenticated | Access::Any(_) => {
            is_person && (!operation.personal || caller.require_personal().is_ok())
        }
        Access::Superuser => caller.is_superuser(),
        Access::Key(keyed) => caller.key().is_some_and(|key| {
            let is_kind = keyed.kinds.iter().any(|kind| kind.slug == key.kind);
            is_kind && keyed.scope.is_none_or(|scope| key.require_word(keyed.door, scope).is_ok())
        }),
        Access::Tenant { product, permission } | Access::Union { product, permission } => {
            let need = Need {
                company: call.header("x-company-id"),
                workspace: call.header("x-workspace-id"),
                product: product.as_deref(),
                permission: Some(permission),
                or_permission: operation.or_permission.as_deref(),
                is_write: !operation.method.is_safe() && operation.has_effect,
                allow_suspended: operation.allow_suspended,
            };
            is_person && kernel.enter_union(caller, need).await.is_ok_and(|companies| !companies.is_empty())
        }
    }
}

async fn identify(kernel: &Kernel, parts: &Parts, origin: Origin) -> Result<Caller> {
    let authorization = header(parts, AUTHORIZATION.as_str())?;
    let api_key = header(parts, "x-loop-api-key")?;
    kernel.authenticate(Presented { api_key, authorization }, origin).await
}

async fn limit_caller(
    kernel: &Kernel,
    operation: &Operation,
    caller: &Caller,
    address: IpAddr,
    tenants: &[Arc<Tenant>],
    trail: &mut Trail,
) -> Result<()> {
    // Off for benchmarks: then not even the subject's name is made.
    if !kernel.limits.is_enabled() || !matches!(operation.rate, RateClass::Caller | RateClass::Ai) {
        return Ok(());
    }
    count_caller(kernel, caller, address, trail).await?;
    if operation.rate == RateClass::Ai
        && let Some(tenant) = tenants.first()
    {
        hit(kernel, AI, &tenant.company.0.to_string(), trail).await?;
    }
    Ok(())
}

async fn count_caller(kernel: &Kernel, caller: &Caller, address: IpAddr, trail: &mut Trail) -> Result<()> {
    match (caller.key(), caller.user()) {
        (Some(key), _) => {
            let name = key.id.map_or(Cow::Borrowed("environment"), |id| Cow::Owned(id.to_string()));
            let rate = key.rate_limit.map_or(KEY, |limit| Rate::per_minute("key", limit));
            hit(kernel, rate, &name, trail).await?;
        }
        (None, Some(user)) => hit(kernel, USER, &user.id.to_string(), trail).await?,
        (None, None) => hit(kernel, ANONYMOUS, &network(address), trail).await?,
    }
    Ok(())
}

/// Counts one call; the tightest of several budgets is the one that the answer's headers tell.
async fn hit(kernel: &Kernel, rate: Rate, subject: &str, trail: &mut Trail) -> Result<()> {
    if !kernel.limits.is_enabled() {
        return Ok(());
    }
    let decision = kernel.limits.hit(rate, subject, kernel.now()).await;
    if trail.decision.is_none_or(|known| !decision.allowed || decision.remaining < known.remaining) {
        trail.decision = Some(decision);
    }
    decision.require()?;
    Ok(())
}

/// Step 11: the key of an unsafe call, bound to its caller and request.
pub(crate) fn bind_key(
    operation: &Operation,
    parts: &Parts,
    query: &Query,
    body: &[u8],
    admission: &Admission,
) -> Result<Option<Key>> {
    if operation.method.is_safe() {
        return Ok(None);
    }
    // Refused even where nothing is remembered, so that a bad key is found in the first test and not in the first outage.
    let Some(key) = read_key(&parts.headers)? else { return Ok(None) };
    if !operation.has_effect {
        return Ok(None);
    }
    // A widget's visitors are told apart by their tokens, and before they have one by their address.
    let bound = if operation.any_origin { "x-visitor-token" } else { "x-workspace-id" };
    let bound = parts.headers.get(bound).and_then(|value| value.to_str().ok());
    let fingerprint = fingerprint(operation.method.as_str(), parts.uri.path(), bound, query, body);
    let user = admission.caller.user().map(|user| user.id);
    let scope = match (admission.tenants.as_slice(), user) {
        ([tenant], Some(user)) => format!("company:{}:{user}", tenant.company.0),
        ([tenant], None) if let Some(key) = admission.caller.key() => {
            format!("company:{}:{}", tenant.company.0, key.identity())
        }
        (_, Some(user)) => format!("user:{user}"),
        (_, None) if operation.any_origin => {
            format!("public:{}:{fingerprint}", network(admission.caller.origin.address))
        }
        (_, None) => format!("public:{fingerprint}"),
    };
    Ok(Some(Key::new(Claim { scope, key: key.to_owned(), fingerprint })))
}

/// Step 2: the body as JSON, where the operation reads JSON. An absent body is an empty object, as DRF reads it.
///
/// # Errors
/// 415 `unsupported_media_type`, 400 `parse_error`, 400 `validation_error` for NULs, which no database text can hold.
pub(crate) fn read_json(operation: &Operation, parts: &Parts, body: &Bytes) -> Result<Value> {
    let Some(request) = &operation.request else {
        // Actions without a declared body forgive one that is sent all the same, if it is JSON.
        return Ok(serde_json::from_slice(body).unwrap_or_else(|_| Value::Object(Map::new())));
    };
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !negotiate::check_content_type(content_type, request)? {
        return Ok(Value::Null);
    }
    let value: Value = serde_json::from_slice(body).map_err(parse_error)?;
    // Only a body with this escape can hold a NUL: a raw one is no JSON.
    if find(body, b"\\u0000")
        && let Some(field) = field_with_nul(&value)
    {
        return Err(Problem::field(field, "null_characters_not_allowed", "Null characters are not allowed."));
    }
    Ok(value)
}

/// Step 2 where the body is streamed: only its type can be checked before it is read.
///
/// # Errors
/// 415 `unsupported_media_type`.
pub(crate) fn check_streamed_type(operation: &Operation, parts: &Parts) -> Result<()> {
    let Some(request) = &operation.request else { return Ok(()) };
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    negotiate::check_content_type(content_type, request).map(|_| ())
}

/// 400 `parse_error` in DRF's words.
pub fn parse_error(detail: impl std::fmt::Display) -> Problem {
    Problem::invalid("parse_error", format!("JSON parse error - {detail}"))
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The top-level field that holds a NUL somewhere.
fn field_with_nul(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .find(|(key, value)| key.contains('\0') || holds_nul(value))
            .map(|(key, _)| if key.contains('\0') { loopd_types::NON_FIELD.to_owned() } else { key.clone() }),
        other => holds_nul(other).then(|| loopd_types::NON_FIELD.to_owned()),
    }
}

/// Whether a text or a key anywhere in it has a NUL, which no database text can hold.
pub fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

/// Where the call comes from, for the audit.
pub(crate) fn origin(parts: &Parts, address: IpAddr, request_id: &Arc<str>) -> Origin {
    let short = |name: &str| -> Option<Arc<str>> {
        let text = parts.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then(|| Arc::from(&text[..text.len().min(MAX_NAME)]))
    };
    Origin {
        address,
        request_id: request_id.clone(),
        app_id: short("x-loop-app-id"),
        user_agent: short(USER_AGENT.as_str()),
        impersonator: None,
    }
}

/// A credential header. One that is no visible ASCII, or sent twice, is a wrong credential and not an absent one.
fn header<'p>(parts: &'p Parts, name: &str) -> Result<Option<&'p str>> {
    let mut values = parts.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text)),
        _ => Err(Problem::unauthenticated("authentication_failed", format!("The header {name} cannot be read."))),
    }
}

/// A code that is no visible ASCII cannot exist: the same refusal as for any unknown company, made by the kernel.
fn company_header(parts: &Parts) -> Result<Option<&str>> {
    let mut values = parts.headers.get_all("x-company-id").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid("company_required", "Name one company with the X-Company-ID header."));
    }
    Ok(Some(value.to_str().unwrap_or("?")))
}

fn workspace_header(parts: &Parts) -> Result<Option<&str>> {
    Ok(parts.headers.get("x-workspace-id").map(|value| value.to_str().unwrap_or("?")))
}
