//! Loopwave: `/api/v1/messages` and its like, and `/api/v1/loopwave/`.

mod cloud;
pub mod graph;
mod hooks;
mod inbox;
mod keys;
pub mod licences;
mod masking;
mod messages;
pub mod stage;
