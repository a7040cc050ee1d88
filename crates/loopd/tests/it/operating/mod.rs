//! What an operator sees and does: settings, commands, killed servers, databases in trouble. Most of it through the real binary.

mod commands;
mod delivered;
#[cfg(target_os = "linux")]
mod dying;
mod edge;
mod encrypted;
mod faucet;
#[cfg(target_os = "linux")]
mod full;
mod greeting;
mod import_bodies;
mod killed;
mod licenses;
mod orphans;
mod settings;
mod settlement_killed;
mod stopping;
mod traces;
mod transfer;
mod transfer_api;
mod transfer_files;
mod transfer_killed;
mod transfer_links;
mod trouble;
mod wave_commands;
mod wave_killed;
