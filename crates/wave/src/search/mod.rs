//! Full-text search over messages: every word that is asked for, newest first.
//!
//! PostgreSQL searches an index of its own making, which is never behind. SQLite has FTS5, which is filled beside the inbox and not in the
//! transaction that takes a message: there every commit would write a segment, and the one writer would merge segments while customers
//! wait. Triggers put what is new, changed or gone into a queue (one small row), and [`index`] takes the queue up in batches, so a search is
//! at most a second behind. Whatever the index says, a hit is held against the message as it is now: what was changed or erased meanwhile
//! is not found any more.

mod http;
pub mod index;
mod rules;
mod store;

pub use http::{components, operations};
pub use rules::{Asked, Word, words};

use loopd_types::{Timestamp, Uuid};

/// What is searched for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub words: Asked,
    pub chat: Option<Uuid>,
    pub number: Option<Uuid>,
    /// Who wrote it.
    pub agent: Option<Uuid>,
    /// From this moment on…
    pub from: Option<Timestamp>,
    /// …and before this one.
    pub until: Option<Timestamp>,
    pub from_me: Option<bool>,
}
