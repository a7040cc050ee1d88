//! Accounts: registering, signing in, keeping and ending sessions, the person's own data (spec/loop.md 5.2, 5.5).

mod devices;
mod email;
pub mod impersonation;
mod merge;
pub(crate) mod one_time;
mod openers;
mod recovery;
mod register;
pub(crate) use register::LANGUAGES;
pub mod rules;
mod session;
mod standing;
mod store;

pub use devices::{Device, list as list_devices, revoke as revoke_device, revoke_others as revoke_other_devices};
pub use email::{ChangeEmail, VERIFY_PAGE, VerifyEmail, verify_again};
pub(crate) use merge::retire;
pub use merge::{AskMerge, Merged, PAGE as MERGE_PAGE, look_up_merge, merge};
pub use recovery::{PAGE as PASSWORD_PAGE, ResetPassword, check_reset_link, forget_password, read_forgotten};
pub use register::{NewUser, Registered, Registration, create_user, register};
pub use session::{
    ChangedPassword, Checked, Opening, SignedIn, TokenPair, change_password, logout, logout_caller, punish_reuse,
    refresh, sign_in, start,
};
pub(crate) use session::{charge, end_all, forgive, is_usable, locked};
pub use standing::{LISTING, activate, deactivate, set_password};
pub(crate) use store::id_of_email;
pub use store::{
    OwnCompany, OwnMembership, Profile, companies_of, email_of, find_id_by_email, memberships_of, profile,
    update_profile,
};

pub(crate) use session::{limit_email, open as open_first_session};

/// Lets this process do what accounts leave for later.
pub fn register_jobs(runner: &mut crate::job::Runner) {
    recovery::register_jobs(runner);
}
