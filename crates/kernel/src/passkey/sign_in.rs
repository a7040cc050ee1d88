//! Signing in with a passkey: without a name, with an email, or as the second half of a sign-in by password.

use loopd_store::Tx;
use loopd_types::{Problem, Result, Uuid, sha256_hex};
use serde_json::{Value, json};
use webauthn_rs::prelude::{DiscoverableAuthentication, PublicKeyCredential};

use super::ceremony::{self, Answered, Kind, Started};
use super::{store, webauthn};
use crate::Kernel;
use crate::access::Origin;
use crate::account::{self, Opening, SignedIn};
use crate::input::Input;
use crate::two_factor;

/// What a sign-in begins with: nothing, an email, or the token of a challenge.
#[derive(Clone, Debug, Default)]
pub struct SignIn {
    email: Option<String>,
    challenge_hash: Option<String>,
}

impl SignIn {
    /// # Errors
    /// 400 with every complaint.
    pub fn parse(body: Value) -> Result<Self> {
        let mut input = Input::new(body, false)?;
        let email = input.text("email", 254).filter(|email| !email.is_empty()).map(|email| email.to_lowercase());
        let token = input.text("mfa_token", 200).filter(|token| !token.is_empty());
        input.finish()?;
        Ok(Self { email, challenge_hash: token.map(|token| sha256_hex(token.as_bytes())) })
    }
}

/// Asks for a passkey. Whoever is known gets theirs named, so that a device which keeps no names finds them too.
///
/// # Errors
/// 401 `mfa_token_not_valid`; 409 `passkeys_unavailable`.
pub fn begin(tx: &mut Tx<'_>, kernel: &Kernel, sign_in: &SignIn) -> Result<Started> {
    let user = match (&sign_in.challenge_hash, &sign_in.email) {
        (Some(hash), _) => Some(two_factor::challenged(tx, kernel, hash)?),
        (None, Some(email)) => account::id_of_email(tx, email)?,
        (None, None) => None,
    };
    let (asked, state) = webauthn(kernel)?.start_discoverable_authentication().map_err(Problem::internal)?;
    let mut public_key = serde_json::to_value(asked.public_key).map_err(Problem::internal)?;
    let mut allowed = match user {
        Some(user) => {
            store::of_user(tx, user)?.iter().map(|known| named(known.cred_id())).collect::<Result<Vec<_>>>()?
        }
        None => Vec::new(),
    };
    if let (Some(email), true) = (&sign_in.email, allowed.is_empty()) {
        // An email without passkeys, known or not, looks like one with: the same made-up key at every asking.
        let key = crate::vault::derive(&kernel.settings.secret_key, b"loopd passkey decoy v1");
        let decoy = loopd_types::sha256(&[&key, email.as_bytes()].concat());
        allowed.push(named(decoy)?);
    }
    public_key["allowCredentials"] = Value::from(allowed);
    // Bound to the person only where the password was right: an email that was typed proves nothing.
    let bound = user.filter(|_| sign_in.challenge_hash.is_some());
    let ceremony = ceremony::keep(tx, kernel, Kind::SignIn, bound, sign_in.challenge_hash.as_deref(), &state)?;
    Ok(Started { ceremony, public_key })
}

fn named(credential_id: impl AsRef<[u8]>) -> Result<Value> {
    Ok(json!({"type": "public-key", "id": store::base64url(credential_id.as_ref())}))
}

/// Verifies the answer and opens the session.
///
/// # Errors
/// 400 `ceremony_over`; 401 `passkey_not_valid`, one text for an unknown key, a wrong signature, an owner who was not verified and a
/// copied key; 401 `no_active_account`. After a refusal the caller runs [`SignIn::end`], because this transaction is rolled back.
pub fn finish(tx: &mut Tx<'_>, kernel: &Kernel, origin: &Origin, body: Value) -> Result<SignedIn> {
    let Answered { ceremony, credential, .. } = Answered::parse(body)?;
    let taken = ceremony::take::<DiscoverableAuthentication>(tx, kernel, Kind::SignIn, ceremony)?;
    let answer: PublicKeyCredential = serde_json::from_value(credential).map_err(not_valid)?;
    let known = store::find(tx, answer.get_credential_id())?.ok_or_else(|| not_valid("no such key"))?;
    if taken.user.is_some_and(|user| user != known.user) {
        return Err(not_valid("another person's key"));
    }
    // A device that keeps names says whose key it is; that must be the one who registered it.
    if answer.get_user_unique_id().is_some_and(|named| named != known.user.as_bytes()) {
        return Err(not_valid("a key under another person's name"));
    }
    let result = webauthn(kernel)?
        .finish_discoverable_authentication_v2(&answer, taken.state, &known.passkey)
        .map_err(not_valid)?;
    if !result.user_verified() {
        return Err(not_valid("the owner was not verified"));
    }
    let user = known.user;
    store::used(tx, kernel, known, &result)?;
    let opening = match &taken.challenge_hash {
        Some(hash) => two_factor::use_challenge(tx, kernel, hash)?.first.and("passkey"),
        None => Opening { method: "passkey".to_owned(), second_factor: true, confined_to: None, provider: None },
    };
    account::start(tx, kernel, user, origin, &opening)
}

fn not_valid(cause: impl std::fmt::Display) -> Problem {
    Problem::unauthenticated("passkey_not_valid", "This passkey could not be verified.").with_cause(cause)
}

impl SignIn {
    /// Ends the ceremony of a refused answer, so that no second answer to the same question is looked at.
    ///
    /// # Errors
    /// 503 from the database.
    pub async fn end(kernel: &Kernel, body: &Value) -> Result<()> {
        match body.get("ceremony").and_then(Value::as_str).and_then(|text| Uuid::parse_str(text).ok()) {
            Some(id) => ceremony::end(kernel, id).await,
            None => Ok(()),
        }
    }
}
