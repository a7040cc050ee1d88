//! The product as its users meet it: a real server on a real port, over SQLite and over PostgreSQL.
//!
//! Folders mirror URLs. `support` is the world the tests stand in; `coverage` asks every operation of the API's own description.

mod acceptance;
mod account_pages;
mod api_client_apps;
mod audit;
mod audit_changes;
mod auth;
mod billing;
mod companies;
mod company_exports;
mod coverage;
mod erasure;
mod errors;
mod files;
mod idempotency;
mod imports;
mod internal_api_keys;
mod invitations;
mod invitations_model;
mod letters;
mod limits;
mod loomal;
mod loopwave;
mod mail;
mod mcp;
mod memberships;
mod operating;
mod platform_events;
mod records;
mod roles;
mod support;
mod tenants;
mod users;
mod webhooks;
mod workspaces;
