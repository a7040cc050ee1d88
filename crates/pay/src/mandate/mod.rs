//! Mandates: how much a project may spend in a call and in a day, held by this server for every call that it makes. The buying half.

mod http;
pub mod pay;
pub mod rules;
pub mod spend;
pub mod store;
mod wire;

pub use http::operations;
pub use spend::register_jobs;
pub use wire::outgoing;
