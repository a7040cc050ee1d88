//! Invitations: a company asks a person, by mail, to work in it. The person may have an account or none.
//!
//! An invitation never carries more than whoever stands behind it holds: the role is checked when it is made, when it is sent again,
//! and against its giver's rights of that moment when it is accepted. It opens a door once: leaving, being removed or suspended, and
//! joining in another way all end it. While it is open it holds a seat of the company's plan.

mod answer;
mod overdue;

pub use answer::{Acceptance, Accepted, Shown, decline, look_up};
pub(crate) use overdue::{has_seat, open};
pub use overdue::{register, settle};

use loopd_store::{Reader, Tx, Value, params};
use loopd_types::{CompanyId, DAY_US, Problem, Result, Timestamp, Uuid, sha256_hex};
use serde_json::{Value as Json, json};

use crate::access::Tenant;
use crate::account::{one_time, rules};
use crate::company::invalid_transition;
use crate::input::Input;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::mail::{self, Letter, Template};
use crate::membership::{check_role, lock};
use crate::{Kernel, audit, event, plan};

/// The page that the letter leads to.
pub const PAGE: &str = "/account/invitation/";

/// Invitations as the API shows them; the token is no column.
pub const LISTING: Listing = Listing {
    from: "invitations i",
    columns: &COLUMNS,
    company: Some("i.company_id"),
    id: "i.id",
    order: "i.company_id, i.id DESC",
};
const COLUMNS: [Column; 15] = [
    column("id", "i.id", ColumnKind::Uuid),
    column("company", "i.company_id", ColumnKind::Company),
    searched("email", "i.email"),
    column("role", "i.role", ColumnKind::Text),
    searched("title", "i.title"),
    column("all_workspaces", "i.all_workspaces", ColumnKind::Bool),
    column("workspaces", "i.workspaces", ColumnKind::Json),
    column("status", "i.status", ColumnKind::Text),
    column("expires_at", "i.expires_at", ColumnKind::Time),
    column("invited_by", "i.invited_by", ColumnKind::Uuid).nullable(),
    column("user", "i.user_id", ColumnKind::Uuid).nullable(),
    column("sent_count", "i.sent_count", ColumnKind::Int),
    column("answered_at", "i.answered_at", ColumnKind::Time).nullable(),
    column("created_at", "i.created_at", ColumnKind::Time),
    column("version", "i.version", ColumnKind::Int),
];

/// How long a link is good.
const LIFE_US: i64 = 7 * DAY_US;
/// How often one invitation may be sent: nobody's mailbox is filled by us.
const MOST_SENT: i64 = 10;

/// Invites somebody and writes the letter.
///
/// # Errors
/// 400, also for a member and for somebody who is invited already; 402 `seat_limit_reached`; 403 `permission_denied` for more than the
/// caller holds; 503 `mail_unavailable`.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, body: Json) -> Result<Uuid> {
    let mut input = Input::new(body, false)?;
    let email = input.required_text("email", 254).map(|email| email.to_lowercase());
    let role = input.required_text("role", 80);
    let title = input.text("title", 200).unwrap_or_default();
    let workspaces = input.texts("workspaces", 100, 64);
    if let Some(email) = &email
        && !rules::is_email(email)
    {
        input.refuse("email", "invalid", "Enter a valid email address.");
    }
    input.finish()?;
    mail::require_available(kernel)?;
    let (email, role) = (email.unwrap_or_default(), role.unwrap_or_default());
    lock(tx, tenant)?;
    check_role(tx, tenant, &role)?;
    let workspaces = read_workspaces(tenant, &role, workspaces)?;
    let now = kernel.now();
    overdue::end_overdue(tx, kernel, tenant.company)?;
    let member = tx.first(
        "SELECT m.id FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.company_id = $1 AND u.email = $2 AND m.status <> 'left'",
        &params![tenant.company, &email],
        |row| row.uuid(0),
    )?;
    if member.is_some() {
        return Err(Problem::field("email", "unique", "This person is already a member of the company."));
    }
    let pending = tx.first(
        "SELECT id FROM invitations WHERE company_id = $1 AND email = $2 AND status = 'pending'",
        &params![tenant.company, &email],
        |row| row.uuid(0),
    )?;
    if pending.is_some() {
        let words = "This person is invited already; send that invitation again or revoke it.";
        return Err(Problem::field("email", "invited", words));
    }
    plan::require_seat(tx, tenant.company, now)?;
    let (id, token) = (kernel.new_id(), one_time::new_token(kernel));
    tx.execute(
        "INSERT INTO invitations (company_id, id, email, role, title, all_workspaces, workspaces, token_hash, status, expires_at, \
         invited_by, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10, $11, $11)",
        &params![
            tenant.company,
            id,
            &email,
            &role,
            &title,
            workspaces.is_none(),
            Value::Json(json!(workspaces.unwrap_or_default()).to_string()),
            sha256_hex(token.as_bytes()),
            now.plus(LIFE_US),
            tenant.actor.user,
            now
        ],
    )?;
    overdue::later(tx, kernel, tenant.company, now.plus(LIFE_US))?;
    write_letter(tx, kernel, tenant, &email, &role, &token, now.plus(LIFE_US))?;
    written(tx, kernel, tenant, "create", "core.invitation.created", id, &email, json!({"role": role}))?;
    Ok(id)
}

/// The workspaces of an invitation; `None` is all of them. Nobody opens more than they have themselves, and owners have all.
fn read_workspaces(tenant: &Tenant, role: &str, wanted: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        return match tenant.workspace_limit() {
            None => Ok(None),
            Some(_) => Err(Problem::field("workspaces", "required", "Name the workspaces; you work in some only.")),
        };
    };
    if role == "owner" {
        return Err(Problem::field("workspaces", "invalid", "An owner works in every workspace."));
    }
    for text in &wanted {
        if !Uuid::parse_str(text).is_ok_and(|id| tenant.may_use_workspace(id)) {
            let words = format!("Invalid pk \"{text}\" - object does not exist.");
            return Err(Problem::field("workspaces", "does_not_exist", words));
        }
    }
    Ok(Some(wanted))
}

struct Row {
    email: String,
    role: String,
    status: String,
    all_workspaces: bool,
    workspaces: Vec<String>,
    expires_at: Timestamp,
    sent_count: i64,
}

fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Row> {
    reader
        .first(
            "SELECT email, role, status, all_workspaces, workspaces, expires_at, sent_count FROM invitations WHERE company_id = $1 AND id = $2",
            &params![company, id],
            |row| {
                Ok(Row {
                    email: row.text(0)?.to_owned(),
                    role: row.text(1)?.to_owned(),
                    status: row.text(2)?.to_owned(),
                    all_workspaces: row.bool(3)?,
                    workspaces: serde_json::from_str(row.json(4)?).unwrap_or_default(),
                    expires_at: row.time(5)?,
                    sent_count: row.i64(6)?,
                })
            },
        )?
        .ok_or_else(Problem::not_found)
}

impl Row {
    fn is_open(&self, now: Timestamp) -> bool {
        self.status == "pending" && self.expires_at > now
    }

    /// # Errors
    /// 409 `invalid_transition`.
    fn require_open(&self, action: &str, now: Timestamp) -> Result<()> {
        let state = if self.status == "pending" && self.expires_at <= now { "expired" } else { &self.status };
        if self.is_open(now) { Ok(()) } else { Err(invalid_transition(state, action, &[])) }
    }
}

/// Sends an invitation again: a new link, and the old one is dead. It rests on the rights of whoever sends it now, and only what still
/// waits can be sent: what ended is not revived.
///
/// # Errors
/// 403 `permission_denied` for a role beyond the caller's own; 404; 409 `invalid_transition`; 429 `throttled`; 503 `mail_unavailable`.
pub fn resend(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    mail::require_available(kernel)?;
    lock(tx, tenant)?;
    let (row, now) = (get(tx, tenant.company, id)?, kernel.now());
    row.require_open("resend", now)?;
    check_role(tx, tenant, &row.role)?;
    if row.all_workspaces {
        read_workspaces(tenant, &row.role, None)?;
    } else {
        read_workspaces(tenant, &row.role, Some(row.workspaces.clone()))?;
    }
    if row.sent_count >= MOST_SENT {
        let words = "This invitation was sent too often. Revoke it, and invite the person anew.";
        return Err(Problem::new(loopd_types::Kind::TooMany, "throttled", words));
    }
    let token = one_time::new_token(kernel);
    tx.execute(
        "UPDATE invitations SET token_hash = $3, expires_at = $4, invited_by = $5, sent_count = sent_count + 1, updated_at = $6, \
         version = version + 1 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, sha256_hex(token.as_bytes()), now.plus(LIFE_US), tenant.actor.user, now],
    )?;
    overdue::later(tx, kernel, tenant.company, now.plus(LIFE_US))?;
    write_letter(tx, kernel, tenant, &row.email, &row.role, &token, now.plus(LIFE_US))?;
    written(tx, kernel, tenant, "resend", "core.invitation.resent", id, &row.email, json!({}))
}

/// Takes an invitation back.
///
/// # Errors
/// 404; 409 `invalid_transition`.
pub fn revoke(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<()> {
    lock(tx, tenant)?;
    let (row, now) = (get(tx, tenant.company, id)?, kernel.now());
    row.require_open("revoke", now)?;
    end(tx, tenant.company, id, "revoked", now)?;
    written(tx, kernel, tenant, "revoke", "core.invitation.revoked", id, &row.email, json!({}))
}

fn end(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, status: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE invitations SET status = $3, token_hash = NULL, answered_at = $4, updated_at = $4, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        &params![company, id, status, now],
    )?;
    Ok(())
}

/// Ends what waits for a person who joined in another way, left, or was shut out: an old letter must not let them in later.
pub(crate) fn withdraw(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, user: Uuid) -> Result<()> {
    tx.push(
        "UPDATE invitations SET status = 'revoked', token_hash = NULL, answered_at = $3, updated_at = $3, version = version + 1 \
         WHERE company_id = $1 AND status = 'pending' AND email = (SELECT email FROM users WHERE id = $2)",
        params![company, user, kernel.now()],
    )?;
    Ok(())
}

fn write_letter(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    email: &str,
    role: &str,
    token: &str,
    expires_at: Timestamp,
) -> Result<()> {
    let known =
        tx.first("SELECT language FROM users WHERE email = $1", &params![email], |row| Ok(row.text(0)?.to_owned()))?;
    let language = known.unwrap_or_else(|| tenant.language().to_owned());
    let inviter = name_of(tx, tenant.actor.user)?.unwrap_or_else(|| tenant.company_name().to_owned());
    let link = mail::link(kernel, PAGE, token);
    let role = role_name(tx, tenant.company, role)?;
    let company = tenant.company_name();
    let template = Template::Invitation { company, inviter: &inviter, role: &role, link: &link, expires_at };
    mail::queue(tx, kernel, &Letter { company: tenant.company, to: email, language: &language, template })?;
    Ok(())
}

/// How people call a user.
fn name_of(reader: &mut Reader<'_>, user: Option<Uuid>) -> Result<Option<String>> {
    let Some(user) = user else { return Ok(None) };
    Ok(reader.first("SELECT first_name, last_name, username FROM users WHERE id = $1", &params![user], |row| {
        let name = format!("{} {}", row.text(0)?, row.text(1)?).trim().to_owned();
        Ok(if name.is_empty() { row.text(2)?.to_owned() } else { name })
    })?)
}

fn role_name(reader: &mut Reader<'_>, company: CompanyId, slug: &str) -> Result<String> {
    let sql = "SELECT name FROM roles WHERE company_id = $1 AND slug = $2";
    let found = reader.first(sql, &params![company, slug], |row| Ok(row.text(0)?.to_owned()))?;
    Ok(found.unwrap_or_else(|| slug.to_owned()))
}

#[expect(clippy::too_many_arguments, reason = "what an audit row and an event have in common")]
fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    action: &str,
    kind: &str,
    id: Uuid,
    email: &str,
    changes: Json,
) -> Result<()> {
    note(tx, kernel, tenant.company, &tenant.actor, action, kind, (id, email), changes)
}

#[expect(clippy::too_many_arguments, reason = "what an audit row and an event have in common")]
fn note(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    actor: &crate::access::Actor,
    action: &str,
    kind: &str,
    (id, email): (Uuid, &str),
    changes: Json,
) -> Result<()> {
    let target = id.to_string();
    let entry = audit::Entry {
        action,
        module: "core",
        resource: "invitations",
        target: &target,
        label: email,
        changes: Some(changes.to_string()),
    };
    audit::record_by(tx, kernel, company, actor, entry)?;
    let payload = json!({"id": target, "email": email}).to_string();
    event::emit_by(tx, kernel, company, actor, kind, &format!("core/invitations/{id}"), payload)?;
    Ok(())
}
