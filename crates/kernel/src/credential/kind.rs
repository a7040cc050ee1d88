//! [`Kind`]: what a kind of key looks like, as data. Surfaces bring theirs (a prefix, an alphabet, a length) and get mint, look-up and
//! revocation from here.
//!
//! The last characters are a checksum of all before them, so that a scanner of leaked secrets can tell a key from a text that looks like
//! one without asking us: CRC-32 (IEEE) of prefix and body, in the key's own alphabet, most significant digit first, padded with the
//! alphabet's zero. GitHub's tokens are built the same way.

use loopd_types::{Rng, hex};

/// How the part after the prefix is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// `0-9A-Za-z`; six of them are the checksum.
    Base62 { length: usize },
    /// Lower case; eight digits are the checksum.
    Hex { length: usize },
}

/// A kind of key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// As the table has it: `internal`.
    pub slug: &'static str,
    /// What every key of this kind begins with.
    pub prefix: &'static str,
    pub body: Body,
    /// Characters of the body that stay visible.
    pub shown: usize,
}

/// LOOP's server keys: 43 characters carry 256 bits.
pub const INTERNAL: Kind = Kind { slug: "internal", prefix: "loop_ik_", body: Body::Base62 { length: 49 }, shown: 8 };

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE62_CHECK: usize = 6;
const HEX_CHECK: usize = 8;

impl Kind {
    /// A new secret, and what is shown of it later.
    pub fn mint(&self, rng: &dyn Rng) -> (String, String) {
        let mut secret = self.prefix.to_owned();
        match self.body {
            Body::Base62 { length } => push_base62(&mut secret, rng, length - BASE62_CHECK),
            Body::Hex { length } => {
                let mut bytes = vec![0u8; (length - HEX_CHECK) / 2];
                rng.fill(&mut bytes);
                secret.push_str(&hex(&bytes));
            }
        }
        secret.push_str(&self.checksum(&secret));
        let shown = self.visible(&secret).to_owned();
        (secret, shown)
    }

    /// What is shown of a key for good: prefix and first characters.
    pub fn visible<'s>(&self, secret: &'s str) -> &'s str {
        secret.get(..self.prefix.len() + self.shown).unwrap_or(secret)
    }

    /// Whether `text` can be a key of this kind at all: what cannot is not looked for.
    pub fn claims(&self, text: &str) -> bool {
        text.starts_with(self.prefix)
    }

    /// Whether `text` is a key as [`Kind::mint`] makes them: length, alphabet and checksum. Keys of older versions may lack one.
    pub fn is_well_formed(&self, text: &str) -> bool {
        let Some(body) = text.strip_prefix(self.prefix) else { return false };
        let (length, check, is_letter): (usize, usize, fn(u8) -> bool) = match self.body {
            Body::Base62 { length } => (length, BASE62_CHECK, |byte| byte.is_ascii_alphanumeric()),
            Body::Hex { length } => (length, HEX_CHECK, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        };
        body.len() == length
            && body.bytes().all(is_letter)
            && text.split_at_checked(text.len() - check).is_some_and(|(front, sum)| self.checksum(front) == sum)
    }

    fn checksum(&self, front: &str) -> String {
        let mut sum = crc32(front.as_bytes());
        match self.body {
            Body::Hex { .. } => format!("{sum:08x}"),
            Body::Base62 { .. } => {
                let mut digits = [b'0'; BASE62_CHECK];
                for digit in digits.iter_mut().rev() {
                    *digit = BASE62[(sum % 62) as usize];
                    sum /= 62;
                }
                String::from_utf8_lossy(&digits).into_owned()
            }
        }
    }
}

/// Letters drawn with equal chances: bytes from 248 on are drawn again, because 256 is no multiple of 62.
fn push_base62(out: &mut String, rng: &dyn Rng, letters: usize) {
    let end = out.len() + letters;
    let mut bytes = [0u8; 64];
    while out.len() < end {
        rng.fill(&mut bytes);
        let fair = bytes.iter().filter(|byte| **byte < 248).take(end - out.len());
        out.extend(fair.map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
}

/// CRC-32 as zlib and PNG have it (IEEE 802.3, reflected).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use loopd_types::{OsRng, SeededRng};

    use super::*;

    /// The formats that Loopwave (32 characters) and Loomal (64 hex digits) fix.
    const LIVE: Kind = Kind { slug: "live", prefix: "lw_live_", body: Body::Base62 { length: 32 }, shown: 4 };
    const PROJECT: Kind = Kind { slug: "project", prefix: "loid-", body: Body::Hex { length: 64 }, shown: 8 };

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_kind_mints_its_own_shape_and_knows_it_again() {
        for (kind, length) in [(INTERNAL, 57), (LIVE, 40), (PROJECT, 69)] {
            let (secret, shown) = kind.mint(&OsRng);
            assert_eq!(secret.len(), length, "{secret}");
            assert!(secret.starts_with(&shown) && shown.len() == kind.prefix.len() + kind.shown);
            assert!(kind.claims(&secret) && kind.is_well_formed(&secret));
            for index in kind.prefix.len()..secret.len() {
                let mut spoilt = secret.clone().into_bytes();
                spoilt[index] = if spoilt[index] == b'1' { b'2' } else { b'1' };
                assert!(!kind.is_well_formed(&String::from_utf8(spoilt).unwrap()), "{index}");
            }
            for bad in ["", kind.prefix, &secret[1..], &secret[..secret.len() - 1], "lw_live_é"] {
                assert!(!kind.is_well_formed(bad), "{bad}");
            }
        }
    }

    #[test]
    fn every_letter_is_drawn() {
        let mut drawn = String::new();
        push_base62(&mut drawn, &SeededRng::new(7), 5_000);
        assert_eq!(drawn.len(), 5_000);
        assert!(BASE62.iter().all(|letter| drawn.contains(char::from(*letter))));
    }
}
