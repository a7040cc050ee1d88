//! A webhook's receiver on a port of its own: it remembers every request, and answers as the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::eventually;

/// What came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers))
    }
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
    #[track_caller]
    pub fn position(&self) -> i64 {
        self.json()["position"].as_i64().expect("a position")
    }
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Reaction {
    Status(u16),
    /// A status with headers and a body.
    With(u16, &'static str, String),
    /// The connection is closed without a word.
    Hangup,
    /// No answer until the receiver is told to go on.
    Wait,
}

pub struct Receiver {
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Received>>,
    /// For the next requests; 200 when it is empty.
    script: Mutex<VecDeque<Reaction>>,
    /// For every request whose path begins so.
    always: Mutex<Vec<(String, Reaction)>>,
    go_on: Notify,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let state = Arc::<State>::default();
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { url, state }
    }

    /// Answers the next requests so, one after another.
    pub fn react(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.state.script.lock().unwrap().extend(reactions);
    }

    /// Answers every request to this path so.
    pub fn always(&self, path: &str, reaction: Reaction) {
        let mut always = self.state.always.lock().unwrap();
        always.retain(|(known, _)| known != path);
        always.push((path.to_owned(), reaction));
    }

    /// Lets everybody go who waits.
    pub fn go_on(&self) {
        self.state.go_on.notify_waiters();
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.state.received.lock().unwrap().len()
    }

    /// Waits until this many requests have come, and gives them.
    pub async fn wait(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} requests came"), async || self.count() >= count).await;
        self.received()
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    while let Some(received) = read(&mut stream).await {
        let path = received.path.clone();
        state.received.lock().unwrap().push(received);
        let always = state
            .always
            .lock()
            .unwrap()
            .iter()
            .find(|(known, _)| path.starts_with(known))
            .map(|(_, reaction)| reaction.clone());
        let reaction = always.or_else(|| state.script.lock().unwrap().pop_front()).unwrap_or(Reaction::Status(200));
        let answer = match reaction {
            Reaction::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"),
            Reaction::With(status, headers, body) => {
                format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
            }
            Reaction::Hangup => return,
            Reaction::Wait => {
                state.go_on.notified().await;
                "HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok".to_owned()
            }
        };
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut first = String::new();
    if stream.read_line(&mut first).await.ok()? == 0 {
        return None;
    }
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { path, headers, body: String::from_utf8(body).expect("bodies are UTF-8") })
}
