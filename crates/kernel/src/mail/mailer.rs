//! [`Mailer`]: the port by which letters leave the house, and the sandbox, by which they do not.

use std::future::Future;
use std::pin::Pin;

use loopd_types::{Timestamp, Uuid};

use super::letter::Rendered;

/// A letter that is ready to leave.
#[derive(Clone, Debug)]
pub struct Message {
    /// Also its `Message-ID`, so that a letter sent twice (a worker died before it could note the first) is seen as one.
    pub id: Uuid,
    pub to: String,
    pub written_at: Timestamp,
    pub letter: Rendered,
}

/// Why a letter has not left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Undelivered {
    /// Not now: the server is away, busy or misconfigured. Tried again.
    Later(String),
    /// Not ever: there is no such mailbox. Not tried again.
    Never(String),
}

/// What becomes of one sending.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), Undelivered>> + Send + 'a>>;

/// Carries letters. May be given the same letter again.
pub trait Mailer: Send + Sync + 'static {
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a>;

    /// Whether letters stay in the house, to be read there; their bodies are then kept.
    fn is_sandbox(&self) -> bool {
        false
    }
}

/// Sends nothing: letters are marked as sent and stay readable in the database.
pub struct Sandbox;

impl Mailer for Sandbox {
    fn send<'a>(&'a self, _message: &'a Message) -> Sending<'a> {
        Box::pin(async { Ok(()) })
    }

    fn is_sandbox(&self) -> bool {
        true
    }
}
