//! Fetching the files that came in: one job for each, on any node, over WhatsApp's hosts, which ask for no connection; with one they are
//! asked for through it, so that what is too old is brought up again.

use std::io::Seek as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use loopd_kernel::file::{self, Wanted};
use loopd_kernel::job::{self, NewJob, Runner};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{Kind, Problem, Result, Uuid};
use loopd_wave::engine::Media;
use loopd_wave::engine::web::store::state::{self, Whose};
use loopd_wave::message::{self, Message};
use serde_json::json;
use tokio_util::io::ReaderStream;
use whatsapp_rust::download::{DownloadParams, MediaDownloader};
use whatsapp_rust::error::ErrorChainExt as _;
use whatsapp_rust::{TokioRuntime, anyhow};

use crate::backend::{Backend, kind};
use crate::engine::Web;
use crate::inbound::read::{Locked, media_type};

/// The kind of job that fetches what a customer sent.
const FETCH: &str = "loopwave.web.media.fetch";
/// A file as it is read.
type Content = BoxStream<'static, Result<Bytes>>;

/// Bytes of a file that are fetched.
const MOST: u64 = 100 * 1024 * 1024;

/// Has the file of a message fetched that came in.
///
/// # Errors
/// The database's.
pub fn fetch_later(tx: &mut Tx<'_>, kernel: &Kernel, whose: Whose, message: &Message) -> Result<()> {
    let key = format!("{FETCH}:{}", message.id);
    let payload = json!({"message": message.id.to_string()}).to_string();
    let new = NewJob { kind: FETCH, company: whose.company, payload, run_at: kernel.now(), unique_key: Some(&key) };
    Ok(job::enqueue(tx, kernel, &new)?)
}

/// Gives the runner the jobs of this engine.
pub fn register_jobs(runner: &mut Runner, web: &Arc<Web>) {
    let web = web.clone();
    let work: job::Handler = Arc::new(move |kernel, job| {
        let web = web.clone();
        Box::pin(async move {
            let id = job.payload["message"].as_str().and_then(|text| Uuid::parse_str(text).ok());
            let id = id.ok_or_else(|| Problem::internal("a job that fetches no message's file"))?;
            let Some(access) = kernel.company_access(job.company).await? else { return Ok(()) };
            fetch(&web, &kernel, &Arc::new(Tenant::system(access, "loopwave web")), id).await
        })
    });
    runner.register(FETCH, work);
}

/// Fetches the file of a message into the company's files, once; what WhatsApp no longer has is given up.
async fn fetch(web: &Arc<Web>, kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, id: Uuid) -> Result<()> {
    let company = tenant.company;
    let found = kernel.db.read(tenant.view(), move |reader| Ok(message::store::find(reader, company, id)?)).await?;
    let Some(message) = found else { return Ok(()) };
    let whose = Whose { company, number: message.number_id };
    let backend = Backend::new(kernel.clone(), whose, web.owner().into());
    let name = Backend::plain(kind::MEDIA, id.to_string());
    let Some(locked) = backend.locked(name.clone()).await? else { return Ok(()) };
    let Some(Media { file: None, content_type, .. }) = message.content.media else { return Ok(()) };
    match download(web, whose, &locked).await? {
        Some(content) => {
            let wanted = Wanted { content_type, ..Wanted::up_to(MOST) };
            match file::receive(kernel, company, content, &wanted).await {
                Ok(received) => message::file::keep(kernel, tenant, id, received).await?,
                Err(problem) if problem.kind() == Kind::TooLarge => {
                    tracing::warn!(message = %id, "a file is larger than what is fetched, and is left");
                }
                Err(problem) => return Err(problem),
            }
        }
        None => tracing::warn!(message = %id, "WhatsApp no longer has the file of a message, or it is too large"),
    }
    kernel.db.write(tenant.view(), move |tx| Ok(state::remove(tx, whose, std::slice::from_ref(&name))?)).await
}

/// The file, decrypted and proved whole; `None` for one that WhatsApp does not have any more.
async fn download(web: &Arc<Web>, whose: Whose, locked: &Locked) -> Result<Option<Content>> {
    if locked.file_length > MOST {
        return Ok(None);
    }
    let params = DownloadParams::encrypted(
        locked.direct_path.as_str(),
        &locked.media_key,
        &locked.file_sha256,
        &locked.file_enc_sha256,
        locked.file_length,
        media_type(&locked.kind),
    );
    let aside = tokio::task::spawn_blocking(file::nameless).await.map_err(Problem::internal)??;
    let connected = web.line(whose).and_then(|line| line.connected());
    let is_connected = connected.is_some();
    let fetched = match connected {
        Some(client) => client.download_to_writer(&params, aside).await,
        None => {
            let http = Arc::new(web.shared().http);
            let downloader = MediaDownloader::with_default_hosts(http, Arc::new(TokioRuntime));
            downloader.download_to_writer(&params, aside).await.map_err(anyhow::Error::from)
        }
    };
    match fetched {
        Ok(mut file) => {
            file.rewind().map_err(file::not_laid)?;
            let pieces = ReaderStream::new(tokio::fs::File::from_std(file));
            Ok(Some(pieces.map(|piece| piece.map_err(file::not_laid)).boxed()))
        }
        // Without a connection the same answer may mean that only the way to it is too old.
        Err(error) if is_connected && matches!(error.http_status(), Some(404 | 410)) => Ok(None),
        Err(error) => Err(Problem::unavailable(format!("a file of WhatsApp's: {error}"))),
    }
}
