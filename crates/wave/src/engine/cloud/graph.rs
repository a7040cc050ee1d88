//! Calls to the Graph API, for one number.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use loopd_kernel::egress::{Answer, Egress, Outbound, Unanswered, Url};
use loopd_types::{Result, Secret};
use serde_json::Value as Json;

use super::account::{Config, Secrets};

/// How long Meta may think. Its own promise is seconds; a template with a header it fetches itself may take longer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an answer that are read; a page of templates is the longest.
const ANSWER_MOST: usize = 4 * 1024 * 1024;
/// How long a film may take, up or down.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(300);

/// Where the Graph API is, and what calls it.
#[derive(Clone, Debug)]
pub struct Graph {
    base: Url,
    egress: Egress,
    /// With time for large bodies.
    carrier: Egress,
}

/// One number's way in.
pub struct Line<'a> {
    graph: &'a Graph,
    pub config: Config,
    token: Secret<String>,
}

/// Why a call has no answer that can be used.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It did nothing.
    NotSent(String),
    /// It may have done what it should.
    Unclear(String),
    /// Meta refused.
    Refused(Refusal),
}

/// What Meta says of a refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub status: u16,
    pub code: i64,
    /// Meta's words, for whoever can do something with them.
    pub words: String,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(words) | Self::Unclear(words) => f.write_str(words),
            Self::Refused(refusal) => write!(f, "{} ({})", refusal.words, refusal.code),
        }
    }
}

impl Refusal {
    /// From the `error` of an answer, or an entry of `errors` of a webhook: `code`, `title`, `message`, `error_data.details`.
    pub fn read(status: u16, error: &Json) -> Self {
        let text = |value: &Json| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let words = text(&error["error_data"]["details"])
            .or_else(|| text(&error["error_user_msg"]))
            .or_else(|| text(&error["message"]))
            .or_else(|| text(&error["title"]))
            .unwrap_or_else(|| format!("Meta answered {status}"));
        // Some gateways write numbers as texts.
        let code = error["code"].as_i64().or_else(|| error["code"].as_str()?.parse().ok()).unwrap_or(0);
        Self { status, code, words }
    }
}

impl Graph {
    /// # Errors
    /// In words, for an address that is none, or TLS that cannot be set up.
    pub fn new(base: &str) -> Result<Self, String> {
        let base = Url::parse(base).map_err(|error| format!("LOOP_WHATSAPP_GRAPH_URL: {error}"))?;
        if !matches!(base.scheme(), "https" | "http") || base.cannot_be_a_base() {
            return Err("LOOP_WHATSAPP_GRAPH_URL: is no https address".to_owned());
        }
        Ok(Self { base, egress: Egress::new(TIMEOUT)?, carrier: Egress::new(MEDIA_TIMEOUT)? })
    }

    pub fn line<'a>(&'a self, config: Config, secrets: &Secrets) -> Line<'a> {
        Line { graph: self, config, token: secrets.access_token.clone() }
    }

    /// Whether an address is the Graph API's own host, where the token may go wherever the operator put it.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }
}

impl Line<'_> {
    /// The number itself, with these fields.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn number(&self, fields: &str) -> Result<Json, Trouble> {
        self.get(&[&self.config.phone_number_id], &[("fields", fields)]).await
    }

    /// # Errors
    /// [`Trouble`].
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Json, Trouble> {
        self.call("GET", path, query, None).await
    }

    /// # Errors
    /// [`Trouble`].
    pub async fn post(&self, path: &[&str], body: &Json) -> Result<Json, Trouble> {
        self.call("POST", path, &[], Some(body)).await
    }

    /// # Errors
    /// [`Trouble`].
    pub async fn delete(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Json, Trouble> {
        self.call("DELETE", path, query, None).await
    }

    async fn call(
        &self,
        method: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> Result<Json, Trouble> {
        let mut headers = vec![self.bearer()];
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        let url = self.url(path, query).to_string();
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.graph.egress.exchange(Outbound { method, url, headers, body }, ANSWER_MOST).await;
        read(answer)
    }

    /// Uploads content to be sent from this number, as it comes, and gives Meta's id of it. `length` is that of the content.
    ///
    /// # Errors
    /// [`Trouble`]; an upload that is not used is forgotten by Meta.
    pub async fn upload(
        &self,
        name: &str,
        content_type: &str,
        length: u64,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<String, Trouble> {
        let boundary = "loopd-7c1f0a54b6e94d0f";
        let head = form_head(boundary, name, content_type);
        let tail = format!("\r\n--{boundary}--\r\n");
        let total = (head.len() + tail.len()) as u64 + length;
        let edge = |text: String| futures_util::stream::once(async move { Ok(Bytes::from(text)) });
        let whole = futures_util::StreamExt::chain(edge(head), content);
        let whole = futures_util::StreamExt::chain(whole, edge(tail));
        let request = Outbound {
            method: "POST",
            url: self.url(&[&self.config.phone_number_id, "media"], &[]).to_string(),
            headers: vec![
                self.bearer(),
                ("content-type", format!("multipart/form-data; boundary={boundary}")),
                ("content-length", total.to_string()),
            ],
            body: Vec::new(),
        };
        let answer = self.graph.carrier.pour(request, Box::pin(whole), ANSWER_MOST).await;
        let answer = read(answer)?;
        let id = answer["id"].as_str().or_else(|| answer["media"][0]["id"].as_str());
        id.map(str::to_owned).ok_or_else(|| Trouble::Unclear("Meta gave an upload no id".to_owned()))
    }

    /// Uploads content that is shown with a template (Graph API, "Resumable Upload API"): a session of the token's own app, then the content
    /// from its beginning. Gives the handle; one that is not used is forgotten by Meta.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn show(
        &self,
        name: &str,
        content_type: &str,
        length: u64,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<String, Trouble> {
        let size = length.to_string();
        let query = [("file_name", name), ("file_length", &size), ("file_type", content_type)];
        let session = self.call("POST", &["app", "uploads"], &query, None).await?;
        let session = session["id"].as_str().filter(|id| id.starts_with("upload:"));
        let session = session.ok_or_else(|| Trouble::Unclear("Meta opened no session for an upload".to_owned()))?;
        // A session is a path and a signed query.
        let (path, query) = session.split_once('?').map_or((session, None), |(path, query)| (path, Some(query)));
        let mut url = self.url(&[], &[]);
        url.set_path(&format!("{}/{path}", url.path()));
        url.set_query(query);
        let request = Outbound {
            method: "POST",
            url: url.to_string(),
            headers: vec![
                // This door alone wants the word OAuth.
                ("authorization", format!("OAuth {}", self.token.expose())),
                ("file_offset", "0".to_owned()),
                ("content-type", content_type.to_owned()),
                ("content-length", size),
            ],
            body: Vec::new(),
        };
        let answer = read(self.graph.carrier.pour(request, content, ANSWER_MOST).await)?;
        let handle = answer["h"].as_str().filter(|handle| !handle.is_empty());
        handle.map(str::to_owned).ok_or_else(|| Trouble::Unclear("Meta gave an upload no handle".to_owned()))
    }

    /// Content that Meta keeps for a message, from the address that it told, in chunks.
    ///
    /// # Errors
    /// [`Trouble`]; an address that is not `https` is not called with a token.
    pub async fn download(
        &self,
        url: &str,
        guarded: &Egress,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Trouble> {
        let url = Url::parse(url).map_err(|error| Trouble::NotSent(format!("no address: {error}")))?;
        let is_own = self.graph.is_own(&url);
        if !is_own && url.scheme() != "https" {
            return Err(Trouble::NotSent("Meta named an address that is not https".to_owned()));
        }
        let egress = if is_own { &self.graph.carrier } else { guarded };
        let request = Outbound { method: "GET", url: url.to_string(), headers: vec![self.bearer()], body: Vec::new() };
        let (status, content) = egress.open(request).await.map_err(unanswered)?;
        if status != 200 {
            let words = format!("the content could not be fetched: {status}");
            return Err(Trouble::Refused(Refusal { status, code: 0, words }));
        }
        Ok(content)
    }

    fn bearer(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.token.expose()))
    }

    /// `path` below the version, each part escaped.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.graph.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push(&self.config.api_version).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

fn form_head(boundary: &str, name: &str, content_type: &str) -> String {
    let field = |field: &str, value: &str| {
        format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n")
    };
    // A name can hold what ends a header; what is left of it suffices.
    let plain: String = name.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
    format!(
        "{}{}--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{plain}\"\r\ncontent-type: {content_type}\r\n\r\n",
        field("messaging_product", "whatsapp"),
        field("type", content_type),
    )
}

fn unanswered(unanswered: Unanswered) -> Trouble {
    match unanswered {
        Unanswered::NotSent(words) => Trouble::NotSent(words),
        Unanswered::Lost(words) => Trouble::Unclear(words),
    }
}

fn read(answer: Result<Answer, Unanswered>) -> Result<Json, Trouble> {
    let answer = answer.map_err(unanswered)?;
    let body = if answer.is_cut { None } else { serde_json::from_slice::<Json>(&answer.body).ok() };
    match (answer.status, body) {
        (200..=299, Some(body)) => Ok(body),
        (200..=299, None) => Err(Trouble::Unclear("Meta's answer could not be read".to_owned())),
        // It may have done what it should before it failed.
        (500..=599, _) => Err(Trouble::Unclear(format!("Meta answered {}", answer.status))),
        (status, body) => {
            let error = body.map(|body| body["error"].clone()).unwrap_or_default();
            Err(Trouble::Refused(Refusal::read(status, &error)))
        }
    }
}
