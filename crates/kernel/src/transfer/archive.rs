//! The archive's file: a gzipped tar with the same bytes for the same content, written and read as a stream.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use loopd_types::{Result, hex};
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};
use tempfile::NamedTempFile;

use super::{Member, not_written, refused};

/// Longest line that is read: a row larger than this is no row of ours.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// An archive that is being written; nothing stands at its place until [`Writer::finish`].
pub struct Writer {
    tar: Builder<GzEncoder<BufWriter<NamedTempFile>>>,
    folder: PathBuf,
    to: PathBuf,
}

impl Writer {
    /// Readable by its owner only: it holds all of a company.
    pub fn create(to: &Path) -> Result<Self> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let file = tempfile::Builder::new().prefix(".loopd-export-").tempfile_in(&folder).map_err(not_written)?;
        let tar = Builder::new(GzEncoder::new(BufWriter::new(file), Compression::default()));
        Ok(Self { tar, folder, to: to.to_owned() })
    }

    /// A file beside the archive to gather a member in: a tar says a member's length before its content.
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
        let Self { tar, folder, to } = self;
        let finish = || -> io::Result<()> {
            let file = tar.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist_noclobber(&to).map_err(|error| error.error)?;
            // makes the new name survive a power cut; elsewhere a folder cannot be opened as a file
            if cfg!(unix) { File::open(&folder)?.sync_all() } else { Ok(()) }
        };
        finish().map_err(not_written)
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

/// Calls `visit` for each member in order; returns what each was found to be. A member that `visit` leaves unread is read to its end.
///
/// # Errors
/// As `visit` refuses; `archive_invalid` for what is cut short, damaged, or holds anything but plain files.
pub fn each(path: &Path, mut visit: impl FnMut(&str, &mut Lines<'_>) -> Result<()>) -> Result<Vec<Member>> {
    let file = File::open(path).map_err(|error| refused(format!("{} cannot be opened: {error}", path.display())))?;
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut members: Vec<Member> = Vec::new();
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let name =
            String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| refused("a name in it is no text"))?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(refused(format!("{name:?} in it is no plain file")));
        }
        if members.iter().any(|member| member.name == name) {
            return Err(refused(format!("{name} is in it twice")));
        }
        let size = entry.size();
        let mut lines = Lines { reader: BufReader::new(Digested { inner: entry, digest: Sha256::new() }), count: 0 };
        visit(&name, &mut lines)?;
        io::copy(&mut lines.reader, &mut io::sink()).map_err(damaged)?;
        members.push(Member::of(&name, size, lines.reader.into_inner().digest.finalize().as_slice()));
    }
    // The checksum of the gzip stands behind the tar's end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    Ok(members)
}

fn damaged(error: io::Error) -> loopd_types::Problem {
    refused(match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => format!("it is damaged or no archive at all ({error})"),
    })
}

/// The lines of a member.
pub struct Lines<'a> {
    reader: BufReader<Digested<tar::Entry<'a, GzDecoder<BufReader<File>>>>>,
    /// Lines so far.
    pub count: u64,
}

impl Lines<'_> {
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
