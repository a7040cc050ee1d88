//! What a message is told that waited too long.

use crate::engine::Failure;
use crate::limit::{NOT_READY, PAIR_LIMITED, THROTTLED, TIER_LIMITED};

/// By what it waited for, the last time that it did.
pub fn failure(waited_for: Option<&str>) -> Failure {
    let (code, words) = match waited_for {
        Some(TIER_LIMITED) => (
            TIER_LIMITED,
            "WhatsApp lets this number write first to only so many people in 24 hours, and there was no room for two days. Send it again \
             later, or raise the limit in WhatsApp Manager.",
        ),
        Some(THROTTLED) | Some(PAIR_LIMITED) => (
            "expired",
            "It waited too long, because more was sent than WhatsApp takes. Send it again when less is going out.",
        ),
        Some(NOT_READY) | None => {
            ("expired", "It waited too long for its number to be connected. Send it again when the number is ready.")
        }
        Some(_) => ("expired", "It waited too long for WhatsApp to take it. Send it again."),
    };
    Failure { code: code.to_owned(), words: words.to_owned() }
}
