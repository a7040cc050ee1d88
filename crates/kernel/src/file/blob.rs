//! [`Blobs`]: where content lies, a folder or a bucket, behind `object_store`. Keys are `<company code>/<uuid>`; content never changes.

use std::error::Error as _;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use loopd_types::{Kind, Problem, Result, Secret};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig,
};

/// Content in chunks, as it is read.
pub type Chunks = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// Uploads that are written at once; each holds a few chunks in memory, and the others wait with the network's patience.
const WRITERS: usize = 64;
/// Thumbnails that are made at once: one may take much memory for a moment.
const PAINTERS: usize = 2;
/// S3 takes no part of a larger upload under 5 MiB.
const BUCKET_PART: usize = 8 * 1024 * 1024;
const FOLDER_PART: usize = 1024 * 1024;

/// Where content is to lie.
#[derive(Clone, Debug)]
pub enum Place {
    /// Gone with the process: for tests of what stores no files.
    Memory,
    Folder(PathBuf),
    S3(S3),
}

/// A bucket of S3 or of something that speaks like it.
#[derive(Clone, Debug)]
pub struct S3 {
    pub bucket: String,
    /// `https://…` of another provider, or `None` for AWS.
    pub endpoint: Option<String>,
    pub region: String,
    pub access_key: String,
    pub secret_key: Secret<String>,
    /// Before every key; empty, or ending in a slash.
    pub prefix: String,
}

/// The store of this installation.
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    folder: Option<PathBuf>,
    part_bytes: usize,
    pub(crate) writers: Arc<tokio::sync::Semaphore>,
    pub(crate) painters: Arc<tokio::sync::Semaphore>,
}

impl Blobs {
    /// Opens the place; makes the folder. Asks no bucket anything yet.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn open(place: &Place) -> Result<Self, String> {
        let blobs = |store: Arc<dyn ObjectStore>, prefix: &str, folder, part_bytes| Self {
            store,
            prefix: prefix.to_owned(),
            folder,
            part_bytes,
            writers: Arc::new(tokio::sync::Semaphore::new(WRITERS)),
            painters: Arc::new(tokio::sync::Semaphore::new(PAINTERS)),
        };
        match place {
            Place::Memory => Ok(blobs(Arc::new(InMemory::new()), "", None, FOLDER_PART)),
            Place::Folder(folder) => {
                std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
                let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| error.to_string())?;
                // Content must be on the disk before a row points to it.
                Ok(blobs(Arc::new(store.with_fsync(true)), "", Some(folder.clone()), FOLDER_PART))
            }
            Place::S3(s3) => {
                crate::egress::install_tls();
                // Retries end before our own clients give up.
                let retry = RetryConfig {
                    max_retries: 4,
                    retry_timeout: std::time::Duration::from_secs(20),
                    ..Default::default()
                };
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(&s3.bucket)
                    .with_region(&s3.region)
                    .with_access_key_id(&s3.access_key)
                    .with_secret_access_key(s3.secret_key.expose())
                    .with_retry(retry)
                    // One at a time: not everything that speaks S3 deletes in bulk.
                    .with_disable_bulk_delete(true)
                    .with_client_options(ClientOptions::new().with_allow_http(true));
                if let Some(endpoint) = &s3.endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                let store = builder.build().map_err(|error| error.to_string())?;
                Ok(blobs(Arc::new(store), &s3.prefix, None, BUCKET_PART))
            }
        }
    }

    /// The folder, where there is one.
    pub fn folder(&self) -> Option<&FsPath> {
        self.folder.as_deref()
    }

    /// Writes, reads and removes a few bytes.
    ///
    /// # Errors
    /// In words for the operator.
    pub async fn probe(&self) -> Result<(), String> {
        let path = self.path("probe/loopd");
        let probe = async {
            self.store.put(&path, PutPayload::from_static(b"loopd")).await?;
            let read = self.store.get(&path).await?.bytes().await?;
            self.store.delete(&path).await?;
            Ok::<_, object_store::Error>(read)
        };
        match probe.await {
            Ok(read) if read.as_ref() == b"loopd" => Ok(()),
            Ok(_) => Err("what was written cannot be read back".to_owned()),
            Err(error) => Err(words(&error)),
        }
    }

    /// Begins to write the content of `key`.
    pub(crate) fn writer(&self, key: &str) -> Writer<'_> {
        Writer { blobs: self, path: self.path(key), waiting: Vec::new(), waiting_bytes: 0, parts: None }
    }

    pub(crate) async fn read(&self, key: &str, range: Range<u64>) -> Result<Chunks> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.store.get_opts(&self.path(key), options).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => {
                Problem::internal(format!("the file store has lost {key}: {error}"))
            }
            other => refusal(&other),
        })?;
        Ok(found.into_stream().map_err(std::io::Error::other).boxed())
    }

    /// How long the content of `key` is; `None` when it is not there.
    pub(crate) async fn size(&self, key: &str) -> Result<Option<u64>> {
        match self.store.head(&self.path(key)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// All of a small content.
    pub(crate) async fn read_all(&self, key: &str, length: u64) -> Result<Vec<u8>> {
        let mut chunks = self.read(key, 0..length).await?;
        let mut all = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        while let Some(chunk) = chunks.next().await {
            all.extend_from_slice(&chunk.map_err(Problem::unavailable)?);
        }
        Ok(all)
    }

    /// Removes content, and what a crash left of writing it. What is not there is removed already.
    pub(crate) async fn remove(&self, key: &str) -> Result<()> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(refusal(&error)),
        }
        if let Some(folder) = &self.folder {
            let unfinished = folder.join(key);
            tokio::task::spawn_blocking(move || remove_unfinished(&unfinished)).await.map_err(Problem::internal)?;
        }
        Ok(())
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}{key}", self.prefix))
    }
}

/// The local store writes `<name>#1` and renames it.
fn remove_unfinished(content: &FsPath) {
    let (Some(folder), Some(name)) = (content.parent(), content.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    // Its numbers count up from 1 past names that are taken.
    for number in 1.. {
        if std::fs::remove_file(folder.join(format!("{name}#{number}"))).is_err() {
            return;
        }
    }
}

/// Content on its way into the store; [`Writer::finish`] makes it whole and durable.
pub(crate) struct Writer<'b> {
    blobs: &'b Blobs,
    path: Path,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Writer<'_> {
    pub async fn write(&mut self, mut chunk: Bytes) -> Result<()> {
        while !chunk.is_empty() {
            // Parts of one size: some stores insist on it.
            let piece = chunk.split_to(chunk.len().min(self.blobs.part_bytes - self.waiting_bytes));
            self.waiting_bytes += piece.len();
            self.waiting.push(piece);
            if self.waiting_bytes == self.blobs.part_bytes {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let payload = PutPayload::from_iter(std::mem::take(&mut self.waiting));
        self.waiting_bytes = 0;
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => none.insert(self.blobs.store.put_multipart(&self.path).await.map_err(|error| refusal(&error))?),
        };
        parts.put_part(payload).await.map_err(|error| refusal(&error))
    }

    pub async fn finish(mut self) -> Result<()> {
        let outcome = match &mut self.parts {
            None => {
                let payload = PutPayload::from_iter(std::mem::take(&mut self.waiting));
                self.blobs.store.put(&self.path, payload).await.map(drop).map_err(|error| refusal(&error))
            }
            Some(_) => {
                let last = if self.waiting_bytes > 0 { self.flush().await } else { Ok(()) };
                match (last, &mut self.parts) {
                    (Ok(()), Some(parts)) => parts.complete().await.map(drop).map_err(|error| refusal(&error)),
                    (last, _) => last,
                }
            }
        };
        if outcome.is_err() {
            self.abandon().await;
        }
        outcome
    }

    /// Gives back what was written; what cannot be is left to the sweep.
    pub async fn abandon(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            let _ = parts.abort().await;
        }
    }
}

/// A failure of the store as a refusal: nothing was kept, and the client may try again.
pub(crate) fn refusal(error: &object_store::Error) -> Problem {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| is_full(error.kind())) {
            return no_room(words(error));
        }
        cause = error.source();
    }
    Problem::unavailable(words(error))
}

/// A file that may not grow is refused by a limit of the process or of the file system: the operator's to widen, as a full disk.
pub(super) fn is_full(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

pub(super) fn no_room(cause: String) -> Problem {
    let full = "There is no room for files at present. Nothing was kept; try again later.";
    Problem::new(Kind::InsufficientStorage, "storage_full", full).with_cause(cause)
}

/// An error with what lies behind it: these name the file, or the bucket's answer, only further down.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_to_be_full_however_deep_it_is_buried() {
        #[derive(Debug)]
        struct Wrapped(std::io::Error);
        impl std::fmt::Display for Wrapped {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("unable to copy")
            }
        }
        impl std::error::Error for Wrapped {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = |kind: std::io::ErrorKind| {
            refusal(&object_store::Error::Generic { store: "folder", source: Box::new(Wrapped(kind.into())) })
        };
        let full = failure(std::io::ErrorKind::StorageFull);
        assert_eq!((full.status(), full.code()), (507, "storage_full"));
        let other = failure(std::io::ErrorKind::PermissionDenied);
        assert_eq!((other.status(), other.code()), (503, "unavailable"));
        assert!(other.cause().unwrap_or("").contains("permission denied"), "{:?}", other.cause());
    }
}
