//! Definitions: what a module is, as plain values built by ordinary functions.
//!
//! A file in `modules/` builds a [`Module`]; `engine/` makes tables and behaviour of it, `http/` makes routes and documents of it.
//! The same values come from TOML files (`toml.rs`). Whatever a definition cannot say is a Rust function named in it ([`rule`]).
//!
//! Invariant: nothing here touches the database or the network.

mod action;
pub mod base;
mod field;
mod kind;
mod module;
mod resource;
pub mod rule;
mod soundness;
mod toml_file;

pub mod filter;
pub mod parse;
pub mod render;
pub mod schema;
pub mod settings;

pub use action::Action;
pub use field::*;
pub use kind::*;
pub use module::*;
pub use resource::*;
pub use rule::{Rule, Rules};
pub use soundness::{Flaw, soundness};
pub use toml_file::{LoadError, load_dir, load_str};

pub use crate::engine::{Cx, Engine, Fields, Input, Line, Record, Viewer, Where};
pub use loopd_store::Value;
pub use loopd_types::{Problem, Result, Timestamp, Uuid};
