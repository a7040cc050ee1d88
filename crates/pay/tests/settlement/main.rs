//! Settlement through its own door, on both databases: never twice, never lost.

mod sandbox;
mod support;
