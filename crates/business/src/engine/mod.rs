//! The engine: what definitions do. No HTTP here; the doors are in `http/`, and the console and MCP may use these functions too.
//!
//! One file for each thing that can be done (`list`, `view`, `create`, …); `body` reads what clients send, `save` writes what came of it.
//!
//! Invariants: every statement names its company first; a record, its history, audit row, event and sums are one transaction;
//! SQL texts come from definitions, never from a request.

pub mod act;
mod audience;
pub(crate) mod body;
pub mod bulk;
pub mod condition;
mod count;
pub mod create;
pub mod cx;
pub mod delete;
mod expand;
pub mod export;
pub mod import;
pub mod input;
pub mod list;
mod personal;
pub(crate) mod read;
pub mod record;
pub mod registry;
pub mod request;
pub mod runtime;
mod save;
pub mod tables;
pub mod update;
pub mod view;

use std::sync::Arc;

use loopd_kernel::Kernel;

pub use condition::{Deleted, Where};
pub use count::Counting;
pub use cx::{Cx, Viewer};
pub use import::RETENTION;
pub use input::Input;
pub use record::{Fields, Line, Record};
pub use registry::Registry;
pub use runtime::ResourceRuntime;

/// The kernel and the definitions; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub kernel: Arc<Kernel>,
    pub registry: Arc<Registry>,
}

impl Engine {
    pub fn new(kernel: Arc<Kernel>, registry: Arc<Registry>) -> Self {
        Self { kernel, registry }
    }
}
