//! MTN's side, played on a local socket: tokens, requests by reference, statuses, and the ways in which it can fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What MTN knows and how it behaves.
#[derive(Default)]
pub struct Inside {
    /// Requests by reference, as sent, with their headers.
    pub requests: BTreeMap<String, (Json, String)>,
    /// The status that every request has, merged into what is answered.
    pub status: Json,
    pub tokens_given: usize,
    pub statuses_asked: usize,
    /// Take the request and hang up without a word.
    pub loses_answers: bool,
    /// Refuse with this code.
    pub refuses: Option<&'static str>,
    /// Take no requests for now: 429.
    pub is_busy: bool,
    /// Give no tokens.
    pub is_closed: bool,
}

#[derive(Clone)]
pub struct Mtn {
    pub base: String,
    inside: Arc<Mutex<Inside>>,
}

impl Mtn {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let mtn = Self { base, inside: Arc::default() };
        mtn.set(|inside| inside.status = json!({"status": "PENDING"}));
        let served = mtn.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, served.clone()));
            }
        });
        mtn
    }
    pub fn set(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.inside.lock().unwrap());
    }
    pub fn see<T>(&self, look: impl FnOnce(&Inside) -> T) -> T {
        look(&self.inside.lock().unwrap())
    }

    /// Status and body, or nothing at all.
    fn answer(&self, method: &str, path: &str, head: &str, body: &Json) -> Option<(u16, Json)> {
        let mut inside = self.inside.lock().unwrap();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            lines
                .into_iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        if header("ocp-apim-subscription-key").as_deref() != Some("subscription") {
            return Some((401, json!({"message": "no subscription"})));
        }
        if path == "/collection/token/" {
            // user:key
            let is_known = header("authorization").as_deref() == Some("Basic dXNlcjprZXk=");
            if !is_known || inside.is_closed {
                return Some((if is_known { 500 } else { 401 }, json!({})));
            }
            inside.tokens_given += 1;
            return Some((200, json!({"access_token": "t0ken", "token_type": "access_token", "expires_in": 3600})));
        }
        if header("authorization").as_deref() != Some("Bearer t0ken")
            || header("x-target-environment").as_deref() != Some("mtnrwanda")
        {
            return Some((401, json!({"message": "no token"})));
        }
        match (method, path.strip_prefix("/collection/v1_0/requesttopay")?) {
            ("POST", "") => {
                if inside.is_busy {
                    return Some((429, json!({"message": "Rate limit is exceeded."})));
                }
                if let Some(code) = inside.refuses {
                    return Some((400, json!({"code": code, "message": "Refused."})));
                }
                let reference = header("x-reference-id").expect("a reference");
                if inside.requests.contains_key(&reference) {
                    return Some((409, json!({"code": "RESOURCE_ALREADY_EXIST"})));
                }
                inside.requests.insert(reference, (body.clone(), head.to_owned()));
                if inside.loses_answers { None } else { Some((202, Json::Null)) }
            }
            ("GET", rest) => {
                inside.statuses_asked += 1;
                let reference = rest.trim_start_matches('/');
                let Some((request, _)) = inside.requests.get(reference) else {
                    return Some((404, json!({"code": "RESOURCE_NOT_FOUND"})));
                };
                let mut answer = request.clone();
                for (name, value) in inside.status.as_object().unwrap() {
                    answer[name] = value.clone();
                }
                Some((200, answer))
            }
            _ => Some((405, Json::Null)),
        }
    }
}

async fn serve(mut stream: TcpStream, mtn: Mtn) {
    let Some(asked) = read(&mut stream).await else { return };
    let Some((status, answer)) = mtn.answer(&asked.method, &asked.path, &asked.head, &asked.body) else { return };
    reply(&mut stream, status, &answer).await;
}

/// A request as it came over a socket.
pub struct Asked {
    pub method: String,
    pub path: String,
    /// First line and headers.
    pub head: String,
    /// Null when it is no JSON.
    pub body: Json,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Reads one request; `None` when the other side hung up.
pub async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut seen = Vec::new();
    let (head, body) = loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                if name.eq_ignore_ascii_case("content-length") { value.trim().parse().ok() } else { None }
            });
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => seen.extend_from_slice(&chunk[..count]),
        }
    };
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    Some(Asked { method, path, body: serde_json::from_str(&body).unwrap_or_default(), head })
}

/// Answers with JSON (nothing for null) and hangs up.
pub async fn reply(stream: &mut TcpStream, status: u16, answer: &Json) {
    let answer = if answer.is_null() { String::new() } else { answer.to_string() };
    let length = answer.len();
    let text = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
    );
    let _ = stream.write_all(text.as_bytes()).await;
}
