//! Engines: how Loopwave talks to WhatsApp. Each is one implementation of [`Engine`]; a number names its own.
//!
//! What comes *in* is the engine's to bring: it turns what it hears into [`Received`], [`Progress`] and [`Change`] and gives those to
//! [`crate::message::receive`] and [`crate::number::change`] in one transaction, before it acknowledges anything to the other side.

pub mod cloud;
pub mod sandbox;
pub mod web;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use loopd_kernel::input::Input;
use loopd_kernel::job::Runner;
use loopd_kernel::{Kernel, Tenant, file};
use loopd_store::Reader;
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::address::Address;
use crate::limit::Limits;
use crate::number::Number;
use crate::{Wave, shelf};

/// What a message holds, in either direction. The JSON of it is what `wave_outgoing.content` and `wave_messages.details` keep.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// `text`, `image`, `video`, `audio`, `document`, `sticker`, `location`, `contacts`, `template`, `interactive`, `reaction`, `unsupported`.
    pub kind: String,
    /// The words: a text, a caption, what a button says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// WhatsApp's id of the message that this one answers, or reacts to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What is particular to the kind: a template with its components, buttons, a place, the emoji of a reaction.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub extra: serde_json::Value,
}

impl Content {
    pub fn text(text: impl Into<String>) -> Self {
        Self { kind: "text".to_owned(), text: Some(text.into()), ..Self::default() }
    }

    /// The same with a file of the company's library; what it says is the caption.
    ///
    /// # Errors
    /// 400 of `file` when there is none.
    pub fn with_file(mut self, reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Self> {
        let file = shelf::file(reader, company, id, "file")?;
        self.kind = kind_of(&file.content_type, self.text.is_some()).to_owned();
        self.media = Some(file.into());
        Ok(self)
    }
}

/// How WhatsApp shows content of a type; what it does not show is a document. Sounds and stickers have no words below them, so with words
/// they are documents too: nothing that somebody wrote is left out.
fn kind_of(content_type: &str, has_words: bool) -> &'static str {
    match content_type.split(';').next().unwrap_or_default() {
        "image/jpeg" | "image/png" => "image",
        "image/webp" if !has_words => "sticker",
        "video/mp4" | "video/3gpp" => "video",
        "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" if !has_words => "audio",
        _ => "document",
    }
}

/// A picture, a film, a sound, a document.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Media {
    /// Its content as a file of the company; `None` while only the engine has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Uuid>,
    /// What the engine calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_id: Option<String>,
    pub content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl From<file::File> for Media {
    /// A file of the company's shelf.
    fn from(file: file::File) -> Self {
        Self {
            file: Some(file.id),
            engine_id: None,
            content_type: file.content_type,
            name: Some(file.name),
            size_bytes: i64::try_from(file.size_bytes).ok(),
            sha256: Some(file.sha256),
        }
    }
}

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Ours: the same at every attempt, so that the other side can tell a repeat, and we can tell whose status this is.
    pub message: Uuid,
    pub to: Address,
    pub content: Content,
    /// 1 at the first hand-over.
    pub attempt: i64,
}

/// A message that came in, or that the shop's own telephone sent.
#[derive(Clone, Debug)]
pub struct Received {
    /// WhatsApp's own id: the same message is taken once.
    pub wa_id: String,
    /// The conversation: a person or a group.
    pub chat: Address,
    /// Every name the person is known by here, the chat's own included; empty for groups.
    pub identities: Vec<Address>,
    /// What the person calls themselves.
    pub push_name: Option<String>,
    /// Who wrote, in a group.
    pub author: Option<String>,
    pub from_me: bool,
    pub content: Content,
    pub at: Timestamp,
    /// From before the number was linked: it is kept, and nobody reacts to it.
    pub is_history: bool,
}

/// How far a message of ours came. In the order of the way; a step back is not taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    Sent,
    Delivered,
    Read,
    /// May come at any time before it was delivered.
    Failed,
}

impl Stage {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }
}

/// News of a message of ours.
#[derive(Clone, Debug)]
pub struct Progress {
    /// WhatsApp's id of the message.
    pub wa_id: String,
    /// Ours, if the other side tells it: resolves what nobody knew.
    pub message: Option<Uuid>,
    pub stage: Stage,
    pub at: Timestamp,
    pub failure: Option<Failure>,
}

/// Why a message did not go, for a person to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// `no_whatsapp`, `window_closed`, `throttled`, `blocked`, …: ours, one set for all engines.
    pub code: String,
    /// Words that a shop owner understands, with what to do.
    pub words: String,
}

/// It was taken over.
#[derive(Clone, Debug)]
pub struct Sent {
    pub wa_id: String,
}

/// It was not, or nobody knows.
#[derive(Clone, Debug)]
pub enum Unsent {
    /// Certainly not, and it may go later.
    Later { failure: Failure, after: Duration, signal: Signal },
    /// Certainly not, and it will not.
    Refused { failure: Failure, signal: Signal },
    /// It may have gone. Never sent again blindly: what became of it is found out, or a person decides.
    Unknown { words: String },
}

/// What a refusal says about the line itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    None,
    /// The line is banned or restricted, until then if that is known: automation and broadcasts pause.
    Restricted(Option<Timestamp>),
    /// The device was unlinked.
    LoggedOut,
}

/// What became of a hand-over that was cut short.
#[derive(Clone, Debug)]
pub enum Fate {
    Sent(Sent),
    /// It never arrived there: it may be sent again.
    NotSent,
    Unknown,
}

/// What a new line is made of.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// The line as its engine knows it.
    pub address: Option<String>,
    /// Nothing secret; `null` for none.
    pub config: Json,
    pub secret: Option<Vec<u8>>,
}

/// A change of a line's state.
#[derive(Clone, Debug)]
pub struct Change {
    pub state: crate::number::State,
    /// Why, in words; `None` when there is nothing to say.
    pub reason: Option<String>,
    /// What to scan, and until when.
    pub qr: Option<(String, Timestamp)>,
    /// The telephone number, once it is known.
    pub phone: Option<String>,
}

/// What is typed into a telephone to link a number, in place of scanning a code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pairing {
    pub code: String,
    pub until: Timestamp,
}

/// What came of asking for older messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Brought {
    /// Those that were not known.
    pub messages: usize,
    /// The chats that they are in, or that the telephone was asked for.
    pub chats: usize,
    /// Whether asking again may bring more.
    pub has_more: bool,
    /// The telephone was asked and sends them by and by: none is counted yet.
    pub is_pending: bool,
}

/// What an engine can do; the inbox offers no more than that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Abilities {
    /// Whether a telephone scans a code to link it.
    pub qr: bool,
    pub groups: bool,
    /// Whether people can be written to freely only within 24 hours of their last message, and by approved templates outside.
    pub window: bool,
    pub templates: bool,
    pub media: bool,
    pub history: bool,
}

/// A way to WhatsApp.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// `sandbox`, `cloud`, `web`.
    fn name(&self) -> &'static str;

    /// Whether nobody outside hears of anything.
    fn is_sandbox(&self) -> bool {
        false
    }

    fn abilities(&self) -> Abilities;

    /// The members of the body that makes a number, which only this engine reads: name and schema.
    fn members(&self) -> Vec<(&'static str, Json)> {
        Vec::new()
    }

    /// Makes a number of those members. What is wrong with them is noted in `input`; then what is given back is not used.
    ///
    /// # Errors
    /// 500 when sealing fails.
    fn settle(&self, _kernel: &Kernel, _company: CompanyId, _number: Uuid, _input: &mut Input) -> Result<Settled> {
        Ok(Settled::default())
    }

    /// A number's secrets with those that a body brings anew, sealed; `None` for an engine whose numbers take none.
    ///
    /// # Errors
    /// 409 `no_credentials`; 500 when sealing fails.
    fn reseal(&self, _kernel: &Kernel, _number: &Number, _input: &mut Input) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Begins to link a number, or to connect one that is linked; asked again, gives a fresh code.
    ///
    /// # Errors
    /// 400 for settings that cannot be used, 409 in the wrong state; 503 when the other side cannot be reached.
    async fn connect(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Change>;

    /// As [`Engine::connect`], by a code that is typed into the telephone with this number.
    ///
    /// # Errors
    /// 409 `no_pairing_code` where numbers are not linked so; 503 when the other side cannot be reached.
    async fn pair(&self, _kernel: &Arc<Kernel>, _number: &Number, _phone: &Address) -> Result<Pairing> {
        let words = "Numbers of this engine are not linked by a code that is typed in.";
        Err(Problem::conflict("no_pairing_code", words))
    }

    /// Unlinks a number: what opens it is worthless afterwards.
    ///
    /// # Errors
    /// 503 when the other side cannot be told; the number is forgotten here all the same.
    async fn unlink(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<()>;

    /// Whether a number that is said to be ready lives; `None` when there is nothing to ask. The watchdog asks.
    ///
    /// # Errors
    /// 503 when nobody answers.
    async fn probe(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Option<Change>>;

    /// What a line may send; `None` where nothing is known to be too much.
    fn limits(&self, _number: &Number) -> Option<Limits> {
        None
    }

    /// Hands a message over. The row that says so is durable before this is called.
    async fn send(&self, kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing) -> Result<Sent, Unsent>;

    /// What became of a message whose hand-over was cut short.
    async fn look_up(&self, _kernel: &Arc<Kernel>, _number: &Number, _outgoing: &Outgoing) -> Fate {
        Fate::Unknown
    }

    /// Shows the customer that their messages were read.
    async fn mark_read(&self, _kernel: &Arc<Kernel>, _number: &Number, _wa_id: &str) -> Result<()> {
        Ok(())
    }

    /// Brings a batch of messages that are older than those that were brought, for nobody to react to. What is known already is taken once.
    ///
    /// # Errors
    /// 409 `history_unavailable` where WhatsApp tells none; 503 when the other side cannot be reached.
    async fn older(&self, _kernel: &Arc<Kernel>, _tenant: &Arc<Tenant>, _number: &Number) -> Result<Brought> {
        Err(no_history("Older messages cannot be fetched for numbers of this engine."))
    }

    /// Gives the runner the jobs of this engine.
    fn register_jobs(self: Arc<Self>, _runner: &mut Runner) {}

    /// What it does beside, until `stop`: holding connections.
    async fn run(self: Arc<Self>, _kernel: Arc<Kernel>, _stop: watch::Receiver<bool>) {}
}

/// 409: there are no older messages to be had.
pub fn no_history(words: &'static str) -> Problem {
    Problem::conflict("history_unavailable", words)
}

/// What the engines do beside, until `stop`.
pub async fn run(wave: Arc<Wave>, kernel: Arc<Kernel>, stop: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    for engine in wave.all() {
        running.spawn(engine.clone().run(kernel.clone(), stop.clone()));
    }
    while running.join_next().await.is_some() {}
}
