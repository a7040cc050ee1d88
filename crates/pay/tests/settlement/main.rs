//! Settlement through its own door, on both databases: never twice, never lost.

mod bring;
mod chain;
mod hostile;
mod outside;
mod permits;
mod reorg;
mod rpc;
mod sandbox;
mod stub;
mod support;
mod wallets;
