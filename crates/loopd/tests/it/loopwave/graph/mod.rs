//! A Graph API of our own: it checks every request as Meta would, or more strictly, and misbehaves when a test tells it to.

mod answers;
mod flaw;
mod shop;
mod uploads;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

pub use shop::{Shop, credentials, envelope, messages, signed};

pub const TOKEN: &str = "EAAG-the-token";
pub const APP_SECRET: &str = "the app's secret";
pub const VERIFY: &str = "the verify token";
/// Meta's ids of the number and its account.
pub const LINE: &str = "106540352242922";
pub const WABA: &str = "102290129340398";
const VERSION: &str = "v22.0";

/// What happens to the next message.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Refused with this status and code; nothing was taken.
    Refuse(u16, i64),
    /// Taken, and answered 500.
    TakeAndFail,
    /// Taken, and the connection is cut.
    TakeAndCut,
    /// Taken, and answered with what is no JSON.
    TakeAndBabble,
    /// Taken after a while.
    Slow(Duration),
}

/// A Graph API on a port of its own.
pub struct Graph {
    pub base: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    base: String,
    token: String,
    manners: VecDeque<Manner>,
    /// Messages that were taken, in order.
    taken: Vec<Value>,
    /// What was wrong with requests that should have been right.
    complaints: Vec<String>,
    /// Content by Meta's id: its type and its bytes.
    media: HashMap<String, (String, Bytes)>,
    /// How often content was brought to be sent.
    uploads: usize,
    /// Uploads that were begun, and how long they will be.
    sessions: HashMap<String, usize>,
    /// Content that was shown, by its handle.
    handles: HashMap<String, Bytes>,
    /// Templates of the account, as Meta lists them.
    templates: Vec<Value>,
    /// How often a message was brought, taken or not.
    brought: usize,
    health: Option<Value>,
    /// How many people the number may write to first; a thousand unless a test says otherwise.
    tier: Option<String>,
    is_away: bool,
}

impl Graph {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::<State>::default();
        state.lock().token = TOKEN.to_owned();
        state.lock().base.clone_from(&base);
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let shared = shared.clone();
                        async move { shared.answer(request).await }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { base, state }
    }

    /// Has the next messages treated so, one after another.
    pub fn behave(&self, manners: impl IntoIterator<Item = Manner>) {
        self.state.lock().manners.extend(manners);
    }

    /// From now on only this token opens anything.
    pub fn expect_token(&self, token: &str) {
        token.clone_into(&mut self.state.lock().token);
    }

    /// Answers 503 to everything but messages, or not any more.
    pub fn go_away(&self, is_away: bool) {
        self.state.lock().is_away = is_away;
    }

    pub fn brought(&self) -> usize {
        self.state.lock().brought
    }

    /// What is said of the number's health from now on.
    pub fn set_health(&self, health: Value) {
        self.state.lock().health = Some(health);
    }

    /// What is said of the number's tier from now on, whenever it is asked for.
    pub fn set_tier(&self, tier: &str) {
        self.state.lock().tier = Some(tier.to_owned());
    }

    pub fn taken(&self) -> Vec<Value> {
        self.state.lock().taken.clone()
    }

    /// Keeps content as if a customer had sent it, and gives its id.
    pub fn keep(&self, content_type: &str, bytes: &'static [u8]) -> String {
        let mut inner = self.state.lock();
        let id = format!("10{}", inner.media.len() + 1);
        inner.media.insert(id.clone(), (content_type.to_owned(), Bytes::from_static(bytes)));
        id
    }

    /// Puts a template into the account, as if somebody had made it in WhatsApp Manager, in place of one of its name and language.
    pub fn put_template(&self, template: Value) {
        let mut inner = self.state.lock();
        let is_other = |it: &Value| it["name"] != template["name"] || it["language"] != template["language"];
        inner.templates.retain(is_other);
        inner.templates.push(template);
    }

    pub fn templates(&self) -> Vec<Value> {
        self.state.lock().templates.clone()
    }

    /// Content that was uploaded, by the id that a message names.
    pub fn content(&self, id: &str) -> Option<(String, Bytes)> {
        self.state.lock().media.get(id).cloned()
    }

    /// How often content was uploaded to be sent.
    pub fn uploads(&self) -> usize {
        self.state.lock().uploads
    }

    /// Content that was shown with a template, by its handle.
    pub fn shown(&self, handle: &str) -> Option<Bytes> {
        self.state.lock().handles.get(handle).cloned()
    }

    #[track_caller]
    pub fn is_content(&self) {
        let complaints = self.state.lock().complaints.clone();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
