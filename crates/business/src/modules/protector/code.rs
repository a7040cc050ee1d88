//! Codes: how they are written, made and told from typing mistakes.
//!
//! The last character is a check character by ISO/IEC 7064, MOD 37,36: it finds every single wrong character and nearly all swaps.

use loopd_types::Rng;

use super::store;
use crate::define::*;

/// The characters of ISO/IEC 7064 MOD 37,36, in the order of their values.
const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// The characters that we choose from: those that people mistake for one another (0 and O, 1 and I) are left out. 32 of them: 5 bits each.
const CLEAR: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Random characters of a code: 60 bits. With a million codes given out, one guess in 10^12 hits one.
const RANDOM_LENGTH: usize = 12;
/// Shortest code that a client may bring along; shorter ones can be guessed.
const SHORTEST: usize = 8;
/// Longest code that is looked up or kept.
pub(super) const LONGEST: usize = 40;
/// Tries to make a code that nobody has; a second one is not needed in the life of an installation.
const TRIES: usize = 5;

/// As codes are kept and compared: upper case, without blanks and dashes. `None` when anything else but letters and digits is left, or it
/// is too long to be one.
pub(super) fn normal(text: &str) -> Option<String> {
    let mut code = String::with_capacity(text.len().min(LONGEST));
    for letter in text.chars().filter(|letter| !letter.is_whitespace() && !matches!(letter, '-' | '_' | '.')) {
        let letter = letter.to_ascii_uppercase();
        if !letter.is_ascii_alphanumeric() || code.len() == LONGEST {
            return None;
        }
        code.push(letter);
    }
    (!code.is_empty()).then_some(code)
}

/// The check character of ISO/IEC 7064 MOD 37,36 for a text of upper-case letters and digits; other characters count as 0.
pub(super) fn check_character(text: &str) -> char {
    let mut product = 36;
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter).unwrap_or(0);
        let sum = match (product + value) % 36 {
            0 => 36,
            sum => sum,
        };
        product = sum * 2 % 37;
    }
    ALPHABET[(37 - product) % 36] as char
}

/// A new code: `prefix`, random characters, the check character.
pub(super) fn random(rng: &dyn Rng, prefix: &str) -> String {
    loop {
        let mut bytes = [0; RANDOM_LENGTH];
        rng.fill(&mut bytes);
        let mut code = prefix.to_owned();
        code.extend(bytes.iter().map(|byte| CLEAR[usize::from(byte % 32)] as char));
        let check = check_character(&code);
        // the check character should be as easy to read as the rest
        if CLEAR.contains(&(check as u8)) {
            code.push(check);
            return code;
        }
    }
}

/// Gives a new record its code and claims it for the company in the whole installation.
pub(super) fn complete(cx: &mut Cx<'_, '_>, record: &mut Record) -> Result<()> {
    let batch = match record.id_in("batch") {
        Some(batch) => Some(cx.get("protector/batches", batch)?),
        None => None,
    };
    if let (None, Some(batch)) = (record.id_in("item"), &batch) {
        record.set("item", batch.id_in("item"));
    }
    if let Some(given) = record.text("code").map(str::to_owned) {
        let Some(code) = normal(&given).filter(|code| code.len() >= SHORTEST) else {
            let words = format!("A code has {SHORTEST} to {LONGEST} letters and digits.");
            return Err(Problem::field("code", "invalid", words));
        };
        if !store::claim(cx, &code, record.id())? {
            return Err(Problem::field("code", "unique", "This field must be unique."));
        }
        keep(record, code);
        return Ok(());
    }
    let prefix = batch.as_ref().and_then(|batch| batch.text("prefix")).and_then(normal).unwrap_or_default();
    for _ in 0..TRIES {
        let code = random(cx.kernel().rng.as_ref(), &prefix);
        if store::claim(cx, &code, record.id())? {
            keep(record, code);
            return Ok(());
        }
    }
    Err(Problem::internal("no free code was found"))
}

fn keep(record: &mut Record, code: String) {
    if record.title().is_empty() {
        record.set("title", code.as_str());
    }
    record.set("code", code);
}

#[cfg(test)]
mod tests {
    use loopd_types::SeededRng;

    use super::*;

    #[test]
    fn the_check_character_is_that_of_iso_7064() {
        // The example of the GRid standard, whose check character is ISO 7064 MOD 37,36: A1-2425G-ABC1234002-M.
        assert_eq!(check_character("A12425GABC1234002"), 'M');
    }

    #[test]
    fn a_single_wrong_character_is_always_found() {
        let code = random(&SeededRng::new(7), "IHEMA");
        let (body, check) = code.split_at(code.len() - 1);
        for place in 0..body.len() {
            for other in ALPHABET.iter().map(|other| *other as char) {
                let mut wrong: Vec<char> = body.chars().collect();
                if wrong[place] == other {
                    continue;
                }
                wrong[place] = other;
                let wrong: String = wrong.into_iter().collect();
                assert_ne!(check_character(&wrong).to_string(), check, "{wrong}");
            }
        }
    }

    #[test]
    fn codes_are_random_and_easy_to_read() {
        let rng = SeededRng::new(1);
        let codes: std::collections::BTreeSet<String> = (0..1_000).map(|_| random(&rng, "AB")).collect();
        assert_eq!(codes.len(), 1_000);
        for code in &codes {
            assert_eq!(code.len(), 2 + RANDOM_LENGTH + 1);
            assert!(code[2..].bytes().all(|letter| CLEAR.contains(&letter)), "{code}");
        }
    }

    #[test]
    fn blanks_dashes_and_case_do_not_count() {
        assert_eq!(normal(" ihema-tst 1").as_deref(), Some("IHEMATST1"));
        assert_eq!(normal("../etc"), None);
        assert_eq!(normal("é"), None);
        assert_eq!(normal(" - "), None);
        assert_eq!(normal(&"A".repeat(41)), None);
    }
}
