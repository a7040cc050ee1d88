//! Workspaces: branches, departments and projects of a company. One is the default and stays.

use loopd_store::{Tx, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::{Value as Json, json};

use crate::access::Tenant;
use crate::account::rules::slugify;
use crate::audit::{Change, Told};
use crate::company::invalid_transition;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Conditions, Listing, column, searched};
use crate::{Kernel, audit, event};

/// Workspaces as the API shows them.
pub const LISTING: Listing = Listing {
    from: "workspaces w",
    columns: &COLUMNS,
    company: Some("w.company_id"),
    id: "w.id",
    order: "w.company_id, w.is_default DESC, w.name, w.id",
};
const COLUMNS: [Column; 11] = [
    column("id", "w.id", ColumnKind::Uuid),
    column("company", "w.company_id", ColumnKind::Company),
    searched("name", "w.name"),
    searched("slug", "w.slug"),
    column("kind", "w.kind", ColumnKind::Text),
    column("is_default", "w.is_default", ColumnKind::Bool),
    column("status", "w.status", ColumnKind::Text),
    column("created_by", "w.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "w.created_at", ColumnKind::Time),
    column("updated_at", "w.updated_at", ColumnKind::Time),
    column("version", "w.version", ColumnKind::Int),
];
/// The members of one workspace, with what they are there.
pub const MEMBERS: Listing = Listing {
    from: "memberships m JOIN users u ON u.id = m.user_id \
           LEFT JOIN membership_workspaces w ON w.company_id = m.company_id AND w.membership_id = m.id AND w.workspace_id = $1",
    columns: &MEMBER_COLUMNS,
    company: Some("m.company_id"),
    id: "m.id",
    order: "u.email, m.id",
};
const MEMBER_COLUMNS: [Column; 8] = [
    column("membership", "m.id", ColumnKind::Uuid),
    column("user", "m.user_id", ColumnKind::Uuid),
    searched("email", "u.email"),
    searched("first_name", "u.first_name"),
    searched("last_name", "u.last_name"),
    column("role", "m.role", ColumnKind::Text),
    column("workspace_role", "w.role", ColumnKind::Text).nullable(),
    column("all_workspaces", "m.all_workspaces", ColumnKind::Bool),
];

/// Whom [`MEMBERS`] shows: the active members who may work in `workspace`.
pub fn in_workspace(workspace: Uuid) -> Conditions {
    // The workspace is the first value: the join names it $1.
    Conditions::default().and("m.status = 'active' AND (m.all_workspaces OR w.workspace_id = {})", [workspace.into()])
}

const TOLD: Told = Told { listing: &LISTING, fields: &["name", "slug", "kind", "status"], label: "name" };
const READ_ONLY: [&str; 8] =
    ["id", "company", "is_default", "status", "created_by", "created_at", "updated_at", "version"];
/// What a workspace may stand for.
pub const KINDS: [&str; 3] = ["branch", "department", "project"];

/// The workspace "Main" of a new company.
pub(crate) fn insert_default(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, by: Uuid) -> Result<Uuid> {
    let (id, now) = (kernel.new_id(), kernel.now());
    tx.push(
        "INSERT INTO workspaces (company_id, id, name, slug, is_default, created_by, created_at, updated_at) \
         VALUES ($1, $2, 'Main', 'main', TRUE, $3, $4, $4)",
        params![company, id, by, now],
    )?;
    Ok(id)
}

/// Makes a workspace.
///
/// # Errors
/// 400 with every complaint; the slug must be free in the company.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    input.ignore(&READ_ONLY);
    let name = input.required_text("name", 200);
    let slug = read_slug(&mut input);
    let kind = input.choice("kind", &KINDS).unwrap_or_else(|| "branch".to_owned());
    input.finish()?;
    let name = name.unwrap_or_default();
    let slug = slug.unwrap_or_else(|| slugify(&name));
    let (id, now) = (kernel.new_id(), kernel.now());
    tx.execute(
        "INSERT INTO workspaces (company_id, id, name, slug, kind, created_by, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        &params![tenant.company, id, &name, &slug, &kind, tenant.actor.user, now],
    )
    .map_err(slug_taken)?;
    let change = TOLD.change(tx, tenant.company, id, &Json::Null)?;
    written(tx, kernel, tenant, "create", "core.workspace.created", id, &change)?;
    Ok(id)
}

fn read_slug(input: &mut Input) -> Option<String> {
    let slug = input.text("slug", 80)?;
    if slug.is_empty() || !slug.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        input.refuse(
            "slug",
            "invalid",
            "Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens.",
        );
        return None;
    }
    Some(slug)
}

fn slug_taken(error: loopd_store::StoreError) -> Problem {
    if error.is_unique("workspaces", &["company_id", "slug"]) {
        return Problem::field("slug", "unique", "This field must be unique.").with_cause(error);
    }
    error.into()
}

/// Changes name, slug and kind.
///
/// # Errors
/// 400 with every complaint; 404.
pub fn update(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json, partial: bool) -> Result<()> {
    let mut input = Input::new(body, partial)?;
    input.ignore(&READ_ONLY);
    let name = input.required_text("name", 200);
    let slug = read_slug(&mut input);
    let kind = input.choice("kind", &KINDS);
    input.finish()?;
    let before = TOLD.row(tx, tenant.company, id)?;
    let changed = tx
        .execute(
            "UPDATE workspaces SET name = COALESCE($3, name), slug = COALESCE($4, slug), kind = COALESCE($5, kind), updated_at = $6, \
             version = version + 1 WHERE company_id = $1 AND id = $2",
            &params![tenant.company, id, name, slug, kind, kernel.now()],
        )
        .map_err(slug_taken)?;
    if changed == 0 {
        return Err(Problem::not_found());
    }
    let change = TOLD.change(tx, tenant.company, id, &before)?;
    written(tx, kernel, tenant, "update", "core.workspace.updated", id, &change)
}

/// `archive` and `restore`. The default workspace stays.
///
/// # Errors
/// 404; 409 `default_workspace`, `invalid_transition`.
pub fn set_status(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, action: &str) -> Result<()> {
    let sql = format!(
        "SELECT is_default, status FROM workspaces WHERE company_id = $1 AND id = $2{}",
        dialect::for_update(tx.engine())
    );
    let (is_default, from) = tx
        .first(&sql, &params![tenant.company, id], |row| Ok((row.bool(0)?, row.text(1)?.to_owned())))?
        .ok_or_else(Problem::not_found)?;
    let (need, to, past) = match action {
        "restore" => ("archived", "active", "core.workspace.restored"),
        _ => ("active", "archived", "core.workspace.archived"),
    };
    if from != need {
        return Err(invalid_transition(&from, action, if from == "active" { &["archive"] } else { &["restore"] }));
    }
    if is_default && to == "archived" {
        return Err(Problem::conflict("default_workspace", "The default workspace cannot be archived."));
    }
    let before = TOLD.row(tx, tenant.company, id)?;
    tx.execute(
        "UPDATE workspaces SET status = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, to, kernel.now()],
    )?;
    let change = TOLD.change(tx, tenant.company, id, &before)?;
    written(tx, kernel, tenant, action, past, id, &change)
}

/// Adds a member to a workspace, or takes one out; a member with workspaces of their own is limited to them until an update of
/// the membership gives them `all_workspaces` again.
///
/// # Errors
/// 400 when membership or role is unknown; 403 `permission_denied` for a member with more rights than the caller's; 404.
pub fn set_member(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid, body: Json, add: bool) -> Result<()> {
    let mut input = Input::new(body, false)?;
    let has_membership = input.has("membership");
    let membership = input.uuid("membership");
    let role = if add { input.text("role", 80).filter(|role| !role.is_empty()) } else { None };
    if !has_membership {
        input.refuse("membership", "required", "This field is required.");
    }
    input.finish()?;
    let membership = membership.unwrap_or_default();
    let exists = |tx: &mut Tx<'_>, sql: &str, key: loopd_store::Value| -> Result<bool> {
        Ok(tx.first(sql, &[tenant.company.into(), key], |_| Ok(()))?.is_some())
    };
    if !exists(tx, "SELECT 1 FROM workspaces WHERE company_id = $1 AND id = $2", id.into())? {
        return Err(Problem::not_found());
    }
    if !exists(tx, "SELECT 1 FROM memberships WHERE company_id = $1 AND id = $2", membership.into())? {
        return Err(Problem::field(
            "membership",
            "does_not_exist",
            format!("Invalid pk \"{membership}\" - object does not exist."),
        ));
    }
    // Nobody opens a workspace to others that they cannot enter themselves, nor shuts others out of it.
    if tenant.workspace_limit().is_some_and(|limit| !limit.contains(&id)) {
        return Err(Problem::forbidden("workspace_access_denied", "You do not have access to this workspace."));
    }
    crate::membership::lock(tx, tenant)?;
    crate::membership::require_rank(tx, tenant, membership)?;
    if let Some(role) = &role {
        crate::membership::check_role(tx, tenant, role)?;
    }
    if add {
        tx.execute(
            "INSERT INTO membership_workspaces (company_id, membership_id, workspace_id, role) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (company_id, membership_id, workspace_id) DO UPDATE SET role = excluded.role",
            &params![tenant.company, membership, id, role.as_deref()],
        )?;
        tx.execute(
            "UPDATE memberships SET all_workspaces = FALSE, updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2 AND role <> 'owner'",
            &params![tenant.company, membership, kernel.now()],
        )?;
    } else {
        tx.execute(
            "DELETE FROM membership_workspaces WHERE company_id = $1 AND membership_id = $2 AND workspace_id = $3",
            &params![tenant.company, membership, id],
        )?;
    }
    kernel.forget_all_users(tx);
    let (action, past) = if add {
        ("add-member", "core.workspace.member_added")
    } else {
        ("remove-member", "core.workspace.member_removed")
    };
    let member = Json::from(membership.to_string());
    let both = |value: Json| if add { json!([null, value]) } else { json!([value, null]) };
    let label = TOLD.row(tx, tenant.company, id)?["name"].as_str().unwrap_or_default().to_owned();
    let mut change = Change { label, fields: [("membership".to_owned(), both(member))].into_iter().collect() };
    if let Some(role) = role {
        change.fields.insert("role".to_owned(), both(role.into()));
    }
    written(tx, kernel, tenant, action, past, id, &change)
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    kind: &str,
    id: Uuid,
    change: &Change,
) -> Result<()> {
    let (target, label, changes) = (id.to_string(), change.label.as_str(), change.to_text());
    let entry = audit::Entry { action, module: "core", resource: "workspaces", target: &target, label, changes };
    audit::record(tx, kernel, tenant, entry)?;
    event::emit(tx, kernel, tenant, kind, &format!("core/workspaces/{id}"), json!({"id": target}).to_string())?;
    kernel.forget_company(tx, tenant.company);
    Ok(())
}
