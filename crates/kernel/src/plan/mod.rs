//! What a company may use: limits that its plans give it, for every part that counts something.

mod limits;

pub use limits::{Limits, limits};
