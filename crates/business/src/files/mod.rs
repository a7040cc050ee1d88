//! Files over HTTP: the company's shelf, uploads in one go and in pieces, downloads, signed links. Attachments of records are in
//! `http/attachments.rs`; they take content in and give it out by the same two files, [`intake`] and [`deliver`] of `loopd_web`.

mod library;
pub(crate) mod link;
mod resumable;

use loopd_web::Operation;
use serde_json::Value;

pub(crate) use library::FILES;
pub(crate) use loopd_web::file::{AFTERWARDS, IDLE, MAX_BODY, deliver, intake};

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
