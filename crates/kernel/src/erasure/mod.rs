//! Erasing a person: what says who they are goes, what must stay does so without their name, and a report says which is which.
//!
//! What opens the account, its memberships and its name go in one transaction ([`begin`]), which also writes down, sealed, what is still
//! to be looked for in the logs. A job goes through those, a batch a transaction ([`go_on`]); one that was cut short goes on where it
//! was. Somebody without an account is erased from one company's data in the same way ([`person`]), and there the company's own records
//! are gone through as well. Seals over the audit log hold: they are made over what happened, not over whom it happened to (`seal.rs`).

mod account;
mod ask;
mod copy;
mod identities;
pub mod person;
pub mod places;
pub mod records;
mod report;
mod search;
mod sent;
mod take_out;
mod wanted;
mod work;

pub use account::{Asked, Through, begin, require_email};
pub use ask::{PAGE, ask, check_link, confirm};
pub use copy::data_of;
pub use report::{LISTING, Line};
pub use wanted::{NOBODY, Scope, Wanted};
pub use work::{State, go_on, register};
