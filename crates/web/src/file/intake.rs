//! [`take`]: a file out of a request: a form with one file, or the bytes alone.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::Stream;
use loopd_kernel::Kernel;
use loopd_kernel::file::{self, Received, Wanted};
use loopd_types::{CompanyId, Problem, Result, hex};
use serde_json::Value;

use super::{AFTERWARDS, IDLE, MAX_BODY};
use crate::multipart::Multipart;
use crate::{Call, Content, Operation, Param, Reply, Schema as _, schema};

/// Longest text of a form beside its file, and how many there may be.
const MAX_TEXT: usize = 4 * 1024;
const MAX_TEXTS: usize = 20;

/// A file that was read; its content is in the store, and nobody's yet.
pub struct Taken {
    pub received: Received,
    pub name: String,
    /// `name`, `purpose`, `sha256`: from the form, or from the query.
    pub texts: BTreeMap<String, String>,
}

/// Makes an operation take a file in either form, with `beside` among the form's fields.
pub fn documented(operation: Operation, beside: &[(&'static str, Value)]) -> Operation {
    let fields =
        [("file", schema::binary()), ("name", schema::text(1, 255)), ("sha256", schema::pattern("^[0-9a-fA-F]{64}$"))];
    let form = schema::object(fields.into_iter().chain(beside.iter().cloned()));
    operation
        .streams_body(MAX_BODY, IDLE)
        .timeout(AFTERWARDS)
        .param(
            Param::query("name", schema::text(1, 255)).describe("The file's name, where the body is the file itself."),
        )
        .param(
            Param::query("sha256", schema::pattern("^[0-9a-fA-F]{64}$"))
                .describe("Refuse content that has another sum."),
        )
        .param(
            Param::header("Repr-Digest", schema::string()).describe("The same as RFC 9530 writes it: `sha-256=:…:`."),
        )
        .accepts(true, Content::of("multipart/form-data", form.required(["file"])))
        .accepts(true, Content::of("*/*", schema::binary()))
        .responds(413, "`file_too_large`: the plan allows less.", schema::component("Error"))
        .responds(507, "`storage_full`: nothing was kept.", schema::component("Error"))
}

/// Reads the file of a call into the store.
///
/// # Errors
/// 400 under `file`; whatever [`file::receive`] refuses.
pub async fn take(call: &Call, company: CompanyId) -> Result<Taken> {
    let content_type = call.header("content-type").unwrap_or_default().to_owned();
    let upload = call.upload()?;
    let max_bytes = file::room_for(&call.kernel, company, upload.announced().unwrap_or(0)).await?;
    let mut texts: BTreeMap<String, String> = ["name", "purpose", "sha256"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), call.query().get(name)?.to_owned())))
        .collect();
    if let Some(sum) = digest(call)? {
        texts.insert("sha256".to_owned(), sum);
    }
    let is_form = content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data");
    if !is_form {
        let wanted = wanted(max_bytes, &content_type, &texts)?;
        let received = file::receive(&call.kernel, company, upload.into_stream(), &wanted).await?;
        let name = texts.get("name").cloned().unwrap_or_default();
        return Ok(Taken { received, name, texts });
    }
    let mut form = Multipart::new(upload, &content_type)?;
    let mut taken: Option<(Received, String)> = None;
    let read = async {
        while let Some(field) = form.next().await? {
            if field.file_name().is_some() || field.name() == "file" {
                if taken.is_some() {
                    return Err(Problem::field("file", "invalid", "Send one file in a request."));
                }
                let name = field.file_name().unwrap_or_default().to_owned();
                let wanted = wanted(max_bytes, field.content_type(), &texts)?;
                taken = Some((receive(call, company, field.chunks(), &wanted).await?, name));
            } else if texts.len() < MAX_TEXTS {
                let name = field.name().to_owned();
                texts.insert(name, field.text(MAX_TEXT).await?);
            } else {
                return Err(Problem::invalid("parse_error", "The form has too many fields."));
            }
        }
        Ok(())
    }
    .await;
    let checked = read.and_then(|()| match &taken {
        None => Err(Problem::field("file", "required", "No file was submitted.")),
        // A sum that came after the file.
        Some((received, _)) => match texts.get("sha256") {
            Some(sum) if !sum.eq_ignore_ascii_case(&received.sha256) => {
                Err(Problem::invalid("checksum_mismatch", "The content does not have the checksum that came with it."))
            }
            _ => Ok(()),
        },
    });
    match (checked, taken) {
        (Ok(()), Some((received, file_name))) => {
            let name = texts.get("name").cloned().filter(|name| !name.trim().is_empty()).unwrap_or(file_name);
            Ok(Taken { received, name, texts })
        }
        (outcome, taken) => {
            if let Some((received, _)) = taken {
                file::discard(&call.kernel, &received).await;
            }
            Err(outcome.err().unwrap_or_else(|| Problem::internal("a form without a file passed")))
        }
    }
}

async fn receive(
    call: &Call,
    company: CompanyId,
    chunks: impl Stream<Item = Result<Bytes>> + Send,
    wanted: &Wanted,
) -> Result<Received> {
    file::receive(&call.kernel, company, chunks, wanted).await
}

fn wanted(max_bytes: u64, content_type: &str, texts: &BTreeMap<String, String>) -> Result<Wanted> {
    let sha256 = texts.get("sha256").cloned();
    if sha256.as_ref().is_some_and(|sum| sum.len() != 64 || !sum.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(Problem::field("sha256", "invalid", "A SHA-256 has 64 hexadecimal digits."));
    }
    Ok(Wanted { content_type: content_type.to_owned(), sha256, ..Wanted::up_to(max_bytes) })
}

/// The SHA-256 of `Repr-Digest` or `Content-Digest` (RFC 9530), in hex.
fn digest(call: &Call) -> Result<Option<String>> {
    let header = call.header("repr-digest").or_else(|| call.header("content-digest"));
    let entry = header.unwrap_or_default().split(',').find_map(|entry| entry.trim().strip_prefix("sha-256="));
    let Some(sum) = entry else { return Ok(None) };
    let wrong = || Problem::invalid("invalid_digest", "The digest is no SHA-256 between colons, in base64.");
    let sum = sum.trim().strip_prefix(':').and_then(|sum| sum.strip_suffix(':')).ok_or_else(wrong)?;
    let bytes = BASE64_STANDARD.decode(sum).map_err(|_| wrong())?;
    if bytes.len() != 32 {
        return Err(wrong());
    }
    Ok(Some(hex(&bytes)))
}

/// After the transaction: content that it did not make a file of goes.
pub async fn settle(kernel: &Kernel, received: &Received, outcome: Result<Reply>) -> Result<Reply> {
    let is_kept = outcome.as_ref().is_ok_and(|reply| !reply.headers.contains_key("idempotency-replayed"));
    if !is_kept {
        file::discard(kernel, received).await;
    }
    outcome
}
