//! A file's rows on the disk, in the pieces that are worked one after another: however large the file is, one piece is in memory.

use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::rc::Rc;

use loopd_kernel::file::{nameless, not_laid};
use loopd_types::{Problem, Result};
use serde::Serialize;

use super::{CHUNK_BYTES, CHUNK_ROWS, MOST_ROWS};

/// A file that was read.
#[derive(Debug)]
pub struct File {
    /// As the file calls them.
    pub columns: Vec<String>,
    pub rows: usize,
    pub pieces: usize,
    /// A line for each piece: a list of rows, each a list of cells, null where there is none. Without a name, so gone with this value.
    laid: fs::File,
}

impl File {
    /// Each piece as JSON, from the first.
    ///
    /// # Errors
    /// 503.
    pub fn pieces(&self) -> Result<impl Iterator<Item = Result<String>> + '_> {
        let mut laid = &self.laid;
        laid.seek(SeekFrom::Start(0)).map_err(not_laid)?;
        Ok(BufReader::new(laid).lines().map(|line| line.map_err(not_laid)))
    }
}

/// Lays rows down as they come.
pub(super) struct Laying {
    laid: BufWriter<fs::File>,
    piece: Vec<u8>,
    rows_of_piece: usize,
    rows: usize,
    pieces: usize,
}

impl Laying {
    pub fn new() -> Result<Self> {
        let laid = BufWriter::new(nameless()?);
        Ok(Self { laid, piece: Vec::new(), rows_of_piece: 0, rows: 0, pieces: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// 400 for one too many; 507; 503.
    pub fn row(&mut self, cells: &[impl Serialize]) -> Result<()> {
        self.rows += 1;
        require_few(self.rows)?;
        self.piece.push(if self.rows_of_piece == 0 { b'[' } else { b',' });
        serde_json::to_writer(&mut self.piece, cells).map_err(Problem::internal)?;
        self.rows_of_piece += 1;
        if self.rows_of_piece == CHUNK_ROWS || self.piece.len() >= CHUNK_BYTES { self.lay() } else { Ok(()) }
    }

    fn lay(&mut self) -> Result<()> {
        self.piece.extend_from_slice(b"]\n");
        self.laid.write_all(&self.piece).map_err(not_laid)?;
        self.piece.clear();
        self.rows_of_piece = 0;
        self.pieces += 1;
        Ok(())
    }

    pub fn finish(mut self, columns: Vec<String>) -> Result<File> {
        if self.rows_of_piece > 0 {
            self.lay()?;
        }
        let laid = self.laid.into_inner().map_err(|error| not_laid(error.into_error()))?;
        Ok(File { columns, rows: self.rows, pieces: self.pieces, laid })
    }
}

pub(super) fn require_few(rows: usize) -> Result<()> {
    if rows <= MOST_ROWS {
        return Ok(());
    }
    Err(refused(format!("A file may have {MOST_ROWS} rows at most: send the rest as another.")))
}

pub(super) fn refused(words: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::field("rows", "invalid", words)
}

/// How much may still be read, as whoever reads on has it: what comes from outside never says how much of it is one row.
#[derive(Clone, Default)]
pub(super) struct Allowance(Rc<Cell<usize>>);

impl Allowance {
    pub fn set(&self, bytes: usize) {
        self.0.set(bytes);
    }
    /// Whether reading ended here, and not at the end of the file.
    pub fn is_used_up(&self) -> bool {
        self.0.get() == 0
    }
    pub fn reader<R: Read>(&self, inner: R) -> Allowed<R> {
        Allowed { inner, allowance: self.clone() }
    }
}

/// Refuses to read on once the allowance is used up.
pub(super) struct Allowed<R> {
    inner: R,
    allowance: Allowance,
}

impl<R: Read> Read for Allowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.0.get();
        if left == 0 {
            return Err(io::Error::other("a row is too long"));
        }
        let most = buffer.len().min(left);
        let read = self.inner.read(&mut buffer[..most])?;
        self.allowance.set(left - read);
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file of these bytes, as it is laid aside when it comes.
    pub fn laid(bytes: &[u8]) -> fs::File {
        let mut file = nameless().expect("a temporary folder");
        file.write_all(bytes).expect("it can be written");
        file
    }

    pub fn rows(file: &File) -> Vec<Vec<serde_json::Value>> {
        let pieces = file.pieces().expect("pieces").map(|piece| piece.expect("a piece"));
        pieces.flat_map(|piece| serde_json::from_str::<Vec<Vec<serde_json::Value>>>(&piece).expect("rows")).collect()
    }

    #[test]
    fn a_piece_is_full_with_its_rows_or_with_their_bytes() {
        let lengths = |cell: &str, count: usize| {
            let mut laying = Laying::new().expect("a folder");
            (0..count).for_each(|_| laying.row(&[cell]).expect("a row"));
            let file = laying.finish(vec!["name".into()]).expect("a file");
            assert_eq!(file.pieces, file.pieces().expect("pieces").count());
            let lengths: Vec<usize> = file
                .pieces()
                .expect("they can be read again")
                .map(|piece| {
                    serde_json::from_str::<Vec<serde_json::Value>>(&piece.expect("a piece")).expect("rows").len()
                })
                .collect();
            assert_eq!((file.rows, lengths.len()), (count, file.pieces));
            lengths
        };
        assert_eq!(lengths("x", 0), [0usize; 0]);
        assert_eq!(lengths("x", 100), [100]);
        assert_eq!(lengths("x\ny", 250), [100, 100, 50]);
        assert_eq!(lengths(&"x".repeat(1 << 20), 9), [4, 4, 1]);
    }
}
