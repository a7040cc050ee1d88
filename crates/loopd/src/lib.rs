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

pub use loopd_types::VERSION;
