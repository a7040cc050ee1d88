//! [`receive`]: a stream of bytes into the store, measured, hashed and looked at on the way. Nothing of it is a file yet.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use loopd_types::{CompanyId, Kind, Problem, Result, hex};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{content_type, ledger};
use crate::Kernel;

/// What content must be like to be taken.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub max_bytes: u64,
    /// What the client calls it.
    pub content_type: String,
    /// In hex, as the client has it.
    pub sha256: Option<String>,
    /// `<algorithm> <base64>` of tus: `sha1` or `sha256`.
    pub checksum: Option<String>,
    /// When the stream breaks, what came until then is kept: parts of a larger upload.
    pub keeps_broken: bool,
}

impl Wanted {
    pub fn up_to(max_bytes: u64) -> Self {
        Self { max_bytes, ..Self::default() }
    }
}

/// Content that is in the store, durable, and belongs to nobody yet: [`super::keep`] or [`super::discard`] it.
#[derive(Clone, Debug)]
pub struct Received {
    pub company: CompanyId,
    pub size_bytes: u64,
    /// In hex.
    pub sha256: String,
    pub content_type: String,
    pub(crate) blob_key: String,
}

/// Writes a stream into the store.
///
/// # Errors
/// What the stream refuses; 413 `file_too_large`; 400 `checksum_mismatch`; 460 `checksum_mismatch` for a checksum of tus; 507
/// `storage_full`; 503. In each case nothing is kept.
pub async fn receive<S>(kernel: &Kernel, company: CompanyId, chunks: S, wanted: &Wanted) -> Result<Received>
where
    S: Stream<Item = Result<Bytes>> + Send,
{
    let checksum = wanted.checksum.as_deref().map(Checksum::parse).transpose()?;
    let _place = kernel.blobs.writers.clone().acquire_owned().await.map_err(Problem::unavailable)?;
    let key = ledger::begin(kernel, company).await?;
    match write(kernel, &key, chunks, wanted, checksum).await {
        Ok((size_bytes, sha256, content_type)) => {
            Ok(Received { company, size_bytes, sha256, content_type, blob_key: key })
        }
        Err(problem) => {
            if let Err(problem) = ledger::give_up(kernel, company, &key).await {
                tracing::warn!(cause = problem.cause(), "content that was refused is left to the sweep");
            }
            Err(problem)
        }
    }
}

async fn write<S>(
    kernel: &Kernel,
    key: &str,
    chunks: S,
    wanted: &Wanted,
    mut checksum: Option<Checksum>,
) -> Result<(u64, String, String)>
where
    S: Stream<Item = Result<Bytes>> + Send,
{
    let mut writer = kernel.blobs.writer(key);
    let outcome = async {
        let mut chunks = std::pin::pin!(chunks);
        let (mut hash, mut size, mut head) = (Sha256::new(), 0u64, Vec::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(_) if wanted.keeps_broken && size > 0 && checksum.is_none() => break,
                Err(problem) => return Err(problem),
            };
            size += chunk.len() as u64;
            if size > wanted.max_bytes {
                return Err(too_large(wanted.max_bytes));
            }
            hash.update(&chunk);
            if let Some(checksum) = &mut checksum {
                checksum.update(&chunk);
            }
            let missing = content_type::HEAD_BYTES.saturating_sub(head.len());
            head.extend_from_slice(&chunk[..chunk.len().min(missing)]);
            writer.write(chunk).await?;
        }
        let hash = hex(&hash.finalize());
        if wanted.sha256.as_ref().is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&hash)) {
            let words = "The content does not have the checksum that came with it.";
            return Err(Problem::invalid("checksum_mismatch", words).with_extra("sha256", hash));
        }
        if let Some(checksum) = checksum {
            checksum.check()?;
        }
        Ok((size, hash, content_type::sniff(&head, &wanted.content_type)))
    }
    .await;
    match outcome {
        Ok(done) => writer.finish().await.map(|()| done),
        Err(problem) => {
            writer.abandon().await;
            Err(problem)
        }
    }
}

pub(super) fn too_large(limit: u64) -> Problem {
    Problem::new(Kind::TooLarge, "file_too_large", "The file is larger than the company's plan allows.")
        .with_extra("limit_bytes", limit)
}

/// `Upload-Checksum` of tus 1.0.
struct Checksum {
    hash: Hash,
    wanted: Vec<u8>,
}

enum Hash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Checksum {
    /// # Errors
    /// 400 `invalid_checksum`: another algorithm, or no base64.
    fn parse(text: &str) -> Result<Self> {
        let wrong =
            || Problem::invalid("invalid_checksum", "Upload-Checksum is `sha1` or `sha256` and the sum in base64.");
        let (algorithm, sum) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let hash = match algorithm {
            "sha1" => Hash::Sha1(Sha1::new()),
            "sha256" => Hash::Sha256(Sha256::new()),
            _ => return Err(wrong()),
        };
        Ok(Self { hash, wanted: BASE64_STANDARD.decode(sum.trim()).map_err(|_| wrong())? })
    }

    fn update(&mut self, chunk: &[u8]) {
        match &mut self.hash {
            Hash::Sha1(hash) => hash.update(chunk),
            Hash::Sha256(hash) => hash.update(chunk),
        }
    }

    fn check(self) -> Result<()> {
        let is = match self.hash {
            Hash::Sha1(hash) => hash.finalize().to_vec(),
            Hash::Sha256(hash) => hash.finalize().to_vec(),
        };
        if is == self.wanted {
            return Ok(());
        }
        let words = "The content does not have the checksum that came with it; it was thrown away.";
        Err(Problem::new(Kind::ChecksumMismatch, "checksum_mismatch", words))
    }
}
