//! The SQLite engine: one writer thread with group commit, a reader connection for every thread that reads.

pub mod column;
pub mod failure;
pub mod statement;
