//! The customer service window: WhatsApp lets a business write freely to somebody for 24 hours after their last message, and by approved
//! templates outside of that (spec/loopwave.md 6.1.1). Only the Cloud API keeps it; a linked telephone writes when it likes.
//!
//! Asked where a message is written down, so that whoever writes hears it at once, and again before it is handed over, because it may
//! have waited meanwhile.

use loopd_types::{HOUR_US, Problem, Result, Timestamp};

use crate::chat::Chat;
use crate::engine::{Content, Failure, cloud};
use crate::number::Number;

/// What a message fails with that came too late for it.
pub const CLOSED: &str = "window_closed";
/// How long it stays open after a message of the customer's.
pub const OPEN_US: i64 = 24 * HOUR_US;

/// Until when the window of a chat is open; in the past when it is closed, `None` when it never was, and where there are no windows.
pub fn open_until(chat: &Chat) -> Option<Timestamp> {
    chat.last_inbound_at.filter(|_| has_window(chat)).map(|at| at.plus(OPEN_US))
}

/// Whether there are windows in this chat at all.
pub fn has_window(chat: &Chat) -> bool {
    chat.engine == cloud::NAME && !chat.is_group
}

/// Whether this number keeps windows with the people that it writes to.
pub fn is_kept_by(number: &Number) -> bool {
    number.engine == cloud::NAME
}

/// Whether this may be said in a chat now.
pub fn allows(chat: &Chat, content: &Content, now: Timestamp) -> bool {
    !has_window(chat) || content.kind == "template" || open_until(chat).is_some_and(|until| until > now)
}

/// What is said of a message that may not.
pub fn closed() -> Failure {
    Failure {
        code: CLOSED.to_owned(),
        words: "The customer did not write within the last 24 hours. WhatsApp takes only an approved template now; send one."
            .to_owned(),
    }
}

/// # Errors
/// 409 `window_closed`.
pub fn require(chat: &Chat, content: &Content, now: Timestamp) -> Result<()> {
    if allows(chat, content, now) {
        return Ok(());
    }
    let Failure { code: _, words } = closed();
    let until = open_until(chat).map(|until| until.to_string());
    Err(Problem::conflict(CLOSED, words).with_extra("window_open_until", until))
}
