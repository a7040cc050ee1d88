//! Endpoints in the database.

use loopd_kernel::webhook::endpoint as hooks;
use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::{Reader, Row, StoreError, Tx, params};
use loopd_types::{CompanyId, Kind, Problem, Result, Secret, Timestamp, Uuid};
use serde_json::json;

use super::{rules, webhook, wire};
use crate::payment::wire::ENDPOINT;
use crate::project::PRODUCT;
use crate::wire::public_id;
use loopd_web::cursor::Page;

/// An endpoint, active or not.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: Uuid,
    pub project: Uuid,
    pub url_pattern: String,
    pub price_micros: i64,
    pub network: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub category: Option<String>,
    /// Whether it stands in the public feed.
    pub is_listed: bool,
    pub webhook_url: Option<String>,
    pub webhook: Option<Uuid>,
    pub is_active: bool,
    /// Settled payments.
    pub call_count: i64,
    pub revenue_micros: i64,
    pub created_at: Timestamp,
}

/// What a registration asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub url_pattern: String,
    pub price_micros: i64,
    pub network: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub category: Option<String>,
    pub is_listed: bool,
    pub webhook_url: Option<String>,
    pub webhook_secret: Option<String>,
}

/// What a registration came to.
#[derive(Clone, Debug)]
pub struct Registered {
    pub endpoint: Endpoint,
    pub is_new: bool,
    /// The webhook's secret, if it was made here: the only moment it is known.
    pub secret: Option<String>,
}

/// The columns that [`read`] reads, of the table `e`.
pub const COLUMNS: &str = "e.id, e.project_id, e.url_pattern, e.price_micros, e.network, e.title, e.description, e.category, e.is_listed, \
     e.webhook_url, e.webhook_id, e.is_active, e.call_count, e.revenue_micros, e.created_at";

pub fn read(row: &Row<'_>) -> Result<Endpoint, StoreError> {
    let text = |at| -> Result<Option<String>, StoreError> { Ok(row.opt_text(at)?.map(str::to_owned)) };
    Ok(Endpoint {
        id: row.uuid(0)?,
        project: row.uuid(1)?,
        url_pattern: row.text(2)?.to_owned(),
        price_micros: row.i64(3)?,
        network: row.text(4)?.to_owned(),
        title: text(5)?,
        description: text(6)?,
        category: text(7)?,
        is_listed: row.bool(8)?,
        webhook_url: text(9)?,
        webhook: row.opt_uuid(10)?,
        is_active: row.bool(11)?,
        call_count: row.i64(12)?,
        revenue_micros: row.i64(13)?,
        created_at: row.time(14)?,
    })
}

/// The active endpoint at this place.
pub fn at(reader: &mut Reader<'_>, company: CompanyId, project: Uuid, place: &str) -> Result<Option<Endpoint>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pay_endpoints e WHERE e.company_id = $1 AND e.project_id = $2 AND e.place = $3 AND e.is_active"
    );
    Ok(reader.first(&sql, &params![company, project, place], read)?)
}

/// All of a project's endpoints, newest first.
pub fn list(reader: &mut Reader<'_>, company: CompanyId, project: Uuid) -> Result<Vec<Endpoint>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pay_endpoints e WHERE e.company_id = $1 AND e.project_id = $2 ORDER BY e.created_at DESC, e.id DESC LIMIT 1000"
    );
    Ok(reader.query(&sql, &params![company, project], read)?)
}

fn get(reader: &mut Reader<'_>, company: CompanyId, project: Uuid, id: Uuid) -> Result<Endpoint> {
    let sql =
        format!("SELECT {COLUMNS} FROM pay_endpoints e WHERE e.company_id = $1 AND e.project_id = $2 AND e.id = $3");
    reader.first(&sql, &params![company, project, id], read)?.ok_or_else(not_found)
}

pub fn not_found() -> Problem {
    Problem::new(Kind::NotFound, "not_found", "No endpoint with that ID owned by this Identity")
}

/// Most active endpoints of a project.
const MOST: i64 = 1_000;

/// Registers what is sold at an address, or changes what is said of it.
///
/// # Errors
/// 409 `limit_reached`; 503 from the database.
pub fn register(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    project: Uuid,
    wanted: &Wanted,
) -> Result<Registered> {
    let (company, now) = (tenant.company, kernel.now());
    let place = rules::place(&wanted.url_pattern);
    tx.lock(&format!("pay_endpoints:{project}"))?;
    let known = at(tx, company, project, &place)?;
    let id = known.as_ref().map_or_else(|| kernel.new_id(), |it| it.id);
    if known.is_none() {
        let sql = "SELECT count(*) FROM pay_endpoints WHERE company_id = $1 AND project_id = $2 AND is_active";
        if tx.one(sql, &params![company, project], |row| row.i64(0))? >= MOST {
            return Err(Problem::conflict("limit_reached", format!("A project may have {MOST} endpoints.")));
        }
    }
    let (hook, secret) = webhook_for(tx, kernel, tenant, id, known.as_ref(), wanted)?;
    let is_new = known.is_none();
    tx.execute(
        "INSERT INTO pay_endpoints (company_id, id, project_id, url_pattern, place, price_micros, network, title, description, category, \
         is_listed, webhook_url, webhook_id, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14) \
         ON CONFLICT (company_id, id) DO UPDATE SET url_pattern = excluded.url_pattern, price_micros = excluded.price_micros, \
         network = excluded.network, title = excluded.title, description = excluded.description, category = excluded.category, \
         is_listed = excluded.is_listed, webhook_url = excluded.webhook_url, webhook_id = excluded.webhook_id, updated_at = excluded.updated_at",
        &params![
            company,
            id,
            project,
            wanted.url_pattern.as_str(),
            place.as_str(),
            wanted.price_micros,
            wanted.network.as_str(),
            wanted.title.as_deref(),
            wanted.description.as_deref(),
            wanted.category.as_deref(),
            wanted.is_listed,
            wanted.webhook_url.as_deref(),
            hook,
            now
        ],
    )?;
    let endpoint = get(tx, company, project, id)?;
    let (action, past) = if is_new { ("create", "created") } else { ("update", "updated") };
    written(tx, kernel, tenant, &endpoint, action, past)?;
    Ok(Registered { endpoint, is_new, secret })
}

/// The webhook that the endpoint shall have: the one it has, if address and secret stay; a new one otherwise.
fn webhook_for(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Uuid,
    known: Option<&Endpoint>,
    wanted: &Wanted,
) -> Result<(Option<Uuid>, Option<String>)> {
    let old = known.and_then(|it| it.webhook);
    let stays = known.is_some_and(|it| it.webhook_url == wanted.webhook_url) && wanted.webhook_secret.is_none();
    if stays {
        return Ok((old, None));
    }
    if let Some(old) = old {
        hooks::delete_own(tx, kernel, tenant, old)?;
    }
    let Some(url) = &wanted.webhook_url else { return Ok((None, None)) };
    let shown = wanted.webhook_secret.is_none().then(|| hooks::mint(kernel));
    let secret = match (&wanted.webhook_secret, &shown) {
        (Some(secret), _) => Secret::new(secret.clone()),
        (None, Some(made)) => Secret::new(made.expose().clone()),
        (None, None) => hooks::mint(kernel),
    };
    let about = webhook::subject_of_endpoint(Some(id));
    let own = hooks::Own {
        url,
        description: "Loomal: payments of one endpoint",
        kind: webhook::RECEIVED,
        about: &about,
        permission: "loomal.payments.view",
        scheme: webhook::SCHEME,
        secret: Some(secret),
    };
    let made = hooks::create_own(tx, kernel, tenant, own)?;
    Ok((Some(made), shown.map(|secret| secret.expose().clone())))
}

/// Takes an endpoint away: later payments stand for themselves, nobody is told of them, counters stop, history stays.
///
/// # Errors
/// 404.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, project: Uuid, id: Uuid) -> Result<()> {
    let known = get(tx, tenant.company, project, id)?;
    if !known.is_active {
        return Ok(());
    }
    if let Some(hook) = known.webhook {
        hooks::delete_own(tx, kernel, tenant, hook)?;
    }
    tx.execute(
        "UPDATE pay_endpoints SET is_active = FALSE, webhook_id = NULL, updated_at = $3 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, kernel.now()],
    )?;
    written(tx, kernel, tenant, &known, "delete", "deleted")
}

/// Counts a settled payment.
pub fn count(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, micros: i64) -> Result<(), StoreError> {
    tx.push(
        "UPDATE pay_endpoints SET call_count = call_count + 1, revenue_micros = revenue_micros + $3 \
         WHERE company_id = $1 AND id = $2 AND is_active",
        params![company, id, micros],
    )
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    endpoint: &Endpoint,
    action: &str,
    past: &str,
) -> Result<()> {
    let id = public_id(ENDPOINT, endpoint.id);
    let entry = audit::Entry {
        action,
        module: PRODUCT,
        resource: "endpoints",
        target: &id,
        label: &endpoint.url_pattern,
        changes: None,
    };
    audit::record(tx, kernel, tenant, entry)?;
    let mut payload = wire::row(endpoint);
    payload["projectId"] = json!(endpoint.project.to_string());
    let (kind, subject) = (format!("{PRODUCT}.endpoints.{past}"), format!("{PRODUCT}/endpoints/{id}"));
    event::emit(tx, kernel, tenant, &kind, &subject, payload.to_string())
}

/// What is listed: active endpoints of companies that are open and of projects that are there, as `e`, `c` and `p`.
pub const LISTED: &str = "FROM pay_endpoints e JOIN companies c ON c.company_id = e.company_id \
     JOIN pay_projects p ON p.company_id = e.company_id AND p.id = e.project_id \
     WHERE e.is_active AND e.is_listed AND c.status NOT IN ('suspended', 'closed') AND p.deleted_at IS NULL";

/// A page of what is listed; one more than the page has, if there are more.
pub fn listed(reader: &mut Reader<'_>, page: &Page, category: Option<&str>) -> Result<Vec<Endpoint>> {
    let (at, id) = page.before();
    let sql = format!(
        "SELECT {COLUMNS} {LISTED} AND (e.created_at, e.id) < ($1, $2) \
         AND (CAST($3 AS TEXT) IS NULL OR e.category = $3) ORDER BY e.created_at DESC, e.id DESC LIMIT $4"
    );
    Ok(reader.query(&sql, &params![at, id, category, page.limit + 1], read)?)
}

/// One that is listed, whosever it is.
///
/// # Errors
/// 404.
pub fn find_listed(reader: &mut Reader<'_>, id: Uuid) -> Result<Endpoint> {
    let sql = format!("SELECT {COLUMNS} {LISTED} AND e.id = $1");
    reader.first(&sql, &params![id], read)?.ok_or_else(not_listed)
}

pub fn not_listed() -> Problem {
    Problem::new(Kind::NotFound, "not_found", "No endpoint with that ID is listed")
}
