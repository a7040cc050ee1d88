//! `/api/v1/auth/…`

mod devices;
mod login;
mod me;
mod recovery;
mod register;
mod sessions;
mod two_factor;
