//! What is remembered between asking an authenticator and its answer: kept here and not by the client, sealed, for minutes, used once.

use loopd_store::{Tx, Value as Sql, View, params};
use loopd_types::{MINUTE_US, Problem, Result, Uuid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Kernel;

/// WebAuthn recommends five minutes as the longest that a browser waits; the answer has to travel too.
const LIFE_US: i64 = 6 * MINUTE_US;

/// A ceremony under way, as the client gets it.
#[derive(Clone, Debug)]
pub struct Started {
    pub ceremony: Uuid,
    /// `publicKey` of `navigator.credentials.create()` or `.get()`, its bytes in base64url.
    pub public_key: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Registration,
    SignIn,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::SignIn => "sign-in",
        }
    }
}

/// A ceremony that was taken up again.
pub struct Taken<S> {
    pub user: Option<Uuid>,
    /// The sign-in challenge that it answers, by digest.
    pub challenge_hash: Option<String>,
    pub state: S,
}

fn context(id: Uuid) -> String {
    format!("passkey_ceremonies.state {id}")
}

pub fn keep<S: Serialize>(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    kind: Kind,
    user: Option<Uuid>,
    challenge_hash: Option<&str>,
    state: &S,
) -> Result<Uuid> {
    let id = kernel.new_id();
    let plain = serde_json::to_vec(state).map_err(Problem::internal)?;
    let sealed = kernel.vault.seal(kernel.rng.as_ref(), &context(id), &plain)?;
    tx.push(
        "INSERT INTO passkey_ceremonies (id, kind, user_id, challenge_hash, state, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        params![id, kind.as_str(), user, challenge_hash, Sql::Bytes(sealed), kernel.now().plus(LIFE_US)],
    )?;
    Ok(id)
}

/// Takes a ceremony out; of two at once one gets it.
///
/// # Errors
/// 400 `ceremony_over` when there is none, or it was used or is too old.
pub fn take<S: DeserializeOwned>(tx: &mut Tx<'_>, kernel: &Kernel, kind: Kind, id: Uuid) -> Result<Taken<S>> {
    let found = tx.first(
        "DELETE FROM passkey_ceremonies WHERE id = $1 AND kind = $2 AND expires_at > $3 RETURNING user_id, challenge_hash, state",
        &params![id, kind.as_str(), kernel.now()],
        |row| Ok((row.opt_uuid(0)?, row.opt_text(1)?.map(str::to_owned), row.bytes(2)?.to_vec())),
    )?;
    let (user, challenge_hash, sealed) =
        found.ok_or_else(|| Problem::invalid("ceremony_over", "This attempt is over; begin again."))?;
    let plain = kernel.vault.open(&context(id), &sealed)?;
    let state = serde_json::from_slice(&plain).map_err(Problem::internal)?;
    Ok(Taken { user, challenge_hash, state })
}

/// Ends a ceremony whose answer was refused: what it asked is never asked again.
///
/// # Errors
/// 503 from the database.
pub async fn end(kernel: &Kernel, id: Uuid) -> Result<()> {
    kernel
        .db
        .write(View::System, move |tx| Ok(tx.push("DELETE FROM passkey_ceremonies WHERE id = $1", params![id])?))
        .await
}

/// Reads `ceremony`, `credential` and, for registrations, `name`.
pub struct Answered {
    pub ceremony: Uuid,
    pub credential: Value,
    pub name: String,
}

impl Answered {
    /// # Errors
    /// 400 with every complaint.
    pub fn parse(body: Value) -> Result<Self> {
        let mut input = crate::input::Input::new(body, false)?;
        let ceremony = input.uuid("ceremony");
        let credential = input.object("credential", 64 * 1024);
        let name = input.text("name", 120).filter(|name| !name.is_empty()).unwrap_or_else(|| "Passkey".to_owned());
        for (field, is_missing) in [("ceremony", ceremony.is_none()), ("credential", credential.is_none())] {
            if is_missing {
                input.refuse(field, "required", "This field is required.");
            }
        }
        input.finish()?;
        Ok(Self {
            ceremony: ceremony.unwrap_or_default(),
            credential: Value::Object(credential.unwrap_or_default()),
            name,
        })
    }
}

/// An answer of an authenticator that is none, or not to what was asked.
pub fn refused(cause: impl std::fmt::Display) -> Problem {
    Problem::field("credential", "invalid", "This passkey could not be verified.").with_cause(cause)
}
