//! Files of a company: content in a folder or an S3 bucket, a row that says what it is, and nothing of either without the other.
//!
//! Content is written, and is durable, before the transaction that makes its row; it is removed after the one that deletes the row.
//! What lies between stands in a ledger of its own ([`ledger`]), so that a crash leaves nothing for ever and loses nothing.
//!
//! For other parts (archives, error files, bills):
//! ```text
//! let received = file::receive(&kernel, company, chunks, &Wanted::up_to(max_bytes)).await?;     // content is on the disk
//! db.write(view, move |tx| file::keep(tx, &kernel, &tenant, &NewFile { purpose: Purpose::Export, … }, &received)).await?;
//! let file = file::find(reader, company, id)?;  file::read(&kernel, &file, 0..file.size_bytes).await?   // a stream
//! ```
//! A transaction that fails afterwards is followed by [`discard`]; if that never happens, the sweep does it a day later.

mod aside;
pub mod attachment;
mod blob;
mod content_type;
mod copy;
mod keep;
mod ledger;
pub mod link;
mod receive;
mod sweep;
pub mod thumbnail;
pub mod upload;

use std::ops::Range;

use loopd_store::Tx;
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

pub use aside::{Aside, lay_aside, nameless, not_laid};
pub use blob::{Blobs, Chunks, Place, S3};
pub use content_type::{is_active, may_show_inline};
pub use copy::{Copied, copy_contents};
pub(crate) use keep::settle_arrived;
pub use keep::{LISTING, NewFile, find, keep, open_library, remove, remove_from_library, rename, used_bytes};
pub use ledger::discard;
pub(crate) use ledger::hold;
pub use receive::{Received, Wanted, receive};
pub use sweep::{JOB, sweep};

use crate::{Kernel, plan};

/// Longest name of a file.
pub const MAX_NAME: usize = 255;

/// What a file is for: who may come by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The company's own shelf: `core.files.*` decides.
    Library,
    /// Belongs to records: who may see the record. Until it is attached it is its maker's, for a day.
    Attachment,
    /// An archive of what a company owns.
    Export,
    /// What came in to be imported, and what was wrong with it.
    Import,
    /// A company's bill.
    Bill,
}

impl Purpose {
    pub const ALL: [Self; 5] = [Self::Library, Self::Attachment, Self::Export, Self::Import, Self::Bill];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Attachment => "attachment",
            Self::Export => "export",
            Self::Import => "import",
            Self::Bill => "bill",
        }
    }

    /// Whether it takes of the company's storage: what the installation makes does not, or a full company could not leave.
    fn counts(self) -> bool {
        !matches!(self, Self::Export | Self::Bill)
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// A file's row.
#[derive(Clone, Debug)]
pub struct File {
    pub company: CompanyId,
    pub id: Uuid,
    pub name: String,
    /// What the content is by its own first bytes, not what a client called it.
    pub content_type: String,
    pub size_bytes: u64,
    /// In hex.
    pub sha256: String,
    pub purpose: Purpose,
    pub created_by: Option<Uuid>,
    pub created_at: Timestamp,
    pub(crate) blob_key: String,
}

/// A part of the content, in chunks. The range lies within the file.
///
/// # Errors
/// 503 when the store does not answer, 500 when it has lost the content.
pub async fn read(kernel: &Kernel, file: &File, range: Range<u64>) -> Result<Chunks> {
    kernel.blobs.read(&file.blob_key, range).await
}

/// All of a content, in chunks.
///
/// # Errors
/// As [`read`].
pub(crate) async fn chunks(kernel: &Kernel, blob_key: &str, size_bytes: u64) -> Result<Chunks> {
    kernel.blobs.read(blob_key, 0..size_bytes).await
}

/// How large one file of this company may be, and whether it has room for `more` bytes: asked before a body is read.
///
/// # Errors
/// 403 `storage_quota_exceeded`; 503 from the database.
pub async fn room_for(kernel: &Kernel, company: CompanyId, more: u64) -> Result<u64> {
    let used = kernel
        .db
        .read(loopd_store::View::Company(company), move |reader| {
            Ok((plan::limits(reader, company)?, keep::used_bytes(reader, company)?))
        })
        .await?;
    let (limits, used) = used;
    if let Some(limit) = limits.storage_bytes
        && used.saturating_add(i64::try_from(more).unwrap_or(i64::MAX)) > limit
    {
        return Err(over_quota(limit, used));
    }
    Ok(limits.file_bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(u64::MAX))
}

/// Counts `bytes` towards what the company stores; less than nothing gives back.
pub(crate) fn charge(tx: &mut Tx<'_>, company: CompanyId, bytes: i64) -> Result<()> {
    let used = keep::add_used(tx, company, bytes)?;
    match plan::limits(tx, company)?.storage_bytes {
        Some(limit) if bytes > 0 && used > limit => Err(over_quota(limit, used - bytes)),
        _ => Ok(()),
    }
}

fn over_quota(limit: i64, used: i64) -> Problem {
    Problem::forbidden("storage_quota_exceeded", "There is no room left for this company's files.")
        .with_extra("limit_bytes", limit)
        .with_extra("used_bytes", used)
}
