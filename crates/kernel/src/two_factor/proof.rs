//! [`Proof`]: what somebody shows once more before their factors are touched, so that a stolen session is not enough.

use std::sync::Arc;

use loopd_store::{Tx, View, params};
use loopd_types::{MINUTE_US, Problem, Result, Uuid, sha256_hex};

use super::{challenge, rules, store};
use crate::Kernel;
use crate::access::{Auth, Caller};
use crate::account;
use crate::input::Input;

/// A person without a password (they come by single sign-on) and without a factor yet may set one up so soon after signing in.
const FRESH_US: i64 = 15 * MINUTE_US;

/// A password, or a code by time or for recovery.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    password: Option<String>,
    code: Option<String>,
}

/// A proof that holds; [`Proved::spend`] uses its code up in the transaction that it is for.
#[derive(Clone, Debug)]
pub struct Proved {
    user: Uuid,
    code: Option<String>,
}

impl Proof {
    /// Takes `password` and `code` from a body; either is enough.
    pub fn take(input: &mut Input) -> Self {
        let password = if input.has("password") { input.required_secret("password", 1024) } else { None };
        let code = if input.has("code") { input.required_text("code", 64) } else { None };
        Self { password, code }
    }

    /// Checks the proof, counting the try first.
    ///
    /// # Errors
    /// 400 on `password` or `code`; 403 for callers without a session of their own; 429 `throttled` while locked.
    pub async fn check(self, kernel: &Arc<Kernel>, caller: &Caller) -> Result<Proved> {
        let user = caller.require_user()?.id;
        let Auth::Session(session) = caller.auth else { return Err(Problem::permission_denied()) };
        match self {
            Self { code: Some(code), .. } => check_code(kernel, user, code).await,
            Self { password: Some(password), .. } => check_password(kernel, user, password).await,
            Self { password: None, code: None } if is_fresh(kernel, user, session).await? => {
                Ok(Proved { user, code: None })
            }
            _ => Err(Problem::field("password", "required", "Send your password, or a code.")),
        }
    }
}

async fn check_code(kernel: &Arc<Kernel>, user: Uuid, code: String) -> Result<Proved> {
    if rules::as_totp(&code).is_some() {
        let shared = kernel.clone();
        kernel.db.write(View::System, move |tx| store::charge_totp(tx, &shared, user)).await?;
    }
    Ok(Proved { user, code: Some(code) })
}

async fn check_password(kernel: &Arc<Kernel>, user: Uuid, password: String) -> Result<Proved> {
    let subject = sha256_hex(format!("proof|{user}").as_bytes());
    let (shared, charged) = (kernel.clone(), subject.clone());
    let stored = kernel
        .db
        .write(View::System, move |tx| {
            account::charge(tx, &shared, &charged)?;
            Ok(tx.one("SELECT password_hash FROM users WHERE id = $1", &params![user], |row| {
                Ok(row.text(0)?.to_owned())
            })?)
        })
        .await?;
    if !kernel.passwords.verify(password, Some(stored)).await? {
        return Err(Problem::field("password", "invalid", "This password is not right."));
    }
    kernel.db.write(View::System, move |tx| account::forgive(tx, &subject)).await?;
    Ok(Proved { user, code: None })
}

async fn is_fresh(kernel: &Arc<Kernel>, user: Uuid, session: Uuid) -> Result<bool> {
    let since = kernel.now().plus(-FRESH_US);
    kernel
        .db
        .read(View::System, move |reader| {
            let sql = "SELECT u.password_hash FROM sessions s JOIN users u ON u.id = s.user_id \
                 WHERE s.id = $1 AND s.user_id = $2 AND s.created_at > $3 AND u.two_factor_since IS NULL";
            let hash = reader.first(sql, &params![session, user, since], |row| Ok(account::is_usable(row.text(0)?)))?;
            Ok(hash == Some(false))
        })
        .await
}

impl Proved {
    /// Uses up the code, if the proof was one.
    ///
    /// # Errors
    /// 400 on `code` when it is not right, or was used before.
    pub fn spend(&self, tx: &mut Tx<'_>, kernel: &Kernel) -> Result<()> {
        let Some(code) = &self.code else { return Ok(()) };
        match challenge::use_code(tx, kernel, self.user, code)? {
            Some(_) => Ok(()),
            None => Err(Problem::field("code", "invalid", "This code is not right, or was used before.")),
        }
    }
}
