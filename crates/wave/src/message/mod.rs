//! Messages, in and out. What comes in is taken once ([`receive`]); what shall go out is written down first ([`enqueue`]) and carried by
//! [`crate::outgoing`]; what is heard of it later is taken in any order ([`progress`]).

pub mod compose;
mod details;
mod enqueue;
pub mod file;
mod http;
mod media;
mod progress;
mod receive;
pub mod shown;
pub mod store;
pub mod wire;

pub use enqueue::{Agent, Draft, OPTED_OUT, Queued, again, enqueue, is_refused};
pub use http::{no_ready_session, operations};
pub use progress::progress;
pub use receive::{Taken, at_home, receive};
pub use store::{Message, Origin, Status};
