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
mod keys;
pub mod licences;
mod masking;
mod messages;
mod reports;
mod search;
pub mod stage;
mod tickets;
mod watch;
