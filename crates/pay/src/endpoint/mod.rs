//! Endpoints: what a project sells, by address. Registering is optional: it gives counters, webhooks and a place in the public feed.

mod call;
mod discover;
mod http;
pub mod rules;
pub mod store;
pub mod webhook;
mod wire;

pub use http::operations;
