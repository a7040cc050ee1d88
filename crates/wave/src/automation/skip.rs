//! Why messages had no automatic reply, counted.

use loopd_kernel::counter;
use loopd_store::{Reader, StoreError, Tally, Tx};
use loopd_types::{CompanyId, Uuid};

/// Why a message had no automatic reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// The shop wrote it, on its own telephone.
    FromMe,
    NoMatch,
    /// The chat had one less than the rule's cooldown ago.
    Cooldown,
    /// The company had its eight in this minute.
    RateLimited,
    /// The line is not ready, or paused.
    SessionNotReady,
    /// Somebody of the team answered in this chat a while ago.
    PersonAnswered,
    /// The customer asked not to be written to.
    OptedOut,
    /// The company's licence is over, or its subscription.
    Locked,
}

impl Skip {
    pub const ALL: [Self; 8] = [
        Self::FromMe,
        Self::NoMatch,
        Self::Cooldown,
        Self::RateLimited,
        Self::SessionNotReady,
        Self::PersonAnswered,
        Self::OptedOut,
        Self::Locked,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FromMe => "from_me",
            Self::NoMatch => "no_match",
            Self::Cooldown => "cooldown",
            Self::RateLimited => "rate_limited",
            Self::SessionNotReady => "session_not_ready",
            Self::PersonAnswered => "person_answered",
            Self::OptedOut => "opted_out",
            Self::Locked => "locked",
        }
    }
}

/// Counters of one reason: chats are spread over them, so that messages of many chats do not wait for one row.
const SPREAD: u8 = 8;

fn series(reason: &str, part: u8) -> String {
    format!("wave.replies/{reason}/{part}")
}

fn reason_of(skip: Option<Skip>) -> &'static str {
    skip.map_or("replied", Skip::as_str)
}

/// Counts a message of a chat: skipped for this reason, or answered.
///
/// # Errors
/// The database's.
pub fn count(tx: &mut Tx<'_>, company: CompanyId, chat: Uuid, skip: Option<Skip>) -> Result<(), StoreError> {
    let part = chat.as_bytes()[15] % SPREAD;
    tx.count(company.0, &series(reason_of(skip), part), Tally { value: 1, ..Tally::default() }).map(drop)
}

/// How many messages were skipped for this reason, or answered.
pub fn counted(reader: &mut Reader<'_>, company: CompanyId, skip: Option<Skip>) -> Result<i64, StoreError> {
    (0..SPREAD).try_fold(0, |sum, part| Ok(sum + counter::last(reader, company, &series(reason_of(skip), part))?))
}
