//! Erasing a person: nothing of them is left, everything else is as it was, and a crash in between ends in completion.

mod accounts;
mod commands;
mod dump;
mod messages;
mod people;
