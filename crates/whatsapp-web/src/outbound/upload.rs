//! The file of a message on its way to WhatsApp: encrypted into a file without a name, and sent from there, whatever its size.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use loopd_kernel::{Kernel, file};
use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_wave::engine::{Failure, Outgoing, Signal, Unsent};
use loopd_wave::number::Number;
use tokio_util::io::{StreamReader, SyncIoBridge};
use whatsapp_rust::prelude::Client;
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::upload::{UploadSource, encrypt_media_streaming};

use crate::inbound::read::media_type;

const MEGABYTE: u64 = 1024 * 1024;

/// Bytes that are sent of each kind.
fn most(kind: &str) -> u64 {
    match kind {
        "sticker" => MEGABYTE,
        "image" => 16 * MEGABYTE,
        "video" | "audio" => 64 * MEGABYTE,
        _ => 100 * MEGABYTE,
    }
}

/// An encrypted file, which is read from any place on at every attempt.
struct Ciphertext {
    file: Arc<File>,
    length: u64,
}

struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl UploadSource for Ciphertext {
    fn len(&self) -> u64 {
        self.length
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(From { file: self.file.clone(), at: offset }))
    }
}

/// Brings the file of a message to WhatsApp; `None` for a message without one.
///
/// # Errors
/// What became of the message: it was certainly not sent.
pub async fn upload(
    kernel: &Arc<Kernel>,
    number: &Number,
    client: &Arc<Client>,
    outgoing: &Outgoing,
) -> Result<Option<UploadResponse>, Unsent> {
    let Some(id) = outgoing.content.media.as_ref().and_then(|media| media.file) else { return Ok(None) };
    let (company, kind) = (number.company, outgoing.content.kind.clone());
    let found = kernel.db.read(View::Company(company), move |reader| Ok(file::find(reader, company, id)?)).await;
    let found = found.map_err(later)?.ok_or_else(|| refused("file_gone", "The file is gone.".to_owned()))?;
    let limit = most(&kind);
    if found.size_bytes > limit {
        let words = format!("The file is larger than the {} MB that are sent of its kind.", limit / MEGABYTE);
        return Err(refused("media_refused", words));
    }
    let content = file::read(kernel, &found, 0..found.size_bytes).await.map_err(later)?;
    let plain = SyncIoBridge::new(StreamReader::new(content));
    let media_type = media_type(&kind);
    let encrypted = tokio::task::spawn_blocking(move || {
        let file = file::nameless()?;
        let info = encrypt_media_streaming(plain, BufWriter::new(&file), media_type).map_err(Problem::unavailable)?;
        let length = file.metadata().map_err(file::not_laid)?.len();
        Ok((Ciphertext { file: Arc::new(file), length }, info))
    });
    let (ciphertext, info) =
        encrypted.await.map_err(Problem::internal).and_then(|encrypted| encrypted).map_err(later)?;
    // Nothing was sent yet: an upload whose answer is lost is made again.
    let uploaded = client.upload_stream(ciphertext, info, media_type).await;
    uploaded
        .map(Some)
        .map_err(|error| later(Problem::unavailable(format!("the file could not be brought to WhatsApp: {error}"))))
}

fn later(problem: Problem) -> Unsent {
    let words = problem.cause().unwrap_or(problem.message()).to_owned();
    let failure = Failure { code: "unavailable".to_owned(), words };
    Unsent::Later { failure, after: Duration::from_secs(5), signal: Signal::None }
}

fn refused(code: &str, words: String) -> Unsent {
    Unsent::Refused { failure: Failure { code: code.to_owned(), words }, signal: Signal::None }
}
