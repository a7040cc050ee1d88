//! Traces: what one request did and how long it took, told to an OpenTelemetry collector, with the ids of W3C Trace Context
//! (`traceparent`) taken over from whoever calls and handed on to whoever is called.
//!
//! Our own hundred lines in place of the OpenTelemetry crates: a request has one span and one more for each call out of the house,
//! which needs no tracing framework on the hot path; without a collector it costs one comparison. Spans wait in a bounded queue:
//! a collector that is slow or away costs spans, which are counted, and never a request.

pub mod export;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use loopd_types::{Clock, Rng, Secret, Timestamp, hex};
use tokio::sync::mpsc;

/// Spans that may wait for the collector.
const QUEUE: usize = 4_096;

/// `LOOP_OTLP_ENDPOINT` and its companions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The collector's base address; spans go to `<endpoint>/v1/traces`.
    pub endpoint: String,
    /// Names and values; values may be credentials.
    pub headers: Vec<(&'static str, Secret<String>)>,
    /// The part of the requests that is traced, 0 to 1.
    pub sample: f64,
}

/// Where a span stands: `00-<trace>-<span>-<flags>` (W3C Trace Context, 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub is_sampled: bool,
}

impl Parent {
    /// Reads a `traceparent`. Versions to come are read by their beginning, as the standard asks; all zeros are no ids.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = unhex::<1>(version)?;
        let (trace, span, [flags]) = (unhex::<16>(trace)?, unhex::<8>(span)?, unhex::<1>(flags)?);
        let is_wrong =
            version == 0xff || (version == 0 && parts.next().is_some()) || trace == [0; 16] || span == [0; 8];
        (!is_wrong).then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }

    /// The `traceparent` of a call that stands below this span.
    pub fn header(&self) -> String {
        format!("00-{}-{}-0{}", hex(&self.trace), hex(&self.span), u8::from(self.is_sampled))
    }
}

/// Lower-case hex of exactly this length.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// A thing that was done, with its beginning and end.
#[derive(Clone, Debug)]
pub struct Span {
    pub at: Parent,
    pub parent: Option<[u8; 8]>,
    pub name: String,
    pub kind: SpanKind,
    pub began_at: Timestamp,
    pub ended_at: Timestamp,
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Our fault, or the other side's where we are the client.
    pub failed: bool,
}

/// Numbers as OTLP has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanKind {
    Server = 2,
    Client = 3,
}

#[derive(Clone, Debug)]
pub enum Attribute {
    Text(String),
    Int(i64),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// Decides what is traced and takes the spans in. Cheap to clone.
#[derive(Clone)]
pub struct Tracer(Option<Arc<Inner>>);

struct Inner {
    sample: f64,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    queue: mpsc::Sender<Span>,
    counts: Counts,
}

/// What became of spans.
#[derive(Default)]
pub struct Counts {
    pub sent: AtomicU64,
    pub lost: AtomicU64,
}

/// The spans of a tracer, for its exporter.
pub struct Spans(mpsc::Receiver<Span>);

impl Tracer {
    /// Traces nothing.
    pub fn off() -> Self {
        Self(None)
    }

    pub fn new(sample: f64, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> (Self, Spans) {
        let (queue, spans) = mpsc::channel(QUEUE);
        (Self(Some(Arc::new(Inner { sample, clock, rng, queue, counts: Counts::default() }))), Spans(spans))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub fn counts(&self) -> Option<&Counts> {
        self.0.as_ref().map(|inner| &inner.counts)
    }

    /// The span of a request that arrived with this `traceparent`. Whether it is recorded is for us to say, by the trace's own
    /// number so that all services of one installation agree; a caller's wish counts when `believe` says that it is one of ours,
    /// because anybody can send a header.
    pub fn begin(&self, traceparent: Option<&str>, believe: bool) -> Option<(Parent, Option<[u8; 8]>)> {
        let inner = self.0.as_ref()?;
        let parent = traceparent.and_then(Parent::parse);
        let trace = parent.map_or_else(|| random(&*inner.rng), |parent| parent.trace);
        let is_sampled = match parent {
            Some(parent) if believe => parent.is_sampled,
            _ => is_chosen(&trace, inner.sample),
        };
        Some((Parent { trace, span: random(&*inner.rng), is_sampled }, parent.map(|parent| parent.span)))
    }

    /// The span of a call out of the house below `above`.
    fn below(&self, above: Parent) -> Option<Parent> {
        let inner = self.0.as_ref()?;
        Some(Parent { span: random(&*inner.rng), ..above })
    }

    fn now(&self) -> Timestamp {
        self.0.as_ref().map_or(Timestamp(0), |inner| inner.clock.now())
    }

    /// Hands a span to the exporter; dropped and counted when too many wait.
    pub fn record(&self, span: Span) {
        let Some(inner) = &self.0 else { return };
        if span.at.is_sampled && inner.queue.try_send(span).is_err() {
            inner.counts.lost.fetch_add(1, Relaxed);
        }
    }
}

fn random<const N: usize>(rng: &dyn Rng) -> [u8; N] {
    let mut bytes = [0; N];
    while bytes == [0; N] {
        rng.fill(&mut bytes);
    }
    bytes
}

/// By the last seven bytes, which the standard wants to be random.
fn is_chosen(trace: &[u8; 16], sample: f64) -> bool {
    let mut tail = [0; 8];
    tail[1..].copy_from_slice(&trace[9..]);
    (u64::from_be_bytes(tail) as f64) < sample * (1_u64 << 56) as f64
}

/// The request that is being answered, and where its span stands, if it is traced.
#[derive(Clone)]
pub struct Current {
    pub request_id: Arc<str>,
    pub traced: Option<(Tracer, Parent)>,
}

tokio::task_local! {
    static CURRENT: Current;
}

/// Runs `work` as a part of `current`: what it logs names the request, and what it calls out of the house is told its trace.
pub fn within<F: Future>(current: Current, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current, work)
}

/// The request that is being answered here, if one is; for tasks that go on with its work.
pub fn current() -> Option<Current> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Shows the request that is being answered here, if one is, without a copy.
pub fn with_current<T>(look: impl FnOnce(&Current) -> T) -> Option<T> {
    CURRENT.try_with(look).ok()
}

/// A call out of the house that is on its way.
pub struct Call {
    tracer: Tracer,
    above: Parent,
    at: Parent,
    began_at: Timestamp,
}

impl Call {
    /// Begins one, if a request is being traced here.
    pub fn begin() -> Option<Self> {
        let (tracer, above) = current()?.traced?;
        let (at, began_at) = (tracer.below(above)?, tracer.now());
        Some(Self { tracer, above, at, began_at })
    }

    /// What the other side is told.
    pub fn header(&self) -> String {
        self.at.header()
    }

    /// Records what became of it; `None` where there was no answer.
    pub fn end(self, method: &str, host: &str, status: Option<u16>) {
        let Self { tracer, above, at, began_at } = self;
        let mut attributes = vec![("http.request.method", method.into()), ("server.address", host.into())];
        attributes.extend(status.map(|status| ("http.response.status_code", i64::from(status).into())));
        tracer.record(Span {
            at,
            parent: Some(above.span),
            name: method.to_owned(),
            kind: SpanKind::Client,
            began_at,
            ended_at: tracer.now(),
            attributes,
            failed: status.is_none_or(|status| status >= 400),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_types::{ManualClock, SeededRng};

    fn tracer(sample: f64) -> (Tracer, Spans) {
        Tracer::new(sample, Arc::new(ManualClock::at(Timestamp(1))), Arc::new(SeededRng::new(1)))
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_exactly_and_written_as_it_was() {
        let parent = Parent::parse(PARENT).unwrap();
        assert_eq!(parent.header(), PARENT);
        assert!(!Parent::parse(&PARENT.replace("-01", "-00")).unwrap().is_sampled);
        assert!(Parent::parse(&format!("{}-more", PARENT.replace("00-4b", "01-4b"))).is_some(), "a version to come");
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(Parent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn strangers_do_not_choose_what_is_recorded() {
        let (tracer, _spans) = tracer(0.0);
        let (stranger, parent) = tracer.begin(Some(PARENT), false).unwrap();
        assert!(!stranger.is_sampled);
        assert_eq!(Some(stranger.trace), Parent::parse(PARENT).map(|p| p.trace), "but their trace goes on");
        assert_eq!(parent, Parent::parse(PARENT).map(|p| p.span));
        assert!(tracer.begin(Some(PARENT), true).unwrap().0.is_sampled);
        assert!(Tracer::off().begin(Some(PARENT), true).is_none());
    }

    #[test]
    fn about_the_part_that_was_asked_for_is_chosen() {
        let (tracer, _spans) = tracer(0.25);
        let chosen = (0..10_000).filter(|_| tracer.begin(None, false).unwrap().0.is_sampled).count();
        assert!((2_200..2_800).contains(&chosen), "{chosen}");
    }

    #[test]
    fn spans_beyond_the_queue_are_counted_and_hold_nobody_up() {
        let (tracer, _spans) = tracer(1.0);
        let (at, parent) = tracer.begin(None, false).unwrap();
        for _ in 0..QUEUE + 5 {
            tracer.record(Span {
                at,
                parent,
                name: "x".to_owned(),
                kind: SpanKind::Server,
                began_at: Timestamp(0),
                ended_at: Timestamp(1),
                attributes: Vec::new(),
                failed: false,
            });
        }
        assert_eq!(tracer.counts().unwrap().lost.load(Relaxed), 5);
    }
}
