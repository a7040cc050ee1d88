//! What goes out: its name ([`name`]), its shape ([`compose`]), its file ([`upload`]), and handing it over ([`send`]).

pub mod compose;
pub mod name;
pub mod send;
mod upload;
