//! One line's connection: the library's client, what it tells, and what this node says to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use loopd_kernel::Kernel;
use loopd_types::{Problem, Result, SECOND_US};
use loopd_wave::engine::Change;
use loopd_wave::engine::web::store::state::Whose;
use loopd_wave::number::State;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use whatsapp_rust::anyhow;
use whatsapp_rust::bot::Bot;
use whatsapp_rust::prelude::{BotHandle, Client};
use whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory};
use whatsapp_rust::wacore::store::DevicePropsOverride;
use whatsapp_rust::wacore::types::events::{
    Event, EventHandler, EventInterest, EventKind, LazyHistorySync, MessageBatch,
};

use crate::backend::Backend;
use crate::http::Http;
use crate::inbound::hook::Hook;
use crate::inbound::{address, history};
use crate::told::{self, Ended, Told, change};

/// What all lines of this node share.
#[derive(Clone)]
pub struct Shared {
    pub transport: Arc<dyn TransportFactory>,
    pub http: Http,
    /// `None` asks WhatsApp for its latest.
    pub version: Option<(u32, u32, u32)>,
    /// This node, among those of the database.
    pub owner: Arc<str>,
}

/// A line that this node holds.
pub struct Line {
    pub whose: Whose,
    pub kernel: Arc<Kernel>,
    shared: Shared,
    pub backend: Backend,
    hook: Hook,
    client: Mutex<Option<Arc<Client>>>,
    /// Messages that WhatsApp has not acknowledged yet, by its names of them.
    waiting: Mutex<HashMap<String, oneshot::Sender<Option<String>>>>,
    /// Held by whoever writes a piece of the telephone's past.
    past: tokio::sync::Mutex<()>,
    /// How it stands, as far as this node knows.
    pub status: watch::Sender<Change>,
    /// Said to the line: end, for good.
    pub stop: watch::Sender<bool>,
    /// Said to the line: try again now.
    pub wake: Notify,
}

/// Times that something that was told is tried to be written down, and what lies between.
const TRIES: u32 = 5;
const BETWEEN_US: i64 = SECOND_US / 2;

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    pub fn new(kernel: Arc<Kernel>, shared: Shared, whose: Whose) -> Arc<Self> {
        let backend = Backend::new(kernel.clone(), whose, shared.owner.clone());
        let connecting = change(State::Connecting, Some("WhatsApp is being called.".to_owned()));
        Arc::new(Self {
            whose,
            hook: Hook::new(kernel.clone(), backend.clone()),
            kernel,
            shared,
            backend,
            client: Mutex::new(None),
            waiting: Mutex::new(HashMap::new()),
            past: tokio::sync::Mutex::new(()),
            status: watch::Sender::new(connecting),
            stop: watch::Sender::new(false),
            wake: Notify::new(),
        })
    }

    /// The client, while there is one.
    pub fn client(&self) -> Option<Arc<Client>> {
        held(&self.client).clone()
    }

    /// The client, while WhatsApp takes messages from it.
    pub fn connected(&self) -> Option<Arc<Client>> {
        self.client().filter(|client| client.is_connected() && client.is_logged_in())
    }

    /// What WhatsApp says to a message: nothing but that it has it, or a code with which it refuses it. Asked for before it is sent.
    pub fn acknowledged(&self, wa_id: &str) -> oneshot::Receiver<Option<String>> {
        let (tell, told) = oneshot::channel();
        held(&self.waiting).insert(wa_id.to_owned(), tell);
        told
    }

    /// Nobody waits for an acknowledgement any more.
    pub fn gave_up(&self, wa_id: &str) {
        held(&self.waiting).remove(wa_id);
    }

    /// One life of the client: until it ends, or this line is told to.
    ///
    /// # Errors
    /// 503 when its store cannot be read.
    pub async fn live(self: &Arc<Self>) -> Result<Ended> {
        let (tell, mut heard) = mpsc::unbounded_channel();
        let mut handle = self.start(tell).await?;
        *held(&self.client) = Some(handle.client());
        let mut stop = self.stop.subscribe();
        let (client, mut ended, mut closing) = (handle.client(), None, None);
        loop {
            tokio::select! {
                biased;
                Some(event) = heard.recv() => {
                    if let Some(why) = self.hear(&event).await {
                        ended.get_or_insert(why);
                        // The code is not shown for ever: the library would call WhatsApp again for another.
                        if why == Ended::NotScanned {
                            closing.get_or_insert_with(|| disconnect(client.clone()));
                        }
                    }
                }
                () = wanted(&mut stop), if closing.is_none() => {
                    ended.get_or_insert(Ended::Stopped);
                    closing = Some(disconnect(client.clone()));
                }
                () = &mut handle => break,
            }
        }
        // Whatever ended it: what the client still has to write is written while the line is held.
        let _ = closing.unwrap_or_else(|| disconnect(client)).await;
        while let Ok(event) = heard.try_recv() {
            if let Some(why) = self.hear(&event).await {
                ended.get_or_insert(why);
            }
        }
        *held(&self.client) = None;
        // Whoever waits for an acknowledgement hears that none will come.
        held(&self.waiting).clear();
        Ok(ended.unwrap_or(Ended::Lost))
    }

    async fn start(self: &Arc<Self>, tell: mpsc::UnboundedSender<Arc<Event>>) -> Result<BotHandle> {
        let mut builder = Bot::builder()
            .with_backend_arc(Arc::new(self.backend.clone()))
            .with_transport_factory(Dialler(self.shared.transport.clone()))
            .with_http_client(self.shared.http.clone())
            .with_device_props(DevicePropsOverride::new().with_os("Loopd"))
            .with_inbound_durability_hook(self.hook.clone())
            .with_event_handler(Ear(tell));
        if let Some(version) = self.shared.version {
            builder = builder.with_version(version);
        }
        let bot = builder.build().await;
        let bot = bot.map_err(|error| Problem::unavailable(format!("the line's store could not be read: {error}")))?;
        Ok(bot.spawn())
    }

    /// Takes up an event, in the order in which they come; why the connection is over, if that is what it says.
    async fn hear(self: &Arc<Self>, event: &Event) -> Option<Ended> {
        match event {
            Event::Messages(batch) if !batch.hook_committed => self.hear_messages(batch).await,
            // Long work: ticks and acknowledgements do not wait for it.
            Event::HistorySync(piece) => drop(tokio::spawn(self.clone().keep_history((**piece).clone()))),
            Event::ServerAck(ack) => {
                if let Some(waiting) = held(&self.waiting).remove(&ack.id) {
                    let _ = waiting.send(ack.error.clone());
                }
            }
            _ => {}
        }
        let told = told::read(event, self.phone().as_deref(), self.kernel.now());
        self.keep(&told).await;
        told.ended
    }

    /// Messages that came on a way that the hook does not stand in.
    async fn hear_messages(&self, batch: &MessageBatch) {
        if let Err(problem) = self.tried(|| Box::pin(self.hook.take(&batch.messages))).await {
            tracing::warn!(
                cause = problem.cause(),
                "messages that WhatsApp does not send again could not be written down"
            );
        }
    }

    /// Writes a piece of a telephone's past down. WhatsApp does not send it again: a crash in between loses what is left of it.
    async fn keep_history(self: Arc<Self>, piece: LazyHistorySync) {
        // One piece after the other: they are large.
        let _turn = self.past.lock().await;
        let (give, mut take) = mpsc::channel(2);
        let now = self.kernel.now();
        let reading = tokio::task::spawn_blocking(move || {
            history::read(&piece, now, |messages| {
                // Nobody takes any more: the server stops.
                let _ = give.blocking_send(messages);
            })
        });
        while let Some(messages) = take.recv().await {
            let kept = self.tried(|| Box::pin(self.hook.write(messages.clone()))).await;
            if let Err(problem) = kept {
                tracing::warn!(cause = problem.cause(), "a part of a telephone's past could not be written down");
            }
        }
        if let Ok(Err(words)) = reading.await {
            tracing::warn!(words, "a part of a telephone's past could not be read");
        }
    }

    /// Writes down what was told, and says it to whoever waits here.
    async fn keep(&self, told: &Told) {
        if let Err(problem) = self.tried(|| Box::pin(told::write(&self.kernel, self.whose, told))).await {
            tracing::warn!(cause = problem.cause(), "news of a line could not be written down");
        }
        if let Some(change) = &told.change {
            self.status.send_replace(change.clone());
        }
    }

    /// Says how the line stands, for what this node finds out by itself.
    pub async fn say(&self, state: State, reason: &str) {
        let told = Told { change: Some(change(state, Some(reason.to_owned()))), ..Told::default() };
        self.keep(&told).await;
    }

    /// The line's telephone number, with a plus sign.
    fn phone(&self) -> Option<String> {
        address::address(&self.client()?.pn()?)?.telephone()
    }

    /// Tries again what the database refused.
    async fn tried<'a>(&'a self, work: impl Fn() -> BoxFuture<'a, Result<()>>) -> Result<()> {
        for _ in 1..TRIES {
            match work().await {
                Err(problem) if problem.kind() == loopd_types::Kind::Unavailable => {
                    tokio::time::sleep(std::time::Duration::from_micros(BETWEEN_US.unsigned_abs())).await;
                }
                outcome => return outcome,
            }
        }
        work().await
    }
}

/// Resolves when the line is told to end.
async fn wanted(stop: &mut watch::Receiver<bool>) {
    // A line whose sender is gone is over, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Ends a connection as WhatsApp wants it ended: what is acknowledged is sent, what is not is left. The client's own loop ends with it.
fn disconnect(client: Arc<Client>) -> JoinHandle<()> {
    tokio::spawn(async move { client.disconnect().await })
}

/// Hears what the library tells, in its order; nothing is dropped.
struct Ear(mpsc::UnboundedSender<Arc<Event>>);

impl EventHandler for Ear {
    fn handle_event(&self, event: Arc<Event>) {
        let _ = self.0.send(event);
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::Connected,
            EventKind::Disconnected,
            EventKind::PairSuccess,
            EventKind::PairError,
            EventKind::PairingQrCode,
            EventKind::PairingQrCodesExhausted,
            EventKind::QrScannedWithoutMultidevice,
            EventKind::ClientOutdated,
            EventKind::LoggedOut,
            EventKind::Messages,
            EventKind::Receipt,
            EventKind::ServerAck,
            EventKind::HistorySync,
            EventKind::StreamReplaced,
            EventKind::TemporaryBan,
            EventKind::ConnectFailure,
        ])
    }
}

/// The way to WhatsApp that all lines share.
struct Dialler(Arc<dyn TransportFactory>);

#[async_trait]
impl TransportFactory for Dialler {
    async fn create_transport(
        &self,
    ) -> anyhow::Result<(Arc<dyn Transport>, whatsapp_rust::async_channel::Receiver<TransportEvent>)> {
        self.0.create_transport().await
    }
}
