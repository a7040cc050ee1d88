//! The edge over real sockets, with small made-up operations, on both engines.

mod answers;
mod connection;
mod dialects;
mod documents;
mod floods;
mod http2;
mod idempotency;
mod identity;
mod mcp;
mod raw;
mod refusals;
mod slow;
mod streams;
mod tls;
mod world;
