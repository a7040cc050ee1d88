//! Links in letters: a token that is good once, for one purpose, for a while. Only its hash is kept.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{HOUR_US, Kind, Problem, Result, Uuid, random_token, sha256_hex};

use crate::Kernel;

/// What a link opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    PasswordReset,
    VerifyEmail,
    ChangeEmail,
    Merge,
    Erase,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password-reset",
            Self::VerifyEmail => "verify-email",
            Self::ChangeEmail => "change-email",
            Self::Merge => "merge",
            Self::Erase => "erase",
        }
    }
}

/// A link that is good now.
#[derive(Clone, Debug)]
pub(crate) struct Good {
    pub user: Uuid,
    /// The address it was sent to.
    pub email: String,
    pub other_user: Option<Uuid>,
}

/// 256 random bits; longer texts are not looked up.
const TOKEN_BYTES: usize = 32;
pub(crate) const TOKEN_MAX: usize = 100;

/// A new secret for a link.
pub(crate) fn new_token(kernel: &Kernel) -> String {
    random_token(kernel.rng.as_ref(), TOKEN_BYTES)
}

/// Makes a link for `user`; those of the same purpose that were made before are dead from now on.
pub(crate) fn issue(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    user: Uuid,
    purpose: Purpose,
    email: &str,
    other_user: Option<Uuid>,
    life_us: i64,
) -> Result<String, StoreError> {
    let (token, now) = (new_token(kernel), kernel.now());
    tx.push(
        "UPDATE account_tokens SET used_at = $3 WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL",
        params![user, purpose.as_str(), now],
    )?;
    tx.push(
        "INSERT INTO account_tokens (hash, user_id, purpose, email, other_user_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        params![sha256_hex(token.as_bytes()), user, purpose.as_str(), email, other_user, now, now.plus(life_us)],
    )?;
    Ok(token)
}

/// What a link opens, if it is good; it stays so.
pub(crate) fn find(
    reader: &mut Reader<'_>,
    kernel: &Kernel,
    purpose: Purpose,
    token: &str,
) -> Result<Option<Good>, StoreError> {
    reader.first(
        "SELECT t.user_id, t.email, t.other_user_id FROM account_tokens t JOIN users u ON u.id = t.user_id \
         WHERE t.hash = $1 AND t.purpose = $2 AND t.used_at IS NULL AND t.expires_at > $3 AND u.is_active",
        &params![sha256_hex(token.as_bytes()), purpose.as_str(), kernel.now()],
        |row| Ok(Good { user: row.uuid(0)?, email: row.text(1)?.to_owned(), other_user: row.opt_uuid(2)? }),
    )
}

/// Uses a link up. Of two who show it at once, one is refused.
///
/// # Errors
/// 400 `link_not_valid`, for unknown, used, replaced and late ones alike.
pub(crate) fn consume(tx: &mut Tx<'_>, kernel: &Kernel, purpose: Purpose, token: &str) -> Result<Good> {
    let good = find(tx, kernel, purpose, token)?.ok_or_else(not_valid)?;
    let used = tx.execute(
        "UPDATE account_tokens SET used_at = $2 WHERE hash = $1 AND used_at IS NULL",
        &params![sha256_hex(token.as_bytes()), kernel.now()],
    )?;
    if used == 1 { Ok(good) } else { Err(not_valid()) }
}

/// How many links of a purpose a user was sent since `micros` ago.
pub(crate) fn count_since(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, purpose: Purpose, micros: i64) -> Result<i64> {
    Ok(tx.one(
        "SELECT count(*) FROM account_tokens WHERE user_id = $1 AND purpose = $2 AND created_at > $3",
        &params![user, purpose.as_str(), kernel.now().plus(-micros)],
        |row| row.i64(0),
    )?)
}

/// Refuses one letter more than `most` of a purpose to a user within an hour.
pub(crate) fn require_below(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, purpose: Purpose, most: i64) -> Result<()> {
    if count_since(tx, kernel, user, purpose, HOUR_US)? < most {
        return Ok(());
    }
    let words = "Too many letters were asked for. Try again in an hour.";
    Err(Problem::new(Kind::TooMany, "throttled", words).with_header("Retry-After", "3600"))
}

pub(crate) fn not_valid() -> Problem {
    Problem::invalid("link_not_valid", "This link is not valid any more. Ask for a new one.")
}
