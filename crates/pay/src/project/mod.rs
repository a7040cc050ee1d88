//! Projects: what takes and makes machine payments in a company's name. Clients of the first generation call one an identity.

mod http;
pub mod names;
pub mod platform;
pub mod rules;
pub mod store;
mod wire;

pub use http::{operations, own, own_id};
pub use rules::{Purpose, SCOPES};
pub use store::{Change, Made, New, Project};

use loopd_kernel::access::Door;
use loopd_kernel::credential::{Body, Kind};
use loopd_kernel::limit::Rate;

/// Acts as one project.
pub const PROJECT: Kind = Kind { slug: "project", prefix: "loid-", body: Body::Hex { length: 64 }, shown: 8 };
/// Manages a company's projects, and acts as none.
pub const PLATFORM: Kind = Kind { slug: "platform", prefix: "lopk-", body: Body::Hex { length: 64 }, shown: 8 };

/// The product that a company subscribes to.
pub const PRODUCT: &str = "loomal";

/// Words and numbers of the original's page on authentication (spec/loomal.md 2.2 to 2.4). Only wrong keys count as attempts: a shop
/// behind one address may make its 200 calls a minute.
pub static DOOR: Door = Door {
    scheme: "loomalKey",
    product: PRODUCT,
    kinds: &[PROJECT, PLATFORM],
    // What its hosted MCP took on older pages.
    header: Some("loomal_api_key"),
    missing: "Missing or invalid Authorization header",
    malformed: "Invalid API key format",
    unknown: "Invalid API key",
    wrong_kind: "This route takes the other kind of key: project keys (loid-) act as one project, platform keys (lopk-) manage projects",
    missing_scope: "Missing required scope: ",
    rate: Rate::per_minute("loomal", 200),
    attempts: Rate::per_minute("loomal-attempts", 60),
};
