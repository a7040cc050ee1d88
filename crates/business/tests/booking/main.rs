//! Booking through its doors, on both databases.

mod support;

mod free_times;
mod life_cycle;
mod others;
mod properties;
mod public;
mod slots;
mod time_off;
