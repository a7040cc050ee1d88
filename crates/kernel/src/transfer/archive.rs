//! The archive's file: a gzipped tar with the same bytes for the same content, written and read as a stream.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use loopd_types::{Problem, Result, hex};
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};
use tempfile::NamedTempFile;

use super::pipe::Sink;
use super::{Member, not_written, refused};

/// Where an archive is read from, as often as need be and by one reader at a time.
#[derive(Clone, Debug)]
pub enum Source {
    Path(PathBuf),
    /// A file that may have no name, and is then gone with the process, however that ends.
    Open(Arc<File>),
}

impl Source {
    /// From its beginning.
    fn open(&self) -> Result<File> {
        match self {
            Self::Path(path) => {
                File::open(path).map_err(|error| refused(format!("{} cannot be opened: {error}", path.display())))
            }
            Self::Open(file) => {
                let again = file.try_clone().and_then(|mut file| file.seek(SeekFrom::Start(0)).map(|_| file));
                again.map_err(|error| Problem::unavailable(format!("the archive cannot be read again: {error}")))
            }
        }
    }
}

/// Longest line that is read: a row larger than this is no row of ours.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// An archive that is being written; it is nowhere before [`Writer::finish`].
pub struct Writer {
    tar: Builder<GzEncoder<Out>>,
    /// For what waits to become a member.
    folder: PathBuf,
}

enum Out {
    /// With the place where it will stand.
    File(BufWriter<NamedTempFile>, PathBuf),
    Stream(Sink),
}

impl Writer {
    /// Readable by its owner only: it holds all of a company.
    pub fn create(to: &Path) -> Result<Self> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let file = tempfile::Builder::new().prefix(".loopd-export-").tempfile_in(&folder).map_err(not_written)?;
        Ok(Self::new(Out::File(BufWriter::new(file), to.to_owned()), folder))
    }

    /// Hands the archive on as it is made.
    pub fn stream(sink: Sink) -> Self {
        Self::new(Out::Stream(sink), std::env::temp_dir())
    }

    fn new(out: Out, folder: PathBuf) -> Self {
        Self { tar: Builder::new(GzEncoder::new(out, Compression::default())), folder }
    }

    /// A file to gather a member in: a tar says a member's length before its content.
    pub fn spool(&self) -> Result<Spool> {
        let file = tempfile::tempfile_in(&self.folder).map_err(not_written)?;
        Ok(Spool { file: BufWriter::new(file), digest: Sha256::new(), size: 0 })
    }

    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<Member> {
        self.append(name, content.len() as u64, content).map_err(not_written)?;
        Ok(Member::of(name, content.len() as u64, Sha256::digest(content).as_slice()))
    }

    /// Adds what was gathered.
    pub fn add_spool(&mut self, name: &str, spool: Spool) -> Result<Member> {
        let add = || -> io::Result<Member> {
            let Spool { file, digest, size } = spool;
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            self.append(name, size, BufReader::new(file).take(size))?;
            Ok(Member::of(name, size, digest.finalize().as_slice()))
        };
        add().map_err(not_written)
    }

    /// Adds content of a known length and digest; what it was found to be is for the caller to compare.
    ///
    /// # Errors
    /// As reading and writing fail; a content of another length breaks the archive, which must be given up then.
    pub fn add_content(&mut self, name: &str, length: u64, content: impl Read) -> io::Result<Member> {
        let mut content = Digested { inner: content, digest: Sha256::new() };
        self.append(name, length, (&mut content).take(length))?;
        Ok(Member::of(name, length, content.digest.finalize().as_slice()))
    }

    fn append(&mut self, name: &str, length: u64, content: impl Read) -> io::Result<()> {
        // No clock and no owner: the same rows give the same bytes.
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(0);
        header.set_size(length);
        self.tar.append_data(&mut header, name, content)
    }

    /// Puts the archive in its place; everything is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk is full, or something stands at its place by now: that is never overwritten.
    pub fn finish(self) -> Result<()> {
        let Self { tar, folder } = self;
        let finish = || -> io::Result<()> {
            let (file, to) = match tar.into_inner()?.finish()? {
                Out::Stream(sink) => return sink.finish(),
                Out::File(file, to) => (file.into_inner().map_err(io::IntoInnerError::into_error)?, to),
            };
            file.as_file().sync_all()?;
            file.persist_noclobber(&to).map_err(|error| error.error)?;
            // makes the new name survive a power cut; elsewhere a folder cannot be opened as a file
            if cfg!(unix) { File::open(&folder)?.sync_all() } else { Ok(()) }
        };
        finish().map_err(not_written)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file, _) => file.write(bytes),
            Self::Stream(sink) => sink.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.flush(),
            Self::Stream(sink) => sink.flush(),
        }
    }
}

/// Content on its way into a member, with what the manifest will say of it.
pub struct Spool {
    file: BufWriter<File>,
    digest: Sha256,
    size: u64,
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Member {
    fn of(name: &str, size_bytes: u64, digest: &[u8]) -> Self {
        let (name, sha256) = (name.to_owned(), hex(digest));
        Self { name, size_bytes, sha256, rows: None, table: None, key: Vec::new(), columns: Vec::new() }
    }
}

/// Calls `visit` for each member in order until it breaks off; returns what each of the others was found to be. A member that `visit`
/// leaves unread is read to its end.
///
/// # Errors
/// As `visit` refuses; `archive_invalid` for what is cut short, damaged, or holds anything but plain files.
pub fn each(
    from: &Source,
    mut visit: impl FnMut(&str, &mut Content<'_>) -> Result<ControlFlow<()>>,
) -> Result<Vec<Member>> {
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(from.open()?)));
    let (mut members, mut names) = (Vec::new(), HashSet::new());
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let name =
            String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| refused("a name in it is no text"))?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(refused(format!("{name:?} in it is no plain file")));
        }
        if !names.insert(name.clone()) {
            return Err(refused(format!("{name} is in it twice")));
        }
        let size = entry.size();
        let digested = Digested { inner: entry, digest: Sha256::new() };
        let mut content = Content { reader: BufReader::new(digested), size, count: 0 };
        if visit(&name, &mut content)?.is_break() {
            return Ok(members);
        }
        io::copy(&mut content.reader, &mut io::sink()).map_err(damaged)?;
        members.push(Member::of(&name, size, content.reader.into_inner().digest.finalize().as_slice()));
    }
    // The checksum of the gzip stands behind the tar's end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    Ok(members)
}

fn damaged(error: io::Error) -> Problem {
    refused(match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => format!("it is damaged or no archive at all ({error})"),
    })
}

/// What a member holds.
pub struct Content<'a> {
    reader: BufReader<Digested<tar::Entry<'a, GzDecoder<BufReader<File>>>>>,
    pub size: u64,
    /// Lines so far.
    pub count: u64,
}

impl Content<'_> {
    /// The next bytes as they come; none at the end.
    pub fn piece(&mut self) -> Result<&[u8]> {
        self.reader.fill_buf().map_err(damaged)
    }

    /// Takes so many of the last [`Content::piece`].
    pub fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }

    /// Reads the next line, without its end, into `line`; `false` when there is none.
    pub fn next(&mut self, line: &mut String) -> Result<bool> {
        line.clear();
        if (&mut self.reader).take(MAX_LINE).read_line(line).map_err(damaged)? == 0 {
            return Ok(false);
        }
        if line.pop() != Some('\n') {
            return Err(refused("a line in it has no end"));
        }
        self.count += 1;
        Ok(true)
    }

    /// The whole member, if it is not longer than `most` bytes.
    pub fn all(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        (&mut self.reader).take(most + 1).read_to_end(&mut content).map_err(damaged)?;
        if content.len() as u64 > most { Err(refused("a file in it is far too long")) } else { Ok(content) }
    }
}

struct Digested<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}
