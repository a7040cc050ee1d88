//! Codes by time, recovery codes and how long a lock lasts. Pure.

use fast_qr::convert::svg::SvgBuilder;
use fast_qr::qr::QRBuilder;
use loopd_types::{DAY_US, MINUTE_US, Problem, Result, Rng, Timestamp};
use totp_rs::{Builder, Totp};

use super::Setup;

/// 160 bits, as RFC 4226, section 4 recommends.
pub const SECRET_BYTES: usize = 20;
/// Digits of a code by time.
const DIGITS: usize = 6;
/// How many recovery codes a person gets, as GitHub gives them.
pub const RECOVERY_CODES: usize = 10;
/// Characters of a recovery code without its dash: five bits each, fifty in all, behind a keyed digest and a rate limit.
const RECOVERY_LENGTH: usize = 10;
/// Crockford's letters, in lower case: none that is taken for another.
const RECOVERY_LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Who issues the codes, as the authenticator app shows it.
const ISSUER: &str = "LOOP";

fn totp(secret: &[u8], account: &str) -> Result<Totp> {
    // The label's separator is a colon, and totp-rs refuses one inside.
    let account = account.replace(':', " ");
    Builder::new()
        .with_secret(secret)
        .with_account_name(account)
        .with_issuer(Some(ISSUER))
        .build()
        .map_err(Problem::internal)
}

/// How a secret is handed to an authenticator app.
pub fn describe(secret: &[u8], account: &str) -> Result<Setup> {
    let totp = totp(secret, account)?;
    let otpauth_uri = totp.to_url().map_err(Problem::internal)?;
    let code = QRBuilder::new(otpauth_uri.as_str()).build().map_err(|error| Problem::internal(format!("{error:?}")))?;
    let qr_svg = SvgBuilder::default().to_str(&code);
    Ok(Setup { secret: totp.secret().to_base32(), otpauth_uri, qr_svg })
}

/// The time step whose code this is: the present one, the one before or the one after.
pub fn matching_step(secret: &[u8], code: &str, now: Timestamp) -> Result<Option<i64>> {
    let Some(code) = as_totp(code) else { return Ok(None) };
    let seconds = u64::try_from(now.seconds()).unwrap_or(0);
    let step = totp(secret, "account")?.check(&code, seconds);
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

/// Six digits, as apps show them: with or without blanks between.
pub fn as_totp(code: &str) -> Option<String> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    (digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// A recovery code as it is digested: dashes and blanks gone, lower case, letters that look alike made one.
pub fn as_recovery_code(code: &str) -> Option<String> {
    let plain: String = code
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        })
        .collect();
    (plain.len() == RECOVERY_LENGTH && plain.bytes().all(|b| RECOVERY_LETTERS.contains(&b))).then_some(plain)
}

/// A new recovery code: `xxxxx-xxxxx`.
pub fn new_recovery_code(rng: &dyn Rng) -> String {
    let mut bytes = [0u8; RECOVERY_LENGTH];
    rng.fill(&mut bytes);
    // 256 is a multiple of 32: every letter is as likely.
    let mut code: String = bytes.iter().map(|byte| char::from(RECOVERY_LETTERS[usize::from(byte % 32)])).collect();
    code.insert(RECOVERY_LENGTH / 2, '-');
    code
}

/// How long codes by time are refused after so many wrong ones in a row: a quarter of an hour after five, twice as long after each
/// further five, a day at most. Whoever has the password so gets about five guesses a day at one in 333,333.
pub fn lock_after(failures: i64) -> Option<i64> {
    if failures == 0 || failures % 5 != 0 {
        return None;
    }
    let doublings = u32::try_from(failures / 5 - 1).unwrap_or(u32::MAX).min(7);
    Some((15 * MINUTE_US * (1 << doublings)).min(DAY_US))
}

#[cfg(test)]
mod tests {
    use loopd_types::{HOUR_US, OsRng, SECOND_US};

    use super::*;

    /// RFC 6238, appendix B: the shared secret and its codes for SHA-1, cut to six digits.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        let secret = b"12345678901234567890";
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            let now = Timestamp(seconds * SECOND_US);
            assert_eq!(matching_step(secret, code, now).unwrap(), Some(seconds / 30));
            assert_eq!(matching_step(secret, code, now.plus(30 * SECOND_US)).unwrap(), Some(seconds / 30));
            assert_eq!(matching_step(secret, code, now.plus(90 * SECOND_US)).unwrap(), None, "two steps late");
        }
        assert_eq!(matching_step(secret, "287 082", Timestamp(59 * SECOND_US)).unwrap(), Some(1));
        for bad in ["", "28708", "2870822", "28708a", "٢٨٧٠٨٢"] {
            assert_eq!(matching_step(secret, bad, Timestamp(59 * SECOND_US)).unwrap(), None, "{bad}");
        }
    }

    #[test]
    fn a_setup_names_issuer_and_account_and_draws_itself() {
        let setup = describe(&[7; SECRET_BYTES], "grace:u@example.com").unwrap();
        assert!(setup.otpauth_uri.starts_with("otpauth://totp/LOOP:grace%20u"), "{}", setup.otpauth_uri);
        assert!(setup.otpauth_uri.contains(&format!("secret={}", setup.secret)));
        assert!(setup.qr_svg.starts_with("<svg") && setup.qr_svg.contains("<path"));
        assert!(!setup.qr_svg.contains("http://") || setup.qr_svg.matches("http://www.w3.org/").count() > 0);
    }

    #[test]
    fn recovery_codes_are_read_as_people_write_them() {
        let code = new_recovery_code(&OsRng);
        assert_eq!(code.len(), RECOVERY_LENGTH + 1);
        let plain = as_recovery_code(&code).expect("a new code reads as one");
        assert_eq!(as_recovery_code(&code.to_uppercase()), Some(plain.clone()));
        assert_eq!(as_recovery_code(&format!(" {} ", code.replace('-', " "))), Some(plain));
        assert_eq!(as_recovery_code("OIL00-11111"), as_recovery_code("01100-11111"));
        for bad in ["", "123456", "12345-6789", "12345-67890-1", "12345-6789u"] {
            assert_eq!(as_recovery_code(bad), None, "{bad}");
        }
    }

    #[test]
    fn locks_grow_and_end() {
        assert_eq!([1, 4, 6, 9].map(lock_after), [None; 4]);
        assert_eq!(lock_after(5), Some(15 * MINUTE_US));
        assert_eq!(lock_after(10), Some(30 * MINUTE_US));
        assert_eq!(lock_after(25), Some(4 * HOUR_US));
        assert_eq!(lock_after(40), Some(DAY_US));
        assert_eq!(lock_after(5_000_000), Some(DAY_US));
    }
}
