//! The engine `web` of Loopwave: numbers that are linked as a device of a telephone, over a protocol that WhatsApp does not offer to
//! programs. It is opted into twice: in the build (the feature `client` here, `whatsapp-web` of loopd) and in `LOOP_WHATSAPP_ENGINES`.
//!
//! The crate `whatsapp-rust` speaks the protocol; what is here joins it to the house. [`backend`]: its keys and sessions in our database,
//! sealed, written by the one node that holds the line. [`inbound`]: what comes in, written down before it is acknowledged. [`outbound`]:
//! what goes out, under an id that we choose and store first. [`line`]: one connection and its news; [`keep`]: which lines this node
//! holds, and when it tries again. [`told`]: what news of a line means.
#![cfg(feature = "client")]

pub mod backend;
pub mod backoff;
mod engine;
mod http;
pub mod inbound;
mod keep;
mod line;
mod media;
pub mod outbound;
pub mod told;

pub use engine::{Held, Web};
pub use whatsapp_rust;
