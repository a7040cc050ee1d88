//! Passkeys (WebAuthn, by webauthn-rs): registered by people who are signed in, then a sign-in of their own, with or without a name. A
//! passkey is two factors at once: the device is held, and it has verified its owner, which is demanded of every answer.

mod ceremony;
mod registration;
mod sign_in;
mod store;

pub use ceremony::Started;
pub use registration::{Registered, begin as begin_registration, finish as finish_registration};
pub use sign_in::{SignIn, begin as begin_sign_in, finish as finish_sign_in};
pub use store::LISTING;

use loopd_store::Tx;
use loopd_types::{Problem, Result, Uuid};
use serde_json::Value;
use webauthn_rs::prelude::Url;
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::access::Caller;
use crate::input::Input;
use crate::mail::TwoFactorChange;
use crate::two_factor::{self, Proved};
use crate::{Kernel, audit};

/// Most passkeys of one person.
const MOST: i64 = 50;

/// What browsers are told that they sign in to; made for each ceremony, because it is cheap and settings are plain values.
///
/// # Errors
/// 409 `passkeys_unavailable` when this server is not reached under a name, which browsers demand.
fn webauthn(kernel: &Kernel) -> Result<Webauthn> {
    let origins = &kernel.settings.passkey_origins;
    let unavailable = |cause: String| {
        Problem::conflict("passkeys_unavailable", "Passkeys need LOOP_BASE_URL to be an address with a name.")
            .with_cause(cause)
    };
    let first = origins.first().ok_or_else(|| unavailable("no origin is configured".to_owned()))?;
    let origin = Url::parse(first).map_err(|error| unavailable(error.to_string()))?;
    let name = origin.domain().ok_or_else(|| unavailable(format!("{first} has no name")))?.to_owned();
    let mut builder =
        WebauthnBuilder::new(&name, &origin).map_err(|error| unavailable(error.to_string()))?.rp_name("LOOP");
    for other in origins[1..].iter().filter_map(|text| Url::parse(text).ok()) {
        // A browser lets a page use passkeys of its own name and of those above it, and no other.
        if other.domain().is_some_and(|host| host == name || host.ends_with(&format!(".{name}"))) {
            builder = builder.append_allowed_origin(&other);
        }
    }
    builder.build().map_err(|error| unavailable(error.to_string()))
}

/// Gives a passkey another name.
///
/// # Errors
/// 400; 404 for somebody else's.
pub fn rename(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, id: Uuid, body: Value) -> Result<()> {
    let user = caller.require_user()?;
    let mut input = Input::new(body, false)?;
    let name = input.required_text("name", 120);
    input.finish()?;
    store::rename(tx, kernel, user.id, id, &name.unwrap_or_default())?;
    note(tx, kernel, caller, "rename", id)
}

/// Takes a passkey away. With the last factor the recovery codes go too, and companies that ask for two-factor refuse at once.
///
/// # Errors
/// 404 for somebody else's.
pub fn delete(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, id: Uuid, proved: &Proved) -> Result<()> {
    let user = caller.require_user()?;
    proved.spend(tx, kernel)?;
    store::delete(tx, user.id, id)?;
    two_factor::refresh_standing(tx, kernel, user.id)?;
    note(tx, kernel, caller, "delete", id)?;
    two_factor::tell(tx, kernel, user.id, TwoFactorChange::PasskeyRemoved)
}

fn note(tx: &mut Tx<'_>, kernel: &Kernel, caller: &Caller, action: &str, id: Uuid) -> Result<()> {
    let target = id.to_string();
    let label = caller.user().map(|user| user.email.clone()).unwrap_or_default();
    let entry =
        audit::Entry { action, module: "core", resource: "passkeys", target: &target, label: &label, changes: None };
    Ok(kernel.audit_installation(tx, &caller.actor(), entry)?)
}
