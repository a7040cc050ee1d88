//! Endpoints: where a company wants its events posted, which, and how.

use loopd_store::{Reader, Tx, Value, params};
use loopd_types::{CompanyId, DAY_US, Problem, Result, SECOND_US, Secret, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::{hand_over, signature};
use crate::access::{Actor, Tenant};
use crate::audit::Told;
use crate::egress::Url;
use crate::event::filter::Filter;
use crate::event::log::Event;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::mail::{self, Letter, Template};
use crate::permission::PermissionSet;
use crate::{Kernel, audit, event, plan};

/// Endpoints as the API shows them; never a secret.
pub const LISTING: Listing = Listing {
    from: "(SELECT * FROM webhook_endpoints WHERE status <> 'deleted') w",
    columns: &COLUMNS,
    company: Some("w.company_id"),
    id: "w.id",
    order: "w.company_id, w.id",
};
const COLUMNS: [Column; 19] = [
    column("id", "w.id", ColumnKind::Uuid),
    column("company", "w.company_id", ColumnKind::Company),
    searched("url", "w.url"),
    searched("description", "w.description"),
    column("events", "w.events", ColumnKind::Json),
    column("status", "w.status", ColumnKind::Text),
    column("disabled_reason", "w.disabled_reason", ColumnKind::Text).nullable(),
    column("ordered", "w.is_ordered", ColumnKind::Bool),
    column("concurrency", "w.concurrency", ColumnKind::Int),
    column("scheme", "w.scheme", ColumnKind::Text),
    column("about", "w.about", ColumnKind::Text).nullable(),
    column("old_secret_until", "w.old_secret_until", ColumnKind::Time).nullable(),
    column("failing_since", "w.failing_since", ColumnKind::Time).nullable(),
    column("last_success_at", "w.last_success_at", ColumnKind::Time).nullable(),
    column("last_failure_at", "w.last_failure_at", ColumnKind::Time).nullable(),
    column("created_by", "w.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "w.created_at", ColumnKind::Time),
    column("updated_at", "w.updated_at", ColumnKind::Time),
    column("version", "w.version", ColumnKind::Int),
];
const TOLD: Told = Told {
    listing: &LISTING,
    fields: &[
        "url",
        "description",
        "events",
        "status",
        "disabled_reason",
        "ordered",
        "concurrency",
        "scheme",
        "old_secret_until",
    ],
    label: "url",
};
const READ_ONLY: [&str; 12] = [
    "id",
    "company",
    "about",
    "status",
    "disabled_reason",
    "old_secret_until",
    "failing_since",
    "last_success_at",
    "last_failure_at",
    "created_by",
    "created_at",
    "updated_at",
];

/// Attempts at one endpoint that may be under way at once, at most and unless the company says otherwise.
pub const CONCURRENCY_MOST: i64 = 16;
const CONCURRENCY: i64 = 8;
/// How long the old secret signs too after a rotation, unless the caller says otherwise, and at most.
const OVERLAP_S: i64 = 24 * 3600;
pub const OVERLAP_MOST_S: i64 = 7 * 24 * 3600;
/// An endpoint at which everything has failed for so long is switched off.
pub(super) const FAILING_MOST_US: i64 = 5 * DAY_US;

/// Makes an endpoint; its secret is given this once.
///
/// # Errors
/// 400 with every complaint; 403 for callers that do not see the whole company; 409 `limit_reached`.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<(Uuid, String)> {
    let wanted = Wanted::read(kernel, body, false)?;
    let grants = grants(tenant)?;
    tx.lock(&format!("webhook_endpoints:{}", tenant.company.0))?;
    let count = tx.one(
        "SELECT count(*) FROM webhook_endpoints WHERE company_id = $1 AND status <> 'deleted'",
        &params![tenant.company],
        |row| row.i64(0),
    )?;
    if let Some(most) = plan::limits(tx, tenant.company)?.webhook_endpoints.filter(|most| count >= *most) {
        return Err(Problem::conflict("limit_reached", format!("This company may have {most} webhook endpoints."))
            .with_extra("limit", most));
    }
    let secret = signature::mint(kernel.rng.as_ref());
    let id = insert(tx, kernel, tenant, wanted, grants, None, &secret)?;
    Ok((id, secret.expose().clone()))
}

/// An endpoint that a product makes for a row of its own: it is told of one subject only, in the product's own scheme.
pub struct Own<'a> {
    pub url: &'a str,
    pub description: &'a str,
    /// The kind of event that it is told of.
    pub kind: &'a str,
    /// What the events' subjects begin with.
    pub about: &'a str,
    /// What the receiver needs no permission for, because the product tells it: `loomal.payments.view`.
    pub permission: &'a str,
    pub scheme: &'static str,
    /// Chosen by the receiver; a new one otherwise.
    pub secret: Option<Secret<String>>,
}

/// Makes an endpoint for a product's row. Whoever calls has checked the address with [`check_url`].
///
/// # Errors
/// 503 from the database.
pub fn create_own(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, own: Own<'_>) -> Result<Uuid> {
    let wanted = Wanted {
        url: Some(own.url.to_owned()),
        description: Some(own.description.to_owned()),
        events: Some(Value::Json(json!([own.kind]).to_string())),
        is_ordered: None,
        concurrency: None,
        scheme: Some(own.scheme.to_owned()),
    };
    let secret = own.secret.unwrap_or_else(|| signature::mint(kernel.rng.as_ref()));
    let grants = Value::Json(json!([[own.permission]]).to_string());
    insert(tx, kernel, tenant, wanted, grants, Some(own.about), &secret)
}

fn insert(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    wanted: Wanted,
    grants: Value,
    about: Option<&str>,
    secret: &Secret<String>,
) -> Result<Uuid> {
    hand_over::catch_up(tx, kernel, tenant.company)?;
    let (id, now) = (kernel.new_id(), kernel.now());
    let sealed = seal(kernel, tenant.company, id, secret)?;
    tx.push(
        "INSERT INTO webhook_endpoints (company_id, id, url, description, events, status, is_ordered, concurrency, scheme, secret, grants, \
         created_by, created_at, updated_at, about) VALUES ($1, $2, $3, $4, $5, 'enabled', $6, $7, $8, $9, $10, $11, $12, $12, $13)",
        params![
            tenant.company,
            id,
            wanted.url.unwrap_or_default(),
            wanted.description.unwrap_or_default(),
            wanted.events.unwrap_or_else(|| Value::Json("[\"*\"]".to_owned())),
            wanted.is_ordered.unwrap_or(false),
            wanted.concurrency.unwrap_or(CONCURRENCY),
            wanted.scheme.unwrap_or_else(|| signature::DEFAULT.to_owned()),
            sealed,
            grants,
            tenant.actor.user,
            now,
            about
        ],
    )?;
    tx.push("INSERT INTO webhook_lanes (company_id, endpoint_id) VALUES ($1, $2)", params![tenant.company, id])?;
    written(tx, kernel, tenant, "create", "created", id, &Json::Null)?;
    // It is told what happens after its own beginning: the counter's row is locked since the event just written, so whatever comes
    // later commits later, and finds this endpoint.
    let head = event::log::head(tx, tenant.company)?;
    tx.push(
        "INSERT INTO event_logs (company_id, handed_to) VALUES ($1, $2) \
         ON CONFLICT (company_id) DO UPDATE SET handed_to = COALESCE(event_logs.handed_to, excluded.handed_to)",
        params![tenant.company, head],
    )?;
    let (lanes, company) = (kernel.lanes.clone(), tenant.company);
    tx.on_commit(move || lanes.listens(company));
    Ok(id)
}

/// What a body asks for; `None` for what it does not say.
struct Wanted {
    url: Option<String>,
    description: Option<String>,
    events: Option<Value>,
    is_ordered: Option<bool>,
    concurrency: Option<i64>,
    scheme: Option<String>,
}

impl Wanted {
    fn read(kernel: &Kernel, body: Json, partial: bool) -> Result<Self> {
        let mut input = Input::new(body, partial)?;
        input.ignore(&READ_ONLY);
        input.ignore(&["version"]);
        let url = input.required_text("url", 2_000);
        if let Some(Err(words)) = url.as_deref().map(|url| check_url(kernel, url)) {
            input.refuse("url", "invalid", words);
        }
        let description = input.text("description", 500);
        let events = input.texts("events", 100, 200);
        if let Some(Err(words)) = events.as_ref().map(Filter::parse) {
            input.refuse("events", "invalid", words);
        }
        if events.as_ref().is_some_and(Vec::is_empty) {
            input.refuse("events", "empty", "This list may not be empty; `*` is every event.");
        }
        let is_ordered = input.boolean("ordered");
        let concurrency = input.integer("concurrency", 1, CONCURRENCY_MOST);
        let scheme = input.choice("scheme", &kernel.settings.webhook_schemes.names());
        input.finish()?;
        let events = events.map(|list| Value::Json(Json::from(list).to_string()));
        Ok(Self { url, description, events, is_ordered, concurrency, scheme })
    }
}

/// An address that may be posted to. Where its name leads is judged at every attempt.
///
/// # Errors
/// In words for the caller.
pub fn check_url(kernel: &Kernel, text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|_| "Enter a valid URL.".to_owned())?;
    if url.scheme() != "https" && (url.scheme() != "http" || kernel.settings.environment.is_production()) {
        return Err("Must begin with https://.".to_owned());
    }
    if url.fragment().is_some() {
        return Err("May not have a fragment.".to_owned());
    }
    kernel.egress.check(&url).map_err(|refused| format!("Cannot be called: {refused}."))
}

/// What an endpoint may be told: what its editor may see, in the whole company. Kept with the endpoint, because it tells on when they left.
fn grants(tenant: &Tenant) -> Result<Value> {
    if tenant.workspace_limit().is_some() {
        return Err(Problem::forbidden(
            "permission_denied",
            "An endpoint is told of the whole company; you are limited to some of its workspaces.",
        ));
    }
    Ok(Value::Json(Json::from(tenant.grants()).to_string()))
}

/// Changes what the body names; an editor's own rights become the endpoint's.
///
/// # Errors
/// 400; 403 as [`create`]; 404.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json, partial: bool) -> Result<()> {
    let wanted = Wanted::read(kernel, body, partial)?;
    let grants = grants(tenant)?;
    let was_ordered = require(tx, tenant.company, id)?.is_ordered;
    let before = TOLD.row(tx, tenant.company, id)?;
    hand_over::catch_up(tx, kernel, tenant.company)?;
    tx.push(
        "UPDATE webhook_endpoints SET url = COALESCE($3, url), description = COALESCE($4, description), events = COALESCE($5, events), \
         is_ordered = COALESCE($6, is_ordered), concurrency = COALESCE($7, concurrency), scheme = COALESCE($8, scheme), grants = $9, \
         updated_at = $10, version = version + 1 WHERE company_id = $1 AND id = $2",
        params![
            tenant.company,
            id,
            wanted.url,
            wanted.description,
            wanted.events,
            wanted.is_ordered,
            wanted.concurrency,
            wanted.scheme,
            grants,
            kernel.now()
        ],
    )?;
    if let Some(is_ordered) = wanted.is_ordered.filter(|wanted| *wanted != was_ordered) {
        // What waits takes its turn by the new rule.
        let turn = if is_ordered { "COALESCE(position, 0)" } else { "COALESCE(next_attempt_at, created_at)" };
        tx.push(
            &format!("UPDATE webhook_deliveries SET turn = {turn} WHERE company_id = $1 AND endpoint_id = $2 AND status = 'pending'"),
            params![tenant.company, id],
        )?;
    }
    due_now(tx, kernel, tenant.company, id)?;
    written(tx, kernel, tenant, "update", "updated", id, &before)
}

/// Switches an endpoint on, and forgets that it failed; what waited for it is sent now.
///
/// # Errors
/// 404.
pub fn enable(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    require(tx, tenant.company, id)?;
    let before = TOLD.row(tx, tenant.company, id)?;
    hand_over::catch_up(tx, kernel, tenant.company)?;
    tx.push(
        "UPDATE webhook_endpoints SET status = 'enabled', disabled_reason = NULL, failing_since = NULL, updated_at = $3, \
         version = version + 1 WHERE company_id = $1 AND id = $2",
        params![tenant.company, id, kernel.now()],
    )?;
    due_now(tx, kernel, tenant.company, id)?;
    written(tx, kernel, tenant, "enable", "enabled", id, &before)
}

/// Switches an endpoint off: nothing is sent to it, and what happens meanwhile is not kept for it (`replay` with `missing` makes up for
/// that). What waits stays.
///
/// # Errors
/// 404.
pub fn disable(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    require(tx, tenant.company, id)?;
    let before = TOLD.row(tx, tenant.company, id)?;
    switch_off(tx, kernel, tenant.company, id, "manual")?;
    written(tx, kernel, tenant, "disable", "disabled", id, &before)
}

fn switch_off(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid, reason: &str) -> Result<()> {
    hand_over::catch_up(tx, kernel, company)?;
    tx.push(
        "UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = $3, updated_at = $4, version = version + 1 \
         WHERE company_id = $1 AND id = $2 AND status <> 'deleted'",
        params![company, id, reason, kernel.now()],
    )?;
    ring(tx, kernel, company, id);
    Ok(())
}

/// What the server itself does to an endpoint that does not answer any more; its people are told by audit, event and mail.
pub(super) fn give_up(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    id: Uuid,
    reason: &'static str,
) -> Result<()> {
    let found = tx.first(
        "SELECT w.url, u.email, u.language, c.name FROM webhook_endpoints w JOIN companies c ON c.company_id = w.company_id \
         LEFT JOIN users u ON u.id = w.created_by AND u.is_active \
         WHERE w.company_id = $1 AND w.id = $2 AND w.status = 'enabled'",
        &params![company, id],
        |row| {
            let maker = row.opt_text(1)?.map(str::to_owned).zip(row.opt_text(2)?.map(str::to_owned));
            Ok((row.text(0)?.to_owned(), maker, row.text(3)?.to_owned()))
        },
    )?;
    let Some((url, maker, name)) = found else { return Ok(()) };
    let before = TOLD.row(tx, company, id)?;
    switch_off(tx, kernel, company, id, reason)?;
    if let Some((to, language)) = maker {
        let template = Template::WebhookDisabled { company: &name, url: &url };
        mail::queue(tx, kernel, &Letter { company, to: &to, language: &language, template })?;
    }
    let actor = Actor { user: None, credential: None, origin: None, reason: Some("webhook deliveries") };
    let payload = json!({"id": id.to_string(), "url": url, "reason": reason});
    written_by(tx, kernel, company, &actor, "disable", "disabled", id, &before, payload)
}

/// A new secret for an endpoint that a product makes.
pub fn mint(kernel: &Kernel) -> Secret<String> {
    signature::mint(kernel.rng.as_ref())
}

/// Deletes an endpoint that a product made; one that its people have deleted already is gone.
///
/// # Errors
/// 503 from the database.
pub fn delete_own(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    match find(tx, tenant.company, id)? {
        Some(_) => delete(tx, kernel, tenant, id),
        None => Ok(()),
    }
}

/// Deletes an endpoint: its secrets are forgotten, what waits for it is cancelled, what was delivered stays to be read.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    require(tx, tenant.company, id)?;
    let before = TOLD.row(tx, tenant.company, id)?;
    let (company, now) = (tenant.company, kernel.now());
    tx.push(
        "UPDATE webhook_endpoints SET status = 'deleted', secret = $3, old_secret = NULL, old_secret_until = NULL, updated_at = $4, \
         version = version + 1 WHERE company_id = $1 AND id = $2",
        params![company, id, Vec::<u8>::new(), now],
    )?;
    tx.push(
        "UPDATE webhook_deliveries SET status = 'cancelled', next_attempt_at = NULL, finished_at = $3 \
         WHERE company_id = $1 AND endpoint_id = $2 AND status = 'pending'",
        params![company, id, now],
    )?;
    tx.push("UPDATE webhook_lanes SET due_at = NULL WHERE company_id = $1 AND endpoint_id = $2", params![company, id])?;
    ring(tx, kernel, company, id);
    written(tx, kernel, tenant, "delete", "deleted", id, &before)
}

/// Makes a new secret; the old one signs too for `overlap_seconds` (a day unless the body says otherwise).
///
/// # Errors
/// 400; 404.
pub fn rotate(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json) -> Result<(Uuid, String)> {
    let mut input = Input::new(body, false)?;
    let overlap = input.integer("overlap_seconds", 0, OVERLAP_MOST_S).unwrap_or(OVERLAP_S);
    input.finish()?;
    require(tx, tenant.company, id)?;
    let before = TOLD.row(tx, tenant.company, id)?;
    let (now, secret) = (kernel.now(), signature::mint(kernel.rng.as_ref()));
    let sealed = seal(kernel, tenant.company, id, &secret)?;
    let until = (overlap > 0).then(|| now.plus(overlap * SECOND_US));
    tx.push(
        "UPDATE webhook_endpoints SET old_secret = CASE WHEN $5 THEN secret ELSE NULL END, old_secret_until = $4, secret = $3, \
         updated_at = $6, version = version + 1 WHERE company_id = $1 AND id = $2",
        params![tenant.company, id, sealed, until, until.is_some(), now],
    )?;
    written(tx, kernel, tenant, "rotate-secret", "secret_rotated", id, &before)?;
    Ok((id, secret.expose().clone()))
}

/// An endpoint as it is sent to.
#[derive(Clone)]
pub(super) struct Target {
    pub company: CompanyId,
    pub id: Uuid,
    pub url: String,
    pub is_enabled: bool,
    pub is_ordered: bool,
    pub concurrency: i64,
    pub scheme: String,
    /// What it may be shown.
    grants: Vec<PermissionSet>,
    sealed: Vec<u8>,
    old: Option<(Vec<u8>, Timestamp)>,
}

impl Target {
    pub fn may_see(&self, permission: &str) -> bool {
        self.grants.iter().all(|set| set.allows(permission))
    }

    /// The secrets that sign now, the newest first.
    pub fn secrets(&self, kernel: &Kernel) -> Result<Vec<Secret<String>>> {
        let mut secrets = vec![open(kernel, self.company, self.id, &self.sealed)?];
        if let Some((sealed, _)) = self.old.as_ref().filter(|(_, until)| *until > kernel.now()) {
            secrets.push(open(kernel, self.company, self.id, sealed)?);
        }
        Ok(secrets)
    }
}

/// The endpoint, unless it was deleted.
pub(super) fn find(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<Target>> {
    Ok(reader.first(
        "SELECT url, status, is_ordered, concurrency, scheme, secret, old_secret, old_secret_until, grants FROM webhook_endpoints \
         WHERE company_id = $1 AND id = $2 AND status <> 'deleted'",
        &params![company, id],
        |row| {
            Ok(Target {
                company,
                id,
                url: row.text(0)?.to_owned(),
                is_enabled: row.text(1)? == "enabled",
                is_ordered: row.bool(2)?,
                concurrency: row.i64(3)?,
                scheme: row.text(4)?.to_owned(),
                sealed: row.bytes(5)?.to_vec(),
                old: row.opt_bytes(6)?.map(<[u8]>::to_vec).zip(row.opt_time(7)?),
                grants: read_grants(row.json(8)?),
            })
        },
    )?)
}

/// # Errors
/// 404.
pub(super) fn require(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Target> {
    find(reader, company, id)?.ok_or_else(Problem::not_found)
}

/// What an enabled endpoint wants to be told, and may be.
pub(super) struct Listener {
    pub id: Uuid,
    pub is_ordered: bool,
    filter: Filter,
    grants: Vec<PermissionSet>,
    /// What the subjects of its events begin with, if it is for some only.
    about: Option<String>,
}

impl Listener {
    /// Its own beginning is no news to it.
    pub fn wants(&self, event: &Event) -> bool {
        let is_own_beginning =
            event.kind == "core.webhook_endpoint.created" && event.subject.ends_with(&self.id.to_string());
        let is_about = self.about.as_ref().is_none_or(|about| event.subject.starts_with(about.as_str()));
        is_about && self.filter.fits(&event.kind) && !is_own_beginning
    }
    pub fn may_see(&self, permission: &str) -> bool {
        self.grants.iter().all(|set| set.allows(permission))
    }
}

/// The company's enabled endpoints; only this one if it is named, whatever its state.
pub(super) fn listeners(reader: &mut Reader<'_>, company: CompanyId, only: Option<Uuid>) -> Result<Vec<Listener>> {
    let which =
        if only.is_some() { "AND id = $2 AND status <> 'deleted'" } else { "AND $2 IS NULL AND status = 'enabled'" };
    let which = which.replace("$2 IS", "CAST($2 AS UUID) IS");
    let sql = format!(
        "SELECT id, events, is_ordered, grants, about FROM webhook_endpoints WHERE company_id = $1 {which} ORDER BY id"
    );
    Ok(reader.query(&sql, &params![company, only], |row| {
        let patterns: Vec<String> = serde_json::from_str(row.json(1)?).unwrap_or_default();
        Ok(Listener {
            id: row.uuid(0)?,
            is_ordered: row.bool(2)?,
            about: row.opt_text(4)?.map(str::to_owned),
            // Nothing unreadable may turn into "everything".
            filter: Filter::parse(patterns).unwrap_or_else(|_| Filter::parse(["no.such"]).expect("a pattern")),
            grants: read_grants(row.json(3)?),
        })
    })?)
}

/// Nothing unreadable may turn into "everything".
pub(super) fn read_grants(text: &str) -> Vec<PermissionSet> {
    let sets: Vec<Vec<String>> = serde_json::from_str(text).unwrap_or_default();
    match sets.is_empty() {
        true => vec![PermissionSet::default()],
        false => sets.into_iter().map(|set| PermissionSet::parse(set).unwrap_or_default()).collect(),
    }
}

/// There is something to send to this endpoint now.
pub(super) fn due_now(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) -> Result<()> {
    tx.push(
        "UPDATE webhook_lanes SET due_at = $3 WHERE company_id = $1 AND endpoint_id = $2 AND (due_at IS NULL OR due_at > $3)",
        params![company, id, kernel.now()],
    )?;
    ring(tx, kernel, company, id);
    Ok(())
}

fn ring(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) {
    let lanes = kernel.lanes.clone();
    tx.on_commit(move || lanes.ring(company, id));
}

fn context(company: CompanyId, id: Uuid) -> String {
    format!("webhook_endpoints.secret:{}:{id}", company.0)
}

fn seal(kernel: &Kernel, company: CompanyId, id: Uuid, secret: &Secret<String>) -> Result<Vec<u8>> {
    kernel.vault.seal(kernel.rng.as_ref(), &context(company, id), secret.expose().as_bytes())
}

fn open(kernel: &Kernel, company: CompanyId, id: Uuid, sealed: &[u8]) -> Result<Secret<String>> {
    let plain = kernel.vault.open(&context(company, id), sealed)?;
    String::from_utf8(plain).map(Secret::new).map_err(Problem::internal)
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    past: &str,
    id: Uuid,
    before: &Json,
) -> Result<()> {
    let payload = json!({"id": id.to_string()});
    written_by(tx, kernel, tenant.company, &tenant.actor, action, past, id, before, payload)
}

/// `before`: the endpoint as it was; null for a new one.
#[expect(clippy::too_many_arguments, reason = "one line of audit and one of events, each with its words")]
fn written_by(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    action: &str,
    past: &str,
    id: Uuid,
    before: &Json,
    payload: Json,
) -> Result<()> {
    let (target, change) = (id.to_string(), TOLD.change(tx, company, id, before)?);
    let (label, changes) = (change.label.as_str(), change.to_text());
    let entry = audit::Entry { action, module: "core", resource: "webhook-endpoints", target: &target, label, changes };
    audit::record_by(tx, kernel, company, actor, entry)?;
    let (kind, subject) = (format!("core.webhook_endpoint.{past}"), format!("core/webhook-endpoints/{id}"));
    event::emit_by(tx, kernel, company, actor, &kind, &subject, payload.to_string())?;
    Ok(())
}
