//! What projects earned, what they refused and how fast they were paid.

mod http;
mod rules;
mod store;
mod tally;

pub use http::operation;
pub use tally::{Tally, Whose, keep};
