//! Calls out of the house: one HTTP client with one TLS provider, for addresses that the operator configured (payment providers, models).
//!
//! Invariant: nothing here follows a redirect, because a redirect could lead a request with credentials elsewhere.

use std::fmt;
use std::time::Duration;

/// A client for outbound calls; cheap to clone, keeps connections open.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
}

/// A request to be sent.
#[derive(Clone, Debug, Default)]
pub struct Outbound {
    /// `GET`, `POST`.
    pub method: &'static str,
    pub url: String,
    /// Name and value; values may be secret and are not logged.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What the other side answered.
#[derive(Clone, Debug)]
pub struct Inbound {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Unanswered {
    /// The request did not leave: no connection, or it could not be written down. The other side did nothing.
    NotSent(String),
    /// It left, and nobody knows what became of it.
    Lost(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(words) => write!(f, "not sent: {words}"),
            Self::Lost(words) => write!(f, "no answer: {words}"),
        }
    }
}

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 1024 * 1024;

impl Egress {
    /// A client whose calls end after `timeout`.
    ///
    /// # Errors
    /// In words, when TLS cannot be set up.
    pub fn new(timeout: Duration) -> Result<Self, String> {
        // Whoever comes second finds it done; reqwest's `rustls-no-provider` wants one before its first client.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("loopd")
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client })
    }

    /// Sends one request and reads the whole answer, at most a mebibyte of it.
    ///
    /// # Errors
    /// [`Unanswered`], telling apart what surely did nothing from what may have.
    pub async fn send(&self, request: Outbound) -> Result<Inbound, Unanswered> {
        let method =
            request.method.parse().map_err(|_| Unanswered::NotSent(format!("no method {}", request.method)))?;
        let mut builder = self.client.request(method, &request.url).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let mut answer = builder.send().await.map_err(|error| {
            let unsent = error.is_connect() || error.is_builder();
            // without the URL: its query may hold what is nobody's business
            let words = error.without_url().to_string();
            if unsent { Unanswered::NotSent(words) } else { Unanswered::Lost(words) }
        })?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| Unanswered::Lost(error.without_url().to_string()))?
        {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(Unanswered::Lost("the answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Inbound { status, body })
    }
}
