//! Passwords: Argon2id, hashed off the async threads, a few at a time.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use loopd_types::{Problem, Result};
use tokio::sync::Semaphore;

/// Each hash holds its memory for some 20 ms; more at once would only trade memory for queueing.
const AT_ONCE: usize = 2;
/// How many may wait before a sign-in is told to come back: bounds the memory and the wait of a flood.
const WAITING: usize = 256;

/// Hashes and verifies; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Verified when there is no such user, so that the answer takes as long.
    decoy: Arc<str>,
}

impl Passwords {
    /// `memory_kib` of Argon2id memory with two passes and one lane (OWASP password storage: 19 MiB, t=2, p=1).
    pub fn new(memory_kib: u32) -> Self {
        let params = Params::new(memory_kib.max(8), 2, 1, None).expect("memory, passes and lanes are in range");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        // Written out, not computed: a hash at start would cost its memory and time for nothing. Nobody's password has this hash.
        let decoy = format!(
            "$argon2id$v=19$m={},t=2,p=1$bG9vcGQtZGVjb3ktc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            memory_kib.max(8)
        );
        Self {
            argon2,
            running: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            decoy: decoy.into(),
        }
    }

    /// The PHC string of `password`.
    ///
    /// # Errors
    /// 503 when too many sign-ins wait already.
    pub async fn hash(&self, password: String) -> Result<String> {
        let argon2 = self.argon2.clone();
        self.run(move || {
            argon2.hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(Problem::internal)
        })
        .await?
    }

    /// Whether `password` is the one behind `stored`; `None` (no such user) takes as long and is always false.
    ///
    /// # Errors
    /// 503 when too many sign-ins wait already.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool> {
        let argon2 = self.argon2.clone();
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.to_string());
        let matches = self
            .run(move || match PasswordHash::new(&stored) {
                Ok(hash) => argon2.verify_password(password.as_bytes(), &hash).is_ok(),
                Err(_) => false,
            })
            .await?;
        Ok(matches && exists)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _place =
            self.waiting.try_acquire().map_err(|_| Problem::unavailable("too many passwords are being checked"))?;
        let permit = self.running.clone().acquire_owned().await.map_err(Problem::internal)?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_user_who_exists_matches() {
        let passwords = Passwords::new(64);
        let stored = passwords.hash("strongpass123".into()).await.unwrap();
        assert!(passwords.verify("strongpass123".into(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify("strongpass124".into(), Some(stored)).await.unwrap());
        assert!(!passwords.verify("strongpass123".into(), None).await.unwrap());
        assert!(PasswordHash::new(&passwords.decoy).is_ok(), "the decoy must cost as much as a real hash");
    }
}
