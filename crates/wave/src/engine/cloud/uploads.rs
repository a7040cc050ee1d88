//! Files that Meta has already: what stands above a template goes to many, and is uploaded once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use loopd_types::{HOUR_US, Timestamp, Uuid};

/// How long an upload is used. Meta keeps one for days; after a restart, or an hour, another costs little.
const KEPT_US: i64 = HOUR_US;
/// Uploads that are remembered.
const MOST: usize = 1_000;

/// Meta's ids of files, by number and file. A file's content never changes.
#[derive(Debug, Default)]
pub struct Uploads(Mutex<HashMap<(Uuid, Uuid), (String, Timestamp)>>);

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Uuid, Uuid), (String, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Meta's id of a file that was uploaded for a number not long ago.
    pub fn known(&self, number: Uuid, file: Uuid, now: Timestamp) -> Option<String> {
        self.lock().get(&(number, file)).filter(|(_, at)| at.plus(KEPT_US) > now).map(|(id, _)| id.clone())
    }

    pub fn keep(&self, number: Uuid, file: Uuid, id: &str, now: Timestamp) {
        let mut known = self.lock();
        known.retain(|_, (_, at)| at.plus(KEPT_US) > now);
        if known.len() < MOST {
            known.insert((number, file), (id.to_owned(), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_used_again_for_an_hour() {
        let (uploads, now) = (Uploads::default(), Timestamp(0));
        let (number, file) = (Uuid::from_u128(1), Uuid::from_u128(2));
        uploads.keep(number, file, "M1", now);
        assert_eq!(uploads.known(number, file, now.plus(KEPT_US - 1)).as_deref(), Some("M1"));
        assert_eq!(uploads.known(number, file, now.plus(KEPT_US)), None);
        assert_eq!(uploads.known(file, number, now), None);
        for other in 3..u128::try_from(MOST).expect("a number") + 10 {
            uploads.keep(number, Uuid::from_u128(other), "M2", now);
        }
        assert_eq!(uploads.lock().len(), MOST);
    }
}
