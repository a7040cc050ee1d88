//! The SQL of second factors.

use loopd_store::{Reader, Tx, Value, params};
use loopd_types::{Problem, Result, Uuid, hex};

use super::{Standing, rules};
use crate::Kernel;

pub fn standing(reader: &mut Reader<'_>, user: Uuid) -> Result<Standing> {
    let totp_since =
        reader
            .first("SELECT confirmed_at FROM totp_factors WHERE user_id = $1", &params![user], |row| row.opt_time(0))?;
    let recovery_codes_left = reader.one(
        "SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL",
        &params![user],
        |row| row.i64(0),
    )?;
    let passkeys = reader.one("SELECT COUNT(*) FROM passkeys WHERE user_id = $1", &params![user], |row| row.i64(0))?;
    Ok(Standing { totp_since: totp_since.flatten(), passkeys, recovery_codes_left })
}

/// Where a secret stands, so that a sealed one cannot be moved to another person.
fn context(user: Uuid) -> String {
    format!("totp_factors.secret {user}")
}

pub fn keep_pending(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, secret: &[u8]) -> Result<()> {
    let sealed = kernel.vault.seal(kernel.rng.as_ref(), &context(user), secret)?;
    tx.push(
        "INSERT INTO totp_factors (user_id, pending_secret, created_at) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id) DO UPDATE SET pending_secret = $2",
        params![user, Value::Bytes(sealed), kernel.now()],
    )?;
    Ok(())
}

fn secret_of(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, sql: &str) -> Result<Option<Vec<u8>>> {
    let sealed = tx.first(sql, &params![user], |row| Ok(row.opt_bytes(0)?.map(<[u8]>::to_vec)))?.flatten();
    sealed.map(|sealed| kernel.vault.open(&context(user), &sealed)).transpose()
}

pub fn pending_secret(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid) -> Result<Option<Vec<u8>>> {
    secret_of(tx, kernel, user, "SELECT pending_secret FROM totp_factors WHERE user_id = $1")
}

/// Puts the secret that waits into force; `step` is used up.
pub fn confirm(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, step: i64) -> Result<()> {
    let changed = tx.execute(
        "UPDATE totp_factors SET secret = pending_secret, pending_secret = NULL, confirmed_at = $2, last_step = $3, failures = 0, \
         locked_until = NULL WHERE user_id = $1 AND pending_secret IS NOT NULL",
        &params![user, kernel.now(), step],
    )?;
    if changed == 0 {
        Err(Problem::conflict("two_factor_not_set_up", "This secret is in force already."))
    } else {
        Ok(())
    }
}

/// Whether there was anything to take away.
pub fn remove_totp(tx: &mut Tx<'_>, user: Uuid) -> Result<bool> {
    let gone =
        tx.execute("DELETE FROM totp_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL", &params![user])?;
    Ok(gone > 0)
}

pub fn remove_everything(tx: &mut Tx<'_>, user: Uuid) -> Result<()> {
    tx.push("DELETE FROM totp_factors WHERE user_id = $1", params![user])?;
    tx.push("DELETE FROM passkeys WHERE user_id = $1", params![user])?;
    tx.push("DELETE FROM recovery_codes WHERE user_id = $1", params![user])?;
    tx.push("DELETE FROM sign_in_challenges WHERE user_id = $1", params![user])?;
    Ok(())
}

/// Brings what the hot path knows of a person's factors up to date; call it after every change of them. Without a factor there is
/// nothing to recover from, so the recovery codes go with the last.
pub fn refresh_standing(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid) -> Result<()> {
    let is_enabled = standing(tx, user)?.is_enabled();
    if is_enabled {
        tx.push(
            "UPDATE users SET two_factor_since = COALESCE(two_factor_since, $2) WHERE id = $1",
            params![user, kernel.now()],
        )?;
    } else {
        tx.push("UPDATE users SET two_factor_since = NULL WHERE id = $1", params![user])?;
        // What a trusted provider has asked for stands without a factor here.
        tx.push(
            "UPDATE sessions SET second_factor_at = NULL WHERE user_id = $1 AND method <> $2",
            params![user, crate::oidc::TRUSTED_METHOD],
        )?;
        tx.push("DELETE FROM recovery_codes WHERE user_id = $1", params![user])?;
    }
    kernel.forget_user(tx, user);
    Ok(())
}

/// This session has shown a second factor.
pub fn mark_session(tx: &mut Tx<'_>, kernel: &Kernel, session: Uuid) -> Result<()> {
    tx.push("UPDATE sessions SET second_factor_at = $2 WHERE id = $1", params![session, kernel.now()])?;
    Ok(())
}

/// The digest of a recovery code. Keyed: fifty bits would be guessed from a stolen database in hours.
fn digest(kernel: &Kernel, user: Uuid, plain: &str) -> String {
    use hmac::Mac as _;
    let key = crate::vault::derive(&kernel.settings.secret_key, b"loopd recovery code v1");
    let mut mac =
        <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(user.as_bytes());
    mac.update(plain.as_bytes());
    hex(&mac.finalize().into_bytes())
}

pub fn renew_recovery_codes(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid) -> Result<Vec<String>> {
    tx.push("DELETE FROM recovery_codes WHERE user_id = $1", params![user])?;
    let codes: Vec<String> =
        (0..rules::RECOVERY_CODES).map(|_| rules::new_recovery_code(kernel.rng.as_ref())).collect();
    for code in &codes {
        let plain =
            rules::as_recovery_code(code).ok_or_else(|| Problem::internal("a new recovery code does not read"))?;
        tx.push(
            "INSERT INTO recovery_codes (user_id, hash, created_at) VALUES ($1, $2, $3)",
            params![user, digest(kernel, user, &plain), kernel.now()],
        )?;
    }
    Ok(codes)
}

/// Uses up a code by time: right, and of a step that is newer than every one used before.
pub fn use_totp(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, code: &str) -> Result<bool> {
    let secret = secret_of(tx, kernel, user, "SELECT secret FROM totp_factors WHERE user_id = $1")?;
    let Some(secret) = secret else { return Ok(false) };
    let Some(step) = rules::matching_step(&secret, code, kernel.now())? else { return Ok(false) };
    // The comparison decides a race: of two with the same code the second finds the step used.
    let used = tx.execute(
        "UPDATE totp_factors SET last_step = $2, failures = 0, locked_until = NULL WHERE user_id = $1 AND last_step < $2",
        &params![user, step],
    )?;
    Ok(used == 1)
}

/// Uses up a recovery code; of two at once one gets it.
pub fn use_recovery_code(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid, plain: &str) -> Result<bool> {
    let used = tx.execute(
        "UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND hash = $2 AND used_at IS NULL",
        &params![user, digest(kernel, user, plain), kernel.now()],
    )?;
    if used == 1 {
        tx.push("UPDATE totp_factors SET failures = 0, locked_until = NULL WHERE user_id = $1", params![user])?;
    }
    Ok(used == 1)
}

/// Counts a try before it is looked at, so that a thousand tries at once count as a thousand; a right code sets the count back.
///
/// # Errors
/// 429 `throttled` while codes are locked.
pub fn charge_totp(tx: &mut Tx<'_>, kernel: &Kernel, user: Uuid) -> Result<()> {
    let now = kernel.now();
    let failures = tx.first(
        "UPDATE totp_factors SET failures = failures + 1 WHERE user_id = $1 AND (locked_until IS NULL OR locked_until <= $2) RETURNING failures",
        &params![user, now],
        |row| row.i64(0),
    )?;
    match failures {
        Some(failures) => {
            if let Some(lock_us) = rules::lock_after(failures) {
                tx.push(
                    "UPDATE totp_factors SET locked_until = $2 WHERE user_id = $1",
                    params![user, now.plus(lock_us)],
                )?;
            }
            Ok(())
        }
        None => {
            let until =
                tx.first("SELECT locked_until FROM totp_factors WHERE user_id = $1", &params![user], |row| {
                    row.opt_time(0)
                })?;
            match until.flatten() {
                Some(until) => Err(crate::account::locked(until, now)),
                // Nothing to guess at.
                None => Ok(()),
            }
        }
    }
}
