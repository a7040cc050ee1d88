//! Files over HTTP: the company's shelf, uploads in one go and in pieces, downloads, signed links. Attachments of records are in
//! `http/attachments.rs`; they take content in and give it out by the same two files, [`intake`] and [`deliver`].

pub(crate) mod deliver;
pub(crate) mod intake;
mod library;
pub(crate) mod link;
mod resumable;

use std::time::Duration;

use loopd_web::Operation;
use serde_json::Value;

pub(crate) use library::FILES;

/// The hard limit of one body; what a company's plan allows is less, and asked when it comes.
pub(crate) const MAX_BODY: u64 = 1 << 40;
/// How long somebody who uploads may be silent.
pub(crate) const IDLE: Duration = Duration::from_secs(60);
/// How long the server may take after the last byte: an upload in pieces is put together then.
pub(crate) const AFTERWARDS: Duration = Duration::from_secs(600);

/// Every operation on files.
pub fn operations() -> Vec<Operation> {
    let mut all = library::operations();
    all.extend(link::operations());
    all.extend(resumable::operations());
    all
}

/// The schemas that these operations refer to.
pub fn components() -> [(&'static str, Value); 1] {
    [(FILES.name, FILES.schema())]
}
