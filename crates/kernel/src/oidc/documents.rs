//! [`Documents`]: what issuers publish of themselves, kept for a while, so that a sign-in is not four calls and an issuer's bad minute is
//! not everybody's.
//!
//! A document is asked for once, however many wait for it. How long it is good is the issuer's to say (`Cache-Control: max-age`) within
//! limits that are ours: a key that was withdrawn must not be believed for days. Keyed by address alone, because these documents are
//! public: whoever names an issuer is told the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loopd_types::{MINUTE_US, Problem, Result, SECOND_US, Timestamp};

use super::wire::unavailable;
use crate::Kernel;
use crate::egress::{Answer, Outbound};

/// How long a document is good: unless the issuer says, at least, and at most.
const LIFE_US: i64 = 10 * MINUTE_US;
const LIFE_MIN_US: i64 = MINUTE_US;
const LIFE_MAX_US: i64 = 60 * MINUTE_US;
/// How much longer it is used while the issuer does not answer.
const GRACE_US: i64 = 60 * MINUTE_US;
/// Pause between two askings for a document that is good but lacks what is looked for.
const AGAIN_US: i64 = MINUTE_US;
/// Largest document; a discovery document and a dozen keys are a tenth of this.
const BYTES_MAX: usize = 128 * 1024;
/// Documents that are kept; the one used longest ago makes room.
const MOST: usize = 200;

/// What this node knows of issuers.
#[derive(Default)]
pub struct Documents {
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    clock: AtomicU64,
}

#[derive(Default)]
struct Entry {
    /// Held by whoever asks the issuer; the others wait for what it brings.
    asking: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
    /// [`Documents::clock`] when it was used last.
    used: AtomicU64,
}

#[derive(Default)]
struct Known {
    document: Option<Document>,
    /// How often the issuer was asked, and why it could not be used the last time.
    asked: u64,
    failure: Option<Problem>,
    /// When it was asked although the document was good.
    asked_again_at: Option<Timestamp>,
}

/// A document as it came.
#[derive(Clone)]
pub struct Document {
    pub bytes: Arc<[u8]>,
    fetched: u64,
    good_until: Timestamp,
}

/// Whether bytes are the document that they are asked for as.
pub type IsReadable = fn(&[u8]) -> Result<(), serde_json::Error>;

impl Entry {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Documents {
    fn entry(&self, url: &str) -> Arc<Entry> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST && !entries.contains_key(url) {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(url, _)| url.clone()) {
                entries.remove(&oldest);
            }
        }
        let entry = entries.entry(url.to_owned()).or_default();
        entry.used.store(now, Ordering::Relaxed);
        entry.clone()
    }

    /// The document at `url`, asked for if what is kept is not good any more. One that `is_readable` refuses is not kept.
    ///
    /// # Errors
    /// 502 `provider_unavailable` when it cannot be had and none is kept that would do.
    pub async fn get(&self, kernel: &Kernel, url: &str, is_readable: IsReadable) -> Result<Document> {
        let entry = self.entry(url);
        let asked = {
            let known = entry.known();
            if let Some(document) = known.document.as_ref().filter(|kept| kernel.now() < kept.good_until) {
                return Ok(document.clone());
            }
            known.asked
        };
        let _asking = entry.asking.lock().await;
        if entry.known().asked == asked {
            ask(kernel, url, is_readable, &entry).await;
        }
        let known = entry.known();
        match (&known.document, &known.failure) {
            (Some(document), None) => Ok(document.clone()),
            // The issuer is away: what it said last holds a little longer.
            (Some(document), Some(_)) if kernel.now() < document.good_until.plus(GRACE_US) => Ok(document.clone()),
            (_, Some(failure)) => Err(failure.clone()),
            (None, None) => Err(Problem::internal("a document that was asked for is neither there nor refused")),
        }
    }

    /// A newer document than `seen`, which lacks what it should hold: the issuer has changed its keys. Asked for at most once a minute,
    /// so that nobody with a made-up key makes this server knock all day; `None` when it was.
    ///
    /// # Errors
    /// As [`Documents::get`].
    pub async fn newer(
        &self,
        kernel: &Kernel,
        url: &str,
        is_readable: IsReadable,
        seen: &Document,
    ) -> Result<Option<Document>> {
        let entry = self.entry(url);
        let _asking = entry.asking.lock().await;
        let is_due = {
            let mut known = entry.known();
            if let Some(document) = known.document.as_ref().filter(|kept| kept.fetched != seen.fetched) {
                return Ok(Some(document.clone()));
            }
            let is_due = known.asked_again_at.is_none_or(|at| at.plus(AGAIN_US) <= kernel.now());
            if is_due {
                known.asked_again_at = Some(kernel.now());
            }
            is_due
        };
        if !is_due {
            return Ok(None);
        }
        ask(kernel, url, is_readable, &entry).await;
        let known = entry.known();
        match &known.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(known.document.clone()),
        }
    }
}

/// Asks the issuer and notes what came of it. The caller holds [`Entry::asking`].
async fn ask(kernel: &Kernel, url: &str, is_readable: IsReadable, entry: &Entry) {
    let outcome = fetch(kernel, url, is_readable).await;
    let mut known = entry.known();
    known.asked += 1;
    match outcome {
        Ok(answer) => {
            let good_until = kernel.now().plus(life_us(answer.header("cache-control")));
            known.failure = None;
            known.document = Some(Document { bytes: answer.body.into(), fetched: known.asked, good_until });
        }
        Err(problem) => known.failure = Some(problem),
    }
}

async fn fetch(kernel: &Kernel, url: &str, is_readable: IsReadable) -> Result<Answer> {
    let headers = vec![("accept", "application/json".to_owned())];
    let request = Outbound { method: "GET", url: url.to_owned(), headers, body: Vec::new() };
    let answer = kernel.egress.exchange(request, BYTES_MAX).await.map_err(unavailable)?;
    if answer.status != 200 {
        return Err(unavailable(format!("status {}", answer.status)));
    }
    if answer.is_cut {
        return Err(unavailable(format!("{url} is longer than {BYTES_MAX} bytes")));
    }
    is_readable(&answer.body).map_err(unavailable)?;
    Ok(answer)
}

/// How long an answer is good by its `Cache-Control` (RFC 9111, 5.2.2), within our limits.
fn life_us(cache_control: Option<&str>) -> i64 {
    let directives = cache_control.unwrap_or_default().to_ascii_lowercase();
    let mut life = LIFE_US;
    for directive in directives.split(',').map(str::trim) {
        match directive.split_once('=') {
            None if matches!(directive, "no-store" | "no-cache") => return LIFE_MIN_US,
            Some(("max-age", seconds)) => {
                let seconds = seconds.trim_matches('"').parse::<i64>().unwrap_or(0);
                life = seconds.saturating_mul(SECOND_US);
            }
            _ => {}
        }
    }
    life.clamp(LIFE_MIN_US, LIFE_MAX_US)
}

#[cfg(test)]
mod tests {
    use super::{LIFE_MAX_US, LIFE_MIN_US, LIFE_US, life_us};
    use loopd_types::MINUTE_US;

    #[test]
    fn an_issuer_says_how_long_its_documents_are_good_within_limits() {
        for (header, life) in [
            (None, LIFE_US),
            (Some("public"), LIFE_US),
            (Some("public, max-age=1200"), 20 * MINUTE_US),
            (Some("Max-Age=\"300\", must-revalidate"), 5 * MINUTE_US),
            (Some("max-age=0"), LIFE_MIN_US),
            (Some("max-age=-5"), LIFE_MIN_US),
            (Some("max-age=never"), LIFE_MIN_US),
            (Some("max-age=600, no-store"), LIFE_MIN_US),
            (Some("no-cache"), LIFE_MIN_US),
            (Some("max-age=999999999999999"), LIFE_MAX_US),
            (Some("s-maxage=5"), LIFE_US),
        ] {
            assert_eq!(life_us(header), life, "{header:?}");
        }
    }
}
