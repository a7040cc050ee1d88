//! A forgotten password: asked for by address, set by a link. Nobody learns from it which addresses have accounts.

use std::sync::Arc;

use loopd_store::{Tx, View, params};
use loopd_types::{MINUTE_US, Problem, Result, Uuid};
use serde_json::{Value, json};

use super::one_time::{self, Purpose};
use super::{openers, rules, session};
use crate::access::{Actor, Origin};
use crate::audit::INSTALLATION;
use crate::input::Input;
use crate::job::{self, Job, NewJob, Runner};
use crate::mail::{self, Letter, Template};
use crate::{Kernel, audit};

/// The page that the letter leads to.
pub const PAGE: &str = "/account/password/";

const KIND: &str = "account.password-reset";
const LINK_MINUTES: i64 = 30;
/// Letters to one person within [`SPAN_US`]; what is asked for beyond is let go in silence.
const MOST_LETTERS: i64 = 3;
const SPAN_US: i64 = 15 * MINUTE_US;

/// Reads the address of a request for a new password.
///
/// # Errors
/// 400; 429 `throttled`; 503 `mail_unavailable`.
pub async fn read_forgotten(kernel: &Kernel, body: Value) -> Result<String> {
    let mut input = Input::new(body, false)?;
    let email = input.required_text("email", 254).map(|email| email.to_lowercase());
    if let Some(email) = &email
        && !rules::is_email(email)
    {
        input.refuse("email", "invalid", "Enter a valid email address.");
    }
    input.finish()?;
    mail::require_available(kernel)?;
    let email = email.ok_or_else(|| Problem::internal("a checked body lacks its address"))?;
    session::limit_email(kernel, &email).await?;
    Ok(email)
}

/// Notes that somebody forgot the password of `email`. Whether there is such an account is looked up by a job: the answer, and the time
/// that it takes, are the same for every address.
pub fn forget_password(tx: &mut Tx<'_>, kernel: &Kernel, email: &str) -> Result<()> {
    let payload = json!({"email": email}).to_string();
    let job = NewJob { kind: KIND, company: INSTALLATION, payload, run_at: kernel.now(), unique_key: None };
    Ok(job::enqueue(tx, kernel, &job)?)
}

/// The job that writes the letter.
pub(super) fn register_jobs(runner: &mut Runner) {
    runner.register(KIND, Arc::new(|kernel, job| Box::pin(write_letter(kernel, job))));
}

async fn write_letter(kernel: Arc<Kernel>, job: Job) -> Result<()> {
    let email = job.payload["email"].as_str().unwrap_or_default().to_owned();
    let shared = kernel.clone();
    let work = move |tx: &mut Tx<'_>| {
        let sql = "SELECT id, language FROM users WHERE email = $1 AND is_active";
        let found = tx.first(sql, &params![&email], |row| Ok((row.uuid(0)?, row.text(1)?.to_owned())))?;
        let Some((user, language)) = found else { return Ok(()) };
        if one_time::count_since(tx, &shared, user, Purpose::PasswordReset, SPAN_US)? >= MOST_LETTERS {
            return Ok(());
        }
        let life_us = LINK_MINUTES * MINUTE_US;
        let token = one_time::issue(tx, &shared, user, Purpose::PasswordReset, &email, None, life_us)?;
        let link = mail::link(&shared, PAGE, &token);
        let template = Template::PasswordReset { link: &link, minutes: LINK_MINUTES };
        mail::queue(tx, &shared, &Letter { company: INSTALLATION, to: &email, language: &language, template })?;
        Ok(())
    };
    kernel.db.write(View::System, work).await
}

/// Whether a link for a new password is good; it stays so.
///
/// # Errors
/// 400 `link_not_valid`.
pub async fn check_reset_link(kernel: &Arc<Kernel>, token: &str) -> Result<()> {
    let (shared, token) = (kernel.clone(), token.to_owned());
    let find = move |reader: &mut loopd_store::Reader<'_>| find(reader, &shared, &token).map(drop);
    kernel.db.read(View::System, find).await
}

struct Person {
    id: Uuid,
    email: String,
    username: String,
    is_verified: bool,
}

/// A link is for the address that the account has now: one that was sent to an older address opens nothing.
fn find(reader: &mut loopd_store::Reader<'_>, kernel: &Kernel, token: &str) -> Result<Person> {
    let good = one_time::find(reader, kernel, Purpose::PasswordReset, token)?.ok_or_else(one_time::not_valid)?;
    let sql = "SELECT email, username, email_verified_at FROM users WHERE id = $1";
    let person = reader.one(sql, &params![good.user], |row| {
        Ok(Person {
            id: good.user,
            email: row.text(0)?.to_owned(),
            username: row.text(1)?.to_owned(),
            is_verified: row.opt_time(2)?.is_some(),
        })
    })?;
    if person.email == good.email { Ok(person) } else { Err(one_time::not_valid()) }
}

/// A new password by link, checked and hashed; [`ResetPassword::apply`] stores it.
#[derive(Clone, Debug)]
pub struct ResetPassword {
    token: String,
    hash: String,
}

impl ResetPassword {
    /// Checks link and password; a weak password does not use the link up.
    ///
    /// # Errors
    /// 400 with every complaint, or `link_not_valid`.
    pub async fn parse(kernel: &Arc<Kernel>, body: Value) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let token = input.required_text("token", one_time::TOKEN_MAX);
        let password = input.required_secret("new_password", 1024);
        input.finish()?;
        let (Some(token), Some(password)) = (token, password) else {
            return Err(Problem::internal("a checked reset lacks a field"));
        };
        let (shared, asked) = (kernel.clone(), token.clone());
        let person = kernel.db.read(View::System, move |reader| find(reader, &shared, &asked)).await?;
        let mut problem = Problem::validation();
        for (code, message) in rules::check_password(&password, &person.email, &person.username) {
            problem.add_field("new_password", code, message);
        }
        if problem.has_fields() {
            return Err(problem);
        }
        Ok(Self { token, hash: kernel.passwords.hash(password).await? })
    }

    /// Uses the link up, stores the password, ends every session, and tells the person. Whoever reads a letter has shown that the address
    /// is theirs: if nobody had before, nothing that was set until now opens the account any more ([`openers`]); else a second factor
    /// stays as it is.
    ///
    /// # Errors
    /// 400 `link_not_valid`.
    pub fn apply(&self, tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin) -> Result<()> {
        let person = find(tx, kernel, &self.token)?;
        one_time::consume(tx, kernel, Purpose::PasswordReset, &self.token)?;
        let now = kernel.now();
        tx.push(
            "UPDATE users SET password_hash = $2, email_verified_at = COALESCE(email_verified_at, $3), updated_at = $3, \
             version = version + 1 WHERE id = $1",
            params![person.id, &self.hash, now],
        )?;
        let actor = Actor { user: Some(person.id), credential: None, origin: Some(origin.clone()), reason: None };
        let changes = if person.is_verified {
            session::end_all(tx, kernel, person.id, "password reset")?;
            None
        } else {
            let removed = openers::begin_anew(tx, kernel, &actor, person.id)?;
            Some(json!({"email_verified": [false, true], "removed": removed}).to_string())
        };
        let target = person.id.to_string();
        let entry = audit::Entry {
            action: "password-reset",
            module: "core",
            resource: "users",
            target: &target,
            label: &person.username,
            changes,
        };
        kernel.audit_installation(tx, &actor, entry)?;
        tell_changed(tx, kernel, person.id)
    }
}

/// Tells a person that their password was changed.
pub(super) fn tell_changed(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid) -> Result<()> {
    let sql = "SELECT email, language FROM users WHERE id = $1";
    let (to, language) = tx.one(sql, &params![user], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?;
    let link = format!("{}/account/forgot/", kernel.settings.public_url);
    let template = Template::PasswordChanged { link: &link };
    mail::queue(tx, kernel, &Letter { company: INSTALLATION, to: &to, language: &language, template })?;
    Ok(())
}
