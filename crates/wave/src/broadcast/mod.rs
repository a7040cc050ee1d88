//! Broadcasts: one text, or one template, to up to 5,000 people, one after another with random pauses, within a daily cap that grows with the number's age
//! (spec/loopwave.md 4.11).
//!
//! The worker's turn is one transaction: the next recipient is taken, their message is written down to be sent, and the moment of the next
//! turn is chosen. So whoever dies in between leaves nothing half done, any node takes the next turn, and nobody is written to twice. What
//! became of a message is counted where it is learned ([`settled`]).

mod act;
mod http;
pub mod rules;
mod say;
pub mod store;
mod turn;
mod wire;
mod work;

pub use act::{Act, act, create};
pub use http::{components, operations};
pub use rules::Pacing;
pub use store::New;
pub use turn::settled;
pub use work::{run, run_due};

/// Recipients of one broadcast, at most.
pub const RECIPIENTS_MOST: usize = 5_000;
/// Failures in a row that pause a broadcast: something is wrong with the number, the list or the text.
pub const FAILURES_MOST: i64 = 5;

/// Where a broadcast stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Draft,
    /// Begins by itself at its moment.
    Queued,
    Sending,
    Paused,
    Completed,
    Cancelled,
}

impl Status {
    pub const ALL: [Self; 6] =
        [Self::Draft, Self::Queued, Self::Sending, Self::Paused, Self::Completed, Self::Cancelled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}
