//! The words that every other crate speaks: ids, [`Problem`], [`Timestamp`] and [`Clock`], [`Money`], [`Secret`].
//!
//! Invariant: pure values. No I/O, no async, no framework, no clock or chance of its own (both are arguments).

mod clock;
mod id;
mod money;
mod network;
mod problem;
mod rng;
mod secret;

pub use clock::{Clock, DAY_US, HOUR_US, MINUTE_US, ManualClock, SECOND_US, SystemClock, Timestamp};
pub use id::{CompanyCode, CompanyId, Ids};
pub use money::{Currency, Money, parse_decimal, render_decimal};
pub use network::Network;
pub use problem::{FieldError, Kind, NON_FIELD, Problem, Result};
pub use rng::{OsRng, Rng, SeededRng};
pub use secret::{Secret, hex, random_token, sha256, sha256_hex};
pub use uuid::Uuid;

/// This deployment's version as people quote it: date and build number of that day.
pub const VERSION: &str = "2026-11-24";
