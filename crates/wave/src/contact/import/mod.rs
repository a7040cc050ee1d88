//! Contacts from a spreadsheet: a CSV file whose rows make contacts, or change those who have the row's telephone number already. So a file
//! that is sent twice changes nothing the second time.
//!
//! The rows are kept in chunks in the transaction that takes the file; a chunk is one transaction with its contacts and its refusals, so
//! a stop costs nothing and a repeated job makes nobody twice. Business modules have an import of their own, which follows from
//! definitions; a contact is none of their records.

pub mod http;
pub mod rules;
mod run;
pub mod store;

pub use run::register;

/// Rows of one file.
pub const MOST_ROWS: usize = 20_000;
/// Rows of one transaction.
pub const CHUNK_ROWS: usize = 100;
