//! The engine through its doors, on both databases.

mod booking;
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
