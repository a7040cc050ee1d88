//! LOOP: definitions, engine, rules, account endpoints.

pub mod account;
pub mod define;
pub mod engine;
mod files;
pub mod http;
pub mod modules;
