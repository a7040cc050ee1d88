//! The engine through its doors, on both databases.

mod booking;
mod shop;
mod support;

mod documents;
mod lists;
mod machines;
mod people;
mod records;
mod rules;
