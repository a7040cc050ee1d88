//! The engine over real databases of both kinds, without WhatsApp: its store, what is written before it is acknowledged, what news of a
//! line comes to, and which node holds it.
#![cfg(feature = "client")]

mod inbound;
mod lines;
mod stage;
mod store;
