//! `/files/uploads/`: uploads in pieces by tus 1.0 (https://tus.io), with creation, creation-with-upload, checksum, expiration and
//! termination. Any tus client works; the file has the upload's id.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CACHE_CONTROL, HeaderName, LOCATION};
use http::{Method, StatusCode};
use loopd_kernel::file::upload::{self, NewUpload, Upload};
use loopd_kernel::file::{self, Purpose};
use loopd_types::{Kind, Problem, Result, Timestamp};
use loopd_web::operation::RateClass;
use loopd_web::{Call, Content, Operation, Param, Reply, ResponseDoc, schema};
use serde_json::json;

use super::{AFTERWARDS, FILES, IDLE, MAX_BODY};

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,checksum,expiration,termination";
const PIECE: &str = "application/offset+octet-stream";
const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Longest `Upload-Metadata`.
const MAX_METADATA: usize = 8 * 1024;

pub fn operations() -> Vec<Operation> {
    let base = format!("{}uploads/", FILES.url());
    let item = format!("{base}{{id}}/");
    let op = |operation: Operation, summary: &str| {
        FILES
            .document(operation, summary)
            .tenant(None, &FILES.permission("create"))
            // The offset makes a repeat harmless.
            .without_effect()
            .param(Param::header("Tus-Resumable", schema::constant(VERSION)).required())
            .responds(412, "`tus_version`: this server speaks tus 1.0.0.", schema::component("Error"))
    };
    let offset = |status, words: &str| {
        ResponseDoc::empty(status, words)
            .header("Upload-Offset", "Bytes that the server has.")
            .header("Upload-Expires", "When an unfinished upload is thrown away.")
    };
    let state = schema::object([
        ("id", schema::uuid()),
        ("name", schema::string()),
        ("size_bytes", schema::integer()),
        ("received_bytes", schema::integer()),
        ("expires_at", schema::date_time()),
        ("is_finished", schema::boolean()),
    ]);
    vec![
        Operation::new(Method::OPTIONS, "files_uploads_options", &base, |_| async { Ok(options()) })
            .rate(RateClass::Unlimited)
            .without_effect()
            .undocumented(),
        op(Operation::post("files_uploads_create", &base, create), "Begin an upload in pieces (tus)")
            .describe(
                "tus 1.0: `Upload-Length` and `Upload-Metadata` (`filename`, `filetype`, `sha256`, `purpose`), then PATCH. A finished upload is \
                 the file of the same id.",
            )
            .streams_body(MAX_BODY, IDLE)
            .timeout(AFTERWARDS)
            .param(Param::header("Upload-Length", schema::integer()).required())
            .param(Param::header("Upload-Metadata", schema::string()).describe("`key base64`, comma separated."))
            .param(Param::header("Upload-Checksum", schema::string()))
            .accepts(false, Content::of("*/*", schema::binary()))
            .response(offset(201, "It can be sent now.").header("Location", "Where the pieces go.")),
        op(Operation::get("files_uploads_retrieve", &item, retrieve), "How far an upload has come; HEAD for tus")
            .response(ResponseDoc::json(200, "The upload.", state).header("Upload-Offset", "Bytes that the server has.")),
        op(Operation::patch("files_uploads_append", &item, append), "Send the next piece")
            .streams_body(MAX_BODY, IDLE)
            .timeout(AFTERWARDS)
            .param(Param::header("Upload-Offset", schema::integer()).required())
            .param(Param::header("Upload-Checksum", schema::string()).describe("`sha1` or `sha256`, and the sum in base64."))
            .accepts(true, Content::of("*/*", schema::binary()))
            .response(offset(204, "The piece is kept; after the last one the file is there."))
            .responds(409, "`wrong_offset`: ask with HEAD and go on from there.", schema::component("Error"))
            .responds(415, "The piece is not application/offset+octet-stream.", schema::component("Error"))
            .responds(460, "`checksum_mismatch`: the piece was thrown away.", schema::component("Error")),
        op(Operation::delete("files_uploads_destroy", &item, destroy), "Give an upload up")
            .responds_empty(204, "What came of it is thrown away."),
    ]
}

fn options() -> Reply {
    let reply = Reply::no_content()
        .with_header(HeaderName::from_static("tus-version"), VERSION)
        .with_header(HeaderName::from_static("tus-extension"), EXTENSIONS)
        .with_header(HeaderName::from_static("tus-checksum-algorithm"), "sha1,sha256");
    spoken(reply)
}

fn spoken(reply: Reply) -> Reply {
    reply.with_header(RESUMABLE, VERSION)
}

/// Runs a handler under tus's own rules: its version is asked for, and told in refusals too.
async fn speaking(call: &Call, work: impl Future<Output = Result<Reply>>) -> Result<Reply> {
    let outcome = match call.header(RESUMABLE.as_str()) {
        Some(VERSION) => work.await.map(spoken),
        _ => Err(Problem::new(Kind::PreconditionFailed, "tus_version", "Send Tus-Resumable: 1.0.0.")
            .with_header("Tus-Version", VERSION)),
    };
    outcome.map_err(|problem| problem.with_header("Tus-Resumable", VERSION))
}

fn number(call: &Call, name: HeaderName) -> Result<Option<u64>> {
    let Some(text) = call.header(name.as_str()) else { return Ok(None) };
    let wrong = || Problem::invalid("invalid_header", format!("{name} is no whole number."));
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    text.parse().map(Some).map_err(|_| wrong())
}

async fn create(call: Call) -> Result<Reply> {
    speaking(&call, async {
        let (kernel, tenant) = (call.kernel.clone(), call.tenant()?.clone());
        let size_bytes = number(&call, LENGTH)?.ok_or_else(|| {
            Problem::invalid("length_required", "Upload-Length is required; it cannot be told later.")
        })?;
        let max_bytes = file::room_for(&kernel, tenant.company, size_bytes).await?;
        if size_bytes > max_bytes {
            let words = "The file is larger than the company's plan allows.";
            return Err(Problem::new(Kind::TooLarge, "file_too_large", words).with_extra("limit_bytes", max_bytes));
        }
        let metadata = call.header(METADATA.as_str()).unwrap_or_default().to_owned();
        let told = Told::read(&metadata)?;
        let new = NewUpload {
            id: kernel.new_id(),
            name: told.name,
            content_type: told.content_type,
            metadata,
            purpose: told.purpose,
            sha256: told.sha256,
            size_bytes,
        };
        let (id, work, opener) = (new.id, kernel.clone(), tenant.clone());
        let mut made = kernel
            .db
            .write(tenant.view(), move |tx| {
                upload::open(tx, &work, &opener, &new)?;
                upload::find(tx, &work, &opener, id)
            })
            .await?;
        let has_piece = call.header("content-type").is_some_and(|given| given.trim().eq_ignore_ascii_case(PIECE));
        if has_piece || size_bytes == 0 {
            let checksum = call.header("upload-checksum").map(str::to_owned);
            made = upload::append(&kernel, &tenant, &made, 0, checksum, call.upload()?.into_stream()).await?;
        }
        let location = format!("{}/{id}/", call.url().trim_end_matches('/'));
        let reply = Reply { status: StatusCode::CREATED, ..Reply::no_content() }.with_header(LOCATION, &location);
        Ok(progress(reply, &made))
    })
    .await
}

async fn find(call: &Call) -> Result<Upload> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let view = tenant.view();
    call.kernel.db.read(view, move |reader| upload::find(reader, &kernel, &tenant, id)).await
}

async fn retrieve(call: Call) -> Result<Reply> {
    speaking(&call, async {
        let found = upload::resume(&call.kernel, call.tenant()?, find(&call).await?).await?;
        let state = json!({
            "id": found.id.to_string(), "name": found.name, "size_bytes": found.size_bytes, "received_bytes": found.received_bytes,
            "expires_at": found.expires_at.to_string(), "is_finished": found.is_finished,
        });
        let reply = Reply::json(200, &state)?
            .with_header(LENGTH, &found.size_bytes.to_string())
            .with_header(CACHE_CONTROL, "no-store");
        let reply = if found.metadata.is_empty() { reply } else { reply.with_header(METADATA, &found.metadata) };
        Ok(progress(reply, &found))
    })
    .await
}

async fn append(call: Call) -> Result<Reply> {
    speaking(&call, async {
        let found = find(&call).await?;
        if !call.header("content-type").is_some_and(|given| given.trim().eq_ignore_ascii_case(PIECE)) {
            let words = format!("Send pieces as {PIECE}.");
            return Err(Problem::new(Kind::UnsupportedMediaType, "unsupported_media_type", words));
        }
        let offset =
            number(&call, OFFSET)?.ok_or_else(|| Problem::invalid("offset_required", "Upload-Offset is required."))?;
        let checksum = call.header("upload-checksum").map(str::to_owned);
        let chunks = call.upload()?.into_stream();
        let now = upload::append(&call.kernel, call.tenant()?, &found, offset, checksum, chunks).await?;
        Ok(progress(Reply::no_content(), &now))
    })
    .await
}

async fn destroy(call: Call) -> Result<Reply> {
    speaking(&call, async {
        let found = find(&call).await?;
        let kernel = call.kernel.clone();
        let work = move |tx: &mut loopd_store::Tx<'_>| upload::remove(tx, &kernel, &found);
        call.kernel.db.write(call.tenant()?.view(), work).await?;
        Ok(Reply::no_content())
    })
    .await
}

fn progress(reply: Reply, upload: &Upload) -> Reply {
    let reply = reply.with_header(OFFSET, &upload.received_bytes.to_string());
    if upload.is_finished { reply } else { reply.with_header(EXPIRES, &http_date(upload.expires_at)) }
}

/// IMF-fixdate of RFC 9110, 5.6.7.
fn http_date(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What `Upload-Metadata` tells of the file.
#[derive(Debug)]
struct Told {
    name: String,
    content_type: String,
    sha256: Option<String>,
    purpose: Purpose,
}

impl Told {
    /// # Errors
    /// 400 `invalid_metadata`; 400 under `sha256` and `purpose`.
    fn read(metadata: &str) -> Result<Self> {
        let wrong =
            || Problem::invalid("invalid_metadata", "Upload-Metadata is a comma separated list of `key base64`.");
        if metadata.len() > MAX_METADATA {
            return Err(wrong());
        }
        let mut told =
            Self { name: String::new(), content_type: String::new(), sha256: None, purpose: Purpose::Library };
        for entry in metadata.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (key, value) = entry.split_once(' ').unwrap_or((entry, ""));
            let value = BASE64_STANDARD.decode(value.trim()).map_err(|_| wrong())?;
            let value = String::from_utf8(value).map_err(|_| wrong())?;
            match key {
                // What tus-js-client and Uppy call them.
                "filename" | "name" => told.name = value,
                "filetype" | "type" => told.content_type = value,
                "sha256" if value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    told.sha256 = Some(value)
                }
                "sha256" => return Err(Problem::field("sha256", "invalid", "A SHA-256 has 64 hexadecimal digits.")),
                "purpose" => {
                    told.purpose = match value.as_str() {
                        "library" => Purpose::Library,
                        "attachment" => Purpose::Attachment,
                        _ => return Err(Problem::field("purpose", "invalid_choice", "Either library or attachment.")),
                    };
                }
                _ => {}
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_as_tus_writes_it() {
        let told =
            Told::read("filename w6kucGRm, filetype YXBwbGljYXRpb24vcGRm,is_confidential,purpose YXR0YWNobWVudA==")
                .unwrap();
        assert_eq!((told.name.as_str(), told.content_type.as_str()), ("é.pdf", "application/pdf"));
        assert_eq!(told.purpose, Purpose::Attachment);
        for wrong in ["filename %", "purpose ZXhwb3J0", "sha256 YWI="] {
            assert_eq!(Told::read(wrong).unwrap_err().status(), 400, "{wrong}");
        }
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(Timestamp(784_111_777_000_000)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
