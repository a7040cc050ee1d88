//! The engine through its doors, on both databases.

mod shop;
mod support;

mod lists;
mod machines;
mod records;
mod rules;
