//! Notes: what agents write to each other about a chat. They stand in a table of their own, which nothing that sends reads.

pub mod http;
pub mod store;
