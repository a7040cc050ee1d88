//! An access token of a provider, kept until shortly before it ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use loopd_types::{SECOND_US, Secret, Timestamp};
use serde_json::Value as Json;

/// The token and the moment from which it is not used any more.
type Kept = Option<(Secret<String>, Timestamp)>;

#[derive(Default)]
pub(super) struct KeptToken(Mutex<Kept>);

impl KeptToken {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, while it lives.
    pub fn living(&self, now: Timestamp) -> Option<Secret<String>> {
        let kept = self.lock();
        kept.as_ref().filter(|(_, until)| now < *until).map(|(token, _)| token.clone())
    }

    /// Reads an OAuth answer (RFC 6749, 5.1) and keeps its token for `expires_in` seconds, or `usual_s`, less `margin_us` for its way.
    /// `None` when there is no token in it. Some providers write the seconds as a text.
    pub fn keep(&self, answer: &Json, now: Timestamp, usual_s: i64, margin_us: i64) -> Option<Secret<String>> {
        let token = Secret::new(answer["access_token"].as_str()?.to_owned());
        let life = answer["expires_in"].as_i64().or_else(|| answer["expires_in"].as_str()?.parse().ok());
        let life_us = life.unwrap_or(usual_s).clamp(0, 86_400) * SECOND_US;
        *self.lock() = Some((token.clone(), now.plus(life_us - margin_us)));
        Some(token)
    }

    /// Forgets a token that the provider no longer takes.
    pub fn forget(&self) {
        *self.lock() = None;
    }
}
