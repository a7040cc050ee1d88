//! The guard against what is known to get around guards, with a resolver that lies.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Egress, Outbound, Policy, Resolved, Resolver, Unanswered, Url};

/// Gives one list of addresses after the other, then the last one for ever.
struct Fickle {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Fickle {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().expect("an address")).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), asked: AtomicUsize::new(0) })
    }
}

impl Resolver for Fickle {
    fn resolve(&self, _host: &str) -> Resolved {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such host")) })
    }
}

/// A server on a port of its own that gives `answer` to everybody and counts who connected.
async fn server(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let connected = Arc::<AtomicUsize>::default();
    let counted = connected.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, connected)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

fn guarded(allow: &[&str], resolver: Arc<dyn Resolver>) -> Egress {
    let allow = allow.iter().map(|name| (*name).to_owned()).collect();
    Egress::guarded(Duration::from_secs(5), Policy { allow, resolver }).expect("a client")
}

fn get(url: String) -> Outbound {
    Outbound { method: "GET", url, ..Outbound::default() }
}

async fn refusal(egress: &Egress, url: &str) -> String {
    match egress.send(get(url.to_owned())).await {
        Err(Unanswered::NotSent(words)) => words,
        other => panic!("{url} must not be sent: {other:?}"),
    }
}

#[tokio::test]
async fn hosts_in_disguise_are_seen_through() {
    let (address, connected) = server(OK).await;
    let egress = guarded(&[], Fickle::new(&[&["8.8.8.8"]]));
    let port = address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "%31%32%37.0.0.1",
    ] {
        let words = refusal(&egress, &format!("http://{host}:{port}/")).await;
        assert!(words.contains("only public addresses are called"), "{host}: {words}");
    }
    for url in [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "http://user:pass@8.8.8.8/",
        "http://a@127.0.0.1/",
    ] {
        refusal(&egress, url).await;
    }
    assert_eq!(connected.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_is_judged_by_where_it_leads() {
    let (address, connected) = server(OK).await;
    for list in [
        &["127.0.0.1"][..],
        &["10.0.0.1", "192.168.1.1"],
        &["169.254.169.254"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::a00:1"],
        &["fd00:ec2::254"],
    ] {
        let egress = guarded(&[], Fickle::new(&[list]));
        for name in ["receiver.example", "localhost", "metadata.google.internal", "LOCALHOST."] {
            let words = refusal(&egress, &format!("http://{name}:{}/", address.port())).await;
            assert!(words.contains("only public addresses are called"), "{list:?}: {words}");
        }
    }
    assert_eq!(connected.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_between_check_and_use_gains_nothing() {
    let (address, connected) = server(OK).await;
    // Public when it is looked at first, loopback ever after: a guard that looks once and lets the client look again would connect.
    let resolver = Fickle::new(&[&["25.0.0.1"], &["127.0.0.1"]]);
    let egress =
        Egress::guarded(Duration::from_millis(300), Policy { allow: Vec::new(), resolver: resolver.clone() }).unwrap();
    let url = format!("http://rebind.example:{}/", address.port());
    egress.check(&Url::parse(&url).unwrap()).expect("nothing is wrong with the name itself");
    assert!(egress.send(get(url.clone())).await.is_err(), "nobody answers at the public address");
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1, "what was judged is what is connected to: no second look-up");
    assert!(refusal(&egress, &url).await.contains("loopback"), "and the next call judges again");
    assert_eq!(connected.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn of_several_addresses_only_the_public_ones_are_tried() {
    let (address, connected) = server(OK).await;
    let egress = guarded(&[], Fickle::new(&[&["127.0.0.1", "10.0.0.1"]]));
    refusal(&egress, &format!("http://mixed.example:{}/", address.port())).await;
    let resolver = Fickle::new(&[&["127.0.0.1", "25.0.0.1"]]);
    let egress = Egress::guarded(Duration::from_millis(300), Policy { allow: Vec::new(), resolver }).unwrap();
    assert!(egress.send(get(format!("http://mixed.example:{}/", address.port()))).await.is_err());
    assert_eq!(connected.load(Ordering::SeqCst), 0, "the loopback half of the answer is never connected to");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (inner, reached) = server(OK).await;
    let words =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{inner}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let (outer, _) = server(Box::leak(words.into_boxed_str())).await;
    let egress = guarded(&["redirector.example"], Fickle::new(&[&["127.0.0.1"]]));
    let answer =
        egress.exchange(get(format!("http://redirector.example:{}/", outer.port())), 100).await.expect("an answer");
    assert_eq!((answer.status, answer.header("location")), (302, Some(format!("http://{inner}/").as_str())));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_allowed_name_reaches_the_own_network_and_no_secret_of_a_cloud() {
    let (address, _) = server(OK).await;
    let egress = guarded(&["localhost", "127.0.0.1", "inside.example"], Fickle::new(&[&["127.0.0.1"]]));
    for host in ["localhost", "127.0.0.1", "inside.example", "INSIDE.example."] {
        let answer = egress.exchange(get(format!("http://{host}:{}/", address.port())), 100).await;
        let answer = answer.unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!((answer.status, answer.body.as_slice(), answer.address), (200, &b"ok"[..], Some(address.ip())));
    }
    assert!(refusal(&egress, &format!("http://outside.example:{}/", address.port())).await.contains("loopback"));
    let egress = guarded(&["inside.example"], Fickle::new(&[&["169.254.169.254"]]));
    assert!(refusal(&egress, "http://inside.example/").await.contains("link-local"));
}

#[tokio::test]
async fn a_long_answer_is_cut_and_a_slow_one_is_left() {
    let (address, _) = server("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n0123456789").await;
    let egress = guarded(&["127.0.0.1"], Fickle::new(&[]));
    let url = format!("http://{address}/");
    let answer = egress.exchange(get(url.clone()), 4).await.expect("an answer");
    assert_eq!((answer.body.as_slice(), answer.is_cut), (&b"0123"[..], true));
    let answer = egress.exchange(get(url), 10).await.expect("an answer");
    assert_eq!((answer.body.as_slice(), answer.is_cut), (&b"0123456789"[..], false));
    // A length that is promised and never kept.
    let (address, _) = server("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await;
    let hasty = Policy { allow: vec!["127.0.0.1".to_owned()], resolver: Fickle::new(&[]) };
    let hasty = Egress::guarded(Duration::from_millis(200), hasty).unwrap();
    assert!(matches!(hasty.send(get(format!("http://{address}/"))).await, Err(Unanswered::Lost(_))));
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let egress = guarded(&["127.0.0.1"], Fickle::new(&[]));
    assert!(refusal(&egress, &format!("http://{address}/")).await.to_lowercase().contains("refused"));
}
