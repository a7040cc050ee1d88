//! The second factor: one-time codes by time (RFC 6238) and recovery codes; enforced where a session is opened ([`challenge`]) and where
//! a company asks for it (`access::enter`).

mod challenge;
mod proof;
mod rules;
mod store;

pub use challenge::{Answer, Challenge};
pub(crate) use challenge::{challenged, forget as forget_challenges, use_challenge};
pub use proof::{Proof, Proved};
pub(crate) use store::{mark_session, refresh_standing, renew_recovery_codes as first_recovery_codes};

use loopd_store::{Reader, Tx, params};
use loopd_types::{Problem, Result, Timestamp, Uuid};

use crate::access::{Auth, Caller};
use crate::mail::{self, Letter, Template, TwoFactorChange};
use crate::{Kernel, audit};

/// What a person has of second factors.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// When codes by time were confirmed.
    pub totp_since: Option<Timestamp>,
    pub passkeys: i64,
    pub recovery_codes_left: i64,
}

impl Standing {
    pub fn is_enabled(&self) -> bool {
        self.totp_since.is_some() || self.passkeys > 0
    }

    /// By what a challenge can be answered, as the API names it.
    pub fn methods(&self) -> Vec<&'static str> {
        let totp = self.totp_since.map(|_| "totp");
        let passkey = (self.passkeys > 0).then_some("passkey");
        let recovery = (self.recovery_codes_left > 0).then_some("recovery_code");
        [totp, passkey, recovery].into_iter().flatten().collect()
    }
}

/// What a person has of second factors.
pub fn standing(reader: &mut Reader<'_>, user: Uuid) -> Result<Standing> {
    store::standing(reader, user)
}

/// A secret that waits for its first code, as an authenticator app takes it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Base 32, to be typed by hand.
    pub secret: String,
    pub otpauth_uri: String,
    /// A picture of the address, for the app's camera.
    pub qr_svg: String,
}

/// Makes a secret that counts once [`enable`] has seen a code of it; one that waited before is forgotten, one in force stays in force.
pub fn set_up(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, proved: &Proved) -> Result<Setup> {
    let user = caller.require_user()?;
    proved.spend(tx, kernel)?;
    let mut secret = [0u8; rules::SECRET_BYTES];
    kernel.rng.fill(&mut secret);
    let setup = rules::describe(&secret, &user.email)?;
    store::keep_pending(tx, kernel, user.id, &secret)?;
    note(tx, kernel, caller, "two-factor-setup")?;
    Ok(setup)
}

/// Puts the secret that waits into force, given a code of it, and gives fresh recovery codes, the only time that they are shown. The
/// session that did it has now shown its second factor.
///
/// # Errors
/// 409 `two_factor_not_set_up`; 400 on `code` when it is not right.
pub fn enable(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, code: &str) -> Result<Vec<String>> {
    let user = caller.require_user()?;
    let none = || Problem::conflict("two_factor_not_set_up", "Ask for a secret with /auth/2fa/setup/ first.");
    let secret = store::pending_secret(tx, kernel, user.id)?.ok_or_else(none)?;
    let step = rules::matching_step(&secret, code, kernel.now())?
        .ok_or_else(|| Problem::field("code", "invalid", "This code is not right."))?;
    store::confirm(tx, kernel, user.id, step)?;
    if let Auth::Session(session) = caller.auth {
        store::mark_session(tx, kernel, session)?;
    }
    store::refresh_standing(tx, kernel, user.id)?;
    let codes = store::renew_recovery_codes(tx, kernel, user.id)?;
    note(tx, kernel, caller, "two-factor-enable")?;
    tell(tx, kernel, user.id, TwoFactorChange::Enabled)?;
    Ok(codes)
}

/// Takes codes by time away; with no factor left the recovery codes go too, and companies that ask for two-factor refuse the person at
/// once.
///
/// # Errors
/// 409 `two_factor_not_enabled`.
pub fn disable(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, proved: &Proved) -> Result<()> {
    let user = caller.require_user()?;
    proved.spend(tx, kernel)?;
    if !store::remove_totp(tx, user.id)? {
        return Err(not_enabled());
    }
    store::refresh_standing(tx, kernel, user.id)?;
    note(tx, kernel, caller, "two-factor-disable")?;
    tell(tx, kernel, user.id, TwoFactorChange::Disabled)
}

/// Fresh recovery codes; the old ones are void.
///
/// # Errors
/// 409 `two_factor_not_enabled`.
pub fn renew_recovery_codes(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, proved: &Proved) -> Result<Vec<String>> {
    let user = caller.require_user()?;
    if !store::standing(tx, user.id)?.is_enabled() {
        return Err(not_enabled());
    }
    proved.spend(tx, kernel)?;
    let codes = store::renew_recovery_codes(tx, kernel, user.id)?;
    note(tx, kernel, caller, "recovery-codes-renew")?;
    tell(tx, kernel, user.id, TwoFactorChange::RecoveryCodesReplaced)?;
    Ok(codes)
}

/// Takes every second factor of a person away, for who lost them all: by a superuser or the command line. Their sessions end.
///
/// # Errors
/// 404; 409 `two_factor_not_enabled`.
pub fn reset(tx: &mut Tx<'_>, kernel: &Kernel, actor: &crate::Actor, user: Uuid) -> Result<()> {
    let email = crate::account::email_of(tx, user)?;
    if !store::standing(tx, user)?.is_enabled() {
        return Err(not_enabled());
    }
    store::remove_everything(tx, user)?;
    store::refresh_standing(tx, kernel, user)?;
    crate::account::end_all(tx, kernel, user, "two-factor reset")?;
    let target = user.to_string();
    let entry = audit::Entry { action: "two-factor-reset", label: &email, target: &target, ..ENTRY };
    kernel.audit_installation(tx, actor, entry)?;
    tell(tx, kernel, user, TwoFactorChange::Disabled)
}

/// Writes to a person what became of their factors, so that they learn of what they did not do themselves.
pub(crate) fn tell(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, change: TwoFactorChange) -> Result<()> {
    let sql = "SELECT email, language FROM users WHERE id = $1";
    let (email, language) =
        tx.one(sql, &params![user], |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))?;
    let template = Template::TwoFactorChanged { change };
    let letter = Letter { company: audit::INSTALLATION, to: &email, language: &language, template };
    mail::queue(tx, kernel, &letter).map(drop)
}

fn not_enabled() -> Problem {
    Problem::conflict("two_factor_not_enabled", "Two-factor is not enabled.")
}

const ENTRY: audit::Entry<'static> =
    audit::Entry { action: "", module: "core", resource: "users", target: "", label: "", changes: None };

pub(crate) fn note(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, action: &str) -> Result<()> {
    let user = caller.require_user()?;
    let target = user.id.to_string();
    let entry = audit::Entry { action, target: &target, label: &user.email, ..ENTRY };
    Ok(kernel.audit_installation(tx, &caller.actor(), entry)?)
}
