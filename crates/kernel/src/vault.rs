//! Secrets at rest: XChaCha20-Poly1305 under a key derived from `LOOP_SECRET_KEY`, bound to a context so that a value cannot be moved.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use loopd_types::{Problem, Result, Rng, Secret};
use sha2::Sha256;

/// First byte of every sealed value: which key and which construction, so that keys can be rotated.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Seals and opens small values (tokens, remembered answers, provider keys).
pub struct Vault {
    cipher: XChaCha20Poly1305,
}

impl Vault {
    pub fn new(secret: &Secret<String>) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&derive(secret, b"loopd vault v1").into()) }
    }

    /// Version byte, nonce, ciphertext with tag. `context` (table, column, row) must be given again to open it.
    pub fn seal(&self, rng: &dyn Rng, context: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0u8; NONCE_BYTES];
        rng.fill(&mut nonce);
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: context.as_bytes() })
            .map_err(|_| Problem::internal("sealing failed"))?;
        Ok([&[VERSION][..], &nonce, &sealed].concat())
    }

    /// # Errors
    /// 500 when the value was sealed under another key or context, or was altered.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let broken =
            || Problem::internal(format!("a sealed value of {context} cannot be opened; was LOOP_SECRET_KEY changed?"));
        let (header, body) = sealed.split_at_checked(1 + NONCE_BYTES).ok_or_else(broken)?;
        if header[0] != VERSION {
            return Err(broken());
        }
        let nonce: [u8; NONCE_BYTES] = header[1..].try_into().map_err(|_| broken())?;
        self.cipher.decrypt(&XNonce::from(nonce), Payload { msg: body, aad: context.as_bytes() }).map_err(|_| broken())
    }
}

/// A 32-byte key for one purpose: HMAC-SHA256(secret, purpose), the extract-and-label step of RFC 5869 with one block.
pub fn derive(secret: &Secret<String>, purpose: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_types::OsRng;

    #[test]
    fn only_the_same_key_and_context_open_what_was_sealed() {
        let vault = Vault::new(&Secret::new("one".into()));
        let sealed = vault.seal(&OsRng, "row 1", b"hush").unwrap();
        assert!(!sealed.windows(4).any(|w| w == b"hush"));
        assert_eq!(vault.open("row 1", &sealed).unwrap(), b"hush");
        assert!(vault.open("row 2", &sealed).is_err());
        assert!(Vault::new(&Secret::new("two".into())).open("row 1", &sealed).is_err());
        let mut altered = sealed.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert!(vault.open("row 1", &altered).is_err());
        assert!(vault.open("row 1", b"short").is_err());
    }
}
