//! What the invited person does: looks, accepts, declines. The link is all they show, and everything about it is asked again.

use std::sync::Arc;

use loopd_store::{Reader, Tx, View, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid, sha256_hex};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Row, end, get, name_of, note, role_name};
use crate::access::{Actor, Origin};
use crate::account::{self, NewUser, TokenPair, one_time, rules};
use crate::input::Input;
use crate::membership::{Enrolled, enrol, lock_company};
use crate::{Kernel, event, role};

/// An invitation as its reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    pub email: String,
    pub company: String,
    pub company_name: String,
    pub role: String,
    pub role_name: String,
    pub invited_by: Option<String>,
    pub expires_at: Timestamp,
    /// The company's.
    pub timezone: String,
    /// Whether the address has an account; without one, accepting makes it.
    pub has_account: bool,
    /// Whether accepting asks for the account's password: its address was never shown to be its person's.
    pub needs_password: bool,
    /// The language of the reader's account, or of the company.
    pub language: String,
}

struct Found {
    company: CompanyId,
    id: Uuid,
    row: Row,
    invited_by: Option<Uuid>,
    title: String,
}

/// The invitation behind a link.
///
/// # Errors
/// 400 `link_not_valid` for unknown, replaced, answered, revoked and late ones alike.
fn find(reader: &mut Reader<'_>, kernel: &Kernel, token: &str) -> Result<Found> {
    let found = reader.first(
        "SELECT company_id, id, invited_by, title FROM invitations WHERE token_hash = $1",
        &params![sha256_hex(token.as_bytes())],
        |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?, row.opt_uuid(2)?, row.text(3)?.to_owned())),
    )?;
    let (company, id, invited_by, title) = found.ok_or_else(one_time::not_valid)?;
    let row = get(reader, company, id)?;
    if !row.is_open(kernel.now()) {
        return Err(one_time::not_valid());
    }
    Ok(Found { company, id, row, invited_by, title })
}

struct Account {
    id: Uuid,
    is_active: bool,
    is_verified: bool,
    language: String,
    password_hash: String,
}

fn account_of(reader: &mut Reader<'_>, email: &str) -> Result<Option<Account>> {
    Ok(reader.first(
        "SELECT id, is_active, email_verified_at, language, password_hash FROM users WHERE email = $1",
        &params![email],
        |row| {
            Ok(Account {
                id: row.uuid(0)?,
                is_active: row.bool(1)?,
                is_verified: row.opt_time(2)?.is_some(),
                language: row.text(3)?.to_owned(),
                password_hash: row.text(4)?.to_owned(),
            })
        },
    )?)
}

/// Shows an invitation to whoever has its link; nothing changes.
///
/// # Errors
/// 400 `link_not_valid`.
pub async fn look_up(kernel: &Arc<Kernel>, token: &str) -> Result<Shown> {
    let (shared, token) = (kernel.clone(), token.to_owned());
    kernel
        .db
        .read(View::System, move |reader| {
            let found = find(reader, &shared, &token)?;
            let account = account_of(reader, &found.row.email)?;
            let company = company_of(reader, found.company)?;
            Ok(Shown {
                company: company.code,
                company_name: company.name,
                role_name: role_name(reader, found.company, &found.row.role)?,
                invited_by: name_of(reader, found.invited_by)?,
                expires_at: found.row.expires_at,
                timezone: company.timezone,
                has_account: account.is_some(),
                needs_password: account.as_ref().is_some_and(|account| !account.is_verified),
                language: account.map_or(company.language, |account| account.language),
                email: found.row.email,
                role: found.row.role,
            })
        })
        .await
}

struct Company {
    id: Uuid,
    code: String,
    name: String,
    status: String,
    language: String,
    timezone: String,
}

fn company_of(reader: &mut Reader<'_>, company: CompanyId) -> Result<Company> {
    let sql = "SELECT id, code, name, status, language, timezone FROM companies WHERE company_id = $1";
    Ok(reader.one(sql, &params![company], |row| {
        Ok(Company {
            id: row.uuid(0)?,
            code: row.text(1)?.to_owned(),
            name: row.text(2)?.to_owned(),
            status: row.text(3)?.to_owned(),
            language: row.text(4)?.to_owned(),
            timezone: row.text(5)?.to_owned(),
        })
    })?)
}

/// An invitation that is about to be accepted, with everything slow done already.
#[derive(Clone, Debug)]
pub struct Acceptance {
    token: String,
    /// The account to be made; `None` for a person who has one.
    new: Option<NewUser>,
    email: String,
}

/// What an acceptance made.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub user: Uuid,
    pub email: String,
    pub username: String,
    pub company_id: Uuid,
    pub code: String,
    pub company_name: String,
    pub membership: Uuid,
    pub role: String,
    pub workspace: (Uuid, String),
    /// For a new account only: whoever has one signs in as always, with their second factor.
    pub tokens: Option<TokenPair>,
}

impl Acceptance {
    /// Reads a body with `token`; `username`, `password` and names for a person without an account, `password` for one whose address was
    /// never verified: somebody else may have registered it, and must not be let in by the right person's click.
    ///
    /// # Errors
    /// 400 with every complaint, or `link_not_valid`; 401 `no_active_account` for a wrong password; 429 `throttled`.
    pub async fn parse(kernel: &Arc<Kernel>, body: Json) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let token = input.required_text("token", one_time::TOKEN_MAX);
        let username = input.text("username", 150).filter(|name| !name.is_empty());
        let password = if input.has("password") { input.required_secret("password", 1024) } else { None };
        let first_name = input.text("first_name", 150).unwrap_or_default();
        let last_name = input.text("last_name", 150).unwrap_or_default();
        let phone = input.text("phone", 32).unwrap_or_default();
        let language = input.choice("language", &account::LANGUAGES);
        let Some(token) = token else {
            input.finish()?;
            return Err(one_time::not_valid());
        };
        let (shared, asked) = (kernel.clone(), token.clone());
        let (email, known, company_language) = kernel
            .db
            .read(View::System, move |reader| {
                let found = find(reader, &shared, &asked)?;
                let known = account_of(reader, &found.row.email)?;
                Ok((found.row.email, known, company_of(reader, found.company)?.language))
            })
            .await?;
        if let Some(known) = known {
            input.finish()?;
            if known.is_active && !known.is_verified && password.is_none() {
                return Err(Problem::field("password", "required", "This field is required."));
            }
            if !known.is_verified || !known.is_active {
                account::limit_email(kernel, &email).await?;
                let hash = known.is_active.then_some(known.password_hash);
                if !kernel.passwords.verify(password.unwrap_or_default(), hash).await? {
                    return Err(Problem::unauthenticated(
                        "no_active_account",
                        "No active account found with the given credentials.",
                    ));
                }
            }
            return Ok(Self { token, new: None, email });
        }
        for (name, is_absent) in [("username", username.is_none()), ("password", password.is_none())] {
            if is_absent {
                input.refuse(name, "required", "This field is required.");
            }
        }
        let (username, password) = (username.unwrap_or_default(), password.unwrap_or_default());
        if let Err((code, message)) = rules::check_username(&username) {
            input.refuse("username", code, message);
        }
        if !password.is_empty() {
            for (code, message) in rules::check_password(&password, &email, &username) {
                input.refuse("password", code, message);
            }
        }
        input.finish()?;
        let new = NewUser {
            email: email.clone(),
            username,
            password_hash: kernel.passwords.hash(password).await?,
            first_name,
            last_name,
            phone,
            language: language.unwrap_or(company_language),
            is_staff: false,
            is_superuser: false,
        };
        Ok(Self { token, new: Some(new), email })
    }

    /// Makes the person a member, and their account if they have none.
    ///
    /// # Errors
    /// 400 `link_not_valid`, or on `username`; 403 `company_suspended`; 409 `invitation_lapsed` when whoever stands behind it may not give
    /// this role any more or the role is gone, `membership_suspended` for a member who is shut out; 402 `seat_limit_reached`.
    pub fn apply(&self, tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin) -> Result<Accepted> {
        // Company first, then the rows that the decision rests on.
        let company = find(tx, kernel, &self.token)?.company;
        lock_company(tx, company)?;
        let Found { id, row, invited_by, title, .. } = find(tx, kernel, &self.token)?;
        let about = company_of(tx, company)?;
        if matches!(about.status.as_str(), "suspended" | "closed") {
            return Err(Problem::forbidden("company_suspended", "This company is suspended."));
        }
        require_giver(tx, company, invited_by, &row.role)?;
        let user = match &self.new {
            Some(new) => account::create_user(tx, kernel, new)?,
            None => match account_of(tx, &self.email)? {
                Some(account) if account.is_active && row.email == self.email => account.id,
                _ => return Err(one_time::not_valid()),
            },
        };
        let now = kernel.now();
        tx.push(
            "UPDATE users SET email_verified_at = COALESCE(email_verified_at, $2) WHERE id = $1",
            params![user, now],
        )?;
        let enrolled = enrol(tx, kernel, company, invited_by, user, &row.role, &title, row.all_workspaces)?;
        let membership = match enrolled {
            Enrolled::Made(membership) => {
                open_workspaces(tx, company, membership, &row)?;
                membership
            }
            // A member stays what they are: an old letter neither lifts nor lowers them, and does not let in who was shut out.
            Enrolled::Known(membership, status) if status == "active" => membership,
            Enrolled::Known(..) => {
                return Err(Problem::conflict("membership_suspended", "Your membership of this company is suspended."));
            }
        };
        end(tx, company, id, "accepted", now)?;
        tx.push("UPDATE invitations SET user_id = $3 WHERE company_id = $1 AND id = $2", params![company, id, user])?;
        kernel.forget_user(tx, user);
        let actor = Actor { user: Some(user), credential: None, origin: Some(origin.clone()), reason: None };
        let changes = json!({"status": ["pending", "accepted"], "role": row.role});
        note(tx, kernel, company, &actor, "accept", "core.invitation.accepted", (id, &row.email), changes)?;
        let payload = json!({"role": row.role}).to_string();
        let subject = format!("core/memberships/{membership}");
        event::emit_by(tx, kernel, company, &actor, "core.membership.created", &subject, payload)?;
        let tokens = match &self.new {
            Some(_) => Some(account::open_first_session(tx, kernel, user, origin)?),
            None => None,
        };
        let (username, held) = tx.one(
            "SELECT u.username, m.role FROM users u JOIN memberships m ON m.user_id = u.id WHERE m.company_id = $1 AND u.id = $2",
            &params![company, user],
            |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())),
        )?;
        let workspace = tx.one(
            "SELECT id, name FROM workspaces WHERE company_id = $1 ORDER BY is_default DESC, id LIMIT 1",
            &params![company],
            |row| Ok((row.uuid(0)?, row.text(1)?.to_owned())),
        )?;
        Ok(Accepted {
            user,
            email: row.email,
            username,
            company_id: about.id,
            code: about.code,
            company_name: about.name,
            membership,
            role: held,
            workspace,
            tokens,
        })
    }
}

/// Whoever stands behind an invitation must still be able to give what it gives.
///
/// # Errors
/// 409 `invitation_lapsed`.
fn require_giver(tx: &mut Tx<'_>, company: CompanyId, giver: Option<Uuid>, slug: &str) -> Result<()> {
    let lapsed = || {
        let words = "Whoever invited you may not give this role any more. Ask the company for a new invitation.";
        Problem::conflict("invitation_lapsed", words)
    };
    let wanted = tx.first(
        "SELECT permissions, is_system FROM roles WHERE company_id = $1 AND slug = $2",
        &params![company, slug],
        |row| Ok(role::permissions_of(slug, row.bool(1)?, row.json(0)?)),
    )?;
    let wanted = wanted.ok_or_else(lapsed)?;
    // The system's own: nobody's rights to be asked for.
    let Some(giver) = giver else { return Ok(()) };
    let sql = "SELECT u.is_superuser, m.role, r.permissions, r.is_system FROM users u \
         LEFT JOIN memberships m ON m.user_id = u.id AND m.company_id = $1 AND m.status = 'active' \
         LEFT JOIN roles r ON r.company_id = m.company_id AND r.slug = m.role WHERE u.id = $2 AND u.is_active";
    let held = tx.first(sql, &params![company, giver], |row| {
        let held = match row.opt_text(1)? {
            Some(slug) => Some(role::permissions_of(slug, row.bool(3)?, row.json(2)?)),
            None => None,
        };
        Ok((row.bool(0)?, held))
    })?;
    match held {
        Some((true, _)) => Ok(()),
        Some((_, Some(held))) if held.allows("core.invitations.create") && (held == wanted || held.covers(&wanted)) => {
            Ok(())
        }
        _ => Err(lapsed()),
    }
}

/// Limits a new member to the workspaces of their invitation; those that are gone are left out.
fn open_workspaces(tx: &mut Tx<'_>, company: CompanyId, membership: Uuid, row: &Row) -> Result<()> {
    for workspace in row.workspaces.iter().filter_map(|text| Uuid::parse_str(text).ok()) {
        tx.push(
            "INSERT INTO membership_workspaces (company_id, membership_id, workspace_id) \
             SELECT $1, $2, id FROM workspaces WHERE company_id = $1 AND id = $3 AND status = 'active'",
            params![company, membership, workspace],
        )?;
    }
    Ok(())
}

/// Declines an invitation; its link is dead.
///
/// # Errors
/// 400 `link_not_valid`.
pub fn decline(tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin, body: &Json) -> Result<()> {
    let mut input = Input::new(body.clone(), false)?;
    let token = input.required_text("token", one_time::TOKEN_MAX);
    input.finish()?;
    let token = token.ok_or_else(one_time::not_valid)?;
    let company = find(tx, kernel, &token)?.company;
    lock_company(tx, company)?;
    let Found { id, row, .. } = find(tx, kernel, &token)?;
    end(tx, company, id, "declined", kernel.now())?;
    let actor = Actor { user: None, credential: None, origin: Some(origin.clone()), reason: None };
    let changes = json!({"status": ["pending", "declined"]});
    note(tx, kernel, company, &actor, "decline", "core.invitation.declined", (id, &row.email), changes)
}
