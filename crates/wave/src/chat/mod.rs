//! Chats: the conversations of a line, open until somebody resolves them (spec/loopwave.md 4.2).

mod http;
pub mod store;
pub mod wire;

pub use http::operations;
pub use store::{Chat, find, get, lock};

/// In the working queue, or done; a customer who writes opens it again.
pub const STATUSES: [&str; 2] = ["open", "resolved"];
