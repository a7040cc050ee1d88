//! Companies: codes given out under a lock, made by registration or by a signed-in person, suspended and closed but never deleted.

use loopd_store::{Reader, Tx, Value, View, dialect, params};
use loopd_types::{CompanyId, Currency, Problem, Result, Uuid};
use serde_json::Value as Json;

use crate::access::{Actor, Caller, Tenant};
use crate::account::rules::slugify;
use crate::audit::Told;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Conditions, Listing, column, searched};
use crate::{Kernel, audit, counter, event, role, subscription, workspace};

/// A company to be made.
#[derive(Clone, Debug, Default)]
pub struct NewCompany {
    pub name: String,
    pub legal_name: String,
    pub tax_id: String,
    pub country: String,
    pub currency: String,
    pub timezone: String,
    pub language: String,
}

/// What making a company made.
#[derive(Clone, Debug)]
pub struct Created {
    pub company: CompanyId,
    pub id: Uuid,
    pub code: String,
    pub name: String,
    pub slug: String,
    pub membership: Uuid,
    pub workspace: Uuid,
}

/// A member's companies, with their role in each; the caller adds `mm.user_id = …`.
pub const MINE: Listing = Listing {
    from: "companies c JOIN memberships mm ON mm.company_id = c.company_id",
    columns: &columns("mm.role"),
    company: Some("c.company_id"),
    id: "c.id",
    order: "c.company_id",
};
/// Every company, as a superuser sees them.
pub const ALL: Listing = Listing {
    from: "companies c",
    columns: &columns("'superuser'"),
    company: Some("c.company_id"),
    id: "c.id",
    order: "c.company_id",
};
const TOLD: Told = Told {
    listing: &ALL,
    fields: &[
        "name",
        "legal_name",
        "tax_id",
        "country",
        "currency",
        "timezone",
        "language",
        "logo",
        "status",
        "settings",
    ],
    label: "code",
};
const fn columns(role: &'static str) -> [Column; 18] {
    [
        column("id", "c.id", ColumnKind::Uuid),
        searched("code", "c.code"),
        searched("name", "c.name"),
        searched("slug", "c.slug"),
        searched("legal_name", "c.legal_name"),
        column("tax_id", "c.tax_id", ColumnKind::Text),
        column("country", "c.country", ColumnKind::Text),
        column("currency", "c.currency", ColumnKind::Text),
        column("timezone", "c.timezone", ColumnKind::Text),
        column("language", "c.language", ColumnKind::Text),
        column("logo", "c.logo", ColumnKind::Text),
        column("status", "c.status", ColumnKind::Text),
        column("settings", "c.settings", ColumnKind::Json),
        column("created_by", "c.created_by", ColumnKind::Uuid).nullable(),
        column("created_at", "c.created_at", ColumnKind::Time),
        column("updated_at", "c.updated_at", ColumnKind::Time),
        column("version", "c.version", ColumnKind::Int),
        column("role", role, ColumnKind::Text),
    ]
}
const READ_ONLY: [&str; 9] =
    ["id", "code", "slug", "status", "role", "created_by", "created_at", "updated_at", "version"];

/// The section that a company's settings have for a module, as it stands in this transaction; null when there is none.
///
/// # Errors
/// 503 from the database.
pub fn settings(reader: &mut Reader<'_>, company: CompanyId, section: &str) -> Result<Json> {
    let text = reader.first("SELECT settings FROM companies WHERE company_id = $1", &params![company], |row| {
        Ok(row.json(0)?.to_owned())
    })?;
    let mut settings: Json = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(settings.get_mut(section).map(Json::take).unwrap_or_default())
}

/// The company of a public id.
pub fn find_by_uuid(reader: &mut Reader<'_>, id: Uuid) -> Result<Option<CompanyId>> {
    Ok(reader.first("SELECT company_id FROM companies WHERE id = $1", &params![id], |row| row.i64(0))?.map(CompanyId))
}

/// A company's row: with `member`'s role in it, or as a superuser sees it.
///
/// # Errors
/// 404.
pub fn row(reader: &mut Reader<'_>, company: CompanyId, member: Option<Uuid>) -> Result<Vec<u8>> {
    let by_number = Conditions::default().and("c.company_id = {}", [Value::from(company)]);
    let id = reader.first("SELECT id FROM companies WHERE company_id = $1", &params![company], |row| row.uuid(0))?;
    let id = id.ok_or_else(Problem::not_found)?;
    let found = match member {
        Some(user) => MINE.find(reader, id, None, by_number.and("mm.user_id = {}", [Value::from(user)]))?,
        None => ALL.find(reader, id, None, by_number)?,
    };
    found.ok_or_else(Problem::not_found)
}

/// The owner who has been one for longest; whom a key of the command line acts as unless it is told.
pub async fn first_owner(kernel: &Kernel, company: CompanyId) -> Result<Option<Uuid>> {
    kernel
        .db
        .read(View::Company(company), move |reader| {
            let sql = "SELECT user_id FROM memberships WHERE company_id = $1 AND role = 'owner' AND status = 'active' ORDER BY id LIMIT 1";
            Ok(reader.first(sql, &params![company], |row| row.uuid(0))?)
        })
        .await
}

/// Every company of the installation; for superusers.
pub async fn all_ids(kernel: &Kernel) -> Result<Vec<CompanyId>> {
    kernel
        .db
        .read(View::System, |reader| {
            Ok(reader.query("SELECT company_id FROM companies ORDER BY company_id", &params![], |row| {
                row.i64(0).map(CompanyId)
            })?)
        })
        .await
}

/// Reads `currency` of a body: an ISO 4217 code.
pub(crate) fn read_currency(input: &mut Input) -> Option<String> {
    let code = input.text("currency", 8)?;
    if Currency::parse(&code).is_none() {
        input.refuse("currency", "invalid_choice", format!("\"{code}\" is not a valid choice."));
        return None;
    }
    Some(code)
}

/// Reads `timezone` of a body: an IANA name.
pub(crate) fn read_timezone(input: &mut Input) -> Option<String> {
    let name = input.text("timezone", 64)?;
    if jiff::tz::TimeZone::get(&name).is_err() {
        input.refuse("timezone", "invalid_choice", format!("\"{name}\" is not a valid choice."));
        return None;
    }
    Some(name)
}

/// Reads `country` of a body: two upper-case letters (ISO 3166-1).
pub(crate) fn read_country(input: &mut Input) -> Option<String> {
    let code = input.text("country", 2)?;
    if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        input.refuse("country", "invalid_choice", format!("\"{code}\" is not a valid choice."));
        return None;
    }
    Some(code)
}

impl NewCompany {
    /// Checks the body of `POST /companies/`.
    ///
    /// # Errors
    /// 400 with every complaint.
    pub fn parse(body: Json) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        input.ignore(&READ_ONLY);
        let name = input.required_text("name", 200);
        let company = Self {
            legal_name: input.text("legal_name", 200).unwrap_or_default(),
            tax_id: input.text("tax_id", 64).unwrap_or_default(),
            country: read_country(&mut input).unwrap_or_else(|| "RW".to_owned()),
            currency: read_currency(&mut input).unwrap_or_else(|| "RWF".to_owned()),
            timezone: read_timezone(&mut input).unwrap_or_else(|| "Africa/Kigali".to_owned()),
            language: input.choice("language", &crate::account::LANGUAGES).unwrap_or_else(|| "en".to_owned()),
            name: name.unwrap_or_default(),
        };
        input.finish()?;
        Ok(company)
    }
}

/// Makes a company with its default workspace, built-in roles, an owner and a trial of every product.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, new: &NewCompany, owner: Uuid, actor: &Actor) -> Result<Created> {
    let NewCompany { name, legal_name, tax_id, country, currency, timezone, language } = new;
    let now = kernel.now();
    // The counter row is the lock: codes rise without gaps and are never given out twice.
    let company = CompanyId(counter::next(tx, audit::INSTALLATION, "companies")?);
    let (id, code, slug) = (kernel.new_id(), company.code().to_string(), free_slug(tx, &slugify(name))?);
    let language = if language.is_empty() { "en" } else { language };
    tx.execute(
        "INSERT INTO companies (company_id, id, code, name, slug, legal_name, tax_id, country, currency, timezone, language, \
         status, settings, created_by, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'trial', $12, $13, $14, $14)",
        &params![
            company, id, &code, name, &slug, legal_name, tax_id, country, currency, timezone, language,
            Value::Json("{}".to_owned()), owner, now
        ],
    )?;
    role::insert_built_in(tx, kernel, company, now)?;
    let workspace = workspace::insert_default(tx, kernel, company, owner)?;
    let membership = kernel.new_id();
    tx.push(
        "INSERT INTO memberships (company_id, id, user_id, role, status, joined_at, created_by, created_at, updated_at) \
         VALUES ($1, $2, $3, 'owner', 'active', $4, $3, $4, $4)",
        params![company, membership, owner, now],
    )?;
    subscription::start_trials(tx, kernel, company)?;
    let target = id.to_string();
    let entry = audit::Entry {
        action: "create",
        module: "core",
        resource: "companies",
        target: &target,
        label: &code,
        changes: None,
    };
    audit::record_by(tx, kernel, company, actor, entry)?;
    let payload = serde_json::json!({"id": target, "code": code, "name": name});
    event::emit_by(
        tx,
        kernel,
        company,
        actor,
        "core.company.created",
        &format!("core/companies/{id}"),
        payload.to_string(),
    )?;
    kernel.forget_user(tx, owner);
    Ok(Created { company, id, code, name: name.clone(), slug, membership, workspace })
}

/// How many slugs of one name are tried in order.
const SLUGS_IN_ORDER: u64 = 8;

/// `wanted`, or `wanted-2`, `wanted-3`, … The company counter's row is locked by now, so nobody else is choosing.
///
/// # Errors
/// 400 on `name` when somebody has taken every power of two behind it.
pub(crate) fn free_slug(tx: &mut Tx<'_>, wanted: &str) -> Result<String> {
    let slug = |number: u64| if number == 1 { wanted.to_owned() } else { format!("{wanted}-{number}") };
    let mut is_taken = |number: u64| -> Result<bool> {
        let sql = "SELECT 1 FROM companies WHERE slug = $1";
        Ok(tx.first(sql, &params![slug(number)], |_| Ok(()))?.is_some())
    };
    for number in 1..=SLUGS_IN_ORDER {
        if !is_taken(number)? {
            return Ok(slug(number));
        }
    }
    // The thousandth "Test" must not look a thousand times: doubled until one is free, then halved to the end of those that are taken.
    let (mut taken, mut free) = (SLUGS_IN_ORDER, SLUGS_IN_ORDER * 2);
    while is_taken(free)? {
        taken = free;
        free = free.checked_mul(2).ok_or_else(|| Problem::field("name", "unique", "Choose another name."))?;
    }
    while free - taken > 1 {
        let middle = taken + (free - taken) / 2;
        if is_taken(middle)? {
            taken = middle;
        } else {
            free = middle;
        }
    }
    Ok(slug(free))
}

/// Changes names, places and settings; what is absent stays (PATCH) or is required (PUT: `name`).
///
/// # Errors
/// 400 with every complaint; 412 when `version` is not the present one.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json, partial: bool) -> Result<()> {
    let mut input = Input::new(body, partial)?;
    input.ignore(&READ_ONLY);
    let name = input.required_text("name", 200);
    let legal_name = input.text("legal_name", 200);
    let tax_id = input.text("tax_id", 64);
    let country = read_country(&mut input);
    let currency = read_currency(&mut input);
    let timezone = read_timezone(&mut input);
    let language = input.choice("language", &crate::account::LANGUAGES);
    let logo = input.text("logo", 500);
    let settings = input.object("settings", 16 * 1024);
    if let Some(known) = settings.as_ref().and_then(|s| s.get("known_apps_only"))
        && !known.is_boolean()
    {
        input.refuse("settings", "invalid", "known_apps_only must be a valid boolean.");
    }
    if let Some(required) = settings.as_ref().and_then(|s| s.get("require_two_factor")) {
        if !required.is_boolean() {
            input.refuse("settings", "invalid", "require_two_factor must be a valid boolean.");
        } else if *required == true && !tenant.has_two_factor {
            let words = "Sign in with two-factor yourself before you require it of everybody.";
            input.refuse("settings", "two_factor_required", words);
        }
    }
    if let Some(settings) = &settings {
        check_sections(kernel, settings, &mut input);
    }
    input.finish()?;
    let changes = serde_json::json!({"name": name, "legal_name": legal_name, "tax_id": tax_id, "country": country, "currency": currency,
        "timezone": timezone, "language": language, "logo": logo, "settings": settings});
    let changes: serde_json::Map<_, _> = changes
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, v)| !v.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let before = TOLD.row(tx, tenant.company, tenant.access.id)?;
    tx.execute(
        "UPDATE companies SET name = COALESCE($2, name), legal_name = COALESCE($3, legal_name), tax_id = COALESCE($4, tax_id), \
         country = COALESCE($5, country), currency = COALESCE($6, currency), timezone = COALESCE($7, timezone), \
         language = COALESCE($8, language), logo = COALESCE($9, logo), settings = COALESCE($10, settings), updated_at = $11, \
         version = version + 1 WHERE company_id = $1",
        &params![
            tenant.company, name, legal_name, tax_id, country, currency, timezone, language, logo,
            settings.map(|s| Value::Json(Json::Object(s).to_string())), kernel.now()
        ],
    )?;
    let told = TOLD.change(tx, tenant.company, tenant.access.id, &before)?.fields;
    written_as(tx, kernel, tenant, "update", "core.company.updated", Json::Object(told), Json::Object(changes))
}

/// Every product's section of the settings, against what the product declares. Complaints are named by their path: `settings.booking.public`.
fn check_sections(kernel: &Kernel, settings: &serde_json::Map<String, Json>, input: &mut Input) {
    for product in kernel.catalogue.products() {
        let (Some(section), Some(given)) = (&product.settings, settings.get(&product.slug)) else { continue };
        let Err(problem) = section.check(given) else { continue };
        for (field, errors) in problem.fields() {
            let path = match field.as_str() {
                loopd_types::NON_FIELD => format!("settings.{}", product.slug),
                field => format!("settings.{}.{field}", product.slug),
            };
            for error in errors {
                input.refuse(&path, error.code.clone(), error.message.clone());
            }
        }
    }
}

/// Suspends, reactivates or closes: the statuses that stop or reopen work.
///
/// # Errors
/// 409 `invalid_transition` from a status that does not allow it.
pub fn set_status(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, action: &str) -> Result<()> {
    let sql = format!("SELECT status FROM companies WHERE company_id = $1{}", dialect::for_update(tx.engine()));
    let from = tx.one(&sql, &params![tenant.company], |row| Ok(row.text(0)?.to_owned()))?;
    let (allowed_from, to): (&[&str], &str) = match action {
        "suspend" => (&["trial", "active"], "suspended"),
        "reactivate" => (&["suspended"], "active"),
        "close" => (&["trial", "active", "suspended"], "closed"),
        other => return Err(Problem::internal(format!("no company action {other}"))),
    };
    if !allowed_from.contains(&from.as_str()) {
        let allowed: Vec<&str> = match from.as_str() {
            "trial" | "active" => vec!["suspend", "close"],
            "suspended" => vec!["reactivate", "close"],
            _ => vec![],
        };
        return Err(invalid_transition(&from, action, &allowed));
    }
    tx.execute(
        "UPDATE companies SET status = $2, updated_at = $3, version = version + 1 WHERE company_id = $1",
        &params![tenant.company, to, kernel.now()],
    )?;
    let past = match action {
        "suspend" => "core.company.suspended",
        "reactivate" => "core.company.reactivated",
        _ => "core.company.closed",
    };
    written(tx, kernel, tenant, action, past, serde_json::json!({"status": [from, to]}))
}

fn written(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, action: &str, kind: &str, changes: Json) -> Result<()> {
    written_as(tx, kernel, tenant, action, kind, changes.clone(), changes)
}

/// [`written`] where the event says it otherwise.
fn written_as(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    kind: &str,
    changes: Json,
    payload: Json,
) -> Result<()> {
    let target = tenant.access.id.to_string();
    let entry = audit::Entry {
        action,
        module: "core",
        resource: "companies",
        target: &target,
        label: tenant.code(),
        changes: Some(changes.to_string()),
    };
    audit::record(tx, kernel, tenant, entry)?;
    event::emit(tx, kernel, tenant, kind, &format!("core/companies/{target}"), payload.to_string())?;
    kernel.forget_company(tx, tenant.company);
    Ok(())
}

/// Hands the ownership to another active member: they become owner, the caller becomes admin.
///
/// # Errors
/// 400 when the user is no active member.
pub fn transfer_ownership(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    caller: &Caller,
    body: Json,
) -> Result<()> {
    let mut input = Input::new(body, false)?;
    let membership = input.uuid("membership");
    if membership.is_none() && !input.has("membership") {
        input.refuse("membership", "required", "This field is required.");
    }
    input.finish()?;
    let Some(membership) = membership else {
        return Err(Problem::field("membership", "required", "This field is required."));
    };
    crate::membership::lock(tx, tenant)?;
    let changed = tx.execute(
        "UPDATE memberships SET role = 'owner', updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2 AND status = 'active'",
        &params![tenant.company, membership, kernel.now()],
    )?;
    if changed == 0 {
        return Err(Problem::field(
            "membership",
            "does_not_exist",
            format!("Invalid pk \"{membership}\" - object does not exist."),
        ));
    }
    if let Some(own) = caller.user().and_then(|user| user.membership(tenant.company)).filter(|own| own.id != membership)
    {
        tx.execute(
            "UPDATE memberships SET role = 'admin', updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2 AND role = 'owner'",
            &params![tenant.company, own.id, kernel.now()],
        )?;
    }
    kernel.forget_all_users(tx);
    written(
        tx,
        kernel,
        tenant,
        "transfer-ownership",
        "core.company.ownership_transferred",
        serde_json::json!({"membership": membership.to_string()}),
    )
}

/// 409 with what is allowed instead (spec/loop.md 5.9).
pub fn invalid_transition(from: &str, action: &str, allowed: &[&str]) -> Problem {
    Problem::conflict("invalid_transition", format!("Cannot {action} from status \"{from}\"."))
        .with_extra("from", from)
        .with_extra("action", action)
        .with_extra("allowed", allowed.to_vec())
}
