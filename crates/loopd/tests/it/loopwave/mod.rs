//! Loopwave: `/api/v1/messages` and its like, and `/api/v1/loopwave/`.

mod activity;
mod assignment;
mod automations;
mod broadcasts;
mod cloud;
mod cloud_limits;
mod cloud_templates;
mod cloud_window;
mod contacts;
pub mod graph;
mod hooks;
mod inbox;
mod intake;
mod kept_replies;
mod keys;
mod killed;
pub mod licences;
mod masking;
mod messages;
mod notices;
mod reports;
mod sandbox;
mod search;
mod spreadsheets;
pub mod stage;
mod tickets;
mod watch;
