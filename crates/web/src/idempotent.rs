//! [`Call::commit`]: every effect happens once. The `Idempotency-Key` row is written in the transaction that has the effect.
//!
//! A repeat with the same key and the same request gets the remembered answer (`Idempotency-Replayed: true`); with another
//! request it is 409. Keys of different companies and users never meet; keys of anonymous callers are told apart by the request
//! itself, so that a stranger's key can neither collide with mine nor show me their answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};
use loopd_kernel::Kernel;
use loopd_kernel::idempotency::{self, Begun, Claim, Held, Remembered};
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, sha256_hex};

use crate::{Call, Payload, Query, Reply};

pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key; Stripe's bound.
const MAX_KEY_BYTES: usize = 255;

/// The key of this call, bound to caller and request.
#[derive(Clone)]
pub struct Key {
    claim: Claim,
    /// Set once the call went through `commit` or `claim`; the edge complains in debug builds when it did not.
    honoured: Arc<AtomicBool>,
}

impl Key {
    pub(crate) fn new(claim: Claim) -> Self {
        Self { claim, honoured: Arc::default() }
    }
    /// Two requests that differ in this are two requests.
    pub(crate) fn bind(&mut self, part: &str) {
        self.claim.fingerprint = sha256_hex(format!("{}\n{part}", self.claim.fingerprint).as_bytes());
    }
    pub(crate) fn is_honoured(&self) -> bool {
        self.honoured.load(Ordering::Relaxed)
    }
}

/// What became of the key of a call with effects outside the database.
pub enum Claimed {
    /// Do the work, then [`Ticket::finish`] in the transaction that records it, or [`Ticket::release`] when it failed without effect.
    Go(Ticket),
    /// The work was done before: answer this.
    Replay(Reply),
}

/// Permission to do outside work once.
pub struct Ticket {
    kernel: Arc<Kernel>,
    held: Option<Held>,
}

impl Call {
    /// Runs `work` in one transaction and remembers its answer for the call's `Idempotency-Key` in the same transaction.
    ///
    /// `work` may run more than once (serialization failures) and must be repeatable. A refusal is not remembered: nothing
    /// happened, and the client may try again with the same key.
    ///
    /// # Errors
    /// 409 `idempotency_conflict`; whatever `work` refuses; 503 when nothing could be written.
    pub async fn commit<F>(&self, view: View, work: F) -> Result<Reply>
    where
        F: Fn(&mut Tx<'_>) -> Result<Reply> + Send + 'static,
    {
        let Some(key) = &self.key else { return self.kernel.db.write(view, work).await };
        key.honoured.store(true, Ordering::Relaxed);
        let (kernel, claim) = (self.kernel.clone(), key.claim.clone());
        self.kernel
            .db
            .write(view, move |tx| {
                let held = match idempotency::begin_in_tx(tx, &kernel, &claim)? {
                    Begun::Held(held) => held,
                    Begun::Known(remembered) => return replay(remembered),
                };
                let reply = work(tx)?;
                idempotency::finish_in_tx(tx, &kernel, &held, &remember(&reply)?)?;
                Ok(reply)
            })
            .await
    }

    /// The first answer to the call's key, if there is one; else `refusal`. For work whose slow checks come before [`Call::commit`] and
    /// refuse a repeat because the first call was carried out: the link is used, the old password is not the old one any more.
    ///
    /// # Errors
    /// `refusal`; 409 `idempotency_conflict`; 503 from the database.
    pub async fn first_answer(&self, refusal: Problem) -> Result<Reply> {
        let Some(key) = &self.key else { return Err(refusal) };
        key.honoured.store(true, Ordering::Relaxed);
        let (kernel, claim) = (self.kernel.clone(), key.claim.clone());
        // The refusal takes the key's row back.
        let look = move |tx: &mut Tx<'_>| match idempotency::begin_in_tx(tx, &kernel, &claim)? {
            Begun::Known(remembered) => replay(remembered),
            Begun::Held(_) => Err(refusal.clone()),
        };
        self.kernel.db.write(View::System, look).await
    }

    /// Claims the call's key before work with effects outside the database (a payment, a message). Without a key: go.
    ///
    /// # Errors
    /// 409 `idempotency_conflict` when the key belongs to another request, or the first one still runs.
    pub async fn claim(&self) -> Result<Claimed> {
        let mut ticket = Ticket { kernel: self.kernel.clone(), held: None };
        if let Some(key) = &self.key {
            key.honoured.store(true, Ordering::Relaxed);
            match idempotency::claim(&self.kernel, &key.claim).await? {
                Begun::Held(held) => ticket.held = Some(held),
                Begun::Known(remembered) => return replay(remembered).map(Claimed::Replay),
            }
        }
        Ok(Claimed::Go(ticket))
    }
}

impl Ticket {
    /// Remembers the answer, in the transaction that records the work.
    ///
    /// # Errors
    /// 500 when the answer is a stream; 503 from the database.
    pub fn finish(&self, tx: &mut Tx<'_>, reply: &Reply) -> Result<()> {
        match &self.held {
            Some(held) => idempotency::finish_in_tx(tx, &self.kernel, held, &remember(reply)?),
            None => Ok(()),
        }
    }

    /// Gives the key back after a failure that had no effect; somebody who took it over after the lease keeps it.
    ///
    /// # Errors
    /// 503 from the database; the key is then free again when its lease ends.
    pub async fn release(&self) -> Result<()> {
        match &self.held {
            Some(held) => idempotency::release(&self.kernel, held).await,
            None => Ok(()),
        }
    }
}

/// Reads the header of an unsafe call.
///
/// # Errors
/// 400 `invalid_idempotency_key` when it is not 1 to 255 visible ASCII characters.
pub(crate) fn read_key(headers: &HeaderMap) -> Result<Option<&str>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_visible = |text: &&str| {
        !text.is_empty() && text.len() <= MAX_KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match value.to_str().ok().filter(is_visible) {
        Some(key) if values.next().is_none() => Ok(Some(key)),
        _ => Err(Problem::invalid(
            "invalid_idempotency_key",
            "Idempotency-Key must be one value of 1 to 255 visible ASCII characters.",
        )),
    }
}

/// SHA-256 over what makes two requests the same: method, path without its final slash, workspace, the sorted query and the body.
pub(crate) fn fingerprint(method: &str, path: &str, workspace: Option<&str>, query: &Query, body: &[u8]) -> String {
    let path = path.strip_suffix('/').unwrap_or(path);
    // Every part but the last is free of newlines, so no two different requests give the same bytes.
    let mut bytes = format!("{method}\n{path}\n{}\n{}\n", workspace.unwrap_or(""), query.canonical()).into_bytes();
    bytes.extend_from_slice(body);
    sha256_hex(&bytes)
}

/// Status aside, an answer is kept as one line of JSON with its headers, then the body.
fn remember(reply: &Reply) -> Result<Remembered> {
    let body = reply.body.bytes().ok_or_else(|| Problem::internal("a streamed answer cannot be remembered"))?;
    let headers: Vec<(&str, &str)> =
        reply.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let mut answer = serde_json::to_vec(&headers).map_err(Problem::internal)?;
    answer.push(b'\n');
    answer.extend_from_slice(body);
    Ok(Remembered { status: reply.status.as_u16(), answer })
}

fn replay(remembered: Remembered) -> Result<Reply> {
    let broken = || Problem::internal("a remembered answer cannot be read");
    let Remembered { status, mut answer } = remembered;
    let line_end = answer.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
    let body = answer.split_off(line_end + 1);
    let lines: Vec<(String, String)> = serde_json::from_slice(&answer).map_err(|_| broken())?;
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken())?;
        headers.append(name, HeaderValue::from_str(&value).map_err(|_| broken())?);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(Reply { status: StatusCode::from_u16(status).map_err(|_| broken())?, headers, body: Payload::from(body) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_being_remembered() {
        let reply = Reply::json_bytes(201, br#"{"a":"b"}"#.to_vec()).with_etag("7");
        let again = replay(remember(&reply).unwrap()).unwrap();
        assert_eq!(again.status, 201);
        assert_eq!(again.headers["etag"], "\"7\"");
        assert_eq!(again.headers["idempotency-replayed"], "true");
        assert_eq!(again.body.bytes().unwrap(), reply.body.bytes().unwrap());
    }

    #[test]
    fn a_fingerprint_ignores_order_and_final_slash_only() {
        let query = |raw| Query::parse(Some(raw)).unwrap();
        let one = fingerprint("POST", "/a/", None, &query("x=1&y=2"), b"{}");
        assert_eq!(one, fingerprint("POST", "/a", None, &query("y=2&x=1"), b"{}"));
        for other in [
            fingerprint("PUT", "/a/", None, &query("x=1&y=2"), b"{}"),
            fingerprint("POST", "/b/", None, &query("x=1&y=2"), b"{}"),
            fingerprint("POST", "/a/", Some("w"), &query("x=1&y=2"), b"{}"),
            fingerprint("POST", "/a/", None, &query("x=1&y=3"), b"{}"),
            fingerprint("POST", "/a/", None, &query("x=1&y=2"), b"{ }"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn keys_are_short_visible_and_single() {
        let read = |keys: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append("idempotency-key", HeaderValue::from_bytes(key).unwrap());
            }
            read_key(&headers).map(|key| key.map(str::to_owned)).map_err(|problem| problem.status())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"k-1"]), Ok(Some("k-1".into())));
        assert_eq!(read(&[&[b'k'; 255]]).map(|key| key.is_some()), Ok(true));
        for bad in [&[&b""[..]][..], &[&[b'k'; 256]], &[b"a b"], &[&[0xe9]], &[b"a", b"b"]] {
            assert_eq!(read(bad), Err(400));
        }
    }
}
