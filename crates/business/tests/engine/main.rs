//! The engine through its doors, on both databases.

#[path = "../house/mod.rs"]
mod house;

mod booking;
mod counts;
mod shop;
mod support;

mod documents;
mod limited;
mod lists;
mod machines;
mod payment_links;
mod people;
mod records;
mod rules;
