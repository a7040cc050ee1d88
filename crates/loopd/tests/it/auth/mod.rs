//! `/api/v1/auth/…`

mod login;
mod me;
mod register;
mod sessions;
mod two_factor;
