//! Server-sent events: a company's log as it grows, to whoever may see it.
//!
//! A follower first reads the log from its cursor, page by page, as fast as its reader takes it. At the end of the log it joins the
//! company's channel, on which one feeder publishes what is new: one read and one rendering for all who may see the same. The channel
//! remembers only so much, and only while somebody has yet to take it; a reader that falls further behind is told so in a last event and
//! comes back with `Last-Event-ID`.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use loopd_types::{CompanyId, Kind, Problem, Result, Uuid};
use tokio::sync::broadcast;

use super::filter::Filter;
use super::log::{self, Event, Eyes};
use super::signal::lock;
use crate::Kernel;
use crate::access::{Need, Origin, Presented, Tenant};

/// Batches that a channel remembers for readers that are behind.
const REMEMBERED: usize = 256;
/// Events of one batch, and of one page of the log…
const BATCH: usize = 200;
/// …or as many as their payloads' bytes allow, at least one: what slow readers of one company cost is this, times [`REMEMBERED`], and
/// once more for each different view of it.
const BATCH_BYTES: usize = 64 * 1024;
/// Different views of one batch that are remembered: whoever sees it in yet another way renders it for itself.
const VIEWS: usize = 8;
/// How often a feeder looks by itself: other nodes write too.
const POLL: Duration = Duration::from_millis(500);
/// For each open stream, how long a feeder gathers before it publishes again: with a thousand streams every publication is a thousand
/// writes, and what comes within those milliseconds may as well share them.
const GATHER_PER_STREAM: Duration = Duration::from_micros(20);
const GATHER_MOST: Duration = Duration::from_millis(50);
/// How long a stream's credentials are believed without another look, unless a right was taken away meanwhile.
const BELIEVED: Duration = Duration::from_secs(1);
/// Sent when nothing happens, so that proxies keep the connection and clients notice a dead one.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client should wait before it comes back.
const RETRY_MS: u64 = 3_000;

/// The open streams of this process.
#[derive(Default)]
pub struct Streams {
    channels: Mutex<HashMap<CompanyId, Arc<Channel>>>,
    /// Of all companies.
    open: AtomicUsize,
    /// People with a stream open, and how many they have.
    people: Mutex<HashMap<(CompanyId, Uuid), usize>>,
}

struct Channel {
    sender: broadcast::Sender<Arc<Batch>>,
    open: AtomicUsize,
    /// Up to where the feeder has published, or found the log when it began. A follower that stands before it, with nothing waiting
    /// for it in the channel, missed something and reads the log again.
    published: AtomicI64,
}

/// What one publication holds, and how it looks to those who may see the same.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    rendered: Mutex<HashMap<Arc<str>, Bytes>>,
}

/// A stream's place among those of its company; given back when dropped.
struct Place {
    kernel: Arc<Kernel>,
    company: CompanyId,
    channel: Arc<Channel>,
    /// Whose it is; `None` for keys, and for who looks in somebody's name.
    person: Option<Uuid>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(person) = self.person {
            self.kernel.streams.leaves(self.company, person);
        }
        self.kernel.streams.open.fetch_sub(1, Ordering::SeqCst);
        if self.channel.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            // the feeder sees that nobody is left, and ends
            self.kernel.signals.bell(self.company).notify_one();
        }
    }
}

impl Streams {
    /// Streams that this company has open on this node.
    pub fn open(&self, company: CompanyId) -> usize {
        lock(&self.channels).get(&company).map_or(0, |channel| channel.open.load(Ordering::SeqCst))
    }

    /// The people who have a stream open on this node, each once for each company.
    pub fn people(&self) -> Vec<(CompanyId, Uuid)> {
        lock(&self.people).keys().copied().collect()
    }

    fn leaves(&self, company: CompanyId, person: Uuid) {
        let mut people = lock(&self.people);
        if let Some(open) = people.get_mut(&(company, person)) {
            *open -= 1;
            if *open == 0 {
                people.remove(&(company, person));
            }
        }
    }

    fn enter(&self, kernel: &Arc<Kernel>, company: CompanyId, person: Option<Uuid>) -> Result<Place> {
        let mut channels = lock(&self.channels);
        // Places are taken under this lock, so none too many.
        if self.open.load(Ordering::SeqCst) >= kernel.settings.event_streams_total {
            let words = "This server has as many event streams open as it may. Please come back later.";
            return Err(Problem::new(Kind::Unavailable, "server_streams_full", words).with_header("Retry-After", "10"));
        }
        let channel = channels.entry(company).or_insert_with(|| {
            let sender = broadcast::Sender::new(REMEMBERED);
            let channel = Arc::new(Channel { sender, open: AtomicUsize::new(0), published: AtomicI64::new(0) });
            tokio::spawn(feed(Arc::downgrade(kernel), company, channel.clone()));
            channel
        });
        if channel.open.load(Ordering::SeqCst) >= kernel.settings.event_streams {
            let words =
                format!("This company has {} event streams open, as many as it may.", kernel.settings.event_streams);
            return Err(Problem::new(Kind::TooMany, "too_many_streams", words).with_header("Retry-After", "10"));
        }
        channel.open.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        if let Some(person) = person {
            *lock(&self.people).entry((company, person)).or_default() += 1;
        }
        Ok(Place { kernel: kernel.clone(), company, channel: channel.clone(), person })
    }

    /// Ends a channel that nobody listens to.
    fn leave(&self, kernel: &Kernel, company: CompanyId, channel: &Channel) -> bool {
        let mut channels = lock(&self.channels);
        let is_empty = channel.open.load(Ordering::SeqCst) == 0;
        if is_empty {
            channels.remove(&company);
            kernel.signals.mute(company);
        }
        is_empty
    }
}

/// Publishes what is new in a company's log for as long as somebody listens.
async fn feed(kernel: Weak<Kernel>, company: CompanyId, channel: Arc<Channel>) {
    let Some(bell) = kernel.upgrade().map(|kernel| kernel.signals.bell(company)) else { return };
    let mut position: Option<i64> = None;
    loop {
        let Some(kernel) = kernel.upgrade() else { return };
        let from = position;
        let read = kernel.db.read(loopd_store::View::Company(company), move |reader| {
            // What was there before the first follower joined is read by followers themselves.
            let from = match from {
                Some(from) => from,
                None => return Ok((log::head(reader, company)?, Vec::new(), false)),
            };
            let (events, is_full) = log::some_after(reader, company, from, BATCH, BATCH_BYTES)?;
            Ok((from, events, is_full))
        });
        let is_full = match read.await {
            Ok((from, events, is_full)) => {
                let last = events.last().map_or(from, |last| last.position);
                let is_first = position.is_none();
                position = Some(last);
                channel.published.store(last, Ordering::SeqCst);
                // The first one is empty and only makes followers look whether something came between their look and the feeder's.
                if !events.is_empty() || is_first {
                    let _ = channel.sender.send(Arc::new(Batch { events, rendered: Mutex::default() }));
                }
                is_full
            }
            Err(problem) => {
                tracing::warn!(cause = problem.cause(), "a company's log could not be read for its streams");
                false
            }
        };
        if kernel.streams.leave(&kernel, company, &channel) {
            return;
        }
        drop(kernel);
        let open = u32::try_from(channel.open.load(Ordering::SeqCst)).unwrap_or(u32::MAX);
        tokio::time::sleep((GATHER_PER_STREAM * open).min(GATHER_MOST)).await;
        if !is_full {
            let _ = tokio::time::timeout(POLL, bell.notified()).await;
        }
    }
}

/// What a stream showed when it was opened, to be looked at again while it lasts.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub api_key: Option<String>,
    pub authorization: Option<String>,
    pub workspace: Option<String>,
    pub origin: Origin,
}

/// How a stream begins.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    pub filter: Filter,
    /// `Last-Event-ID`, or `after`; `None` for what happens from now on.
    pub after: Option<i64>,
    /// Whether it ends at the end of the log, instead of waiting for more.
    pub ends: bool,
}

/// One open stream.
pub struct Follower {
    kernel: Arc<Kernel>,
    tenant: Arc<Tenant>,
    credentials: Credentials,
    filter: Filter,
    /// Whoever has the same key sees the same.
    key: Arc<str>,
    cursor: i64,
    place: Place,
    state: State,
    stopping: Stopping,
    believed: (Instant, u64),
    follows: bool,
    last_sent: Instant,
}

/// Resolves when the server begins to stop.
pub type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

enum State {
    Opening,
    /// Reads the log.
    Behind,
    /// Listens to the channel.
    Live(broadcast::Receiver<Arc<Batch>>),
    Ended,
}

impl Follower {
    /// Opens a stream.
    ///
    /// # Errors
    /// 410 `events_expired` when the log no longer reaches back; 429 `too_many_streams`, 503 `server_streams_full`.
    pub async fn open(
        kernel: &Arc<Kernel>,
        tenant: Arc<Tenant>,
        credentials: Credentials,
        opening: Opening,
        stopping: Stopping,
    ) -> Result<Self> {
        let (company, after) = (tenant.company, opening.after);
        let origin = tenant.actor.origin.as_ref();
        let person = tenant.actor.user.filter(|_| origin.is_none_or(|origin| origin.impersonator.is_none()));
        let place = kernel.streams.enter(kernel, company, person)?;
        let cursor = kernel
            .db
            .read(tenant.view(), move |reader| match after {
                // A cursor from the future is of another log (a restored backup): what it missed is unknown, so it begins at the end.
                Some(after) => {
                    log::require_kept(reader, company, after)?;
                    Ok(after.min(log::head(reader, company)?))
                }
                None => Ok(log::head(reader, company)?),
            })
            .await?;
        let now = Instant::now();
        Ok(Self {
            key: key(&tenant, &opening.filter),
            believed: (now, kernel.cache.epoch()),
            kernel: kernel.clone(),
            tenant,
            credentials,
            filter: opening.filter,
            cursor,
            place,
            state: State::Opening,
            stopping,
            follows: !opening.ends,
            last_sent: now,
        })
    }

    /// The next bytes to send; `None` after the last.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !matches!(self.state, State::Opening | State::Ended)
                && let Err(problem) = self.believe().await
            {
                return Some(self.end(problem.code(), problem.message()));
            }
            let sent = match &mut self.state {
                State::Ended => return None,
                State::Opening => {
                    self.state = State::Behind;
                    // An event without data only sets the id: a client that is cut off before the first event resumes from here.
                    Some(Bytes::from(format!("retry: {RETRY_MS}\nid: {}\n\n", self.cursor)))
                }
                State::Behind => self.catch_up().await,
                State::Live(receiver) => {
                    // Woken at least once in the time that credentials are believed.
                    let pause = BELIEVED.min(HEARTBEAT.saturating_sub(self.last_sent.elapsed()));
                    let got = tokio::select! {
                        biased;
                        () = &mut self.stopping => None,
                        got = receiver.recv() => Some(got),
                        () = tokio::time::sleep(pause) => Some(Ok(Arc::default())),
                    };
                    match got {
                        None => Some(self.stop()),
                        Some(Ok(batch)) => {
                            if let Err(problem) = self.believe().await {
                                return Some(self.end(problem.code(), problem.message()));
                            }
                            self.show(&batch)
                        }
                        Some(Err(_)) => Some(self.end(
                            "slow_reader",
                            "This stream was read too slowly. Come back with Last-Event-ID; nothing is lost.",
                        )),
                    }
                }
            };
            if let Some(sent) = sent {
                self.last_sent = Instant::now();
                return Some(sent);
            }
            if self.last_sent.elapsed() >= HEARTBEAT {
                self.last_sent = Instant::now();
                return Some(Bytes::from_static(b": heartbeat\n\n"));
            }
        }
    }

    /// Reads a page of the log; at its end, joins the channel.
    async fn catch_up(&mut self) -> Option<Bytes> {
        // Joined before the log is read: what is published while it is being read is not missed, and shown once, by its position.
        let receiver = self.place.channel.sender.subscribe();
        let (company, cursor) = (self.tenant.company, self.cursor);
        let read = self
            .kernel
            .db
            .read(self.tenant.view(), move |reader| Ok(log::some_after(reader, company, cursor, BATCH, BATCH_BYTES)?));
        let read = tokio::select! {
            biased;
            () = &mut self.stopping => None,
            read = read => Some(read),
        };
        let (events, has_more) = match read {
            None => return Some(self.stop()),
            Some(Ok(page)) => page,
            Some(Err(problem)) => return Some(self.end(problem.code(), problem.message())),
        };
        let mut shown = self.render(&events);
        self.cursor = events.last().map_or(self.cursor, |last| last.position);
        if !has_more {
            if self.follows {
                self.state = State::Live(receiver);
            } else {
                shown.extend_from_slice(&self.end("caught_up", "This is the end of the log."));
            }
        }
        (!shown.is_empty()).then(|| shown.into())
    }

    fn show(&mut self, batch: &Batch) -> Option<Bytes> {
        let (Some(first), Some(last)) = (batch.events.first(), batch.events.last()) else {
            let waits = matches!(&self.state, State::Live(receiver) if !receiver.is_empty());
            if !waits && self.place.channel.published.load(Ordering::SeqCst) > self.cursor {
                self.state = State::Behind;
            }
            return None;
        };
        let (first, last) = (first.position, last.position);
        if last <= self.cursor {
            return None;
        }
        if first > self.cursor + 1 {
            // Positions have no gaps, so something was published before this follower listened.
            self.state = State::Behind;
            return None;
        }
        let shown = if first <= self.cursor {
            let seen = batch.events.partition_point(|event| event.position <= self.cursor);
            self.render(&batch.events[seen..]).into()
        } else {
            let known = lock(&batch.rendered).get(&self.key).cloned();
            known.unwrap_or_else(|| {
                let shown: Bytes = self.render(&batch.events).into();
                let mut rendered = lock(&batch.rendered);
                if rendered.len() < VIEWS {
                    rendered.insert(self.key.clone(), shown.clone());
                }
                shown
            })
        };
        self.cursor = last;
        (!shown.is_empty()).then_some(shown)
    }

    fn render(&self, events: &[Event]) -> Vec<u8> {
        let (mut out, mut eyes) = (Vec::new(), Eyes::of(&self.tenant));
        for event in events.iter().filter(|event| self.filter.fits(&event.kind)) {
            if let Some(seen) = eyes.look(event) {
                out.extend_from_slice(format!("id: {}\n", seen.position).as_bytes());
                data(&mut out, |json| seen.write_json(json));
            }
        }
        out
    }

    fn stop(&mut self) -> Bytes {
        self.end("server_stopping", "The server stops. Come back; what happens meanwhile is not lost.")
    }

    /// The last event of this stream: why it ends, and after which position to go on.
    fn end(&mut self, reason: &str, message: &str) -> Bytes {
        self.state = State::Ended;
        let mut out = format!("id: {}\nevent: end\n", self.cursor).into_bytes();
        let words = serde_json::json!({"reason": reason, "message": message, "after": self.cursor});
        data(&mut out, |json| json.extend_from_slice(words.to_string().as_bytes()));
        out.into()
    }

    /// Looks at the credentials again, when a second has passed or a right was taken away.
    async fn believe(&mut self) -> Result<()> {
        let epoch = self.kernel.cache.epoch();
        let (since, known) = self.believed;
        if known == epoch && since.elapsed() < BELIEVED {
            return Ok(());
        }
        let Credentials { api_key, authorization, workspace, origin } = &self.credentials;
        let presented = Presented { api_key: api_key.as_deref(), authorization: authorization.as_deref() };
        let caller = self.kernel.authenticate(presented, origin.clone()).await?;
        let need = Need { workspace: workspace.as_deref(), permission: Some(log::VIEW), ..Need::default() };
        self.tenant = self.kernel.enter_again(&caller, self.tenant.company, need).await?;
        self.key = key(&self.tenant, &self.filter);
        self.believed = (Instant::now(), epoch);
        Ok(())
    }
}

/// Writes one `data:` line for each line of what `write` writes, and the blank line that sends the event.
fn data(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"data: ");
    let start = out.len();
    write(out);
    if out[start..].iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        // A payload that somebody formatted: whitespace between JSON's tokens, since strings hold no raw line ends.
        let text: Vec<u8> =
            out[start..].iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
        out.truncate(start);
        out.extend_from_slice(&text);
    }
    out.extend_from_slice(b"\n\n");
}

/// Everything that decides what a follower sees, as one text.
fn key(tenant: &Tenant, filter: &Filter) -> Arc<str> {
    let mut key = tenant.rights();
    key.push('\n');
    key.push_str(&filter.patterns().join(","));
    key.into()
}
