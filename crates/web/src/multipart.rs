//! [`Multipart`]: `multipart/form-data` as it comes, part by part (RFC 7578).

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use loopd_types::{Problem, Result};

use crate::Upload;

/// A form being read. Parts come in the order in which they were sent.
pub struct Multipart(multer::Multipart<'static>);

/// One part of a form.
pub struct Field(multer::Field<'static>);

impl Multipart {
    /// `content_type` is the request's.
    ///
    /// # Errors
    /// 400 `parse_error` when it names no boundary.
    pub fn new(upload: Upload, content_type: &str) -> Result<Self> {
        let boundary = multer::parse_boundary(content_type).map_err(problem)?;
        let chunks: BoxStream<'static, Result<Bytes>> = upload.into_stream().boxed();
        Ok(Self(multer::Multipart::new(chunks, boundary)))
    }

    /// # Errors
    /// What reading the body refuses; 400 `parse_error`.
    pub async fn next(&mut self) -> Result<Option<Field>> {
        Ok(self.0.next_field().await.map_err(problem)?.map(Field))
    }
}

impl Field {
    pub fn name(&self) -> &str {
        self.0.name().unwrap_or_default()
    }
    pub fn file_name(&self) -> Option<&str> {
        self.0.file_name()
    }
    pub fn content_type(&self) -> &str {
        self.0.content_type().map_or("", |known| known.as_ref())
    }

    /// The part as text of at most `most` bytes.
    ///
    /// # Errors
    /// 400 under the part's name when it is longer or no UTF-8.
    pub async fn text(mut self, most: usize) -> Result<String> {
        let name = self.name().to_owned();
        let mut text = Vec::new();
        while let Some(chunk) = self.0.chunk().await.map_err(problem)? {
            if text.len() + chunk.len() > most {
                let words = format!("Ensure this field has no more than {most} characters.");
                return Err(Problem::field(name, "max_length", words));
            }
            text.extend_from_slice(&chunk);
        }
        String::from_utf8(text).map_err(|_| Problem::field(name, "invalid", "Not a valid string."))
    }

    /// The part's bytes as they come.
    pub fn chunks(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        self.0.map(|chunk| chunk.map_err(problem))
    }
}

/// What went wrong: our own refusal of the body below, or a form that is none.
fn problem(error: multer::Error) -> Problem {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<Problem>() {
            Ok(problem) => *problem,
            Err(cause) => crate::upload::incomplete().with_cause(cause),
        },
        other => Problem::invalid("parse_error", format!("Multipart form parse error - {other}")),
    }
}
