//! What files hold, in an archive: each content once under `files/<sha256>`, however many files have it.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use loopd_store::{Reader, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use tokio::runtime::Handle;

use super::archive::{self, Source, Writer};
use super::{Member, Step, Watcher, export, not_written, pipe, refused};
use crate::Kernel;
use crate::file::{self, Received, Wanted};

/// The rows that name contents.
pub const ROWS: &str = "tables/files.ndjson";
const FOLDER: &str = "files/";

/// The digest that a member's name tells, if it is a content's.
pub fn digest_of(name: &str) -> Option<&str> {
    let digest = name.strip_prefix(FOLDER)?;
    let is_hex = digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then_some(digest)
}

/// A content that is to go into the archive, and the first file that has it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub sha256: String,
    pub size_bytes: u64,
    file: Uuid,
    name: String,
    blob_key: String,
}

/// The files of a company that take part, in the order of their contents.
pub fn list(reader: &mut Reader<'_>, company: CompanyId, only: &str) -> Result<Vec<Stored>> {
    let order = export::text_in_order(reader.engine(), "sha256");
    let sql = format!(
        "SELECT sha256, size_bytes, id, name, blob_key FROM files WHERE company_id = $1 AND {only} ORDER BY {order}, id"
    );
    Ok(reader.query(&sql, &params![company], |row| {
        Ok(Stored {
            sha256: row.text(0)?.to_owned(),
            size_bytes: u64::try_from(row.i64(1)?).unwrap_or(0),
            file: row.uuid(2)?,
            name: row.text(3)?.to_owned(),
            blob_key: row.text(4)?.to_owned(),
        })
    })?)
}

/// Files whose content is gone from the store, or cut short: with the words that tell of each.
pub async fn lost(kernel: &Kernel, files: &[Stored]) -> Result<HashMap<Uuid, String>> {
    let mut lost = HashMap::new();
    for file in files {
        if !file.is_there(kernel).await? {
            lost.insert(file.file, file.name.clone());
        }
    }
    Ok(lost)
}

impl Stored {
    async fn is_there(&self, kernel: &Kernel) -> Result<bool> {
        Ok(kernel.blobs.size(&self.blob_key).await? == Some(self.size_bytes))
    }

    fn lost(&self, how: &str) -> Problem {
        let Self { name, file, .. } = self;
        Problem::conflict("file_content_lost", format!("The content of the file {name:?} ({file}) {how}."))
            .with_extra("file", file.to_string())
    }
}

/// Without `lost`, and each content once.
pub fn distinct(files: Vec<Stored>, lost: &HashSet<Uuid>) -> Vec<Stored> {
    let mut files: Vec<Stored> = files.into_iter().filter(|file| !lost.contains(&file.file)).collect();
    files.dedup_by(|one, other| one.sha256 == other.sha256);
    files
}

/// Adds contents to the archive. For a thread that may block.
///
/// # Errors
/// 409 `file_content_lost`, naming the file, when the store has not what was kept in it; 503.
pub fn write(
    kernel: &Arc<Kernel>,
    runtime: &Handle,
    archive: &mut Writer,
    contents: &[Stored],
    watcher: &Watcher,
    step: &mut Step,
) -> Result<Vec<Member>> {
    let mut members = Vec::with_capacity(contents.len());
    for content in contents {
        let name = format!("{FOLDER}{}", content.sha256);
        step.at.clone_from(&name);
        watcher(step)?;
        let chunks = match runtime.block_on(file::chunks(kernel, &content.blob_key, content.size_bytes)) {
            Ok(chunks) => chunks,
            Err(problem) if runtime.block_on(content.is_there(kernel))? => return Err(problem),
            Err(_) => return Err(content.lost("is not in the file store")),
        };
        let (mut refusal, mut read) = (None, 0);
        let from_store = FromStore::new(runtime, chunks);
        let heard = Heard {
            inner: from_store,
            hear: |bytes: usize| {
                read += bytes as u64;
                if step.pass(bytes) { watcher(step).map_err(|problem| refusal = Some(problem)) } else { Ok(()) }
            },
        };
        let added = archive.add_content(&name, content.size_bytes, heard);
        if let Some(problem) = refusal {
            return Err(problem);
        }
        let member = added.map_err(not_written)?;
        if read != content.size_bytes || member.sha256 != content.sha256 {
            return Err(content.lost("was altered in the file store"));
        }
        members.push(member);
    }
    Ok(members)
}

/// What comes from the store, for whoever reads on a thread that may block.
pub struct FromStore<'r> {
    runtime: &'r Handle,
    chunks: file::Chunks,
    rest: Bytes,
}

impl<'r> FromStore<'r> {
    pub fn new(runtime: &'r Handle, chunks: file::Chunks) -> Self {
        Self { runtime, chunks, rest: Bytes::new() }
    }
}

impl Read for FromStore<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.chunks.next()) {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let taken = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}

/// Tells how much was read; ends when that is refused.
struct Heard<R, F> {
    inner: R,
    hear: F,
}

impl<R: Read, F: FnMut(usize) -> Result<(), ()>> Read for Heard<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.hear)(read).map_err(|()| io::Error::other("stopped"))?;
        Ok(read)
    }
}

/// The contents that an archive's files need, by digest.
#[derive(Default)]
pub struct Contents(HashMap<String, Needed>);

#[derive(Default)]
struct Needed {
    size_bytes: u64,
    /// Each gets a content of its own, since each can be deleted alone: id, and what its content is called.
    files: Vec<(Uuid, String)>,
}

/// What is read of a file's row before its columns are known.
#[derive(serde::Deserialize)]
struct Row {
    id: String,
    sha256: String,
    size_bytes: u64,
    content_type: String,
}

impl Contents {
    /// Takes a row of [`ROWS`] in.
    pub fn add(&mut self, line: &str) -> Result<()> {
        let row: Row = serde_json::from_str(line).map_err(|error| refused(format!("{ROWS}: {error}")))?;
        let id = Uuid::parse_str(&row.id).map_err(|_| refused(format!("{ROWS} has a file without an id")))?;
        let needed =
            self.0.entry(row.sha256).or_insert_with(|| Needed { size_bytes: row.size_bytes, files: Vec::new() });
        if needed.size_bytes != row.size_bytes {
            return Err(refused(format!("{ROWS} has one content in two sizes, of {id}")));
        }
        needed.files.push((id, row.content_type));
        Ok(())
    }

    /// Compares what is needed with what is there.
    pub fn settle(&self, members: &[Member]) -> Result<()> {
        let mut there = HashSet::new();
        for (member, digest) in members.iter().filter_map(|member| Some((member, digest_of(&member.name)?))) {
            if member.sha256 != digest {
                return Err(refused(format!("{} was altered after the export", member.name)));
            }
            if self.0.get(digest).is_none_or(|needed| needed.size_bytes != member.size_bytes) {
                return Err(refused(format!("no file in it has the content {}", member.name)));
            }
            there.insert(digest);
        }
        match self.0.iter().find(|(digest, _)| !there.contains(digest.as_str())) {
            Some((digest, needed)) => {
                let file = needed.files.first().map(|(id, _)| id.to_string()).unwrap_or_default();
                Err(refused(format!("{FOLDER}{digest}, the content of the file {file}, is missing in it")))
            }
            None => Ok(()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What would come into the store, where nothing does.
    pub fn imagined(&self) -> Arrived {
        let of = |(sha256, needed): (&String, &Needed)| {
            let content = |(id, content_type): &(Uuid, String)| {
                let (company, blob_key) = (CompanyId(0), String::new());
                let size_bytes = needed.size_bytes;
                (
                    *id,
                    Received {
                        company,
                        size_bytes,
                        sha256: sha256.clone(),
                        content_type: content_type.clone(),
                        blob_key,
                    },
                )
            };
            needed.files.iter().map(content).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    pub fn bytes(&self) -> u64 {
        self.0.values().map(|needed| needed.size_bytes * needed.files.len() as u64).sum()
    }
}

/// What came into the store, by file. Belongs to nobody until the rows are there.
pub type Arrived = HashMap<Uuid, Received>;

/// Writes the contents of the archive at `from` into the store. What came in is returned even if the rest is refused: it is to be
/// discarded then.
pub async fn arrive(
    kernel: &Arc<Kernel>,
    company: CompanyId,
    from: Source,
    contents: Contents,
    watcher: Watcher,
) -> (Arrived, Result<()>) {
    let (kernel, runtime) = (kernel.clone(), Handle::current());
    let done = tokio::task::spawn_blocking(move || {
        let mut arriving =
            Arriving { kernel, runtime, company, watcher, arrived: Arrived::new(), step: Step::default() };
        arriving.step = Step { phase: "store", of_bytes: contents.bytes(), ..Step::default() };
        let outcome = archive::each(&from, |name, content| {
            if let Some(needed) = digest_of(name).and_then(|digest| contents.0.get(digest)) {
                arriving.content(name, content, needed)?;
            }
            Ok(ControlFlow::Continue(()))
        });
        (arriving.arrived, outcome.map(drop))
    });
    done.await.unwrap_or_else(|error| (Arrived::new(), Err(Problem::internal(error))))
}

struct Arriving {
    kernel: Arc<Kernel>,
    runtime: Handle,
    company: CompanyId,
    watcher: Watcher,
    arrived: Arrived,
    step: Step,
}

impl Arriving {
    /// Writes one content for each file that has it: the first from the archive, the others from the first.
    fn content(&mut self, name: &str, content: &mut archive::Content<'_>, needed: &Needed) -> Result<()> {
        self.step.at = name.to_owned();
        (self.watcher)(&self.step)?;
        let wanted = |content_type: &str| Wanted {
            content_type: content_type.to_owned(),
            sha256: digest_of(name).map(ToOwned::to_owned),
            ..Wanted::up_to(needed.size_bytes)
        };
        let [(id, content_type), others @ ..] = needed.files.as_slice() else { return Ok(()) };
        let first = self.unpack(content, wanted(content_type))?;
        self.arrived.insert(*id, first.clone());
        for (id, content_type) in others {
            let copied = self.runtime.block_on(async {
                let chunks = file::chunks(&self.kernel, &first.blob_key, first.size_bytes).await?;
                let chunks = chunks.map(|chunk| chunk.map_err(Problem::unavailable));
                file::receive(&self.kernel, self.company, chunks, &wanted(content_type)).await
            })?;
            self.arrived.insert(*id, copied);
            self.step.bytes += first.size_bytes;
            (self.watcher)(&self.step)?;
        }
        Ok(())
    }

    fn unpack(&mut self, content: &mut archive::Content<'_>, wanted: Wanted) -> Result<Received> {
        let (mut sink, chunks) = pipe();
        let (kernel, company) = (self.kernel.clone(), self.company);
        let received = self.runtime.spawn(async move { file::receive(&kernel, company, chunks, &wanted).await });
        let read = self.pour(content, &mut sink);
        let poured = match read {
            // A sink that is dropped before its end has the other side keep nothing.
            Err(problem) => {
                drop(sink);
                Err(problem)
            }
            Ok(()) => {
                // A sink that nobody reads from was refused, and the other side tells why.
                let _ = sink.finish();
                Ok(())
            }
        };
        let received = self.runtime.block_on(received).map_err(Problem::internal)?;
        match poured {
            Ok(()) => received,
            Err(problem) => Err(problem),
        }
    }

    fn pour(&mut self, content: &mut archive::Content<'_>, sink: &mut pipe::Sink) -> Result<()> {
        loop {
            let piece = content.piece()?;
            let read = piece.len();
            if read == 0 || io::Write::write_all(sink, piece).is_err() {
                return Ok(());
            }
            content.consume(read);
            if self.step.pass(read) {
                (self.watcher)(&self.step)?;
            }
        }
    }
}
