//! From a thread that writes to a task that reads: how an archive reaches the file store, and content comes out of an archive.

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::Stream;
use loopd_types::{Kind, Problem, Result};
use tokio::sync::mpsc;

/// Bytes that are handed on at once.
const PIECE: usize = 256 * 1024;
/// What the stream of a sink that was dropped ends with.
pub const GIVEN_UP: &str = "given_up";
/// Pieces that wait for whoever reads; the writer waits with the next.
const WAITING: usize = 4;

/// The end that is written to, on a thread that may block.
pub struct Sink {
    /// `None` says that all was written; an end without it that the writer gave up.
    pieces: mpsc::Sender<Option<Bytes>>,
    waiting: Vec<u8>,
}

/// A sink and what is read from it. The stream ends with 503 when the sink is dropped before [`Sink::finish`].
pub fn pipe() -> (Sink, impl Stream<Item = Result<Bytes>> + Send + 'static) {
    let (pieces, reader) = mpsc::channel(WAITING);
    let stream = futures_util::stream::unfold(Some(reader), |reader| async move {
        let mut reader: mpsc::Receiver<Option<Bytes>> = reader?;
        match reader.recv().await {
            Some(Some(piece)) => Some((Ok(piece), Some(reader))),
            Some(None) => None,
            None => {
                let words = "What was written was given up before its end.";
                Some((Err(Problem::new(Kind::Unavailable, GIVEN_UP, words)), None))
            }
        }
    });
    (Sink { pieces, waiting: Vec::new() }, stream)
}

impl Sink {
    /// # Errors
    /// `BrokenPipe` when nobody reads any more.
    pub fn finish(mut self) -> io::Result<()> {
        self.hand_on()?;
        self.send(None)
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.waiting);
        if piece.is_empty() { Ok(()) } else { self.send(Some(piece.into())) }
    }

    fn send(&self, piece: Option<Bytes>) -> io::Result<()> {
        self.pieces.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        if self.waiting.len() == PIECE {
            self.hand_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
