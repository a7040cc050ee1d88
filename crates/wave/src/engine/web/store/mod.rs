//! Linked devices in the database.

pub mod lease;
pub mod state;
