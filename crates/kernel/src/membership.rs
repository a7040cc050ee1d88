//! Memberships: the link between a person and a company, with a role and a state. The last owner stays.

use loopd_store::{Tx, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::Value as Json;

use crate::access::{Actor, Tenant};
use crate::audit::{Change, Told};
use crate::company::invalid_transition;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::permission::PermissionSet;
use crate::{Kernel, audit, credential, event, invitation, plan, role};

/// Memberships as the API shows them.
pub const LISTING: Listing = Listing {
    from: "memberships m JOIN users u ON u.id = m.user_id",
    columns: &COLUMNS,
    company: Some("m.company_id"),
    id: "m.id",
    order: "m.company_id, m.id",
};
const COLUMNS: [Column; 14] = [
    column("id", "m.id", ColumnKind::Uuid),
    column("company", "m.company_id", ColumnKind::Company),
    column("user", "m.user_id", ColumnKind::Uuid),
    searched("email", "u.email"),
    searched("username", "u.username"),
    searched("first_name", "u.first_name"),
    searched("last_name", "u.last_name"),
    column("role", "m.role", ColumnKind::Text),
    column("status", "m.status", ColumnKind::Text),
    searched("title", "m.title"),
    column("all_workspaces", "m.all_workspaces", ColumnKind::Bool),
    column("joined_at", "m.joined_at", ColumnKind::Time).nullable(),
    column("created_at", "m.created_at", ColumnKind::Time),
    column("version", "m.version", ColumnKind::Int),
];
const TOLD: Told = Told { listing: &LISTING, fields: &["role", "status", "title", "all_workspaces"], label: "email" };
const READ_ONLY: [&str; 10] = [
    "id",
    "company",
    "username",
    "first_name",
    "last_name",
    "status",
    "joined_at",
    "created_at",
    "updated_at",
    "version",
];

/// A role that exists in the company and that the caller may hand out: nobody gives more than they hold.
///
/// # Errors
/// 400 for an unknown role; 403 `permission_denied` for one with more rights than the caller's own.
pub(crate) fn check_role(tx: &mut Tx<'_>, tenant: &Tenant, slug: &str) -> Result<()> {
    let found = tx.first(
        "SELECT permissions, is_system FROM roles WHERE company_id = $1 AND slug = $2",
        &params![tenant.company, slug],
        |row| Ok(role::permissions_of(slug, row.bool(1)?, row.json(0)?)),
    )?;
    let Some(wanted) = found else {
        return Err(Problem::field("role", "invalid_choice", format!("\"{slug}\" is not a valid choice.")));
    };
    if tenant.holds(&wanted) {
        return Ok(());
    }
    Err(Problem::forbidden("permission_denied", "You cannot give a role that allows more than your own."))
}

/// Makes an existing person a member: the account with this id, or who has proved that they read this address. Everybody else is
/// invited (`/invitations/`): whoever registered with an address first need not be whose it is.
///
/// # Errors
/// 400 when there is no such person, when the address is proved by nobody (`not_verified`), or when they are a member already.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&READ_ONLY);
    input.ignore(&["all_workspaces"]);
    let email = input.text("email", 254).map(|email| email.to_lowercase());
    let user = input.uuid("user");
    let role = input.required_text("role", 80);
    let title = input.text("title", 200).unwrap_or_default();
    if email.is_none() && user.is_none() {
        input.refuse("email", "required", "This field is required.");
    }
    input.finish()?;
    let role = role.unwrap_or_default();
    let (field, found) = match (user, &email) {
        (Some(id), _) => {
            ("user", tx.first("SELECT id, TRUE FROM users WHERE id = $1 AND is_active", &params![id], proved)?)
        }
        (None, email) => {
            let sql = "SELECT id, email_verified_at IS NOT NULL FROM users WHERE email = $1 AND is_active";
            ("email", tx.first(sql, &params![email.clone()], proved)?)
        }
    };
    let person = match found {
        Some((id, true)) => id,
        Some((_, false)) => {
            return Err(Problem::field(
                field,
                "not_verified",
                "Nobody has proved yet that they read this address; invite them instead, or name their account by `user`.",
            ));
        }
        None => {
            return Err(Problem::field(
                field,
                "does_not_exist",
                "No active user with this identity exists; invite them instead.",
            ));
        }
    };
    check_role(tx, tenant, &role)?;
    lock(tx, tenant)?;
    let before = row_of(tx, tenant, person)?;
    let id = match enrol(tx, kernel, tenant.company, tenant.actor.user, person, &role, &title, true)? {
        Enrolled::Made(id) => id,
        Enrolled::Known(..) => {
            return Err(Problem::field("user", "unique", "This user is already a member of the company."));
        }
    };
    limit_as_caller(tx, tenant, id)?;
    invitation::withdraw(tx, kernel, tenant.company, person)?;
    kernel.forget_user(tx, person);
    let change = TOLD.change(tx, tenant.company, id, &before)?;
    let (kind, payload) = ("core.membership.created", serde_json::json!({"role": role}));
    recorded(tx, kernel, tenant.company, &tenant.actor, "create", id, &change)?;
    event::emit(tx, kernel, tenant, kind, &format!("core/memberships/{id}"), payload.to_string())?;
    Ok(id)
}

fn proved(row: &loopd_store::Row<'_>) -> Result<(Uuid, bool), loopd_store::StoreError> {
    Ok((row.uuid(0)?, row.bool(1)?))
}

/// The row that a person has had in the company already; null for who never had one.
fn row_of(tx: &mut Tx<'_>, tenant: &Tenant, person: Uuid) -> Result<Json> {
    let sql = "SELECT id FROM memberships WHERE company_id = $1 AND user_id = $2";
    let known = tx.first(sql, &params![tenant.company, person], |row| row.uuid(0))?;
    known.map_or(Ok(Json::Null), |id| TOLD.row(tx, tenant.company, id))
}

/// A caller who is limited to some workspaces brings new members into these and no others.
fn limit_as_caller(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid) -> Result<()> {
    let Some(limit) = tenant.workspace_limit() else { return Ok(()) };
    tx.push(
        "UPDATE memberships SET all_workspaces = FALSE WHERE company_id = $1 AND id = $2",
        params![tenant.company, id],
    )?;
    for workspace in limit {
        tx.push(
            "INSERT INTO membership_workspaces (company_id, membership_id, workspace_id) VALUES ($1, $2, $3) \
             ON CONFLICT (company_id, membership_id, workspace_id) DO NOTHING",
            params![tenant.company, id, *workspace],
        )?;
    }
    Ok(())
}

/// What [`enrol`] found.
pub(crate) enum Enrolled {
    /// A member now, for the first time or back again.
    Made(Uuid),
    /// A member before, in this state; nothing was changed.
    Known(Uuid, String),
}

/// Makes a person a member unless they are one. The caller holds [`lock`] and has judged the role.
#[expect(clippy::too_many_arguments, reason = "a row's columns")]
pub(crate) fn enrol(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    by: Option<Uuid>,
    person: Uuid,
    role: &str,
    title: &str,
    all_workspaces: bool,
) -> Result<Enrolled> {
    let (id, now) = (kernel.new_id(), kernel.now());
    let known = tx.first(
        "SELECT id, status FROM memberships WHERE company_id = $1 AND user_id = $2",
        &params![company, person],
        |row| Ok((row.uuid(0)?, row.text(1)?.to_owned())),
    )?;
    // Who is a member already takes no further seat.
    if known.as_ref().is_none_or(|(_, status)| status == "left") {
        plan::require_seat_for(tx, company, person, now)?;
    }
    match known {
        // Someone who left comes back to the same row; the history stays one.
        Some((known, status)) if status == "left" => {
            tx.execute(
                "UPDATE memberships SET role = $3, status = 'active', title = $4, joined_at = $5, all_workspaces = $6, updated_at = $5, \
                 version = version + 1 WHERE company_id = $1 AND id = $2",
                &params![company, known, role, title, now, all_workspaces],
            )?;
            // What they were in workspaces belongs to their first time here.
            tx.push(
                "DELETE FROM membership_workspaces WHERE company_id = $1 AND membership_id = $2",
                params![company, known],
            )?;
            Ok(Enrolled::Made(known))
        }
        Some((known, status)) => Ok(Enrolled::Known(known, status)),
        None => {
            tx.execute(
                "INSERT INTO memberships (company_id, id, user_id, role, status, title, all_workspaces, joined_at, created_by, created_at, \
                 updated_at) VALUES ($1, $2, $3, $4, 'active', $5, $6, $7, $8, $7, $7)",
                &params![company, id, person, role, title, all_workspaces, now, by],
            )?;
            Ok(Enrolled::Made(id))
        }
    }
}

/// Whoever changes memberships of a company takes turns: two owners who demote each other at once must not both succeed, and
/// nobody leaves while being made the owner. Taken before anything is read that the decision rests on.
pub(crate) fn lock(tx: &mut Tx<'_>, tenant: &Tenant) -> Result<()> {
    lock_company(tx, tenant.company)
}

/// [`lock`] where there is no tenant: an invited person is none yet.
pub(crate) fn lock_company(tx: &mut Tx<'_>, company: CompanyId) -> Result<()> {
    Ok(tx.lock(&format!("memberships:{}", company.0))?)
}

struct Row {
    user: Uuid,
    role: String,
    status: String,
    all_workspaces: bool,
}

fn get(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid) -> Result<Row> {
    tx.first(
        "SELECT user_id, role, status, all_workspaces FROM memberships WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id],
        |row| {
            Ok(Row {
                user: row.uuid(0)?,
                role: row.text(1)?.to_owned(),
                status: row.text(2)?.to_owned(),
                all_workspaces: row.bool(3)?,
            })
        },
    )?
    .ok_or_else(Problem::not_found)
}

/// The owner's row may only be touched by an owner, and never when it is the last active one. The caller holds [`lock`].
fn protect_owner(tx: &mut Tx<'_>, tenant: &Tenant, row: &Row) -> Result<()> {
    if row.role != "owner" {
        return Ok(());
    }
    if tenant.role() != "owner" && !tenant.is_superuser() {
        return Err(Problem::forbidden("permission_denied", "Only an owner may change an owner."));
    }
    let owners = tx.one(
        "SELECT count(*) FROM memberships WHERE company_id = $1 AND role = 'owner' AND status = 'active'",
        &params![tenant.company],
        |row| row.i64(0),
    )?;
    if owners <= 1 && row.status == "active" {
        return Err(Problem::conflict(
            "last_owner",
            "The last owner cannot be removed, suspended or given another role.",
        ));
    }
    Ok(())
}

/// Nobody shuts out, limits or demotes somebody who may do more than they may themselves, in the company or in one of its workspaces;
/// oneself always.
///
/// # Errors
/// 403 `permission_denied`.
fn outrank(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid, row: &Row) -> Result<()> {
    if tenant.actor.user == Some(row.user) {
        return Ok(());
    }
    let theirs = tx.query(
        "SELECT slug, permissions, is_system FROM roles WHERE company_id = $1 AND (slug = $2 OR slug IN \
         (SELECT role FROM membership_workspaces WHERE company_id = $1 AND membership_id = $3))",
        &params![tenant.company, &row.role, id],
        |found| Ok(role::permissions_of(found.text(0)?, found.bool(2)?, found.json(1)?)),
    )?;
    if theirs.iter().all(|theirs| tenant.holds(theirs)) {
        return Ok(());
    }
    Err(Problem::forbidden("permission_denied", "This member may do more than you; ask somebody who holds as much."))
}

/// [`outrank`] for the workspaces of a member.
///
/// # Errors
/// 403 `permission_denied`; 404.
pub(crate) fn require_rank(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid) -> Result<()> {
    let row = get(tx, tenant, id)?;
    outrank(tx, tenant, id, &row)
}

/// What `all_workspaces` becomes: `None` leaves it. Owners work everywhere, and nobody opens more workspaces than they have.
fn read_reach(tenant: &Tenant, row: &Row, role: &str, wanted: Option<bool>) -> Result<Option<bool>> {
    if role == "owner" {
        return match wanted {
            Some(false) => Err(Problem::field("all_workspaces", "invalid", "An owner works in every workspace.")),
            _ => Ok(Some(true)),
        };
    }
    if wanted == Some(true) && !row.all_workspaces && tenant.workspace_limit().is_some() {
        return Err(Problem::forbidden("permission_denied", "You cannot open more workspaces than your own."));
    }
    Ok(wanted)
}

/// Changes title (PATCH/PUT), role and `all_workspaces`: whether the member is limited to the workspaces they were added to.
///
/// # Errors
/// 400; 403 `permission_denied`, also for a member with more rights than the caller's; 404; 409 `last_owner`.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json, partial: bool) -> Result<()> {
    let mut input = Input::new(body, partial)?;
    input.ignore(&READ_ONLY);
    input.ignore(&["user", "email"]);
    let title = input.text("title", 200);
    let reach = input.boolean("all_workspaces");
    let role = if partial { input.text("role", 80) } else { input.required_text("role", 80) };
    input.finish()?;
    lock(tx, tenant)?;
    let row = get(tx, tenant, id)?;
    if let Some(role) = role.as_deref().filter(|role| *role != row.role) {
        protect_owner(tx, tenant, &row)?;
        outrank(tx, tenant, id, &row)?;
        check_role(tx, tenant, role)?;
    }
    let before = TOLD.row(tx, tenant.company, id)?;
    let reach = read_reach(tenant, &row, role.as_deref().unwrap_or(&row.role), reach)?;
    if reach.is_some_and(|all| all != row.all_workspaces) {
        outrank(tx, tenant, id, &row)?;
    }
    tx.execute(
        "UPDATE memberships SET title = COALESCE($3, title), role = COALESCE($4, role), all_workspaces = COALESCE($6, all_workspaces), \
         updated_at = $5, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, title, role, kernel.now(), reach],
    )?;
    kernel.forget_user(tx, row.user);
    let changes = Json::Object(TOLD.change(tx, tenant.company, id, &before)?.fields);
    written_by(tx, kernel, tenant.company, &tenant.actor, "update", "core.membership.updated", id, &changes)
}

/// `suspend`, `reactivate`, `leave`, `remove`.
///
/// # Errors
/// 403 `permission_denied`, also for a member with more rights than the caller's; 404; 409 `last_owner`, `invalid_transition`.
pub fn act(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, action: &str) -> Result<()> {
    lock(tx, tenant)?;
    let row = get(tx, tenant, id)?;
    let (from, to, past): (&[&str], &str, &str) = match action {
        "suspend" => (&["active"], "suspended", "core.membership.suspended"),
        "reactivate" => (&["suspended"], "active", "core.membership.reactivated"),
        "leave" => (&["active", "suspended"], "left", "core.membership.left"),
        _ => (&["active", "suspended", "invited"], "left", "core.membership.removed"),
    };
    if !from.contains(&row.status.as_str()) {
        let allowed: &[&str] = match row.status.as_str() {
            "active" => &["suspend", "leave", "remove"],
            "suspended" => &["reactivate", "leave", "remove"],
            "invited" => &["remove"],
            _ => &[],
        };
        return Err(invalid_transition(&row.status, action, allowed));
    }
    if action == "leave" && tenant.actor.user != Some(row.user) {
        return Err(Problem::forbidden("permission_denied", "Only the member can leave; remove them instead."));
    }
    protect_owner(tx, tenant, &row)?;
    outrank(tx, tenant, id, &row)?;
    if to == "active" {
        plan::require_seat(tx, tenant.company, kernel.now())?;
    }
    tx.execute(
        "UPDATE memberships SET status = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, to, kernel.now()],
    )?;
    invitation::withdraw(tx, kernel, tenant.company, row.user)?;
    if to == "left" {
        credential::take_out_of(tx, kernel, &tenant.actor, tenant.company, row.user)?;
    }
    kernel.forget_user(tx, row.user);
    let changes = serde_json::json!({"status": [row.status, to]});
    written_by(tx, kernel, tenant.company, &tenant.actor, action, past, id, &changes)
}

/// The audit row and the event of a change, also of one that nobody in the company made.
#[expect(clippy::too_many_arguments, reason = "an audit row and an event of the same fact")]
pub(crate) fn written_by(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    action: &str,
    kind: &str,
    id: Uuid,
    changes: &Json,
) -> Result<()> {
    let label = TOLD.change(tx, company, id, &Json::Null)?.label;
    let change = Change { label, fields: changes.as_object().cloned().unwrap_or_default() };
    recorded(tx, kernel, company, actor, action, id, &change)?;
    event::emit_by(tx, kernel, company, actor, kind, &format!("core/memberships/{id}"), changes.to_string())?;
    Ok(())
}

fn recorded(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &Actor,
    action: &str,
    id: Uuid,
    change: &Change,
) -> Result<()> {
    let (target, label, changes) = (id.to_string(), change.label.as_str(), change.to_text());
    let entry = audit::Entry { action, module: "core", resource: "memberships", target: &target, label, changes };
    Ok(audit::record_by(tx, kernel, company, actor, entry)?)
}

/// A role's row as the API shows it.
pub const ROLES: Listing = Listing {
    from: "roles r",
    columns: &ROLE_COLUMNS,
    company: Some("r.company_id"),
    id: "r.id",
    order: "r.company_id, r.is_system DESC, r.slug, r.id",
};
const ROLE_COLUMNS: [Column; 10] = [
    column("id", "r.id", ColumnKind::Uuid),
    column("company", "r.company_id", ColumnKind::Company),
    searched("slug", "r.slug"),
    searched("name", "r.name"),
    searched("description", "r.description"),
    column("permissions", "r.permissions", ColumnKind::Json),
    column("is_system", "r.is_system", ColumnKind::Bool),
    column("created_at", "r.created_at", ColumnKind::Time),
    column("updated_at", "r.updated_at", ColumnKind::Time),
    column("version", "r.version", ColumnKind::Int),
];

const TOLD_ROLES: Told =
    Told { listing: &ROLES, fields: &["slug", "name", "description", "permissions"], label: "name" };

/// Makes or changes a company's own role (`id` is `None` to make one).
///
/// # Errors
/// 400 for bad patterns and taken slugs; 403 for patterns beyond the caller's own; 404; 409 `system_role`.
pub fn save_role(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    id: Option<Uuid>,
    body: Json,
    partial: bool,
) -> Result<Uuid> {
    let mut input = Input::new(body, partial)?;
    input.ignore(&["id", "company", "is_system", "created_at", "updated_at", "version"]);
    let name = input.required_text("name", 120);
    let slug = input.text("slug", 80);
    let description = input.text("description", 500);
    let patterns = input.texts("permissions", 500, 200);
    let parsed = patterns.as_ref().map(PermissionSet::parse);
    if let Some(Err(words)) = &parsed {
        input.refuse("permissions", "invalid", words.clone());
    }
    if let Some(slug) = &slug
        && (slug.is_empty() || !slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
    {
        input.refuse(
            "slug",
            "invalid",
            "Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens.",
        );
    }
    if patterns.is_none() && !partial {
        input.refuse("permissions", "required", "This field is required.");
    }
    input.finish()?;
    if let Some(Ok(wanted)) = &parsed
        && !tenant.holds(wanted)
    {
        return Err(Problem::forbidden("permission_denied", "You cannot make a role that allows more than your own."));
    }
    let stored = patterns.map(|list| loopd_store::Value::Json(Json::from(list).to_string()));
    let now = kernel.now();
    let taken = |error: loopd_store::StoreError| {
        if error.is_unique("roles", &["company_id", "slug"]) {
            return Problem::field("slug", "unique", "This field must be unique.").with_cause(error);
        }
        error.into()
    };
    let before = match id {
        Some(id) => TOLD_ROLES.row(tx, tenant.company, id)?,
        None => Json::Null,
    };
    let id = match id {
        None => {
            let (id, name) = (kernel.new_id(), name.unwrap_or_default());
            let slug = slug.unwrap_or_else(|| crate::account::rules::slugify(&name));
            tx.execute(
                "INSERT INTO roles (company_id, id, slug, name, description, permissions, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
                &params![tenant.company, id, &slug, &name, description.unwrap_or_default(), stored, now],
            )
            .map_err(taken)?;
            id
        }
        Some(id) => {
            let (_, now_allows) = own_role(tx, tenant, id)?;
            // Taking away from those who hold more than oneself is shutting them out by another door.
            if !tenant.holds(&now_allows) {
                return Err(Problem::forbidden("permission_denied", "This role allows more than your own."));
            }
            tx.execute(
                "UPDATE roles SET name = COALESCE($3, name), description = COALESCE($4, description), \
                 permissions = COALESCE($5, permissions), updated_at = $6, version = version + 1 WHERE company_id = $1 AND id = $2",
                &params![tenant.company, id, name, description, stored, now],
            )
            .map_err(taken)?;
            id
        }
    };
    kernel.forget_all_users(tx);
    role_written(tx, kernel, tenant, if before.is_null() { "create" } else { "update" }, id, &before)?;
    Ok(id)
}

/// # Errors
/// 404; 409 `system_role`; 409 `role_in_use`.
pub fn delete_role(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    let (slug, _) = own_role(tx, tenant, id)?;
    let used = tx.one(
        "SELECT (SELECT count(*) FROM memberships WHERE company_id = $1 AND role = $2) + \
         (SELECT count(*) FROM membership_workspaces WHERE company_id = $1 AND role = $2)",
        &params![tenant.company, &slug],
        |row| row.i64(0),
    )?;
    if used > 0 {
        return Err(Problem::conflict("role_in_use", "Members hold this role; give them another first.")
            .with_extra("members", used));
    }
    let before = TOLD_ROLES.row(tx, tenant.company, id)?;
    tx.execute("DELETE FROM roles WHERE company_id = $1 AND id = $2", &params![tenant.company, id])?;
    role_written(tx, kernel, tenant, "delete", id, &before)
}

/// A role of the company's own: its slug, and what it allows.
fn own_role(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid) -> Result<(String, PermissionSet)> {
    let (slug, is_system, allows) = tx
        .first(
            "SELECT slug, is_system, permissions FROM roles WHERE company_id = $1 AND id = $2",
            &params![tenant.company, id],
            |row| {
                let (slug, is_system) = (row.text(0)?.to_owned(), row.bool(1)?);
                let allows = role::permissions_of(&slug, is_system, row.json(2)?);
                Ok((slug, is_system, allows))
            },
        )?
        .ok_or_else(Problem::not_found)?;
    if is_system {
        return Err(Problem::conflict("system_role", "Built-in roles cannot be changed; clone one instead."));
    }
    Ok((slug, allows))
}

fn role_written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    id: Uuid,
    before: &Json,
) -> Result<()> {
    let (target, change) = (id.to_string(), TOLD_ROLES.change(tx, tenant.company, id, before)?);
    let (label, changes) = (change.label.as_str(), change.to_text());
    let entry = audit::Entry { action, module: "core", resource: "roles", target: &target, label, changes };
    audit::record(tx, kernel, tenant, entry)?;
    event::emit(
        tx,
        kernel,
        tenant,
        "core.role.changed",
        &format!("core/roles/{id}"),
        serde_json::json!({"id": target}).to_string(),
    )?;
    Ok(())
}

/// The patterns of any role of the company, built-in ones included.
///
/// # Errors
/// 404.
pub fn role_patterns(tx: &mut Tx<'_>, tenant: &Tenant, id: Uuid) -> Result<Vec<String>> {
    let found = tx.first(
        "SELECT slug, permissions, is_system FROM roles WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id],
        |row| Ok(role::permissions_of(row.text(0)?, row.bool(2)?, row.json(1)?)),
    )?;
    Ok(found.ok_or_else(Problem::not_found)?.patterns().collect())
}
