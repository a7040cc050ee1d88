//! [`Upload`]: the body of a request, read as it comes. An operation that declares [`Operation::streams_body`] gets one instead
//! of ready bytes; size and silence are bounded here, so that no handler can forget them.
//!
//! Not a total deadline: a phone on a slow line may take an hour for a large file, but it may not stop talking.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::Version;
use http::header::EXPECT;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt as _;
use loopd_types::{Kind, Problem, Result};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{BoxError, StreamBody};

/// After a refusal, how much of a body is still read, and for how long: a client that is cut while it writes never reads why.
const LINGER_BYTES: u64 = 32 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(10);

/// The body of a request as it comes. Dropped before its end, what is left of it is read and thrown away, within bounds.
pub struct Upload {
    body: Option<StreamBody>,
    announced: Option<u64>,
    limit: u64,
    read: u64,
    idle: Duration,
    progress: Progress,
    may_linger: bool,
    ended: bool,
}

/// When bytes last came in: the request's deadline counts from there.
#[derive(Clone)]
pub(crate) struct Progress {
    began: Instant,
    /// Milliseconds after `began`; none where the body is not streamed.
    last: Option<Arc<AtomicU64>>,
}

impl Progress {
    pub fn new(is_streamed: bool) -> Self {
        Self { began: Instant::now(), last: is_streamed.then(Arc::default) }
    }

    fn note(&self) {
        if let Some(last) = &self.last {
            last.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    /// Resolves when nothing came in for `limit`.
    pub async fn stalled(&self, limit: Duration) {
        loop {
            let last = self.last.as_ref().map_or(0, |last| last.load(Relaxed));
            let until = self.began + Duration::from_millis(last) + limit;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl Upload {
    /// # Errors
    /// 413 `payload_too_large` when the announced length is too long already.
    pub(crate) fn new<B>(body: B, parts: &Parts, limit: u64, idle: Duration, progress: Progress) -> Result<Self>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let announced = body.size_hint().exact();
        let body = body.map_err(Into::into).boxed_unsync();
        let may_linger = may_linger(parts);
        let upload = Self {
            body: Some(body),
            announced,
            limit,
            read: 0,
            idle,
            progress,
            may_linger,
            ended: announced == Some(0),
        };
        match announced {
            Some(length) if length > limit => Err(too_large(limit)),
            _ => Ok(upload),
        }
    }

    /// The next bytes; `None` at the end. An announced length is kept to: a body cut short never looks like a whole one.
    ///
    /// # Errors
    /// 413 `payload_too_large`; 400 `body_timeout` when nothing came for the operation's idle time; 400 `body_incomplete`.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(body) = self.body.as_mut().filter(|_| !self.ended) else { return Ok(None) };
            let frame = timeout(self.idle, body.frame()).await.map_err(|_| {
                self.may_linger = false;
                Problem::invalid("body_timeout", "The request body did not arrive in time.")
            })?;
            let Some(frame) = frame else {
                self.ended = true;
                if self.announced.is_some_and(|length| length != self.read) {
                    return Err(incomplete());
                }
                return Ok(None);
            };
            let frame = frame.map_err(|error| {
                self.ended = true;
                incomplete().with_cause(error)
            })?;
            let Ok(data) = frame.into_data() else { continue };
            self.progress.note();
            self.read += data.len() as u64;
            if self.read > self.limit {
                return Err(too_large(self.limit));
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// `Content-Length`, when there is one.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The chunks as a stream; ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        futures_util::stream::try_unfold(self, |mut upload| async move {
            Ok(upload.chunk().await?.map(|chunk| (chunk, upload)))
        })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && self.may_linger
            && !self.ended
        {
            linger(body);
        }
    }
}

/// Whether what is left of a body must be read after a refusal. HTTP/2 can refuse the rest by itself, and a client that expects
/// `100 Continue` has sent nothing yet.
pub(crate) fn may_linger(parts: &Parts) -> bool {
    parts.version <= Version::HTTP_11 && !parts.headers.contains_key(EXPECT)
}

/// Reads and throws away. Closing a socket with unread bytes resets it, and the reset destroys the answer on its way.
pub(crate) fn linger<B>(mut body: B)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(timeout(LINGER, async move {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    }));
}

/// After a refusal for which nothing of the body was read.
pub(crate) fn linger_unless_read<B>(body: B, parts: &Parts)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    if may_linger(parts) && !body.is_end_stream() {
        linger(body);
    }
}

pub(crate) fn too_large(limit: u64) -> Problem {
    Problem::new(Kind::TooLarge, "payload_too_large", format!("The request body is larger than {limit} bytes."))
        .with_extra("limit_bytes", limit)
}

pub(crate) fn incomplete() -> Problem {
    Problem::invalid("body_incomplete", "The request body ended early.")
}
