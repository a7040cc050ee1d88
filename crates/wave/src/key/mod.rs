//! Keys of the public API: `lw_live_` and 32 characters (spec/loopwave.md 1.2).

pub mod http;
pub mod store;

use loopd_kernel::access::Door;
use loopd_kernel::credential::{Body, Kind};
use loopd_kernel::limit::Rate;

use crate::PRODUCT;

/// Acts as one company's program.
pub const LIVE: Kind = Kind { slug: "wave", prefix: "lw_live_", body: Body::Base62 { length: 32 }, shown: 4 };

/// What a key can be given; `*` is everything.
pub const SCOPES: [&str; 8] = [
    "*",
    "messages:write",
    "chats:read",
    "contacts:read",
    "contacts:write",
    "tickets:read",
    "tickets:write",
    "broadcasts:write",
];

/// Numbers of the original's pages; its 401 has one code for all.
pub static DOOR: Door = Door {
    scheme: "loopwaveKey",
    product: PRODUCT,
    kinds: &[LIVE],
    header: Some("x-api-key"),
    missing: "Send an API key, as Authorization: Bearer <key> or X-API-Key: <key>.",
    malformed: "The API key is not valid.",
    unknown: "The API key is not valid.",
    wrong_kind: "This route takes a key that begins with lw_live_.",
    missing_scope: "The API key lacks the scope ",
    rate: Rate::per_minute("loopwave", 120),
    attempts: Rate::per_minute("loopwave-attempts", 60),
};
