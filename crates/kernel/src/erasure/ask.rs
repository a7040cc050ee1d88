//! A person asks to be erased: they prove that it is them, and open a link that was sent to their address. Two proofs, because nothing of
//! it can be taken back: who holds an open session or a password alone does not get there.

use std::sync::Arc;

use loopd_store::{Tx, View, params};
use loopd_types::{MINUTE_US, Result, Uuid};

use super::account::{Asked, Through, begin};
use crate::access::{Actor, Caller, Origin};
use crate::account::one_time::{self, Purpose};
use crate::audit::INSTALLATION;
use crate::mail::{self, Letter, Template};
use crate::two_factor::Proved;
use crate::{Kernel, audit};

/// The page that the letter leads to.
pub const PAGE: &str = "/account/erase/";

const LINK_MINUTES: i64 = 60;
/// Letters to one person within an hour.
const MOST_LETTERS: i64 = 3;

/// Sends the link, for a proof that holds. Nothing is erased yet.
///
/// # Errors
/// 400 on `code` when it was used before; 429 `throttled`; 503 `mail_unavailable`.
pub fn ask(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, proof: &Proved) -> Result<()> {
    mail::require_available(kernel)?;
    proof.spend(tx, kernel)?;
    let user = caller.require_user()?;
    one_time::require_below(tx, kernel, user.id, Purpose::Erase, MOST_LETTERS)?;
    let sql = "SELECT email, language FROM users WHERE id = $1";
    let (email, language) =
        tx.one(sql, &params![user.id], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?;
    let token = one_time::issue(tx, kernel, user.id, Purpose::Erase, &email, None, LINK_MINUTES * MINUTE_US)?;
    let link = mail::link(kernel, PAGE, &token);
    let template = Template::AccountErase { email: &email, link: &link, minutes: LINK_MINUTES };
    mail::queue(tx, kernel, &Letter { company: INSTALLATION, to: &email, language: &language, template })?;
    let target = user.id.to_string();
    let entry = audit::Entry {
        action: "erase-ask",
        module: "core",
        resource: "users",
        target: &target,
        label: "",
        changes: None,
    };
    Ok(kernel.audit_installation(tx, &caller.actor(), entry)?)
}

/// The address of an account whose link is good; nothing changes.
///
/// # Errors
/// 400 `link_not_valid`.
pub async fn check_link(kernel: &Arc<Kernel>, token: &str) -> Result<String> {
    let (shared, token) = (kernel.clone(), token.to_owned());
    kernel
        .db
        .read(View::System, move |reader| {
            Ok(one_time::find(reader, &shared, Purpose::Erase, &token)?.ok_or_else(one_time::not_valid)?.email)
        })
        .await
}

/// Uses the link up: the person is erased. Gives the erasure's id.
///
/// # Errors
/// 400 `link_not_valid`; 409 `last_owner`, `last_superuser`, and then the link stays good.
pub fn confirm(tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin, token: &str) -> Result<Uuid> {
    let good = one_time::consume(tx, kernel, Purpose::Erase, token)?;
    let actor = Actor { user: Some(good.user), credential: None, origin: Some(origin.clone()), reason: None };
    begin(tx, kernel, Asked { actor: &actor, through: Through::Person }, good.user)
}
