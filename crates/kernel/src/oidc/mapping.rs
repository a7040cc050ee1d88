//! What a provider's groups give: a role in a company for each rule that matches, never more than who wrote the rules may give at the
//! moment of the sign-in, and nothing for a group that no rule names.

use loopd_store::{Tx, params};
use loopd_types::{CompanyCode, CompanyId, Result, Uuid};
use serde_json::json;

use super::provider::{Provider, Rule, permissions_of};
use crate::access::{Actor, Origin};
use crate::audit::INSTALLATION;
use crate::{Kernel, membership};

/// Brings the memberships that follow this provider's groups up to date. Memberships that people made are left alone, and so is what an
/// admin has suspended: a group revives no right that somebody took away.
pub fn apply(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    provider: &Provider,
    user: Uuid,
    groups: &[String],
    origin: &Origin,
) -> Result<()> {
    let actor = Actor { user: Some(user), credential: None, origin: Some(origin.clone()), reason: Some("oidc groups") };
    let mut given: Vec<CompanyId> = Vec::new();
    for rule in provider.rules.iter().filter(|rule| groups.contains(&rule.group)) {
        let Some(company) = company_of(provider, rule) else { continue };
        if given.contains(&company) || !may_give(tx, provider, company, &rule.role)? {
            continue;
        }
        given.push(company);
        give(tx, kernel, provider, company, user, &rule.role, &actor)?;
    }
    let followed = tx.query(
        "SELECT o.company_id, o.membership_id FROM oidc_memberships o JOIN memberships m ON m.company_id = o.company_id AND m.id = o.membership_id \
         WHERE o.provider_id = $1 AND m.user_id = $2 AND m.status = 'active' AND m.role <> 'owner'",
        &params![provider.id, user],
        |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)),
    )?;
    for (company, membership) in followed.into_iter().filter(|(company, _)| !given.contains(company)) {
        set(tx, kernel, company, membership, None, "suspended")?;
        tx.push(
            "UPDATE oidc_memberships SET is_withdrawn = TRUE WHERE company_id = $1 AND membership_id = $2",
            params![company, membership],
        )?;
        membership::written_by(
            tx,
            kernel,
            company,
            &actor,
            "suspend",
            "core.membership.suspended",
            membership,
            &json!({"group": "lost"}),
        )?;
    }
    kernel.forget_user(tx, user);
    Ok(())
}

/// Whether some rule names one of these groups.
pub fn names_any(provider: &Provider, groups: &[String]) -> bool {
    provider.rules.iter().any(|rule| groups.contains(&rule.group))
}

fn company_of(provider: &Provider, rule: &Rule) -> Option<CompanyId> {
    if provider.company != INSTALLATION {
        return Some(provider.company);
    }
    rule.company.as_deref().and_then(CompanyCode::parse).map(|code| code.0)
}

/// Whether who wrote the rules could give this role now: their own rights may have shrunk, or the role's have grown.
fn may_give(tx: &mut Tx<'_>, provider: &Provider, company: CompanyId, slug: &str) -> Result<bool> {
    let Some(wanted) = permissions_of(tx, company, slug)?.filter(|_| slug != "owner") else { return Ok(false) };
    let Some(admin) = provider.configured_by else { return Ok(false) };
    let sql = "SELECT is_superuser FROM users WHERE id = $1 AND is_active";
    let is_superuser = tx.first(sql, &params![admin], |row| row.bool(0))?;
    if is_superuser == Some(true) {
        return Ok(true);
    }
    if is_superuser.is_none() || provider.company == INSTALLATION {
        return Ok(false);
    }
    let sql = "SELECT role FROM memberships WHERE company_id = $1 AND user_id = $2 AND status = 'active'";
    let Some(role) = tx.first(sql, &params![company, admin], |row| Ok(row.text(0)?.to_owned()))? else {
        return Ok(false);
    };
    let own = permissions_of(tx, company, &role)?;
    Ok(own.is_some_and(|own| own == wanted || own.covers(&wanted)))
}

fn give(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    provider: &Provider,
    company: CompanyId,
    user: Uuid,
    role: &str,
    actor: &Actor,
) -> Result<()> {
    // The turn of everybody who changes memberships of this company.
    tx.lock(&format!("memberships:{}", company.0))?;
    let known = tx.first(
        "SELECT m.id, m.role, m.status, o.provider_id, o.is_withdrawn FROM memberships m \
         LEFT JOIN oidc_memberships o ON o.company_id = m.company_id AND o.membership_id = m.id \
         WHERE m.company_id = $1 AND m.user_id = $2",
        &params![company, user],
        |row| {
            Ok((
                row.uuid(0)?,
                row.text(1)?.to_owned(),
                row.text(2)?.to_owned(),
                row.opt_uuid(3)?,
                row.opt_bool(4)?.unwrap_or(false),
            ))
        },
    )?;
    let Some((id, present, status, followed, is_withdrawn)) = known else {
        return join(tx, kernel, provider, company, user, role, actor);
    };
    if followed != Some(provider.id) || present == "owner" {
        return Ok(());
    }
    match status.as_str() {
        "active" if present == role => Ok(()),
        "active" => {
            set(tx, kernel, company, id, Some(role), "active")?;
            let changes = json!({"role": [present, role]});
            membership::written_by(tx, kernel, company, actor, "update", "core.membership.updated", id, &changes)
        }
        "suspended" if is_withdrawn => {
            set(tx, kernel, company, id, Some(role), "active")?;
            tx.push(
                "UPDATE oidc_memberships SET is_withdrawn = FALSE WHERE company_id = $1 AND membership_id = $2",
                params![company, id],
            )?;
            let changes = json!({"role": [present, role], "group": "regained"});
            membership::written_by(
                tx,
                kernel,
                company,
                actor,
                "reactivate",
                "core.membership.reactivated",
                id,
                &changes,
            )
        }
        _ => Ok(()),
    }
}

fn join(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    provider: &Provider,
    company: CompanyId,
    user: Uuid,
    role: &str,
    actor: &Actor,
) -> Result<()> {
    let (id, now) = (kernel.new_id(), kernel.now());
    tx.execute(
        "INSERT INTO memberships (company_id, id, user_id, role, status, title, joined_at, created_by, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'active', '', $5, $6, $5, $5)",
        &params![company, id, user, role, now, provider.configured_by],
    )?;
    tx.push(
        "INSERT INTO oidc_memberships (company_id, membership_id, provider_id) VALUES ($1, $2, $3)",
        params![company, id, provider.id],
    )?;
    membership::written_by(tx, kernel, company, actor, "create", "core.membership.created", id, &json!({"role": role}))
}

fn set(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid, role: Option<&str>, status: &str) -> Result<()> {
    tx.execute(
        "UPDATE memberships SET role = COALESCE($3, role), status = $4, updated_at = $5, version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![company, id, role, status, kernel.now()],
    )?;
    Ok(())
}
