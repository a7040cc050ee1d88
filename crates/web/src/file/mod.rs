//! Files over HTTP, for every surface that takes or gives them: out of a request ([`intake`]) and as the answer ([`deliver`]).

pub mod deliver;
pub mod intake;

use std::time::Duration;

/// The hard limit of one body; what a company's plan allows is less, and asked when it comes.
pub const MAX_BODY: u64 = 1 << 40;
/// How long somebody who uploads may be silent.
pub const IDLE: Duration = Duration::from_secs(60);
/// How long the server may take after the last byte: an upload in pieces is put together then.
pub const AFTERWARDS: Duration = Duration::from_secs(600);
