//! Calls out of the house: one HTTP client with one TLS provider.
//!
//! [`Egress::new`] is for addresses that the operator configured (payment providers, models). **Whatever a tenant chose goes through
//! [`Egress::guarded`]**, which calls public addresses only; `Kernel::egress` is one.
//!
//! Invariants: nothing here follows a redirect, because a redirect could lead a request with credentials elsewhere; no proxy is taken
//! from the environment, because it would connect where the guard does not see.

mod address;
mod guard;

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
pub use guard::{Policy, Refused, Resolved, Resolver, SystemResolver};
pub use reqwest::Url;

use crate::trace;

/// A client for outbound calls; cheap to clone, keeps connections open.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
    /// `None`: the operator's own addresses, which may be anywhere.
    policy: Option<Policy>,
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

/// What the other side answered, for whoever wants to show it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The first bytes of the body.
    pub body: Vec<u8>,
    /// Whether there was more.
    pub is_cut: bool,
    /// Who answered.
    pub address: Option<IpAddr>,
}

impl Answer {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A body in pieces, as it comes or goes.
pub type Pieces = BoxStream<'static, std::io::Result<Bytes>>;

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
/// Idle connections to one host; more are closed when their request is done.
const IDLE_PER_HOST: usize = 64;

impl Egress {
    /// A client for the operator's own addresses, whose calls end after `timeout`.
    ///
    /// # Errors
    /// In words, when TLS cannot be set up.
    pub fn new(timeout: Duration) -> Result<Self, String> {
        Ok(Self { client: built(builder(timeout))?, policy: None })
    }

    /// A client for addresses that somebody else chose: it connects to public ones only, each judged when it is connected to.
    ///
    /// # Errors
    /// In words, when TLS cannot be set up.
    pub fn guarded(timeout: Duration, policy: Policy) -> Result<Self, String> {
        let resolver = std::sync::Arc::new(guard::Guarded(policy.clone()));
        Ok(Self { client: built(builder(timeout).dns_resolver(resolver))?, policy: Some(policy) })
    }

    /// Judges an address as it is given, before anything is sent to it; names are judged again at every call.
    ///
    /// # Errors
    /// [`Refused`] in words.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        self.policy.as_ref().map_or(Ok(()), |policy| policy.check_url(url))
    }

    /// Sends one request and reads the whole answer, at most a mebibyte of it.
    ///
    /// # Errors
    /// [`Unanswered`], telling apart what surely did nothing from what may have.
    pub async fn send(&self, request: Outbound) -> Result<Inbound, Unanswered> {
        let answer = self.exchange(request, ANSWER_MAX).await?;
        if answer.is_cut {
            return Err(Unanswered::Lost("the answer is too long".to_owned()));
        }
        Ok(Inbound { status: answer.status, body: answer.body })
    }

    /// Sends one request and reads at most `keep` bytes of the answer's body; the rest is not waited for.
    ///
    /// # Errors
    /// As [`Egress::send`].
    pub async fn exchange(&self, mut request: Outbound, keep: usize) -> Result<Answer, Unanswered> {
        let body = std::mem::take(&mut request.body).into();
        kept(self.begin(request, body).await?, keep).await
    }

    /// As [`Egress::exchange`], with a body that is read as it goes out. A source that breaks leaves the other side with half of it.
    ///
    /// # Errors
    /// As [`Egress::send`].
    pub async fn pour(&self, request: Outbound, body: Pieces, keep: usize) -> Result<Answer, Unanswered> {
        kept(self.begin(request, reqwest::Body::wrap_stream(body)).await?, keep).await
    }

    /// Sends one request, and gives the answer's status and its body as it comes, for what is too large to be held.
    ///
    /// # Errors
    /// As [`Egress::send`].
    pub async fn open(&self, mut request: Outbound) -> Result<(u16, Pieces), Unanswered> {
        let body = std::mem::take(&mut request.body).into();
        let answer = self.begin(request, body).await?;
        let status = answer.status().as_u16();
        let pieces = answer.bytes_stream().map_err(|error| std::io::Error::other(words(error)));
        Ok((status, pieces.boxed()))
    }

    /// Sends one request, up to the head of its answer.
    async fn begin(&self, request: Outbound, body: reqwest::Body) -> Result<reqwest::Response, Unanswered> {
        let unsent = |words: String| Unanswered::NotSent(words);
        let method = request.method.parse().map_err(|_| unsent(format!("no method {}", request.method)))?;
        let url = Url::parse(&request.url).map_err(|error| unsent(format!("no address: {error}")))?;
        self.check(&url).map_err(|refused| unsent(refused.to_string()))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut builder = self.client.request(method, url).body(body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        // Only the operator's own services are told our ids; a stranger has no use for them.
        let traced = if self.policy.is_none() { trace::Call::begin() } else { None };
        if let Some(call) = &traced {
            builder = builder.header("traceparent", call.header());
        }
        let sent = builder.send().await;
        if let Some(call) = traced {
            call.end(request.method, &host, sent.as_ref().ok().map(|answer| answer.status().as_u16()));
        }
        sent.map_err(|error| {
            let unsent = error.is_connect() || error.is_builder();
            let words = words(error);
            if unsent { Unanswered::NotSent(words) } else { Unanswered::Lost(words) }
        })
    }
}

/// Reads an answer, at most `keep` bytes of its body.
async fn kept(mut answer: reqwest::Response, keep: usize) -> Result<Answer, Unanswered> {
    let headers = answer.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let (headers, status) = (headers.collect(), answer.status().as_u16());
    let address = answer.remote_addr().map(|address| address.ip());
    let (mut body, mut is_cut) = (Vec::new(), false);
    while let Some(chunk) = answer.chunk().await.map_err(|error| Unanswered::Lost(words(error)))? {
        let room = keep - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            is_cut = true;
            break;
        }
    }
    Ok(Answer { status, headers, body, is_cut, address })
}

/// Whoever comes second finds it done; reqwest's `rustls-no-provider` wants one before its first client.
pub(crate) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn builder(timeout: Duration) -> reqwest::ClientBuilder {
    install_tls();
    reqwest::Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(10)))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent("loopd")
}

fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    builder.build().map_err(|error| error.to_string())
}

/// What went wrong, down to its cause: "tcp connect error: Connection refused" helps, "error sending request" does not. Without the
/// URL: its query may hold what is nobody's business.
fn words(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let (mut words, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        let next = cause.to_string();
        if cause.is::<Refused>() {
            return next;
        }
        if !words.ends_with(&next) {
            words = format!("{words}: {next}");
        }
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests;
