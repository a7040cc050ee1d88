//! A server that answers as a test wants: an outside facilitator, or a node between us and the chain.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What is said to a question; `None` hangs up.
pub type Answer = Pin<Box<dyn Future<Output = Option<(u16, String)>> + Send>>;
type Handler = Arc<dyn Fn(Value) -> Answer + Send + Sync>;

pub struct Stub {
    pub url: String,
    /// Questions heard.
    pub heard: Arc<AtomicUsize>,
}

impl Stub {
    pub async fn start(answer: impl Fn(Value) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (heard, answer): (Arc<AtomicUsize>, Handler) = (Arc::default(), Arc::new(answer));
        let count = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), count.clone()));
            }
        });
        Self { url, heard }
    }

    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, answer: Handler, count: Arc<AtomicUsize>) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut piece = [0; 4_096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            break (head + 4, length.unwrap_or(0));
        }
    };
    while bytes.len() < head + length {
        let mut piece = [0; 4_096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    let question = serde_json::from_slice(&bytes[head..]).unwrap_or_default();
    let Some((status, body)) = answer(question).await else { return };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
}
