//! The product as its users meet it: a real server on a real port, over SQLite and over PostgreSQL.
//!
//! Folders mirror URLs. `support` is the world the tests stand in; `coverage` asks every operation of the API's own description.

mod acceptance;
//X mod api_client_apps;
mod auth;
//X mod companies;
mod coverage;
mod errors;
mod idempotency;
//X mod internal_api_keys;
mod limits;
//X mod memberships;
//X mod operating;
mod support;
//X mod tenants;
//X mod workspaces;
