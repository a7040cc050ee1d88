//! Claims: what happens by itself in a chat happens once in a while, however many messages ask for it at once. A claim is taken in the
//! transaction that takes the message, before anything comes of it.

mod store;

pub use store::{Budget, claim, is_free, spend};

/// A ticket that intake opens.
pub const TICKET: &str = "ticket";
/// An automatic reply.
pub const REPLY: &str = "reply";
/// The reply to who writes outside of working hours.
pub const AWAY: &str = "away";
