//! What WhatsApp lets a line send (spec/loopwave.md 6.1.3), kept before it is asked: so much a second, so much to one person, and so many
//! people a day who did not write first. What would be too much waits its turn; nothing is lost, and nothing is sent that WhatsApp would
//! count against the number.
//!
//! The rows are the database's, so all nodes together keep a limit. A turn is taken in a transaction of its own before the hand-over; one
//! that is not used then (a crash, a refusal) is lost, which errs on the safe side.

mod rules;
pub mod store;

use loopd_types::{DAY_US, SECOND_US, Timestamp};

pub use rules::{Gate, people_of};

/// How long somebody who was written to first counts.
pub const PEOPLE_WINDOW_US: i64 = DAY_US;

/// To one person: one in six seconds. Meta lets some 45 go at once before it wants the pauses made up for; we stay well below.
pub const PAIR: Gate = Gate { every_us: 6 * SECOND_US, burst: 10 };

/// What a line may send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// All of it.
    pub line: Gate,
    /// To one person.
    pub pair: Gate,
    /// Whose limit of people it is: a business account's, which several numbers share.
    pub account: String,
    /// People who did not write first, within [`PEOPLE_WINDOW_US`]; `None` without an end.
    pub people: Option<i64>,
}

/// Why a message does not go now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    pub until: Timestamp,
    pub why: &'static str,
}

/// Why messages wait, as `wave_outgoing.waits_for` keeps it: what an expired one is told to have waited for.
pub const THROTTLED: &str = "throttled";
pub const PAIR_LIMITED: &str = "pair_limited";
pub const TIER_LIMITED: &str = "tier_limited";
pub const NOT_READY: &str = "not_ready";
