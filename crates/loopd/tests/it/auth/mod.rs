//! `/api/v1/auth/…`

mod devices;
mod impersonation;
mod login;
mod me;
mod oidc;
mod oidc_documents;
mod oidc_trust;
mod passkeys;
mod recovery;
mod register;
mod revoked;
mod sessions;
mod squatters;
mod two_factor;
