//! One connection: TLS, HTTP/1 or HTTP/2, and the limits of a client's slowness and of its haste.
//!
//! hyper times the head of each HTTP/1 request and asks silent HTTP/2 peers whether they live. What it does not see is counted here:
//! a connection that is kept alive by pings and asks for nothing, an answer that is not read, requests made only to be taken back.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Hub;
use super::stall::Stalling;
use crate::proxy::Peer;
use crate::tls::Accepted;
use crate::{BoxError, Payload, Phase};

/// Requests that a client may take back before they are answered, beyond as many as it lets be answered. A browser that leaves a page
/// takes back a few; a rapid reset (CVE-2023-44487) takes back everything.
const MOST_TAKEN_BACK: usize = 200;
/// How long a HTTP/2 peer may take to answer a ping.
const PING_WAIT: Duration = Duration::from_secs(20);
/// Streams of one connection at a time.
const MOST_STREAMS: u32 = 128;
/// Streams that were reset before we looked at them; more is an attack and ends the connection (h2's own default, made explicit).
const MOST_PENDING_RESETS: usize = 20;
/// Frames that break the protocol, for which a stream is reset by us; more ends the connection (CVE-2025-8671).
const MOST_PROTOCOL_RESETS: usize = 100;

pub(super) fn builder(idle: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // No `pipeline_flush`: with it hyper buffers without regard to `max_buf_size` (its `can_buffer` is always true), so a client that does
    // not read has a whole stream or download put into our memory.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(idle)
        .keep_alive_timeout(PING_WAIT)
        .max_concurrent_streams(MOST_STREAMS)
        .max_pending_accept_reset_streams(MOST_PENDING_RESETS)
        .max_local_error_reset_streams(MOST_PROTOCOL_RESETS)
        .max_header_list_size(64 * 1024);
    builder
}

/// Serves one connection to its end.
pub(super) async fn serve<A, F>(
    hub: &Hub,
    stream: TcpStream,
    address: IpAddr,
    builder: &auto::Builder<TokioExecutor>,
    answer: A,
) where
    A: Fn(hyper::Request<Incoming>, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = hyper::Response<Payload>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    hub.metrics.connections.fetch_add(1, Relaxed);
    hub.metrics.connections_total.fetch_add(1, Relaxed);
    let deadline = Instant::now() + hub.settings.header_timeout;
    let pulse = Arc::new(Pulse::new());
    let stream = Stalling::new(stream, hub.settings.write_timeout, pulse.clone());
    let ended = match &hub.tls {
        None => drive(hub, stream, Peer { address, is_tls: false }, builder, deadline, &pulse, answer).await,
        Some(tls) => match tokio::time::timeout_at(deadline.into(), tls.accept(stream)).await {
            Ok(Ok(Accepted::Stream(stream))) => {
                drive(hub, *stream, Peer { address, is_tls: true }, builder, deadline, &pulse, answer).await
            }
            // The authority has seen what it came for.
            Ok(Ok(Accepted::Challenge)) => Ended::Well,
            Ok(Err(error)) => {
                hub.metrics.handshakes_failed.fetch_add(1, Relaxed);
                Ended::Badly(Box::new(error))
            }
            Err(_) => Ended::Dropped,
        },
    };
    match ended {
        Ended::Well => {}
        Ended::Dropped => {
            hub.metrics.connections_dropped.fetch_add(1, Relaxed);
        }
        Ended::Badly(error) => tracing::debug!(%error, "a connection ended badly"),
    }
    hub.metrics.connections.fetch_sub(1, Relaxed);
}

enum Ended {
    Well,
    /// We closed it: too slow, or too hasty.
    Dropped,
    Badly(BoxError),
}

async fn drive<S, A, F>(
    hub: &Hub,
    stream: S,
    peer: Peer,
    builder: &auto::Builder<TokioExecutor>,
    deadline: Instant,
    pulse: &Arc<Pulse>,
    answer: A,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(hyper::Request<Incoming>, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = hyper::Response<Payload>> + Send + 'static,
{
    let service = {
        let pulse = pulse.clone();
        service_fn(move |request: hyper::Request<Incoming>| {
            let running = Running::begin(&pulse);
            let answered = answer(request, peer);
            async move { Ok::<_, Infallible>(running.answered(answered.await)) }
        })
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut ending = std::pin::pin!(hub.lifecycle.reached(Phase::Ending));
    let mut is_ending = false;
    loop {
        let look = pulse.next_look(hub.settings.idle_timeout, deadline);
        tokio::select! {
            biased;
            ended = &mut connection => return ended.map_or_else(Ended::Badly, |()| Ended::Well),
            () = &mut ending, if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(look.into()) => match pulse.verdict(hub.settings.idle_timeout, deadline) {
                Verdict::Fine => {}
                Verdict::Idle if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                    // As long again for what is still on its way, and for a HTTP/2 client to leave.
                    pulse.beat();
                }
                Verdict::Idle => return Ended::Dropped,
                Verdict::Cut => return Ended::Dropped,
            },
        }
    }
}

/// What a connection is doing.
pub(super) struct Pulse {
    since: Instant,
    /// Requests that were begun.
    asked: AtomicUsize,
    /// Requests being worked on.
    running: AtomicUsize,
    /// Answers whose body has not ended.
    open: AtomicUsize,
    /// Those of them that gave out a part and were not asked for the next.
    unread: AtomicUsize,
    answered: AtomicUsize,
    taken_back: AtomicUsize,
    /// Bytes written since the last beat that they caused.
    written: AtomicUsize,
    /// When something was last asked, answered or taken up by the client; milliseconds from `since`.
    at_ms: AtomicU64,
}

enum Verdict {
    Fine,
    /// Nothing is asked.
    Idle,
    Cut,
}

/// How often a connection is looked at that may be taking requests back.
const LOOK: Duration = Duration::from_secs(5);
/// So many bytes taken up by the client are a sign of life; fewer may be nothing but answers to its pings.
const SIGN_OF_LIFE: usize = 16 * 1024;

impl Pulse {
    fn new() -> Self {
        let (none, at_ms) = (|| AtomicUsize::new(0), AtomicU64::new(0));
        Self {
            since: Instant::now(),
            asked: none(),
            running: none(),
            open: none(),
            unread: none(),
            answered: none(),
            taken_back: none(),
            written: none(),
            at_ms,
        }
    }

    fn beat(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(now, Relaxed);
    }

    /// The client has room for so many bytes more.
    pub(super) fn wrote(&self, bytes: usize) {
        if self.written.fetch_add(bytes, Relaxed) + bytes >= SIGN_OF_LIFE {
            self.written.store(0, Relaxed);
            self.beat();
        }
    }

    fn last(&self) -> Instant {
        self.since + Duration::from_millis(self.at_ms.load(Relaxed))
    }

    fn is_hasty(&self) -> bool {
        self.taken_back.load(Relaxed) > MOST_TAKEN_BACK + self.answered.load(Relaxed)
    }

    fn next_look(&self, idle: Duration, deadline: Instant) -> Instant {
        if self.asked.load(Relaxed) == 0 {
            return deadline;
        }
        let now = Instant::now();
        (self.last() + idle).clamp(now + Duration::from_millis(10), now + LOOK)
    }

    fn verdict(&self, idle: Duration, deadline: Instant) -> Verdict {
        let now = Instant::now();
        if self.asked.load(Relaxed) == 0 {
            return if now >= deadline { Verdict::Cut } else { Verdict::Fine };
        }
        if self.is_hasty() {
            return Verdict::Cut;
        }
        if self.running.load(Relaxed) > 0 || now < self.last() + idle {
            return Verdict::Fine;
        }
        // An answer of which the client has taken nothing for so long is not being read: with HTTP/2 its window stays shut.
        if self.unread.load(Relaxed) > 0 {
            return Verdict::Cut;
        }
        // A stream that has nothing to say is not its client's slowness.
        if self.open.load(Relaxed) > 0 { Verdict::Fine } else { Verdict::Idle }
    }
}

/// A request that is worked on; dropped without an answer when its client takes it back.
struct Running(Option<Arc<Pulse>>);

impl Running {
    fn begin(pulse: &Arc<Pulse>) -> Self {
        pulse.asked.fetch_add(1, Relaxed);
        pulse.running.fetch_add(1, Relaxed);
        pulse.beat();
        Self(Some(pulse.clone()))
    }

    fn answered(mut self, response: hyper::Response<Payload>) -> hyper::Response<Sent> {
        let pulse = self.0.take().expect("a request is answered once");
        pulse.running.fetch_sub(1, Relaxed);
        pulse.answered.fetch_add(1, Relaxed);
        pulse.open.fetch_add(1, Relaxed);
        pulse.beat();
        response.map(|payload| Sent { payload, pulse, is_unread: false })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pulse) = self.0.take() {
            pulse.running.fetch_sub(1, Relaxed);
            pulse.taken_back.fetch_add(1, Relaxed);
        }
    }
}

/// The body of an answer, which notes whether its client goes on reading.
pub(super) struct Sent {
    payload: Payload,
    pulse: Arc<Pulse>,
    is_unread: bool,
}

impl Sent {
    fn note(&mut self, is_unread: bool) {
        match (self.is_unread, is_unread) {
            (false, true) => {
                self.pulse.unread.fetch_add(1, Relaxed);
            }
            (true, false) => {
                self.pulse.unread.fetch_sub(1, Relaxed);
            }
            _ => return,
        }
        self.is_unread = is_unread;
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // Asked for only when there is room to send it.
        self.pulse.beat();
        let frame = Pin::new(&mut self.payload).poll_frame(cx);
        self.note(matches!(frame, Poll::Ready(Some(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.size_hint()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.note(false);
        self.pulse.open.fetch_sub(1, Relaxed);
        self.pulse.beat();
    }
}
