//! The world that every test of the product stands in.

mod actor;
mod backdoor;
mod letters;
mod line;
mod page;
mod program;
mod race;
mod receiver;
mod two_factor;
mod world;

pub use actor::{Actor, PASSWORD};
pub use backdoor::Backdoor;
pub use line::Line;
pub use page::printed_commands;
pub use program::{Program, Served, eventually};
pub use race::refused_from_then_on;
pub use receiver::{Reaction, Received, Receiver};
pub use two_factor::TwoFactor;
pub use world::{Limited, World};
