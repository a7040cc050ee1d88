//! Loopwave: `/api/v1/messages` and its like, and `/api/v1/loopwave/`.

mod masking;
mod messages;
pub mod stage;
