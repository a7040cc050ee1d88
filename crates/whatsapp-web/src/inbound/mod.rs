//! What comes in: read ([`read`]), written down before it is acknowledged ([`hook`]), and what was there before the number was linked
//! ([`history`]).

pub mod address;
pub mod history;
pub mod hook;
pub mod read;
