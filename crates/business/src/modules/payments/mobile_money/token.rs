//! An access token of a provider, kept until shortly before it ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use loopd_kernel::egress::{Inbound, Unanswered};
use loopd_types::{SECOND_US, Secret, Timestamp};

use super::{Trouble, json_of};

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
    /// Some providers write the seconds as a text.
    ///
    /// # Errors
    /// [`Trouble::Unclear`] when there is no answer or no token in it. No money is asked for here: the payer knows nothing of it.
    pub fn keep(
        &self,
        provider: &str,
        answer: Result<Inbound, Unanswered>,
        now: Timestamp,
        usual_s: i64,
        margin_us: i64,
    ) -> Result<Secret<String>, Trouble> {
        let answer = answer.map_err(|unanswered| Trouble::Unclear(format!("no token: {unanswered}")))?;
        let body = json_of(&answer);
        let Some(token) = body["access_token"].as_str().filter(|_| answer.status == 200) else {
            return Err(Trouble::Unclear(format!("no token: {provider} answered {}", answer.status)));
        };
        let life = body["expires_in"].as_i64().or_else(|| body["expires_in"].as_str()?.parse().ok());
        let life_us = life.unwrap_or(usual_s).clamp(0, 86_400) * SECOND_US;
        let token = Secret::new(token.to_owned());
        *self.lock() = Some((token.clone(), now.plus(life_us - margin_us)));
        Ok(token)
    }

    /// Forgets a token that the provider no longer takes.
    pub fn forget(&self) {
        *self.lock() = None;
    }
}
