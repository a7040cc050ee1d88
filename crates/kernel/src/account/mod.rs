//! Accounts: registering, signing in, keeping and ending sessions, the person's own data (spec/loop.md 5.2, 5.5).

mod register;
pub(crate) use register::LANGUAGES;
pub mod rules;
mod session;
mod standing;
mod store;

pub use register::{NewUser, Registered, Registration, create_user, register};
pub use session::{
    ChangedPassword, Checked, Opening, SignedIn, TokenPair, change_password, logout, logout_caller, punish_reuse,
    refresh, sign_in, start,
};
pub(crate) use session::{charge, end_all, forgive, is_usable, locked};
pub use standing::{LISTING, activate, deactivate, set_password};
pub use store::{
    OwnCompany, OwnMembership, Profile, companies_of, email_of, find_id_by_email, memberships_of, profile,
    update_profile,
};
