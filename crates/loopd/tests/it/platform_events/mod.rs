//! `/api/v1/platform-events/`: a company's event log, and following it.

mod log;
mod retention;
mod slow;
mod stream;

/// Where everything begins.
pub const EVENTS: &str = "/api/v1/platform-events/";
