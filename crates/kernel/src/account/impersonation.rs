//! The operator under a person's name: for help, with a reason, for an hour at most, seen by everybody and never in secret: the person is
//! written to.
//!
//! A session of its own kind ([`crate::access::Bounds`]): it has the person's rights less what was withheld, is never a superuser, and is
//! refused wherever a person's own credentials, factors, password or profile are touched. It has no refresh token. Every audit row that
//! it leaves names both.

use loopd_store::{Tx, Value as Sql, params};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, Timestamp, Uuid};
use serde_json::{Value, json};

use super::session;
use crate::access::{Auth, Caller};
use crate::input::Input;
use crate::mail::{self, Letter, Template};
use crate::permission::PermissionSet;
use crate::{Kernel, audit, event};

/// Minutes that an impersonation lasts unless it is told, and at most.
const MINUTES: i64 = 30;
const MINUTES_MAX: i64 = 60;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct Request {
    reason: String,
    minutes: i64,
    withhold: Vec<String>,
}

impl Request {
    /// Reads `reason` (a sentence, kept on record), `minutes` and `withhold` (permission patterns).
    ///
    /// # Errors
    /// 400 with every complaint.
    pub fn parse(body: Value) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let reason = input.required_text("reason", 500);
        if reason.as_ref().is_some_and(|reason| reason.chars().count() < 8) {
            input.refuse("reason", "min_length", "Say in a few words why.");
        }
        let minutes = input.integer("minutes", 1, MINUTES_MAX).unwrap_or(MINUTES);
        let withhold = input.texts("withhold", 100, 200).unwrap_or_default();
        if withhold.iter().any(|pattern| pattern.starts_with('!')) || PermissionSet::parse(&withhold).is_err() {
            input.refuse("withhold", "invalid", "Name permission patterns, such as `core.*` or `*.*.delete`.");
        }
        input.finish()?;
        Ok(Self { reason: reason.unwrap_or_default(), minutes, withhold })
    }
}

/// An impersonation that was just begun.
#[derive(Clone, Debug)]
pub struct Begun {
    pub session: Uuid,
    pub access: String,
    pub expires_at: Timestamp,
    pub expires_in: i64,
}

/// Begins to act under a person's name. The caller is a superuser, checked by the operation.
///
/// # Errors
/// 403 `impersonation_forbidden` for oneself, superusers and staff; 404; 409 for people who are switched off.
pub fn begin(tx: &mut Tx<'_>, kernel: &Kernel, operator: &Caller, user: Uuid, request: &Request) -> Result<Begun> {
    let by = operator.require_user()?.id;
    operator.require_personal()?;
    let sql = "SELECT email, is_active, is_superuser, is_staff, language FROM users WHERE id = $1";
    let (email, is_active, is_superuser, is_staff, language) = tx
        .first(sql, &params![user], |row| {
            Ok((row.text(0)?.to_owned(), row.bool(1)?, row.bool(2)?, row.bool(3)?, row.text(4)?.to_owned()))
        })?
        .ok_or_else(Problem::not_found)?;
    if is_superuser || is_staff || by == user {
        let words = "Nobody acts under the name of a superuser, of staff or of themselves.";
        return Err(Problem::forbidden("impersonation_forbidden", words));
    }
    if !is_active {
        return Err(Problem::conflict("user_inactive", "This account is switched off."));
    }
    let (id, now) = (kernel.new_id(), kernel.now());
    let life_us = request.minutes * MINUTE_US;
    let expires_at = now.plus(life_us);
    let origin = &operator.origin;
    tx.push(
        "INSERT INTO sessions (id, user_id, refresh_jti, app_id, address, user_agent, created_at, last_used_at, expires_at, method, \
         second_factor_at, impersonator_id, impersonation_reason, withheld) \
         VALUES ($1, $2, '', $3, $4, $5, $6, $6, $7, 'impersonation', $8, $9, $10, $11)",
        params![
            id,
            user,
            origin.app_id.as_deref().unwrap_or(""),
            origin.address.to_string(),
            origin.user_agent.as_deref().unwrap_or(""),
            now,
            expires_at,
            operator.has_two_factor().then_some(now),
            by,
            &request.reason,
            Sql::Json(Value::from(request.withhold.clone()).to_string())
        ],
    )?;
    kernel.forget_user(tx, user);
    let access = kernel.tokens.sign("access", user, id, &session::new_jti(kernel), now, life_us)?;
    let changes = json!({"reason": request.reason, "expires_at": expires_at, "withheld": request.withhold});
    tell(tx, kernel, operator, user, &email, "impersonation-start", "core.user.impersonation_started", &changes)?;
    let template = Template::ImpersonationBegun { reason: &request.reason, ends_at: expires_at };
    mail::queue(tx, kernel, &Letter { company: audit::INSTALLATION, to: &email, language: &language, template })?;
    Ok(Begun { session: id, access, expires_at, expires_in: request.minutes * 60 })
}

/// Ends the caller's own impersonation. Repeating it is refused as every call of an ended session is.
///
/// # Errors
/// 409 `not_impersonating` for people in their own name.
pub fn end_own(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller) -> Result<()> {
    let user = caller.require_user()?;
    let (Some(_), Auth::Session(session)) = (caller.impersonation(), &caller.auth) else {
        return Err(Problem::conflict("not_impersonating", "You act in your own name."));
    };
    session::end(tx, kernel, user.id, *session, "impersonation ended")?;
    tell(tx, kernel, caller, user.id, &user.email, "impersonation-end", "core.user.impersonation_ended", &json!({}))
}

/// Ends every impersonation of a person, by a superuser. Repeating it changes nothing.
///
/// # Errors
/// 404.
pub fn end_all_of(tx: &mut Tx<'_>, kernel: &Kernel, operator: &Caller, user: Uuid) -> Result<()> {
    let email = super::email_of(tx, user)?;
    let ended = tx.execute(
        "UPDATE sessions SET revoked_at = $2, revoke_reason = 'impersonation ended' \
         WHERE user_id = $1 AND impersonator_id IS NOT NULL AND revoked_at IS NULL AND expires_at > $2",
        &params![user, kernel.now()],
    )?;
    if ended == 0 {
        return Ok(());
    }
    kernel.forget_user(tx, user);
    tell(tx, kernel, operator, user, &email, "impersonation-end", "core.user.impersonation_ended", &json!({}))
}

/// On record in the installation and in every company where the person works, whose admins so see it too.
#[expect(clippy::too_many_arguments, reason = "the two ends of an impersonation differ in nothing but these")]
fn tell(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    by: &Caller,
    user: Uuid,
    email: &str,
    action: &str,
    kind: &str,
    facts: &Value,
) -> Result<()> {
    let actor = by.actor();
    let operator = by.impersonation().map_or(actor.user, |found| Some(found.by));
    let target = user.to_string();
    let entry = || audit::Entry {
        action,
        module: "core",
        resource: "users",
        target: &target,
        label: email,
        changes: Some(facts.to_string()),
    };
    kernel.audit_installation(tx, &actor, entry())?;
    let companies = tx.query(
        "SELECT company_id FROM memberships WHERE user_id = $1 AND status = 'active' ORDER BY company_id",
        &params![user],
        |row| row.i64(0).map(CompanyId),
    )?;
    for company in companies {
        audit::record_by(tx, kernel, company, &actor, entry())?;
        let payload = json!({"user": target, "operator": operator.map(|id| id.to_string()), "facts": facts});
        event::emit_by(tx, kernel, company, &actor, kind, &format!("core/users/{user}"), payload.to_string())?;
    }
    Ok(())
}
