//! Booking through its doors, on both databases.

#[path = "../house/mod.rs"]
mod house;

mod support;

mod free_times;
mod life_cycle;
mod others;
mod properties;
mod public;
mod settings;
mod slots;
mod time_off;
