//! Contacts: the people behind the chats. A contact is a row with a list of identities and never a telephone number: numbers change,
//! and some people show none (spec/loopwave.md 6.1.4).

mod api;
pub mod http;
pub mod import;
mod input;
mod optout;
pub mod store;

pub use optout::on_inbound;
pub use store::{Contact, of_person};

/// Stages of a contact; exactly one each (spec/loopwave.md 4.6).
pub const LIFECYCLES: [&str; 5] = ["lead", "active", "customer", "vip", "churned"];
