//! Developer profiles: who builds against this installation, approved by its staff.

use loopd_store::{Tx, params};
use loopd_types::{Problem, Result, Uuid};
use serde_json::Value as Json;

use crate::access::Caller;
use crate::account::rules::is_email;
use crate::company::invalid_transition;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit};

/// Profiles as the API shows them; people see their own, staff all.
pub const LISTING: Listing =
    Listing { from: "developer_profiles d", columns: &COLUMNS, company: None, id: "d.id", order: "d.id" };
const COLUMNS: [Column; 12] = [
    column("id", "d.id", ColumnKind::Uuid),
    column("user", "d.user_id", ColumnKind::Uuid),
    searched("display_name", "d.display_name"),
    searched("company_name", "d.company_name"),
    column("website", "d.website", ColumnKind::Text),
    searched("bio", "d.bio"),
    searched("contact_email", "d.contact_email"),
    column("status", "d.status", ColumnKind::Text),
    column("terms_accepted_at", "d.terms_accepted_at", ColumnKind::Time).nullable(),
    column("created_at", "d.created_at", ColumnKind::Time),
    column("updated_at", "d.updated_at", ColumnKind::Time),
    column("version", "d.version", ColumnKind::Int),
];

/// Makes the caller's profile (`id` is `None`) or changes one of theirs.
///
/// # Errors
/// 400 with every complaint, also for a second profile; 404 for somebody else's.
pub fn save(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    caller: &Caller,
    id: Option<Uuid>,
    body: Json,
    partial: bool,
) -> Result<Uuid> {
    let user = caller.require_user()?;
    let mut input = Input::new(body, partial)?;
    input.ignore(&["id", "user", "status", "terms_accepted_at", "created_at", "updated_at", "version"]);
    let display_name = input.required_text("display_name", 120);
    let company_name = input.text("company_name", 200);
    let website = input.text("website", 300);
    let bio = input.text("bio", 4_000);
    let contact_email = input.text("contact_email", 254);
    let accept_terms = input.boolean("accept_terms").unwrap_or(false);
    if let Some(email) = contact_email.as_deref().filter(|email| !email.is_empty())
        && !is_email(email)
    {
        input.refuse("contact_email", "invalid", "Enter a valid email address.");
    }
    if let Some(url) = website.as_deref().filter(|url| !url.is_empty())
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        input.refuse("website", "invalid", "Enter a valid URL.");
    }
    input.finish()?;
    let now = kernel.now();
    let accepted = accept_terms.then_some(now);
    let id = match id {
        None => {
            let id = kernel.new_id();
            tx.execute(
                "INSERT INTO developer_profiles (id, user_id, display_name, company_name, website, bio, contact_email, status, terms_accepted_at, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $9)",
                &params![
                    id, user.id, display_name.unwrap_or_default(), company_name.unwrap_or_default(), website.unwrap_or_default(),
                    bio.unwrap_or_default(), contact_email.unwrap_or_default(), accepted, now
                ],
            )
            .map_err(|error| {
                if error.is_unique("developer_profiles", &["user_id"]) {
                    return Problem::field("user", "unique", "You have a developer profile already.").with_cause(error);
                }
                error.into()
            })?;
            id
        }
        Some(id) => {
            let changed = tx.execute(
                "UPDATE developer_profiles SET display_name = COALESCE($3, display_name), company_name = COALESCE($4, company_name), \
                 website = COALESCE($5, website), bio = COALESCE($6, bio), contact_email = COALESCE($7, contact_email), \
                 terms_accepted_at = COALESCE(terms_accepted_at, $8), updated_at = $9, version = version + 1 \
                 WHERE id = $1 AND (user_id = $2 OR $10)",
                &params![id, user.id, display_name, company_name, website, bio, contact_email, accepted, now, caller.is_superuser()],
            )?;
            if changed == 0 {
                return Err(Problem::not_found());
            }
            id
        }
    };
    note(tx, kernel, caller, "save", id)?;
    Ok(id)
}

/// `approve` and `reject`; staff only, the caller checks.
///
/// # Errors
/// 404; 409 `invalid_transition`.
pub fn decide(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, id: Uuid, action: &str) -> Result<()> {
    let from = tx
        .first("SELECT status FROM developer_profiles WHERE id = $1", &params![id], |row| Ok(row.text(0)?.to_owned()))?
        .ok_or_else(Problem::not_found)?;
    let to = if action == "approve" { "approved" } else { "rejected" };
    if from == to {
        return Err(invalid_transition(&from, action, if to == "approved" { &["reject"] } else { &["approve"] }));
    }
    tx.execute(
        "UPDATE developer_profiles SET status = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        &params![id, to, kernel.now()],
    )?;
    note(tx, kernel, caller, action, id)
}

/// Deletes the caller's profile.
///
/// # Errors
/// 404 for somebody else's.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, id: Uuid) -> Result<()> {
    let user = caller.require_user()?;
    let gone = tx.execute(
        "DELETE FROM developer_profiles WHERE id = $1 AND (user_id = $2 OR $3)",
        &params![id, user.id, caller.is_superuser()],
    )?;
    if gone == 0 {
        return Err(Problem::not_found());
    }
    note(tx, kernel, caller, "delete", id)
}

fn note(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, action: &str, id: Uuid) -> Result<()> {
    let target = id.to_string();
    let entry = audit::Entry {
        action,
        module: "core",
        resource: "developer-profiles",
        target: &target,
        label: "",
        changes: None,
    };
    Ok(kernel.audit_installation(tx, &caller.actor(), entry)?)
}
