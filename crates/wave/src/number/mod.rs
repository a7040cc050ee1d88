//! Numbers: the lines of a company. Which of them are ready decides whether anything goes out.

pub mod health;
pub mod http;
mod letter;
pub mod store;
pub mod watch;

use loopd_types::{CompanyId, Timestamp, Uuid};
use serde_json::Value as Json;

pub use store::{apply as change, find, find_ever, find_public, first_free, first_ready, get};

/// How a line stands (spec/loopwave.md 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Shows a code that a telephone scans.
    Qr,
    Connecting,
    Ready,
    /// Tries again by itself.
    Disconnected,
    /// Was unlinked; only a new link helps.
    LoggedOut,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Qr, Self::Connecting, Self::Ready, Self::Disconnected, Self::LoggedOut];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qr => "qr",
            Self::Connecting => "connecting",
            Self::Ready => "ready",
            Self::Disconnected => "disconnected",
            Self::LoggedOut => "logged_out",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How long a line rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rest {
    pub until: Timestamp,
    /// Whether WhatsApp said so; otherwise it is our guess.
    pub is_told: bool,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Number {
    pub company: CompanyId,
    pub id: Uuid,
    /// `n1a2b3c4`: what the API calls it.
    pub public_id: String,
    pub label: String,
    /// The name of its engine.
    pub engine: String,
    /// The line as its engine knows it.
    pub address: Option<String>,
    /// With a plus sign.
    pub phone: Option<String>,
    pub state: State,
    pub state_reason: Option<String>,
    pub state_at: Timestamp,
    /// What the engine wants to know; nothing secret.
    pub config: Json,
    /// Sealed; the engine opens it.
    pub secret: Option<Vec<u8>>,
    /// Nothing goes out by itself before this.
    pub paused_until: Option<Timestamp>,
    pub pause_reason: Option<String>,
    /// Whether WhatsApp said when the pause ends; otherwise that is our guess.
    pub is_pause_told: bool,
    /// When it was first ready.
    pub warm_since: Option<Timestamp>,
    pub heard_at: Option<Timestamp>,
}

impl Number {
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    pub fn is_paused(&self, now: Timestamp) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }
}
