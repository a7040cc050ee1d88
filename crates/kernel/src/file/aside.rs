//! [`lay_aside`]: a stream of bytes in a file without a name, for whoever must read it more than once and does not keep it.

use std::fs::File;
use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use loopd_types::{Problem, Result, hex};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWriteExt as _, BufWriter};

use super::blob;

/// What is written to the disk at once.
const PIECE: usize = 256 * 1024;

/// Bytes in the node's temporary folder, readable from any place on. The file has no name: it is gone with this value, and with the
/// process, however that ends.
#[derive(Debug)]
pub struct Aside {
    pub file: File,
    pub size_bytes: u64,
    /// In hex.
    pub sha256: String,
}

impl Aside {
    /// Reads the bytes on a thread that may block, and lets them go.
    ///
    /// # Errors
    /// What `read` refuses.
    pub async fn read<T, F>(self, read: F) -> Result<T>
    where
        F: FnOnce(&File) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        tokio::task::spawn_blocking(move || read(&self.file)).await.map_err(Problem::internal)?
    }
}

/// Writes a stream down, and measures and hashes it on the way.
///
/// # Errors
/// What the stream refuses; 507 `storage_full`; 503.
pub async fn lay_aside<S>(chunks: S) -> Result<Aside>
where
    S: Stream<Item = Result<Bytes>> + Send,
{
    let file = tokio::task::spawn_blocking(nameless).await.map_err(Problem::internal)?;
    let mut writer = BufWriter::with_capacity(PIECE, tokio::fs::File::from_std(file?));
    let (mut hash, mut size_bytes) = (Sha256::new(), 0);
    let mut chunks = std::pin::pin!(chunks);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        hash.update(&chunk);
        size_bytes += chunk.len() as u64;
        writer.write_all(&chunk).await.map_err(not_laid)?;
    }
    writer.flush().await.map_err(not_laid)?;
    let file = writer.into_inner().into_std().await;
    Ok(Aside { file, size_bytes, sha256: hex(&hash.finalize()) })
}

/// An empty file of that kind, for what is made of a stream. For a thread that may block.
///
/// # Errors
/// 507; 503.
pub fn nameless() -> Result<File> {
    tempfile::tempfile().map_err(not_laid)
}

/// A failure of the temporary folder as a refusal: nothing was kept, and the client may try again.
pub fn not_laid(error: io::Error) -> Problem {
    let words = format!("the temporary folder: {error}");
    if blob::is_full(error.kind()) { blob::no_room(words) } else { Problem::unavailable(words) }
}
