//! Files: up before a message is sent, down after one came.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use loopd_kernel::file::{self, Wanted};
use loopd_kernel::job::{self, NewJob, Runner};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{CompanyId, Kind, Problem, Result, Uuid};
use serde_json::json;

use super::content::TEMPLATE;
use super::graph::{Line, Refusal, Trouble};
use super::uploads::Uploads;
use super::{Cloud, errors};
use crate::Wave;
use crate::engine::{Content, Failure, Media, Outgoing, Signal, Unsent};
use crate::message::{self, Message};
use crate::number::{self, Number};

/// The kind of job that fetches what a customer sent.
const FETCH: &str = "loopwave.media.fetch";
/// Bytes of a document, the largest that WhatsApp carries.
const DOCUMENT_MOST: u64 = 100 * 1024 * 1024;

/// Bytes that WhatsApp takes of what this message carries (spec/loopwave.md 6.1.1).
fn most(content: &Content, content_type: &str) -> u64 {
    // Above a template stands what its file is.
    let kind =
        if content.kind == TEMPLATE { content_type.split('/').next().unwrap_or_default() } else { &content.kind };
    match kind {
        "image" => 5 * 1024 * 1024,
        "video" | "audio" => 16 * 1024 * 1024,
        "sticker" => 500 * 1024,
        _ => DOCUMENT_MOST,
    }
}

/// Meta's id of what a message carries: known, or that of an upload. `None` for a message without a file.
///
/// # Errors
/// What became of the message: it was certainly not sent.
pub async fn to_send(
    line: &Line<'_>,
    kernel: &Arc<Kernel>,
    uploads: &Uploads,
    number: &Number,
    outgoing: &Outgoing,
) -> Result<Option<String>, Unsent> {
    let Some(media) = &outgoing.content.media else { return Ok(None) };
    let Some(id) = media.file else { return Ok(media.engine_id.clone()) };
    let is_template = outgoing.content.kind == TEMPLATE;
    if let Some(known) = uploads.known(number.id, id, kernel.now()).filter(|_| is_template) {
        return Ok(Some(known));
    }
    let company = number.company;
    let view = loopd_store::View::Company(company);
    let found = kernel.db.read(view, move |reader| Ok(file::find(reader, company, id)?)).await;
    let found = found.map_err(|problem| later(&problem))?.ok_or_else(|| refused("file_gone", "The file is gone."))?;
    let limit = most(&outgoing.content, &found.content_type);
    if found.size_bytes > limit {
        let words =
            format!("The file is larger than the {} MB that WhatsApp takes of its kind.", limit.div_ceil(1_048_576));
        return Err(refused("media_refused", &words));
    }
    let content = file::read(kernel, &found, 0..found.size_bytes).await.map_err(|problem| later(&problem))?;
    let name = media.name.as_deref().unwrap_or(&found.name);
    match line.upload(name, &found.content_type, found.size_bytes, content).await {
        Ok(known) => {
            if is_template {
                uploads.keep(number.id, id, &known, kernel.now());
            }
            Ok(Some(known))
        }
        // Nothing was sent yet: an upload whose answer is lost is made again.
        Err(Trouble::Unclear(words)) => Err(errors::unsent(Trouble::NotSent(words), outgoing.attempt)),
        Err(trouble) => Err(errors::unsent(trouble, outgoing.attempt)),
    }
}

fn later(problem: &Problem) -> Unsent {
    let words = problem.cause().unwrap_or(problem.message()).to_owned();
    let failure = Failure { code: "unavailable".to_owned(), words };
    Unsent::Later { failure, after: Duration::from_secs(5), signal: Signal::None }
}

fn refused(code: &str, words: &str) -> Unsent {
    Unsent::Refused { failure: Failure { code: code.to_owned(), words: words.to_owned() }, signal: Signal::None }
}

/// Has the file of a message fetched that came in.
///
/// # Errors
/// The database's.
pub fn fetch_later(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, message: &Message) -> Result<()> {
    let key = format!("{FETCH}:{}", message.id);
    let new = NewJob {
        kind: FETCH,
        company,
        payload: json!({"message": message.id.to_string()}).to_string(),
        run_at: kernel.now(),
        unique_key: Some(&key),
    };
    Ok(job::enqueue(tx, kernel, &new)?)
}

/// Gives the runner the jobs of this engine.
pub fn register_jobs(runner: &mut Runner, wave: &Arc<Wave>) {
    let Some(cloud) = wave.cloud.clone() else { return };
    let work: job::Handler = Arc::new(move |kernel, job| {
        let cloud = cloud.clone();
        Box::pin(async move {
            let id = job.payload["message"].as_str().and_then(|text| Uuid::parse_str(text).ok());
            let id = id.ok_or_else(|| Problem::internal("a job that fetches no message's file"))?;
            fetch(&cloud, &kernel, job.company, id).await
        })
    });
    runner.register(FETCH, work);
}

/// Fetches the file of a message into the company's files, once; what is gone at Meta is given up.
async fn fetch(cloud: &Cloud, kernel: &Arc<Kernel>, company: CompanyId, id: Uuid) -> Result<()> {
    let Some(access) = kernel.company_access(company).await? else { return Ok(()) };
    let tenant = Arc::new(Tenant::system(access, "loopwave"));
    let found = kernel
        .db
        .read(tenant.view(), move |reader| {
            let message = message::store::find(reader, company, id)?;
            let number = message.as_ref().map(|it| number::find(reader, company, it.number_id)).transpose()?.flatten();
            Ok(message.zip(number))
        })
        .await?;
    let Some((message, number)) = found else { return Ok(()) };
    let Some(Media { file: None, engine_id: Some(media), .. }) = message.content.media.clone() else { return Ok(()) };
    let line = cloud.line(kernel, &number)?;
    let told = match line.get(&[&media], &[("phone_number_id", &line.config.phone_number_id)]).await {
        Ok(told) => told,
        Err(Trouble::Refused(Refusal { status: 400 | 404, words, .. })) => {
            tracing::warn!(message = %id, words, "WhatsApp no longer has the file of a message");
            return Ok(());
        }
        Err(trouble) => return Err(Problem::unavailable(format!("the Graph API: {trouble}"))),
    };
    let url = told["url"].as_str().ok_or_else(|| Problem::unavailable("WhatsApp named no address of a file"))?;
    let wanted = Wanted {
        content_type: told["mime_type"].as_str().unwrap_or_default().to_owned(),
        sha256: told["sha256"].as_str().filter(|text| is_hex(text)).map(str::to_owned),
        ..Wanted::up_to(DOCUMENT_MOST)
    };
    let content = line.download(url, &kernel.egress).await;
    let content = content.map_err(|trouble| Problem::unavailable(format!("a file of WhatsApp's: {trouble}")))?;
    let content = content.map(|piece| piece.map_err(Problem::unavailable));
    let received = match file::receive(kernel, company, content, &wanted).await {
        Ok(received) => received,
        Err(problem) if problem.kind() == Kind::TooLarge => {
            tracing::warn!(message = %id, "a file is larger than WhatsApp's own limit, and is left");
            return Ok(());
        }
        Err(problem) => return Err(problem),
    };
    message::file::keep(kernel, &tenant, id, received).await
}

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
