//! Addresses: shown to be somebody's by a link that was sent there; changed only to one that was.

use std::sync::Arc;

use loopd_store::{Reader, Tx, View, params};
use loopd_types::{HOUR_US, Problem, Result, Uuid};
use serde_json::{Value, json};

use super::one_time::{self, Good, Purpose};
use super::{rules, session};
use crate::access::{Actor, Auth, Caller, Origin};
use crate::audit::INSTALLATION;
use crate::input::Input;
use crate::mail::{self, Letter, Template};
use crate::{Kernel, audit};

/// The page that the letter leads to.
pub const VERIFY_PAGE: &str = "/account/verify/";

const LINK_HOURS: i64 = 48;
/// Letters to one person within an hour.
const MOST_LETTERS: i64 = 5;

/// Writes the letter by which a new person shows that the address is theirs.
pub(super) fn ask_to_verify(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, email: &str, language: &str) -> Result<()> {
    one_time::require_below(tx, kernel, user, Purpose::VerifyEmail, MOST_LETTERS)?;
    send_link(tx, kernel, user, Purpose::VerifyEmail, email, language)
}

fn send_link(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    user: Uuid,
    purpose: Purpose,
    email: &str,
    language: &str,
) -> Result<()> {
    let token = one_time::issue(tx, kernel, user, purpose, email, None, LINK_HOURS * HOUR_US)?;
    let link = mail::link(kernel, VERIFY_PAGE, &token);
    let template = Template::VerifyEmail { link: &link, hours: LINK_HOURS };
    mail::queue(tx, kernel, &Letter { company: INSTALLATION, to: email, language, template })?;
    Ok(())
}

/// Sends the link again; a verified address needs none.
///
/// # Errors
/// 429 `throttled`; 503 `mail_unavailable`.
pub fn verify_again(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller) -> Result<()> {
    mail::require_available(kernel)?;
    let user = caller.require_user()?;
    let sql = "SELECT email, language, email_verified_at FROM users WHERE id = $1";
    let (email, language, verified_at) =
        tx.one(sql, &params![user.id], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.opt_time(2)?)))?;
    if verified_at.is_some() {
        return Ok(());
    }
    ask_to_verify(tx, kernel, user.id, &email, &language)
}

/// A link that shows an address to be somebody's, opened by whoever has the account too; [`VerifyEmail::apply`] makes it count.
#[derive(Clone, Debug)]
pub struct VerifyEmail {
    token: String,
}

impl VerifyEmail {
    /// Reads `token`, and `password` unless the caller comes by a session of that account: a letter alone may have been asked for by a
    /// stranger who registered the address, and its reader would vouch for that stranger's password. The link stays good.
    ///
    /// # Errors
    /// 400 with every complaint, also on `password`, or `link_not_valid`; 429 `throttled`.
    pub async fn parse(kernel: &Arc<Kernel>, caller: &Caller, body: Value) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let token = input.required_text("token", one_time::TOKEN_MAX);
        let password = if input.has("password") { input.required_secret("password", 1024) } else { None };
        input.finish()?;
        let token = token.ok_or_else(one_time::not_valid)?;
        let (shared, asked) = (kernel.clone(), token.clone());
        let read = move |reader: &mut Reader<'_>| {
            let (_, good) = find(reader, &shared, &asked)?;
            Ok((good.user, super::email_of(reader, good.user)?))
        };
        let (user, email) = kernel.db.read(View::System, read).await?;
        if !is_own_session(caller, user) {
            let password = password.ok_or_else(|| Problem::field("password", "required", "This field is required."))?;
            session::limit_email(kernel, &email).await?;
            require_password(kernel, user, password, "password").await?;
        }
        Ok(Self { token })
    }

    /// Uses the link up: the address it was sent to is the person's, and becomes their account's if that is what they asked for. The
    /// older address is told, and links that were sent to it are dead. Gives the address.
    ///
    /// # Errors
    /// 400 `link_not_valid`; 409 `email_taken` when somebody else has the address meanwhile.
    pub fn apply(&self, tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin) -> Result<String> {
        let (purpose, _) = find(tx, kernel, &self.token)?;
        let good = one_time::consume(tx, kernel, purpose, &self.token)?;
        let sql = "SELECT email, username, language FROM users WHERE id = $1";
        let (email, username, language) = tx.one(sql, &params![good.user], |row| {
            Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.text(2)?.to_owned()))
        })?;
        if purpose == Purpose::VerifyEmail && email != good.email {
            return Err(one_time::not_valid());
        }
        tx.execute(
            "UPDATE users SET email = $2, email_verified_at = $3, updated_at = $3, version = version + 1 WHERE id = $1",
            &params![good.user, &good.email, kernel.now()],
        )
        .map_err(|error| {
            if error.is_unique("users", &["email"]) {
                return Problem::conflict("email_taken", "Another account has this address.").with_cause(error);
            }
            error.into()
        })?;
        kernel.forget_user(tx, good.user);
        let is_changed = email != good.email;
        if is_changed {
            let template = Template::EmailChanged { new_email: &good.email };
            mail::queue(tx, kernel, &Letter { company: INSTALLATION, to: &email, language: &language, template })?;
        }
        let actor = Actor { user: Some(good.user), credential: None, origin: Some(origin.clone()), reason: None };
        let target = good.user.to_string();
        let entry = audit::Entry {
            action: if is_changed { "email-change" } else { "email-verify" },
            module: "core",
            resource: "users",
            target: &target,
            label: &username,
            changes: is_changed.then(|| json!({"email": [email, good.email]}).to_string()),
        };
        kernel.audit_installation(tx, &actor, entry)?;
        Ok(good.email)
    }
}

/// A good link of either kind.
fn find(reader: &mut Reader<'_>, kernel: &Kernel, token: &str) -> Result<(Purpose, Good)> {
    for purpose in [Purpose::VerifyEmail, Purpose::ChangeEmail] {
        if let Some(good) = one_time::find(reader, kernel, purpose, token)? {
            return Ok((purpose, good));
        }
    }
    Err(one_time::not_valid())
}

/// Whether somebody comes by a session of this account that is good for what is the person's own.
fn is_own_session(caller: &Caller, user: Uuid) -> bool {
    matches!(caller.auth, Auth::Session(_))
        && caller.user().is_some_and(|known| known.id == user)
        && caller.require_personal().is_ok()
}

/// A change of address that the person has confirmed with their password.
#[derive(Clone, Debug)]
pub struct ChangeEmail {
    user: Uuid,
    old_email: String,
    new_email: String,
}

impl ChangeEmail {
    /// Checks the new address and the password.
    ///
    /// # Errors
    /// 400 with every complaint; 429 `throttled`; 503 `mail_unavailable`.
    pub async fn parse(kernel: &Arc<Kernel>, caller: &Caller, body: Value) -> Result<Self> {
        let user = caller.require_user()?.clone();
        let mut input = Input::new(body, false)?;
        let new_email = input.required_text("new_email", 254).map(|email| email.to_lowercase());
        let password = input.required_secret("password", 1024);
        if let Some(email) = &new_email
            && !rules::is_email(email)
        {
            input.refuse("new_email", "invalid", "Enter a valid email address.");
        }
        if new_email.as_deref() == Some(user.email.as_str()) {
            input.refuse("new_email", "unchanged", "This is your address already.");
        }
        input.finish()?;
        mail::require_available(kernel)?;
        let (Some(new_email), Some(password)) = (new_email, password) else {
            return Err(Problem::internal("a checked change of address lacks a field"));
        };
        session::limit_email(kernel, &user.email).await?;
        require_password(kernel, user.id, password, "password").await?;
        Ok(Self { user: user.id, old_email: user.email.clone(), new_email })
    }

    /// Sends the link to the new address and a notice to the old one. For an address that another account has no link is sent, and the
    /// answer is the same: nobody learns from it who is here.
    pub fn apply(&self, tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller) -> Result<()> {
        one_time::require_below(tx, kernel, self.user, Purpose::ChangeEmail, MOST_LETTERS)?;
        let language = caller.require_user()?.language.clone();
        let taken = tx.first("SELECT id FROM users WHERE email = $1", &params![&self.new_email], |row| row.uuid(0))?;
        if taken.is_none() {
            send_link(tx, kernel, self.user, Purpose::ChangeEmail, &self.new_email, &language)?;
        }
        let template = Template::EmailChangeAsked { new_email: &self.new_email };
        mail::queue(tx, kernel, &Letter { company: INSTALLATION, to: &self.old_email, language: &language, template })?;
        let target = self.user.to_string();
        let entry = audit::Entry {
            action: "email-change-ask",
            module: "core",
            resource: "users",
            target: &target,
            label: "",
            changes: None,
        };
        Ok(kernel.audit_installation(tx, &caller.actor(), entry)?)
    }
}

/// Whoever is signed in shows once more that they know the password, before something that cannot be taken back.
///
/// # Errors
/// 400 on `field`.
pub(super) async fn require_password(
    kernel: &Arc<Kernel>,
    user: Uuid,
    password: String,
    field: &'static str,
) -> Result<()> {
    let stored = kernel
        .db
        .read(View::System, move |reader| {
            let sql = "SELECT password_hash FROM users WHERE id = $1";
            Ok(reader.first(sql, &params![user], |row| Ok(row.text(0)?.to_owned()))?)
        })
        .await?;
    if kernel.passwords.verify(password, stored).await? {
        return Ok(());
    }
    Err(Problem::field(field, "invalid", "The password is not right."))
}
