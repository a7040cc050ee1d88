//! [`Payload`]: the body of an answer. Nearly always bytes that are ready; a stream for events and large exports.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

/// Whatever went wrong with a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body that is produced while it is sent.
pub type StreamBody = UnsyncBoxBody<Bytes, BoxError>;

/// An answer's body. Ready bytes cost no allocation of their own, which a boxed body would.
pub enum Payload {
    Ready(Bytes),
    Stream(StreamBody),
}

impl Payload {
    pub const fn empty() -> Self {
        Self::Ready(Bytes::new())
    }

    /// The bytes, unless this is a stream.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Payload::Ready(bytes) => Some(bytes),
            Payload::Stream(_) => None,
        }
    }

    /// Length in bytes when it is known before sending.
    pub fn len(&self) -> Option<u64> {
        match self {
            Payload::Ready(bytes) => Some(bytes.len() as u64),
            Payload::Stream(body) => body.size_hint().exact(),
        }
    }

    /// `body`, of which the length is known.
    pub(crate) fn sized(body: StreamBody, length: u64) -> Self {
        Self::Stream(Sized { body, left: length }.boxed_unsync())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.len() {
            Some(length) => write!(f, "Payload({length} bytes)"),
            None => f.write_str("Payload(stream)"),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Payload {
    fn from(bytes: T) -> Self {
        Payload::Ready(bytes.into())
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Payload::Ready(bytes) if bytes.is_empty() => Poll::Ready(None),
            Payload::Ready(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Payload::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Ready(bytes) => bytes.is_empty(),
            Payload::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Ready(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Stream(body) => body.size_hint(),
        }
    }
}

/// A stream of a length that is known; it errs when the source gives more or less.
struct Sized {
    body: StreamBody,
    left: u64,
}

impl Body for Sized {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => match self.left.checked_sub(frame.data_ref().map_or(0, |data| data.len() as u64)) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err("the source is longer than announced".into()))),
            },
            None if self.left > 0 => return Poll::Ready(Some(Err("the source is shorter than announced".into()))),
            Some(Err(_)) | None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
