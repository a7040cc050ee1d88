//! What benches over HTTP share: a server on SQLite in this process, and load on both cores beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use loopd::app::{self, World};
use loopd::settings::Settings;
use loopd_business::engine::Engine;
use loopd_kernel::Kernel;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The binary's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A server on an empty folder, which lasts as long as this.
pub struct Server {
    pub address: String,
    pub kernel: Arc<Kernel>,
    pub engine: Engine,
    _folder: TempDir,
}

/// Starts a server with the defaults, these settings besides.
pub async fn serve(more: &[(&str, &str)]) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let data = folder.path().display().to_string();
    let own = [
        ("LOOP_DATA_DIR", data.as_str()),
        ("LOOP_LISTEN", &address),
        ("LOOP_RATE_LIMITS", "off"),
        ("LOOP_LOG", "warn"),
    ];
    let given: BTreeMap<String, String> =
        own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let settings = Settings::load(None, &given).expect("settings");
    let server = app::build(settings, World::default()).await.expect("a server");
    let (kernel, engine) = (server.kernel.clone(), server.engine.clone());
    tokio::spawn(server.serve(listener, std::future::pending()));
    Server { address, kernel, engine, _folder: folder }
}

/// POSTs JSON; the answer's.
///
/// # Panics
/// When it is not 201.
pub async fn make(host: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
    let answer = ask(host, &post(path, host, headers, &body.to_string())).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.contains(" 201 "), "{answer}");
    serde_json::from_str(body).expect("JSON")
}

/// Registers the owner of company 001, and gives what goes into `Authorization`.
pub async fn owner(server: &Server) -> String {
    let person = json!({"email": "a@example.com", "username": "a", "password": "strongpass123", "company_name": "A"});
    let made = make(&server.address, "/api/v1/auth/register/", &[], &person).await;
    format!("Bearer {}", made["access"].as_str().expect("a token"))
}

/// A POST as it goes over the wire.
pub fn post(path: &str, host: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// How long each request took, sorted, and how long all took.
pub struct Took {
    each: Vec<Duration>,
    all: Duration,
    connections: usize,
}

impl Took {
    /// One of them, when all share the time that all took.
    pub fn of_one(&self) -> Duration {
        self.all.div_f64(self.each.len() as f64)
    }
}

/// When requests are sent.
#[derive(Clone, Copy)]
pub enum Pace {
    /// On each connection one as soon as the last is answered.
    Full,
    /// So many a second, evenly, whether earlier ones are answered or not: what waits for a free connection waits in its own time.
    Rate(u32),
}

/// Sends every request once; each answer must hold `expected`.
pub async fn drive(
    address: &str,
    requests: Vec<Vec<u8>>,
    connections: usize,
    pace: Pace,
    expected: &'static str,
) -> Took {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        streams.push(stream);
    }
    let began = Instant::now();
    let callers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            let (requests, next) = (requests.clone(), next.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = requests.get(place) else { return took };
                    let due = match pace {
                        Pace::Full => Instant::now(),
                        Pace::Rate(rate) => began + Duration::from_secs_f64(place as f64 / f64::from(rate)),
                    };
                    // A timer counts in whole milliseconds, and waits for the next one even when the moment is over.
                    if due > Instant::now() {
                        tokio::time::sleep_until(due.into()).await;
                    }
                    stream.write_all(request).await.expect("the request goes out");
                    let answer = read(&mut stream).await;
                    assert!(answer.contains(expected), "{answer}");
                    took.push(due.elapsed());
                }
            })
        })
        .collect();
    let mut each = Vec::new();
    for caller in callers {
        each.extend(caller.await.expect("a caller"));
    }
    let all = began.elapsed();
    each.sort_unstable();
    Took { each, all, connections }
}

/// One request on a connection of its own, and its answer.
pub async fn ask(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request).await.expect("the request goes out");
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::with_capacity(4_096);
    loop {
        assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "the server hung up");
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if length.is_some_and(|length| body.len() >= length) {
                return text.into_owned();
            }
        }
    }
}

pub fn report(name: &str, took: &Took) {
    let at = |permille: usize| {
        took.each[(took.each.len() * permille / 1_000).min(took.each.len() - 1)].as_secs_f64() * 1_000.0
    };
    println!(
        "{name}: {:.0} a second; p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms ({} calls, {} connections)",
        took.each.len() as f64 / took.all.as_secs_f64(),
        at(500),
        at(990),
        at(999),
        took.each.len(),
        took.connections
    );
}
