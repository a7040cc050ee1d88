//! Settlement through its own door, on both databases: never twice, never lost.

mod chain;
mod rpc;
mod sandbox;
mod support;
