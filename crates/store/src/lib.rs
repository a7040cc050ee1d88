//! The seam over two databases: pools, transactions, migrations, dialect.
//!
//! Everybody writes one SQL text and a synchronous closure; `Db` runs it on SQLite (one writer thread with group
//! commit, readers on their own connections) or PostgreSQL (a thread for each connection). `docs/storage.md` has the
//! portable subset and the reasons.

mod config;
mod db;
pub mod ddl;
pub mod dialect;
mod error;
mod job;
pub mod migrate;
mod planner;
mod postgres;
mod queue;
mod reader;
mod row;
pub mod security;
mod sqlite;
mod stats;
mod tally;
pub mod testing;
mod value;
mod view;

pub use config::{Config, Engine};
pub use db::Db;
pub use error::StoreError;
pub use reader::{Reader, Tx};
pub use row::Row;
pub use sqlite::backup::{Checked, check as check_backup};
pub use stats::Stats;
pub use tally::Tally;
pub use value::Value;
pub use view::View;
