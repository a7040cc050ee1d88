//! Numbers that are linked as a device of a telephone: what they keep here, and who may keep it.
//!
//! The engine itself is a crate of its own (`whatsapp-web`), which is built only with the feature of that name, because what it stands on
//! is the largest thing to compile in the whole tree. Its tables are here, so that every build has the same schema: a server that is
//! rebuilt with or without the feature finds its database as it was.
//!
//! A number's connection is one node's at a time: the row's `owner`, until `owner_until` ([`store::lease`]). Whatever the protocol keeps
//! ([`store::state`]) is sealed, and written by that node alone, because two that went on from one state would give out the same message
//! key twice.

pub mod http;
pub mod store;

pub const NAME: &str = "web";

/// What is said where this build has no such engine.
pub const NOT_BUILT: &str = "This build of loopd cannot link a number as a device. Build it with `cargo build --release -p loopd --features \
     whatsapp-web` and name `web` in LOOP_WHATSAPP_ENGINES.";

/// What is said where the build has it and the operator did not choose it.
pub const NOT_CHOSEN: &str =
    "Linking a number as a device is not enabled on this server. Its operator names `web` in LOOP_WHATSAPP_ENGINES.";

/// What everybody should know who links one; it stands on the number, too.
pub const WARNING: &str = "Linking a number as a device goes over a protocol that WhatsApp does not offer to programs, and its terms forbid. \
     Numbers are banned for it, for a time or for good, and nobody can promise that yours is not. Use the Cloud API where you can.";
