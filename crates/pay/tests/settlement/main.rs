//! Settlement through its own door, on both databases: never twice, never lost.

mod any_body;
mod bodies;
mod bring;
mod chain;
mod door;
mod hostile;
mod outside;
mod permits;
mod reorg;
mod rpc;
mod sandbox;
mod stub;
mod support;
mod wallets;
