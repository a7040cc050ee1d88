//! A new passkey for somebody who is signed in and has shown once more that it is them.

use loopd_store::Tx;
use loopd_types::{Problem, Result, Uuid};
use serde_json::{Value, json};
use webauthn_rs::prelude::{PasskeyRegistration, RegisterPublicKeyCredential};

use super::ceremony::{self, Answered, Kind, Started};
use super::{MOST, note, store, webauthn};
use crate::Kernel;
use crate::access::{Auth, Caller};
use crate::mail::TwoFactorChange;
use crate::two_factor::{self, Proved};

/// Asks the person's device for a new key; one that has a key of theirs already declines.
///
/// # Errors
/// 400 on `code`; 409 `too_many_passkeys`, `passkeys_unavailable`.
pub fn begin(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, proved: &Proved) -> Result<Started> {
    let user = caller.require_user()?;
    proved.spend(tx, kernel)?;
    let known = store::of_user(tx, user.id)?;
    if i64::try_from(known.len()).unwrap_or(i64::MAX) >= MOST {
        return Err(Problem::conflict("too_many_passkeys", format!("{MOST} passkeys are the most; delete one first.")));
    }
    let exclude = known.iter().map(|passkey| passkey.cred_id().clone()).collect();
    let (asked, state) = webauthn(kernel)?
        .start_passkey_registration(user.id, &user.email, &user.username, Some(exclude))
        .map_err(Problem::internal)?;
    let mut public_key = serde_json::to_value(asked.public_key).map_err(Problem::internal)?;
    // Kept on the device with its owner's id, so that it can sign in without a name. webauthn-rs asks for that on Android only; what
    // is kept does not change how the answer is verified.
    public_key["authenticatorSelection"]["residentKey"] = json!("required");
    public_key["authenticatorSelection"]["requireResidentKey"] = json!(true);
    let ceremony = ceremony::keep(tx, kernel, Kind::Registration, Some(user.id), None, &state)?;
    Ok(Started { ceremony, public_key })
}

/// A passkey that was just made.
#[derive(Clone, Debug)]
pub struct Registered {
    pub id: Uuid,
    /// With the first factor of a person, shown once.
    pub recovery_codes: Option<Vec<String>>,
}

/// Keeps the new key. The session has shown two factors by that.
///
/// # Errors
/// 400 `ceremony_over`, or on `credential` when it is not what was asked for; 409 `passkey_known` for a key that is somebody's.
pub fn finish(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, body: Value) -> Result<Registered> {
    let user = caller.require_user()?;
    let Answered { ceremony, credential, name } = Answered::parse(body)?;
    let taken = ceremony::take::<PasskeyRegistration>(tx, kernel, Kind::Registration, ceremony)?;
    if taken.user != Some(user.id) {
        return Err(ceremony::refused("this ceremony is somebody else's"));
    }
    let answer: RegisterPublicKeyCredential = serde_json::from_value(credential).map_err(ceremony::refused)?;
    let passkey = webauthn(kernel)?.finish_passkey_registration(&answer, &taken.state).map_err(ceremony::refused)?;
    let is_first = !two_factor::standing(tx, user.id)?.is_enabled();
    let id = store::insert(tx, kernel, user.id, &name, &passkey)?;
    if let Auth::Session(session) = caller.auth {
        two_factor::mark_session(tx, kernel, session)?;
    }
    two_factor::refresh_standing(tx, kernel, user.id)?;
    let recovery_codes = if is_first { Some(two_factor::first_recovery_codes(tx, kernel, user.id)?) } else { None };
    note(tx, kernel, caller, "create", id)?;
    two_factor::tell(tx, kernel, user.id, TwoFactorChange::PasskeyAdded)?;
    Ok(Registered { id, recovery_codes })
}
