//! The wiring of loopd: settings, command line, which surface stands where. No logic of its own.

mod account;
pub mod app;
pub mod cli;
mod forms;
pub mod health;
mod pay_page;
pub mod portal;
mod portal_info;
pub mod secure;
mod service;
pub mod settings;

/// This deployment's version as people quote it: date and build number of that day.
pub const VERSION: &str = "2026-11-22.1";
