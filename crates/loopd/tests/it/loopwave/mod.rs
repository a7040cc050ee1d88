//! Loopwave: `/api/v1/messages` and its like, and `/api/v1/loopwave/`.

mod inbox;
mod masking;
mod messages;
pub mod stage;
