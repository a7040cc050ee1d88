//! The PostgreSQL engine: a thread for each connection, each driving its own with a runtime of its own.

pub mod column;
