//! [`Sending`]: an answer that is sent as it comes, followed to its end: its bytes are counted, its line in the access log is
//! written when it is over, and an event stream is told when the server stops. And [`Ending`], which tells producers so.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use loopd_types::{CompanyId, Uuid};

use crate::access_log::Line;
use crate::edge::Inner;
use crate::{BoxError, Lifecycle, Phase, StreamBody, Surface};

/// How long an event stream may go on after the server began to stop, to say goodbye: a part of the time for everybody, so that
/// streams that do not listen hold nothing up.
const GOODBYE_PART: u32 = 4;

/// Whether the server is stopping. Cheap to clone; whoever produces a long stream watches it.
#[derive(Clone)]
pub struct Ending(Lifecycle);

impl Ending {
    pub(crate) fn of(lifecycle: &Lifecycle) -> Self {
        Self(lifecycle.clone())
    }

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.0
    }

    pub fn has_begun(&self) -> bool {
        self.0.phase() >= Phase::Ending
    }

    /// Resolves when the server begins to stop. An event stream then has a few seconds to say where it can be taken up again and
    /// to end; other streams have as long as any request.
    pub async fn begun(&self) {
        self.0.reached(Phase::Ending).await;
    }
}

/// What a line of the access log needs, kept until the answer is over.
pub(crate) struct Asked {
    pub app: Arc<Inner>,
    pub started: Instant,
    pub method: Method,
    pub template: Option<Arc<str>>,
    pub request_id: Arc<str>,
    pub surface: Surface,
    pub status: u16,
    pub address: IpAddr,
    pub company: Option<CompanyId>,
    pub user: Option<Uuid>,
    pub app_id: Option<Arc<str>>,
}

/// A streamed answer on its way.
pub(crate) struct Sending {
    body: StreamBody,
    asked: Asked,
    /// Resolves when an event stream must have ended.
    cut: Option<BoxFuture<'static, ()>>,
    sent: u64,
    is_whole: bool,
}

impl Sending {
    pub fn new(body: StreamBody, asked: Asked, is_events: bool) -> Self {
        asked.app.metrics.streams.fetch_add(1, Relaxed);
        let cut = is_events.then(|| {
            let ending = asked.app.lifecycle.reached(Phase::Ending);
            let goodbye: Duration = asked.app.settings.shutdown_timeout / GOODBYE_PART;
            async move {
                ending.await;
                tokio::time::sleep(goodbye).await;
            }
            .boxed()
        });
        // Nobody asks an empty body for its end.
        let is_whole = body.is_end_stream();
        Self { body, asked, cut, sent: 0, is_whole }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // Only event streams: half an export would look like a whole one.
        if let Some(cut) = &mut self.cut
            && cut.as_mut().poll(cx).is_ready()
        {
            self.is_whole = true;
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.sent += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(error)) => {
                tracing::error!(request_id = %self.asked.request_id, %error, "an answer broke while it was sent");
            }
            None => self.is_whole = true,
        }
        // A body of known length is not asked for its end.
        self.is_whole |= self.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let asked = &self.asked;
        asked.app.metrics.streams.fetch_sub(1, Relaxed);
        asked.app.metrics.sent_bytes.fetch_add(self.sent, Relaxed);
        if let Some(log) = &asked.app.access_log {
            log.note(&Line {
                at: asked.app.kernel.now(),
                method: asked.method.as_str(),
                path: asked.template.as_deref().unwrap_or("(none)"),
                status: asked.status,
                took: asked.started.elapsed(),
                bytes: self.sent,
                is_cut: !self.is_whole,
                request_id: &asked.request_id,
                surface: asked.surface.as_str(),
                address: asked.address,
                company: asked.company,
                user: asked.user,
                app_id: asked.app_id.as_deref(),
            });
        }
    }
}
