//! Chats: the conversations of a line, open until somebody resolves them (spec/loopwave.md 4.2).

pub mod act;
mod http;
pub mod inbox;
pub mod receipt;
pub mod shown;
pub mod store;
pub mod wire;

pub use http::operations;
pub use loopd_web::cursor::next_of;
pub use store::{Chat, find, get, lock};

/// In the working queue, or done; a customer who writes opens it again.
pub const STATUSES: [&str; 2] = ["open", "resolved"];
