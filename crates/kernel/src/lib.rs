//! Who may do what: accounts, companies, memberships, roles, subscriptions, credentials; limits, idempotency, audit, events, jobs.
//!
//! Invariants: no axum, no HTML but that of letters, no product's name (products are registered in a [`Catalogue`]). A [`Tenant`] is made in
//! `access::enter` and nowhere else, so whoever holds one has passed membership, subscription and permission.

pub mod access;
pub mod account;
pub mod advisor;
pub mod app;
pub mod audit;
pub mod billing;
pub mod catalogue;
pub mod collection;
pub mod company;
pub mod counter;
pub mod credential;
pub mod developer;
pub mod egress;
pub mod erasure;
pub mod event;
pub mod file;
pub mod idempotency;
pub mod input;
pub mod invitation;
pub mod job;
pub mod kernel;
pub mod limit;
pub mod listing;
pub mod mail;
pub mod membership;
pub mod messenger;
pub mod oidc;
pub mod passkey;
pub mod password;
pub mod permission;
pub mod plan;
pub mod record;
pub mod refusal;
pub mod retention;
pub mod role;
pub mod schedule;
pub mod seal;
pub mod settings;
pub mod subscription;
pub mod token;
pub mod trace;
pub mod transfer;
pub mod two_factor;
pub mod vault;
pub mod webhook;
pub mod workspace;

pub use access::{Actor, Auth, Caller, CompanyAccess, Need, Origin, Presented, Tenant, UserAccess};
pub use catalogue::{Catalogue, Product, SettingsSection};
pub use kernel::Kernel;
pub use permission::PermissionSet;
pub use settings::{Environment, Settings};
