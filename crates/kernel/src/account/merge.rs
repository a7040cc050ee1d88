//! Two accounts of one person become one: only by a link to the other's address, from an account whose own address is verified.
//!
//! The account that asks absorbs the other. Memberships move as they are; where both are members, the asking account's stays what it
//! is, so that merging raises nobody and lifts no suspension. The absorbed account ends: sessions, keys, links.

use std::sync::Arc;

use loopd_store::{Tx, Value as Sql, View, params};
use loopd_types::{CompanyId, MINUTE_US, Problem, Result, Timestamp, Uuid};
use serde_json::{Value, json};

use super::email::require_password;
use super::one_time::{self, Purpose};
use super::{openers, rules, session};
use crate::access::{Actor, Caller, Origin};
use crate::audit::INSTALLATION;
use crate::input::Input;
use crate::kernel::PeopleColumn;
use crate::mail::{self, Letter, Template};
use crate::membership::lock_company;
use crate::{Kernel, audit, credential, event};

/// The page that the letter leads to.
pub const PAGE: &str = "/account/merge/";

const LINK_MINUTES: i64 = 30;

/// A merge that was asked for with the asking account's password.
#[derive(Clone, Debug)]
pub struct AskMerge {
    into: Uuid,
    into_email: String,
    email: String,
}

impl AskMerge {
    /// # Errors
    /// 400 with every complaint; 409 `email_not_verified` until the asking account's own address is verified; 429; 503.
    pub async fn parse(kernel: &Arc<Kernel>, caller: &Caller, body: Value) -> Result<Self> {
        let user = caller.require_user()?.clone();
        let mut input = Input::new(body, false)?;
        let email = input.required_text("email", 254).map(|email| email.to_lowercase());
        let password = input.required_secret("password", 1024);
        if let Some(email) = &email
            && (!rules::is_email(email) || *email == user.email)
        {
            input.refuse("email", "invalid", "Enter the email address of your other account.");
        }
        input.finish()?;
        mail::require_available(kernel)?;
        let (Some(email), Some(password)) = (email, password) else {
            return Err(Problem::internal("a checked merge lacks a field"));
        };
        session::limit_email(kernel, &user.email).await?;
        require_password(kernel, user.id, password, "password").await?;
        Ok(Self { into: user.id, into_email: user.email.clone(), email })
    }

    /// Writes to the other account's address, if there is such an account; the answer is the same if not.
    ///
    /// # Errors
    /// 409 `email_not_verified`.
    pub fn apply(&self, tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller) -> Result<()> {
        require_verified(tx, self.into)?;
        let sql = "SELECT id, language FROM users WHERE email = $1 AND is_active";
        let other = tx.first(sql, &params![&self.email], |row| Ok((row.uuid(0)?, row.text(1)?.to_owned())))?;
        if let Some((other, language)) = other
            && one_time::count_since(tx, kernel, other, Purpose::Merge, 60 * MINUTE_US)? < 3
        {
            let life_us = LINK_MINUTES * MINUTE_US;
            let token = one_time::issue(tx, kernel, other, Purpose::Merge, &self.email, Some(self.into), life_us)?;
            let link = mail::link(kernel, PAGE, &token);
            let (own_email, into_email) = (self.email.as_str(), self.into_email.as_str());
            let template = Template::AccountMerge { own_email, into_email, link: &link, minutes: LINK_MINUTES };
            mail::queue(tx, kernel, &Letter { company: INSTALLATION, to: &self.email, language: &language, template })?;
        }
        note(tx, kernel, &caller.actor(), "merge-ask", self.into, &self.into_email, None)
    }
}

fn require_verified(tx: &mut Tx<'_>, user: Uuid) -> Result<()> {
    let sql = "SELECT email_verified_at FROM users WHERE id = $1 AND is_active";
    match tx.first(sql, &params![user], |row| row.opt_time(0))?.flatten() {
        Some(_) => Ok(()),
        None => Err(Problem::conflict("email_not_verified", "Verify your own email address first.")),
    }
}

/// What a merge did.
#[derive(Clone, Debug)]
pub struct Merged {
    pub absorbed: Uuid,
    pub into: Uuid,
    pub absorbed_email: String,
    pub into_email: String,
    /// Companies in which the absorbed account was a member.
    pub companies: Vec<CompanyId>,
}

/// The two addresses of a merge whose link is good; nothing changes.
///
/// # Errors
/// 400 `link_not_valid`.
pub async fn look_up_merge(kernel: &Arc<Kernel>, token: &str) -> Result<(String, String)> {
    let (shared, token) = (kernel.clone(), token.to_owned());
    kernel
        .db
        .read(View::System, move |reader| {
            let good = one_time::find(reader, &shared, Purpose::Merge, &token)?.ok_or_else(one_time::not_valid)?;
            let sql = "SELECT email FROM users WHERE id = $1";
            let into = reader.first(sql, &params![good.other_user], |row| Ok(row.text(0)?.to_owned()))?;
            Ok((good.email, into.ok_or_else(one_time::not_valid)?))
        })
        .await
}

struct Account {
    email: String,
    language: String,
    is_privileged: bool,
}

fn account(tx: &mut Tx<'_>, id: Uuid) -> Result<Account> {
    tx.first(
        "SELECT email, language, is_staff, is_superuser FROM users WHERE id = $1 AND is_active",
        &params![id],
        |row| {
            Ok(Account {
                email: row.text(0)?.to_owned(),
                language: row.text(1)?.to_owned(),
                is_privileged: row.bool(2)? || row.bool(3)?,
            })
        },
    )?
    .ok_or_else(one_time::not_valid)
}

/// Merges the account that a link was sent to into the one that asked.
///
/// # Errors
/// 400 `link_not_valid`; 409 `cannot_merge` for operators' accounts, `email_not_verified`, `last_owner` where a company would be left
/// without an owner because the asking account is less in it.
pub fn merge(tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin, token: &str) -> Result<Merged> {
    let good = one_time::consume(tx, kernel, Purpose::Merge, token)?;
    let (absorbed, into) = (good.user, good.other_user.ok_or_else(one_time::not_valid)?);
    // Two merges of the same people, in either direction, take turns.
    tx.lock("account-merge")?;
    require_verified(tx, into)?;
    let (from, to) = (account(tx, absorbed)?, account(tx, into)?);
    if from.email != good.email {
        return Err(one_time::not_valid());
    }
    if from.is_privileged {
        let words = "An operator's account cannot be merged into another.";
        return Err(Problem::conflict("cannot_merge", words));
    }
    let actor = Actor { user: Some(into), credential: None, origin: Some(origin.clone()), reason: None };
    let companies = tx.query(
        "SELECT company_id FROM memberships WHERE user_id = $1 ORDER BY company_id",
        &params![absorbed],
        |row| row.i64(0).map(CompanyId),
    )?;
    for company in &companies {
        lock_company(tx, *company)?;
        move_membership(tx, kernel, &actor, *company, absorbed, into)?;
    }
    move_records(tx, kernel, &companies, absorbed, into)?;
    move_belongings(tx, kernel, &actor, absorbed, into)?;
    retire(tx, kernel, absorbed, "merged")?;
    tx.push("UPDATE users SET merged_into = $2 WHERE id = $1", params![absorbed, into])?;
    kernel.forget_user(tx, into);
    let changes = json!({"absorbed": absorbed.to_string()}).to_string();
    note(tx, kernel, &actor, "merge", into, &to.email, Some(changes))?;
    for (address, language) in [(&from.email, &from.language), (&to.email, &to.language)] {
        let template = Template::AccountMerged { absorbed_email: &from.email, into_email: &to.email };
        mail::queue(tx, kernel, &Letter { company: INSTALLATION, to: address, language, template })?;
    }
    Ok(Merged { absorbed, into, absorbed_email: from.email, into_email: to.email, companies })
}

struct Membership {
    id: Uuid,
    role: String,
    status: String,
}

fn membership(tx: &mut Tx<'_>, company: CompanyId, user: Uuid) -> Result<Option<Membership>> {
    let sql = "SELECT id, role, status FROM memberships WHERE company_id = $1 AND user_id = $2";
    Ok(tx.first(sql, &params![company, user], |row| {
        Ok(Membership { id: row.uuid(0)?, role: row.text(1)?.to_owned(), status: row.text(2)?.to_owned() })
    })?)
}

/// Moves one membership, or ends it where the person has another that counts.
fn move_membership(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    actor: &Actor,
    company: CompanyId,
    absorbed: Uuid,
    into: Uuid,
) -> Result<()> {
    let Some(theirs) = membership(tx, company, absorbed)? else { return Ok(()) };
    let now = kernel.now();
    let outcome = match membership(tx, company, into)? {
        None => {
            hand_over(tx, company, theirs.id, into, now)?;
            "moved"
        }
        // One that ended is history on both sides.
        Some(_) if theirs.status == "left" => "kept",
        Some(own) if own.status == "left" => {
            // A person has one row in a company: the ended one gives its place to the one that lives. What it was is in the audit log.
            tx.execute("DELETE FROM memberships WHERE company_id = $1 AND id = $2", &params![company, own.id])?;
            hand_over(tx, company, theirs.id, into, now)?;
            "moved"
        }
        Some(own) => {
            if theirs.role == "owner" && theirs.status == "active" && !(own.role == "owner" && own.status == "active") {
                require_other_owner(tx, company, absorbed)?;
            }
            tx.execute(
                "UPDATE memberships SET status = 'left', updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2",
                &params![company, theirs.id, now],
            )?;
            "ended"
        }
    };
    let target = theirs.id.to_string();
    let changes = json!({"user": [absorbed.to_string(), into.to_string()], "outcome": outcome}).to_string();
    let entry = audit::Entry {
        action: "merge",
        module: "core",
        resource: "memberships",
        target: &target,
        label: "",
        changes: Some(changes.clone()),
    };
    audit::record_by(tx, kernel, company, actor, entry)?;
    let subject = format!("core/memberships/{}", theirs.id);
    event::emit_by(tx, kernel, company, actor, "core.membership.merged", &subject, changes)?;
    Ok(())
}

fn hand_over(tx: &mut Tx<'_>, company: CompanyId, membership: Uuid, to: Uuid, now: Timestamp) -> Result<()> {
    let sql =
        "UPDATE memberships SET user_id = $3, updated_at = $4, version = version + 1 WHERE company_id = $1 AND id = $2";
    tx.execute(sql, &params![company, membership, to, now])?;
    Ok(())
}

fn require_other_owner(tx: &mut Tx<'_>, company: CompanyId, but: Uuid) -> Result<()> {
    let others = tx.one(
        "SELECT count(*) FROM memberships WHERE company_id = $1 AND role = 'owner' AND status = 'active' AND user_id <> $2",
        &params![company, but],
        |row| row.i64(0),
    )?;
    if others > 0 {
        return Ok(());
    }
    let words =
        "The other account is the last owner of a company in which yours is less. Transfer the ownership first.";
    Err(Problem::conflict("last_owner", words).with_extra("company", company.code().to_string()))
}

/// Records of their companies that name the absorbed account name the other. One that a unique rule keeps from it (both are on it, or have
/// one each of what a person has once) stays as it is.
fn move_records(tx: &mut Tx<'_>, kernel: &Kernel, companies: &[CompanyId], absorbed: Uuid, into: Uuid) -> Result<()> {
    for PeopleColumn { table, column, is_record } in kernel.people_columns() {
        let marks = if *is_record { ", updated_at = $5, version = version + 1" } else { "" };
        let update = format!(
            "UPDATE {table} SET \"{column}\" = $4{marks} WHERE company_id = $1 AND id = $2 AND \"{column}\" = $3"
        );
        let find = format!("SELECT id FROM {table} WHERE company_id = $1 AND \"{column}\" = $2 ORDER BY id");
        for company in companies {
            for id in tx.query(&find, &params![*company, absorbed], |row| row.uuid(0))? {
                let mut values = params![*company, id, absorbed, into].to_vec();
                values.extend(is_record.then(|| Sql::from(kernel.now())));
                let moved = tx.attempt(|tx| Ok(tx.execute(&update, &values)?));
                if let Err(problem) = moved
                    && problem.status() != 409
                {
                    return Err(problem);
                }
            }
        }
    }
    Ok(())
}

/// What hangs on the account itself.
fn move_belongings(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, absorbed: Uuid, into: Uuid) -> Result<()> {
    // Keys act as the absorbed account, with its powers: they end, like its sessions.
    credential::revoke_all_of(tx, kernel, actor, absorbed)?;
    let own = tx.first("SELECT id FROM developer_profiles WHERE user_id = $1", &params![into], |row| row.uuid(0))?;
    let profile = match own {
        Some(_) => "DELETE FROM developer_profiles WHERE user_id = $1 AND $2 = $2",
        None => "UPDATE developer_profiles SET user_id = $2 WHERE user_id = $1",
    };
    tx.execute(profile, &params![absorbed, into])?;
    tx.execute("UPDATE api_client_apps SET owner_id = $2 WHERE owner_id = $1", &params![absorbed, into])?;
    Ok(())
}

/// Ends an account for good: nobody signs in, no link opens, and no name is left. Its row stays, because records say who made them.
pub(crate) fn retire(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, word: &str) -> Result<()> {
    session::end_all(tx, kernel, user, word)?;
    openers::remove(tx, user)?;
    let name = format!("{word}-{user}");
    tx.execute(
        "UPDATE users SET email = $2, username = $3, username_key = $3, password_hash = '', first_name = '', last_name = '', phone = '', \
         is_active = FALSE, is_staff = FALSE, is_superuser = FALSE, email_verified_at = NULL, two_factor_since = NULL, updated_at = $4, version = version + 1 WHERE id = $1",
        &params![user, format!("{name}@{word}.invalid"), &name, kernel.now()],
    )?;
    Ok(())
}

fn note(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    actor: &Actor,
    action: &str,
    user: Uuid,
    label: &str,
    changes: Option<String>,
) -> Result<()> {
    let target = user.to_string();
    let entry = audit::Entry { action, module: "core", resource: "users", target: &target, label, changes };
    Ok(kernel.audit_installation(tx, actor, entry)?)
}
