//! The SQL of accounts.

use loopd_store::{Reader, Tx, View, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};
use serde::Serialize;
use serde_json::Value;

use super::register::LANGUAGES;
use crate::access::Caller;
use crate::input::Input;
use crate::{Kernel, audit};

/// A person as they see themselves.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    pub id: String,
    pub email: String,
    pub username: String,
    pub first_name: String,
    pub last_name: String,
    pub phone: String,
    pub language: String,
    pub is_staff: bool,
    pub is_superuser: bool,
    pub email_verified: bool,
    pub date_joined: Timestamp,
    pub last_login_at: Option<Timestamp>,
}

/// The user of an email, in any case.
pub async fn find_id_by_email(kernel: &Kernel, email: &str) -> Result<Option<Uuid>> {
    let email = email.to_lowercase();
    kernel
        .db
        .read(View::System, move |reader| {
            Ok(reader.first("SELECT id FROM users WHERE email = $1", &params![&email], |row| row.uuid(0))?)
        })
        .await
}

/// As [`find_id_by_email`], in a transaction.
pub(crate) fn id_of_email(reader: &mut Reader<'_>, email: &str) -> Result<Option<Uuid>> {
    Ok(reader.first("SELECT id FROM users WHERE email = $1", &params![email.to_lowercase()], |row| row.uuid(0))?)
}

/// # Errors
/// 404 when the user is gone.
pub fn email_of(reader: &mut Reader<'_>, id: Uuid) -> Result<String> {
    let sql = "SELECT email FROM users WHERE id = $1";
    reader.first(sql, &params![id], |row| Ok(row.text(0)?.to_owned()))?.ok_or_else(Problem::not_found)
}

/// # Errors
/// 404 when the user is gone.
pub fn profile(reader: &mut Reader<'_>, id: Uuid) -> Result<Profile> {
    reader
        .first(
            "SELECT id, email, username, first_name, last_name, phone, language, is_staff, is_superuser, email_verified_at, joined_at, last_login_at \
             FROM users WHERE id = $1",
            &params![id],
            |row| {
                Ok(Profile {
                    id: row.uuid(0)?.to_string(),
                    email: row.text(1)?.to_owned(),
                    username: row.text(2)?.to_owned(),
                    first_name: row.text(3)?.to_owned(),
                    last_name: row.text(4)?.to_owned(),
                    phone: row.text(5)?.to_owned(),
                    language: row.text(6)?.to_owned(),
                    is_staff: row.bool(7)?,
                    is_superuser: row.bool(8)?,
                    email_verified: row.opt_time(9)?.is_some(),
                    date_joined: row.time(10)?,
                    last_login_at: row.opt_time(11)?,
                })
            },
        )?
        .ok_or_else(Problem::not_found)
}

/// Changes the caller's own names, phone and language; what is absent stays.
///
/// # Errors
/// 400 with every complaint.
pub fn update_profile(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, body: Value) -> Result<Profile> {
    let user = caller.require_user()?;
    let mut input = Input::new(body, true)?;
    input.ignore(&[
        "id",
        "email",
        "username",
        "is_staff",
        "is_superuser",
        "email_verified",
        "date_joined",
        "last_login_at",
    ]);
    let first_name = input.text("first_name", 150);
    let last_name = input.text("last_name", 150);
    let phone = input.text("phone", 32);
    let language = input.choice("language", &LANGUAGES);
    input.finish()?;
    tx.execute(
        "UPDATE users SET first_name = COALESCE($2, first_name), last_name = COALESCE($3, last_name), phone = COALESCE($4, phone), \
         language = COALESCE($5, language), updated_at = $6, version = version + 1 WHERE id = $1",
        &params![user.id, first_name, last_name, phone, language, kernel.now()],
    )?;
    kernel.forget_user(tx, user.id);
    let target = user.id.to_string();
    let entry = audit::Entry {
        action: "update",
        module: "core",
        resource: "users",
        target: &target,
        label: &user.username,
        changes: None,
    };
    kernel.audit_installation(tx, &caller.actor(), entry)?;
    profile(tx, user.id)
}

/// A membership as its person sees it.
#[derive(Clone, Debug, Serialize)]
pub struct OwnMembership {
    pub company: String,
    pub company_name: String,
    pub role: String,
    pub status: String,
    /// The workspaces that the person may use.
    pub workspaces: Vec<String>,
}

/// The companies a person may enter: code, name, role.
#[derive(Clone, Debug, Serialize)]
pub struct OwnCompany {
    pub code: String,
    pub name: String,
    pub role: String,
}

/// Companies with an active membership of `user`.
pub fn companies_of(reader: &mut Reader<'_>, user: Uuid) -> Result<Vec<OwnCompany>> {
    Ok(reader.query(
        "SELECT c.code, c.name, m.role FROM memberships m JOIN companies c ON c.company_id = m.company_id \
         WHERE m.user_id = $1 AND m.status = 'active' ORDER BY c.company_id",
        &params![user],
        |row| {
            Ok(OwnCompany {
                code: row.text(0)?.to_owned(),
                name: row.text(1)?.to_owned(),
                role: row.text(2)?.to_owned(),
            })
        },
    )?)
}

/// Memberships of `user` in any state but `left`.
pub fn memberships_of(reader: &mut Reader<'_>, user: Uuid) -> Result<Vec<OwnMembership>> {
    let rows = reader.query(
        "SELECT c.code, c.name, m.role, m.status, w.id FROM memberships m JOIN companies c ON c.company_id = m.company_id \
         LEFT JOIN workspaces w ON w.company_id = m.company_id AND w.status = 'active' AND (m.all_workspaces OR EXISTS ( \
         SELECT 1 FROM membership_workspaces l WHERE l.company_id = m.company_id AND l.membership_id = m.id AND l.workspace_id = w.id)) \
         WHERE m.user_id = $1 AND m.status <> 'left' ORDER BY c.company_id, w.id",
        &params![user],
        |row| {
            Ok((
                OwnMembership {
                    company: row.text(0)?.to_owned(),
                    company_name: row.text(1)?.to_owned(),
                    role: row.text(2)?.to_owned(),
                    status: row.text(3)?.to_owned(),
                    workspaces: Vec::new(),
                },
                row.opt_uuid(4)?,
            ))
        },
    )?;
    let mut memberships: Vec<OwnMembership> = Vec::new();
    for (membership, workspace) in rows {
        if memberships.last().is_none_or(|last| last.company != membership.company) {
            memberships.push(membership);
        }
        let last = memberships.last_mut().ok_or_else(|| Problem::internal("a row without a membership"))?;
        last.workspaces.extend(workspace.map(|id| id.to_string()));
    }
    Ok(memberships)
}
