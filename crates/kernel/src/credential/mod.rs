//! Credentials: every kind of key goes through one mint, one look-up and one revocation. Hash only; the secret is shown once.

mod bounds;
mod kind;
mod limits;
mod of_person;
pub(crate) mod usage;

pub use bounds::{KeyBounds, read_grace, rotate_of, set_bounds};
pub use kind::{Body, INTERNAL, Kind};
pub use limits::Limits;
pub(crate) use of_person::{revoke_all_of, take_out_of};

use loopd_store::{Tx, Value, params};
use loopd_types::{CompanyId, HOUR_US, Problem, Result, Timestamp, Uuid, sha256_hex};
use serde_json::Value as Json;

use crate::access::{Actor, Tenant};
use crate::audit::Told;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::permission::PermissionSet;
use crate::{Kernel, audit, event};

/// Internal keys as the API shows them; never the hash.
pub const LISTING: Listing = Listing {
    from: "credentials k",
    columns: &COLUMNS,
    company: Some("k.company_id"),
    id: "k.id",
    order: "k.company_id, k.id",
};
const COLUMNS: [Column; 19] = [
    column("id", "k.id", ColumnKind::Uuid),
    column("company", "k.company_id", ColumnKind::Company).nullable(),
    searched("name", "k.name"),
    searched("prefix", "k.prefix"),
    column("user", "k.user_id", ColumnKind::Uuid).nullable(),
    column("scopes", "k.scopes", ColumnKind::Json),
    column("created_by", "k.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "k.created_at", ColumnKind::Time),
    column("updated_at", "k.updated_at", ColumnKind::Time),
    column("expires_at", "k.expires_at", ColumnKind::Time).nullable(),
    column("last_used_at", "k.last_used_at", ColumnKind::Time).nullable(),
    column("last_used_ip", "k.last_used_ip", ColumnKind::Text).nullable(),
    column("use_count", "k.use_count", ColumnKind::Int),
    column("allowed_networks", "k.allowed_networks", ColumnKind::Json).nullable(),
    column("workspaces", "k.workspaces", ColumnKind::Json).nullable(),
    column("rate_limit_per_minute", "k.rate_limit_per_minute", ColumnKind::Int).nullable(),
    column("rotated_from", "k.rotated_from", ColumnKind::Uuid).nullable(),
    column("revoked_at", "k.revoked_at", ColumnKind::Time).nullable(),
    column("version", "k.version", ColumnKind::Int),
];

const TOLD: Told = Told {
    listing: &LISTING,
    fields: &[
        "name",
        "user",
        "scopes",
        "expires_at",
        "allowed_networks",
        "workspaces",
        "rate_limit_per_minute",
        "rotated_from",
        "revoked_at",
    ],
    label: "name",
};

const READ_ONLY: [&str; 13] = [
    "id",
    "company",
    "prefix",
    "user",
    "created_by",
    "created_at",
    "updated_at",
    "last_used_at",
    "last_used_ip",
    "use_count",
    "rotated_from",
    "revoked_at",
    "version",
];

/// How long the old secret lives on after a rotation, unless the caller says otherwise.
const ROTATION_OVERLAP_US: i64 = 24 * HOUR_US;
/// The longest that it can live on, in seconds.
pub const GRACE_MOST: i64 = 30 * 24 * 3600;

/// A key that was just made: the only moment its secret is known.
#[derive(Clone, Debug)]
pub struct Minted {
    pub id: Uuid,
    pub secret: String,
}

/// Makes an internal key that acts as its maker in this company.
///
/// # Errors
/// 400 with every complaint; 403 for scopes beyond the caller's own.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<Minted> {
    let mut input = Input::new(body, false)?;
    input.ignore(&READ_ONLY);
    let name = input.required_text("name", 120);
    let scopes = read_scopes(&mut input);
    let expires_at = read_expiry(&mut input, kernel.now());
    let mut limits = Limits::default();
    limits.read(&mut input, tenant);
    input.finish()?;
    let scopes = scopes.unwrap_or_else(|| vec!["*".to_owned()]);
    check_scopes(tenant, &scopes)?;
    limits.inherit(tenant);
    limits.require_within(tenant)?;
    let Some(user) = tenant.actor.user else {
        return Err(Problem::permission_denied());
    };
    let new = NewKey {
        kind: &INTERNAL,
        company: tenant.company,
        name: &name.unwrap_or_default(),
        user: Some(user),
        subject: None,
        scopes: &scopes,
        limits: &limits,
        expires_at: expires_at.flatten(),
        rotated_from: None,
        by: tenant.actor.user,
    };
    make(tx, kernel, tenant, &new)
}

/// Makes a key and writes who did it, without a look at what the maker may give: for the operator's command line, whose
/// tenant is [`Tenant::system`], and for [`create`], which has looked.
pub fn make(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, new: &NewKey<'_>) -> Result<Minted> {
    let minted = insert(tx, kernel, new)?;
    written(tx, kernel, tenant, "create", "core.internal_api_key.created", minted.id, &Json::Null)?;
    Ok(minted)
}

/// A key to be made by the command line, by [`create`], or by a surface with a kind of its own.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    pub kind: &'a Kind,
    pub company: CompanyId,
    pub name: &'a str,
    /// Whom the key acts as; `None` for kinds that act as something else.
    pub user: Option<Uuid>,
    /// What it acts as where that is no person.
    pub subject: Option<&'a str>,
    pub scopes: &'a [String],
    pub limits: &'a Limits,
    pub expires_at: Option<Timestamp>,
    pub rotated_from: Option<Uuid>,
    pub by: Option<Uuid>,
}

/// Makes a key for a surface that writes by itself who did it.
pub fn issue(tx: &mut Tx<'_>, kernel: &Kernel, new: &NewKey<'_>) -> Result<Minted> {
    insert(tx, kernel, new)
}

/// Ends a key of whatever kind; the next request with it is refused. Whoever calls writes who did it.
pub fn end(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) -> Result<()> {
    tx.execute(
        "UPDATE credentials SET revoked_at = COALESCE(revoked_at, $3), updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![company, id, kernel.now()],
    )?;
    kernel.forget_all_keys(tx);
    Ok(())
}

/// Changes what a key of whatever kind may; counts at its next request. Whoever calls writes who did it.
pub fn set_scopes(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid, scopes: &[String]) -> Result<()> {
    tx.execute(
        "UPDATE credentials SET scopes = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![company, id, Value::Json(Json::from(scopes.to_vec()).to_string()), kernel.now()],
    )?;
    kernel.forget_all_keys(tx);
    Ok(())
}

/// Renames a key of whatever kind. Whoever calls writes who did it.
pub fn rename(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid, name: &str) -> Result<()> {
    tx.execute(
        "UPDATE credentials SET name = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![company, id, name, kernel.now()],
    )?;
    kernel.forget_all_keys(tx);
    Ok(())
}

/// Switches a key of whatever kind off for a while, or on again; counts at its next request. Whoever calls writes who did it.
pub fn set_enabled(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid, is_enabled: bool) -> Result<()> {
    let now = kernel.now();
    tx.execute(
        "UPDATE credentials SET disabled_at = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![company, id, (!is_enabled).then_some(now), now],
    )?;
    kernel.forget_all_keys(tx);
    Ok(())
}

/// Stores a new key's hash and gives its secret, once.
fn insert(tx: &mut Tx<'_>, kernel: &Kernel, new: &NewKey<'_>) -> Result<Minted> {
    let (secret, shown) = new.kind.mint(kernel.rng.as_ref());
    let (id, now) = (kernel.new_id(), kernel.now());
    let companies = Json::from(vec![new.company.0]);
    tx.execute(
        "INSERT INTO credentials (id, kind, company_id, name, prefix, hash, user_id, companies, scopes, created_by, created_at, updated_at, \
         expires_at, rotated_from, subject, allowed_networks, workspaces, rate_limit_per_minute) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15, $16, $17)",
        &params![
            id, new.kind.slug, new.company, new.name, &shown, sha256_hex(secret.as_bytes()), new.user, Value::Json(companies.to_string()),
            Value::Json(Json::from(new.scopes.to_vec()).to_string()), new.by, now, new.expires_at, new.rotated_from, new.subject,
            new.limits.networks_json(), new.limits.workspaces_json(), new.limits.rate_limit
        ],
    )?;
    Ok(Minted { id, secret })
}

fn read_scopes(input: &mut Input) -> Option<Vec<String>> {
    let scopes = input.texts("scopes", 200, 200)?;
    if let Err(words) = PermissionSet::parse(&scopes) {
        input.refuse("scopes", "invalid", words);
    }
    if scopes.is_empty() {
        input.refuse("scopes", "empty", "This list may not be empty.");
    }
    Some(scopes)
}

/// `Some(None)` is a null: the key does not expire.
fn read_expiry(input: &mut Input, now: Timestamp) -> Option<Option<Timestamp>> {
    let expires_at = input.moment("expires_at")?;
    if expires_at.is_some_and(|end| end <= now) {
        input.refuse("expires_at", "invalid", "Must be in the future.");
    }
    Some(expires_at)
}

/// Refuses scopes beyond the caller's own. `*` means "whatever its user may do" and is fine for a person; a key that is limited
/// itself must not make one that is not.
fn check_scopes(tenant: &Tenant, scopes: &[String]) -> Result<()> {
    let wanted = PermissionSet::parse(scopes).unwrap_or_default();
    let is_whole = scopes.iter().any(|scope| scope == "*");
    let allowed = match &tenant.scopes {
        None => is_whole || tenant.permissions().covers(&wanted),
        Some(key) => key.scopes.covers(&wanted) && (is_whole || tenant.permissions().covers(&wanted)),
    };
    if allowed {
        return Ok(());
    }
    Err(Problem::forbidden("permission_denied", "You cannot give a key scopes beyond your own permissions."))
}

/// A key acts as its user. Only that user, or who may do everything in the company, may get a new secret for it or widen it;
/// else managing keys would be enough to act as the owner.
fn require_own(tenant: &Tenant, key: &Stored) -> Result<()> {
    if key.user.is_some() && key.user == tenant.actor.user || tenant.holds(&PermissionSet::all()) {
        return Ok(());
    }
    Err(Problem::forbidden("permission_denied", "This key acts as somebody else; only they or an owner can do this."))
}

/// The company that an internal key belongs to.
pub async fn company_of(kernel: &Kernel, id: Uuid) -> Result<Option<CompanyId>> {
    let found = kernel
        .db
        .read(loopd_store::View::System, move |reader| {
            let sql = "SELECT company_id FROM credentials WHERE id = $1 AND kind = 'internal'";
            Ok(reader.first(sql, &params![id], |row| row.opt_i64(0))?)
        })
        .await?;
    Ok(found.flatten().map(CompanyId))
}

struct Stored {
    limits: Limits,
    name: String,
    user: Option<Uuid>,
    scopes: Vec<String>,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    disabled_at: Option<Timestamp>,
}

fn get(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid) -> Result<Stored> {
    find(tx, tenant.company, &INTERNAL, id)
}

fn find(tx: &mut Tx<'_>, company: CompanyId, kind: &Kind, id: Uuid) -> Result<Stored> {
    tx.first(
        "SELECT name, user_id, scopes, expires_at, revoked_at, allowed_networks, workspaces, rate_limit_per_minute, disabled_at FROM credentials WHERE company_id = $1 AND id = $2 AND kind = $3",
        &params![company, id, kind.slug],
        |row| {
            Ok(Stored {
                limits: Limits::stored(row.opt_json(5)?, row.opt_json(6)?, row.opt_i64(7)?),
                name: row.text(0)?.to_owned(),
                user: row.opt_uuid(1)?,
                scopes: crate::role::parse_patterns(row.json(2)?),
                expires_at: row.opt_time(3)?,
                revoked_at: row.opt_time(4)?,
                disabled_at: row.opt_time(8)?,
            })
        },
    )?
    .ok_or_else(Problem::not_found)
}

/// Changes name, scopes and expiry; null as expiry takes it away.
///
/// # Errors
/// 400; 403 for scopes beyond the caller's own and for the key of somebody else; 404; 409 `key_revoked`.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json, partial: bool) -> Result<()> {
    let mut input = Input::new(body, partial)?;
    input.ignore(&READ_ONLY);
    let name = input.required_text("name", 120);
    let scopes = read_scopes(&mut input);
    let expires_at = read_expiry(&mut input, kernel.now());
    let known = get(tx, tenant, id)?;
    let before = TOLD.row(tx, tenant.company, id)?;
    let mut limits = known.limits.clone();
    limits.read(&mut input, tenant);
    input.finish()?;
    if known.revoked_at.is_some() {
        return Err(revoked());
    }
    if let Some(scopes) = &scopes {
        require_own(tenant, &known)?;
        check_scopes(tenant, scopes)?;
    }
    let outlives = |wanted: Option<Timestamp>| known.expires_at.is_some_and(|end| wanted.is_none_or(|at| at > end));
    if expires_at.is_some_and(outlives) {
        require_own(tenant, &known)?;
    }
    if limits != known.limits {
        require_own(tenant, &known)?;
        limits.require_within(tenant)?;
    }
    let scopes = scopes.map(|list| Value::Json(Json::from(list).to_string()));
    tx.execute(
        "UPDATE credentials SET name = COALESCE($3, name), scopes = COALESCE($4, scopes), expires_at = CASE WHEN $7 THEN $5 ELSE expires_at END, \
         updated_at = $6, allowed_networks = $8, workspaces = $9, rate_limit_per_minute = $10, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![
            tenant.company, id, name, scopes, expires_at.flatten(), kernel.now(), expires_at.is_some(), limits.networks_json(),
            limits.workspaces_json(), limits.rate_limit
        ],
    )?;
    kernel.forget_all_keys(tx);
    written(tx, kernel, tenant, "update", "core.internal_api_key.updated", id, &before)
}

fn revoked() -> Problem {
    Problem::conflict("key_revoked", "This key is revoked.")
}

/// Revokes a key; the next request with it is refused. Repeating it changes nothing.
///
/// # Errors
/// 404.
pub fn revoke(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    get(tx, tenant, id)?;
    let before = TOLD.row(tx, tenant.company, id)?;
    end(tx, kernel, tenant.company, id)?;
    written(tx, kernel, tenant, "revoke", "core.internal_api_key.revoked", id, &before)
}

/// Makes a successor with the same rights; the old secret lives on for `grace` seconds, a day unless said.
///
/// # Errors
/// 403 for the key of somebody else; 404; 409 `key_revoked`, `key_expired`, `key_rotated` with its `successor`.
pub fn rotate(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, grace: Option<i64>) -> Result<Minted> {
    let old = get(tx, tenant, id)?;
    if old.user.is_none() || old.revoked_at.is_some() {
        return Err(revoked());
    }
    require_own(tenant, &old)?;
    check_scopes(tenant, &old.scopes)?;
    old.limits.require_within(tenant)?;
    let minted = succeed(tx, kernel, tenant, &INTERNAL, id, &old, grace)?;
    written(tx, kernel, tenant, "rotate", "core.internal_api_key.rotated", minted.id, &Json::Null)?;
    Ok(minted)
}

/// Makes the successor of a key and sets the end of the old one.
fn succeed(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    kind: &Kind,
    id: Uuid,
    old: &Stored,
    grace: Option<i64>,
) -> Result<Minted> {
    require_latest(tx, tenant, kind, id)?;
    let now = kernel.now();
    if old.expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::conflict("key_expired", "This key has expired; make a new one."));
    }
    let new = NewKey {
        kind,
        company: tenant.company,
        name: &old.name,
        user: old.user,
        subject: None,
        scopes: &old.scopes,
        limits: &old.limits,
        expires_at: old.expires_at,
        rotated_from: Some(id),
        by: tenant.actor.user,
    };
    let minted = insert(tx, kernel, &new)?;
    let end = now.plus(grace.map_or(ROTATION_OVERLAP_US, |seconds| seconds * loopd_types::SECOND_US));
    let end = old.expires_at.map_or(end, |known| known.min(end));
    tx.execute(
        "UPDATE credentials SET expires_at = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, end, now],
    )?;
    kernel.forget_all_keys(tx);
    Ok(minted)
}

/// A key that has a successor only lives out its days, and a further successor would get no more of them.
fn require_latest(tx: &mut Tx<'_>, tenant: &Tenant, kind: &Kind, id: Uuid) -> Result<()> {
    let sql =
        "SELECT id FROM credentials WHERE company_id = $1 AND kind = $3 AND rotated_from = $2 ORDER BY id DESC LIMIT 1";
    match tx.first(sql, &params![tenant.company, id, kind.slug], |row| row.uuid(0))? {
        None => Ok(()),
        Some(successor) => Err(Problem::conflict("key_rotated", "This key has a successor; rotate that one.")
            .with_extra("successor", successor.to_string())),
    }
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    kind: &str,
    id: Uuid,
    before: &Json,
) -> Result<()> {
    written_by(tx, kernel, tenant.company, &tenant.actor, action, kind, id, before)
}

/// `before`: the key as it was; null for a new one.
#[expect(clippy::too_many_arguments, reason = "an audit row and an event of the same fact")]
fn written_by(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    action: &str,
    kind: &str,
    id: Uuid,
    before: &Json,
) -> Result<()> {
    let (target, change) = (id.to_string(), TOLD.change(tx, company, id, before)?);
    let (label, changes) = (change.label.as_str(), change.to_text());
    let entry = audit::Entry { action, module: "core", resource: "internal-api-keys", target: &target, label, changes };
    audit::record_by(tx, kernel, company, actor, entry)?;
    let subject = format!("core/internal-api-keys/{id}");
    event::emit_by(tx, kernel, company, actor, kind, &subject, serde_json::json!({"id": target}).to_string())?;
    Ok(())
}
