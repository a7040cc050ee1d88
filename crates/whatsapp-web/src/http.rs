//! The library's requests over the house's own client: to WhatsApp's hosts for files, and for the version of WhatsApp Web. Addresses come
//! from WhatsApp and from messages, so they are guarded as if a stranger had chosen them.

use std::io::{self, Read};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use loopd_kernel::egress::{Answer, Egress, Outbound, Pieces, Policy};
use tokio::runtime::Handle;
use tokio_util::io::SyncIoBridge;
use whatsapp_rust::anyhow::{Result, anyhow, bail};
use whatsapp_rust::wacore::net::{HttpClient, HttpRequest, HttpResponse, StreamingHttpResponse, UploadBody};

/// How long a file may take.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of an answer that is held in memory: the largest is a piece of a telephone's past.
const ANSWER_MOST: usize = 64 * 1024 * 1024;
/// Bytes that are read of an upload at once.
const PIECE: usize = 64 * 1024;
/// The headers that the library sends.
const HEADERS: [&str; 5] = ["content-type", "origin", "referer", "sec-fetch-site", "user-agent"];

/// Requests of one engine.
#[derive(Clone, Debug)]
pub struct Http(Egress);

impl Http {
    /// # Errors
    /// In words, when TLS cannot be set up.
    pub fn new() -> std::result::Result<Self, String> {
        Ok(Self(Egress::guarded(TIMEOUT, Policy::default())?))
    }
}

/// The request as the house sends it.
fn outbound(request: &HttpRequest) -> Result<Outbound> {
    let method = match request.method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        other => bail!("no request of the library's is a {other}"),
    };
    let mut headers = Vec::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        let known = HEADERS.into_iter().find(|known| known.eq_ignore_ascii_case(name));
        headers
            .push((known.ok_or_else(|| anyhow!("no request of the library's has the header {name}"))?, value.clone()));
    }
    Ok(Outbound { method, url: request.url.clone(), headers, body: Vec::new() })
}

fn response(answer: Answer) -> Result<HttpResponse> {
    // A refusal is told by its status; what belongs to it may be as long as it likes.
    if answer.is_cut && answer.status < 300 {
        bail!("the answer is longer than {ANSWER_MOST} bytes");
    }
    Ok(HttpResponse { status_code: answer.status, body: answer.body })
}

/// A body that is read in a thread that may block, as it goes out.
fn pieces(mut body: UploadBody) -> Pieces {
    let (give, take) = tokio::sync::mpsc::channel::<io::Result<bytes::Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; PIECE];
        loop {
            let read = match body.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => Ok(bytes::Bytes::copy_from_slice(&piece[..read])),
                Err(error) => Err(error),
            };
            let is_over = read.is_err();
            if give.blocking_send(read).is_err() || is_over {
                return;
            }
        }
    });
    futures_util::stream::unfold(take, |mut take| async move { take.recv().await.map(|piece| (piece, take)) }).boxed()
}

#[async_trait]
impl HttpClient for Http {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse> {
        let mut sent = outbound(&request)?;
        sent.body = request.body.map(|body| body.to_vec()).unwrap_or_default();
        let answer = self.0.exchange(sent, ANSWER_MOST).await;
        response(answer.map_err(|unanswered| anyhow!("{unanswered}"))?)
    }

    fn supports_streaming(&self) -> bool {
        true
    }

    /// Called in a thread that may block.
    fn execute_streaming(&self, request: HttpRequest) -> Result<StreamingHttpResponse> {
        let handle = Handle::current();
        let opened = handle.block_on(self.0.open(outbound(&request)?));
        let (status_code, pieces) = opened.map_err(|unanswered| anyhow!("{unanswered}"))?;
        let reader = tokio_util::io::StreamReader::new(pieces);
        Ok(StreamingHttpResponse { status_code, body: Box::new(SyncIoBridge::new_with_handle(reader, handle)) })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    /// Called in a thread that may block. WhatsApp takes no body whose length it is not told.
    fn execute_upload(&self, request: HttpRequest, body: UploadBody, content_length: u64) -> Result<HttpResponse> {
        let mut sent = outbound(&request)?;
        sent.headers.push(("content-length", content_length.to_string()));
        let poured = Handle::current().block_on(self.0.pour(sent, pieces(body), ANSWER_MOST));
        response(poured.map_err(|unanswered| anyhow!("{unanswered}"))?)
    }
}
