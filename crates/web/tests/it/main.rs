//! The edge over real sockets, with small made-up operations, on both engines.

mod connection;
mod dialects;
mod documents;
mod http2;
mod idempotency;
mod identity;
mod refusals;
mod streams;
mod world;
