//! [`deliver`]: a file, or its thumbnail, as the answer: whole, in part, or not at all because the client has it.

use futures_util::StreamExt as _;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG};
use loopd_kernel::file::{self, File, thumbnail};
use loopd_types::{Problem, Result};

use crate::range::Part;
use crate::{Call, Content, Operation, Param, Reply, ResponseDoc, schema};

/// What a user uploaded is never a page of ours: no script, no form, no frame, no origin.
const SANDBOX: &str = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'";
/// Browsers' viewers of PDF do not open in a sandbox; a PDF has no origin to abuse.
const VIEWER: &str = "default-src 'none'; object-src 'self'; plugin-types application/pdf; frame-ancestors 'none'";
/// Files change owners and rights, not content: ask each time, send nothing twice.
const CACHE: &str = "private, no-cache";

/// How a file is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub is_inline: bool,
    pub thumbnail: Option<u32>,
}

impl Asked {
    /// From `?disposition=` and `?thumbnail=`.
    ///
    /// # Errors
    /// 400 under their names.
    pub fn read(call: &Call) -> Result<Self> {
        let is_inline = match call.query().get("disposition") {
            None | Some("attachment") => false,
            Some("inline") => true,
            Some(other) => return Err(choice("disposition", other)),
        };
        let thumbnail = match call.query().get("thumbnail") {
            None => None,
            Some(text) => {
                let size = text.parse().ok().filter(|size| thumbnail::SIZES.contains(size));
                Some(size.ok_or_else(|| choice("thumbnail", text))?)
            }
        };
        Ok(Self { is_inline, thumbnail })
    }
}

fn choice(field: &'static str, given: &str) -> Problem {
    let given: String = given.chars().take(50).collect();
    Problem::field(field, "invalid_choice", format!("\"{given}\" is not a valid choice."))
}

/// The documents of an operation that answers with content.
pub fn documented(operation: Operation) -> Operation {
    let any = || Content::of("*/*", schema::binary());
    operation
        .params(asked_params())
        .param(
            Param::header("Range", schema::string())
                .describe("One range of bytes; several are answered with the whole."),
        )
        .param(Param::header("If-Range", schema::string()).describe("The ETag that the range belongs to."))
        .param(Param::header("If-None-Match", schema::string()).describe("An ETag; 304 when the content still has it."))
        .response(
            ResponseDoc::empty(200, "The content.")
                .with(any())
                .header("ETag", "The content's SHA-256.")
                .header("Accept-Ranges", "`bytes`"),
        )
        .response(
            ResponseDoc::empty(206, "The part that was asked for.").with(any()).header("Content-Range", "Which part."),
        )
        .responds_empty(304, "The client has it.")
        .responds(416, "`range_not_satisfiable`: the file is shorter.", schema::component("Error"))
}

pub fn asked_params() -> [Param; 2] {
    [
        Param::query("disposition", schema::one_of(["attachment", "inline"])).describe(
            "`inline` lets a browser show pictures, sound, film, plain text and PDF; all else is always saved.",
        ),
        Param::query("thumbnail", schema::integer())
            .describe("128, 320 or 1024: the picture's thumbnail, with so many pixels on its longer side."),
    ]
}

/// Answers with the file.
///
/// # Errors
/// 412, 416; 404 `no_thumbnail`; 503.
pub async fn deliver(call: &Call, file: &File, asked: Asked) -> Result<Reply> {
    let made = match asked.thumbnail {
        Some(size) => Some((size, thumbnail::of(&call.kernel, file, size).await?)),
        None => None,
    };
    let (tag, length, content_type) = match &made {
        None => (file.sha256.clone(), file.size_bytes, file.content_type.as_str()),
        Some((size, made)) => (format!("{}-{size}", file.sha256), made.size_bytes, made.content_type.as_str()),
    };
    let part = Part::asked(call, &tag, length)?;
    if part == Part::Known {
        let known = Reply { status: http::StatusCode::NOT_MODIFIED, ..Reply::no_content() };
        return Ok(known.with_header(ETAG, &format!("\"{tag}\"")).with_header(CACHE_CONTROL, CACHE));
    }
    let range = part.range(length);
    let sent = range.end - range.start;
    let chunks = match &made {
        // A range of so small a thing is cut from the whole.
        Some((_, made)) => cut(made.read(&call.kernel).await?, range).boxed(),
        None => file::read(&call.kernel, file, range).await?,
    };
    let is_shown = asked.is_inline && file::may_show_inline(content_type);
    let told = match content_type {
        active if file::is_active(active) => "application/octet-stream",
        "text/plain" => "text/plain; charset=utf-8",
        other => other,
    };
    let reply = part.dress(Reply::stream_of(200, told, sent, chunks), &tag, length);
    let reply = if is_shown { reply.as_shown(&file.name) } else { reply.as_download(&file.name) };
    let policy = if content_type == "application/pdf" { VIEWER } else { SANDBOX };
    Ok(reply.with_header(CACHE_CONTROL, CACHE).with_header(CONTENT_SECURITY_POLICY, policy))
}

/// The bytes of `range` out of a stream that begins at 0.
fn cut(
    chunks: impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send + 'static,
    range: std::ops::Range<u64>,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send + 'static {
    chunks.scan(0u64, move |at, chunk| {
        let kept = chunk.map(|mut chunk| {
            let (begin, length) = (*at, chunk.len() as u64);
            *at += length;
            let first = range.start.clamp(begin, begin + length) - begin;
            let last = range.end.clamp(begin, begin + length) - begin;
            // Both lie within the chunk.
            chunk.truncate(usize::try_from(last).unwrap_or(usize::MAX));
            chunk.split_off(usize::try_from(first.min(last)).unwrap_or(0))
        });
        std::future::ready(Some(kept))
    })
}
