//! [`Web`]: the engine, as Loopwave sees it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use loopd_kernel::input::Input;
use loopd_kernel::job::Runner;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, View};
use loopd_types::{CompanyId, OsRng, Problem, Result, SECOND_US, Uuid, random_token};
use loopd_wave::Settings;
use loopd_wave::address::Address;
use loopd_wave::engine::web::store::lease;
use loopd_wave::engine::web::store::state::{self, Whose};
use loopd_wave::engine::web::{NAME, WARNING};
use loopd_wave::engine::{Abilities, Brought, Change, Engine, Fate, Outgoing, Pairing, Sent, Settled, Unsent};
use loopd_wave::limit::{self, Gate, Limits};
use loopd_wave::message::store;
use loopd_wave::number::{Number, State};
use loopd_web::{Schema as _, schema};
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use whatsapp_rust::Jid;
use whatsapp_rust::pair_code::{PairCodeOptions, PairError};
use whatsapp_rust::transport::{TokioWebSocketTransportFactory, TransportFactory};

use crate::http::Http;
use crate::keep::log_out;
use crate::line::{Line, Shared};
use crate::outbound::send;
use crate::{media, told};

/// How long connecting is waited for before the number is shown as it is; news of it comes as events.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a code can be typed in.
const PAIRING_US: i64 = 180 * SECOND_US;
/// One a second, ten at once after a rest: a person does not write faster, and what is no person is banned.
const PACE: Gate = Gate { every_us: SECOND_US, burst: 10 };
/// Chats that a telephone is asked for at once, and messages of each: it answers every question by itself, and is no archive.
const OLDER_CHATS: i64 = 10;
const OLDER_MESSAGES: i32 = 50;
/// What somebody who links a number says they know.
const ACCEPTED: &str = "accepts_ban_risk";

/// The engine over linked devices.
pub struct Web {
    shared: Shared,
    patience: Duration,
    lines: Mutex<HashMap<Whose, Arc<Line>>>,
    running: Mutex<JoinSet<()>>,
}

impl Web {
    /// # Errors
    /// In words, when TLS cannot be set up.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        Self::over(settings, Arc::new(TokioWebSocketTransportFactory::new()), CONNECT)
    }

    /// The same over another way to WhatsApp, where somebody who connects a number is answered after `patience` at the latest.
    ///
    /// # Errors
    /// As [`Web::new`].
    pub fn over(settings: &Settings, transport: Arc<dyn TransportFactory>, patience: Duration) -> Result<Self, String> {
        let owner = random_token(&OsRng, 16).into();
        let shared = Shared { transport, http: Http::new()?, version: settings.web_version, owner };
        Ok(Self { shared, patience, lines: Mutex::default(), running: Mutex::default() })
    }

    pub(crate) fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// This node, among those of the database.
    pub fn owner(&self) -> &str {
        &self.shared.owner
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Whose, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines that this node holds.
    pub(crate) fn lines(&self) -> Vec<Arc<Line>> {
        self.known().values().cloned().collect()
    }

    pub(crate) fn line(&self, whose: Whose) -> Option<Arc<Line>> {
        self.known().get(&whose).cloned()
    }

    /// The line, and whether it was made now.
    pub(crate) fn line_or(&self, whose: Whose, make: impl FnOnce() -> Arc<Line>) -> (Arc<Line>, bool) {
        let mut known = self.known();
        if let Some(line) = known.get(&whose) {
            return (line.clone(), false);
        }
        let line = make();
        known.insert(whose, line.clone());
        (line, true)
    }

    /// Forgets a line that is over, unless another has taken its place.
    pub(crate) fn remove(&self, line: &Arc<Line>) {
        let mut known = self.known();
        if known.get(&line.whose).is_some_and(|it| Arc::ptr_eq(it, line)) {
            known.remove(&line.whose);
        }
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        running.spawn(work);
    }

    /// Waits until every line is over.
    pub(crate) async fn ended(&self) {
        let mut running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        while running.join_next().await.is_some() {}
    }

    /// The line of a number, held and being connected.
    async fn opened(self: &Arc<Self>, kernel: &Arc<Kernel>, number: &Number) -> Result<Arc<Line>> {
        let whose = of(number);
        if !lease::hold(kernel, self.owner(), whose).await? {
            let words = "Another node of this server holds the number. What it says stands on the number; ask again in half a minute.";
            return Err(Problem::conflict("held_elsewhere", words));
        }
        let line = self.open(kernel, whose);
        line.wake.notify_one();
        Ok(line)
    }
}

fn of(number: &Number) -> Whose {
    Whose { company: number.company, number: number.id }
}

/// Waits until something is known of a line, but not for ever.
async fn settled(line: &Arc<Line>, wait: Duration) -> Change {
    let mut status = line.status.subscribe();
    let known = tokio::time::timeout(wait, status.wait_for(|change| change.state != State::Connecting)).await;
    match known {
        Ok(Ok(change)) => change.clone(),
        _ => line.status.borrow().clone(),
    }
}

/// The engine with what it does beside: connections outlive the calls that ask for them.
pub struct Held(pub Arc<Web>);

#[async_trait]
impl Engine for Held {
    fn name(&self) -> &'static str {
        NAME
    }

    fn abilities(&self) -> Abilities {
        Abilities { qr: true, groups: true, window: false, templates: false, media: true, history: true }
    }

    fn members(&self) -> Vec<(&'static str, Json)> {
        let words =
            "Engine web: must be true. The protocol is not offered by WhatsApp, and numbers are banned for using it.";
        vec![(ACCEPTED, schema::boolean().describe(words))]
    }

    fn settle(&self, _: &Kernel, _: CompanyId, _: Uuid, input: &mut Input) -> Result<Settled> {
        if input.boolean(ACCEPTED) != Some(true) {
            input.refuse(ACCEPTED, "required", WARNING);
        }
        Ok(Settled { config: json!({"warning": WARNING}), ..Settled::default() })
    }

    async fn connect(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Change> {
        let line = self.0.opened(kernel, number).await?;
        Ok(settled(&line, self.0.patience).await)
    }

    async fn pair(&self, kernel: &Arc<Kernel>, number: &Number, phone: &Address) -> Result<Pairing> {
        let line = self.0.opened(kernel, number).await?;
        // Until the client is there it cannot be asked.
        let standing = settled(&line, self.0.patience).await;
        let client = line.client().ok_or_else(unreachable)?;
        if standing.state == State::Ready || client.pn().is_some() {
            return Err(Problem::conflict(
                "already_linked",
                "This number is linked. Unlink it to link another telephone.",
            ));
        }
        client.wait_for_socket(self.0.patience).await.map_err(|_| unreachable())?;
        // A code that was asked for before is worthless from now on.
        client.cancel_pair_code().await;
        let options = PairCodeOptions { phone_number: phone.user().to_owned(), ..PairCodeOptions::default() };
        let code = client.pair_with_code(options).await.map_err(|error| unpaired(&error))?;
        let code = if code.len() == 8 { format!("{}-{}", &code[..4], &code[4..]) } else { code };
        Ok(Pairing { code, until: kernel.now().plus(PAIRING_US) })
    }

    async fn unlink(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<()> {
        let whose = of(number);
        // Held elsewhere: that node sees that the number is gone, and takes the device off the telephone's list.
        if !lease::hold(kernel, self.0.owner(), whose).await? {
            return Ok(());
        }
        let is_linked = number.phone.is_some() && number.state != State::LoggedOut;
        let line = if is_linked { Some(self.0.open(kernel, whose)) } else { self.0.line(whose) };
        let mut was_told = true;
        if let Some(line) = &line {
            was_told = !is_linked || settled(line, self.0.patience).await.state == State::Ready;
            log_out(line).await;
            line.stop.send_replace(true);
        }
        kernel.db.write(View::Company(whose.company), move |tx| Ok(state::forget(tx, whose)?)).await?;
        if was_told { Ok(()) } else { Err(unreachable()) }
    }

    async fn probe(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Option<Change>> {
        let whose = of(number);
        if self.0.line(whose).is_some_and(|line| line.connected().is_some()) {
            return Ok(Some(told::change(State::Ready, None)));
        }
        let now = kernel.now();
        let holder = kernel.db.read(View::Company(whose.company), move |reader| Ok(lease::holder(reader, whose, now)?));
        match holder.await? {
            // It knows better.
            Some(holder) if holder != self.0.owner() => Ok(None),
            _ => Err(Problem::unavailable("the linked device is not connected")),
        }
    }

    fn limits(&self, number: &Number) -> Option<Limits> {
        Some(Limits { line: PACE, pair: limit::PAIR, account: number.id.to_string(), people: None })
    }

    async fn send(&self, kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing) -> Result<Sent, Unsent> {
        send::send(kernel, self.0.line(of(number)).as_ref(), number, outgoing).await
    }

    /// What has no name at WhatsApp yet was never handed over.
    async fn look_up(&self, kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing) -> Fate {
        let (company, id) = (number.company, outgoing.message);
        let found = kernel.db.read(View::Company(company), move |reader| Ok(store::find(reader, company, id)?)).await;
        match found {
            Ok(Some(message)) if message.wa_id.is_none() => Fate::NotSent,
            _ => Fate::Unknown,
        }
    }

    async fn mark_read(&self, kernel: &Arc<Kernel>, number: &Number, wa_id: &str) -> Result<()> {
        send::mark_read(kernel, self.0.line(of(number)).as_ref(), number, wa_id).await
    }

    /// A telephone is asked chat by chat, from the oldest message that is known of each on. What it sends comes as its history does.
    async fn older(&self, kernel: &Arc<Kernel>, _: &Arc<Tenant>, number: &Number) -> Result<Brought> {
        let whose = of(number);
        let client = self.0.line(whose).and_then(|line| line.connected()).ok_or_else(unreachable)?;
        let view = View::Company(whose.company);
        let oldest = move |reader: &mut Reader<'_>| {
            Ok(store::oldest_of_chats(reader, whose.company, whose.number, OLDER_CHATS)?)
        };
        let mut asked = 0;
        for chat in kernel.db.read(view, oldest).await? {
            // Only the chats of this protocol can be asked for.
            let Ok(jid) = chat.jid.parse::<Jid>() else { continue };
            let millis = chat.at.micros() / 1_000;
            let outcome = client.fetch_message_history(&jid, &chat.wa_id, chat.from_me, millis, OLDER_MESSAGES).await;
            match outcome {
                Ok(_) => asked += 1,
                Err(error) if asked == 0 => return Err(unreachable().with_cause(error)),
                // What was asked for comes; asking again asks for the others.
                Err(_) => break,
            }
        }
        Ok(Brought { messages: 0, chats: asked, has_more: asked > 0, is_pending: asked > 0 })
    }

    fn register_jobs(self: Arc<Self>, runner: &mut Runner) {
        media::register_jobs(runner, &self.0);
    }

    async fn run(self: Arc<Self>, kernel: Arc<Kernel>, stop: watch::Receiver<bool>) {
        self.0.clone().hold_lines(kernel, stop).await;
    }
}

fn unreachable() -> Problem {
    Problem::unavailable("WhatsApp cannot be reached")
}

/// Why there is no code to be typed in.
fn unpaired(error: &PairError) -> Problem {
    let words = match error.rejection() {
        Some(rejection) if rejection.is_throttled() => {
            "WhatsApp gives out no code for this telephone number now. Wait a while, or scan the code."
        }
        Some(_) => "WhatsApp gives out no code for this telephone number. Scan the code in place of it.",
        None => return Problem::unavailable(format!("no code to be typed in: {error}")),
    };
    Problem::conflict("no_pairing_code", words).with_cause(error)
}
