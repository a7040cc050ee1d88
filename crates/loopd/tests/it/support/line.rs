//! [`Line`]: a line to PostgreSQL on which the answers to commits can get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Stands between a server and its database.
pub struct Line {
    /// The database's address through this line.
    pub url: String,
    loses: Arc<AtomicBool>,
    lost: Arc<AtomicUsize>,
}

impl Line {
    /// To the database at `postgres://user@HOST:PORT/…`.
    pub async fn to(url: &str) -> Self {
        let (before, rest) = url.split_once('@').expect("an address with a user");
        let (server, after) = rest.split_once('/').expect("an address with a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let here = listener.local_addr().expect("a bound listener has an address");
        let line = Self { url: format!("{before}@{here}/{after}"), loses: Arc::default(), lost: Arc::default() };
        let (server, loses, lost) = (server.to_owned(), line.loses.clone(), line.lost.clone());
        tokio::spawn(async move {
            while let Ok((inside, _)) = listener.accept().await {
                let outside = TcpStream::connect(&server).await.expect("the database is there");
                tokio::spawn(carry(inside, outside, loses.clone(), lost.clone()));
            }
        });
        line
    }

    /// From now on a connection breaks after a commit is done and before its answer is heard, or no longer.
    pub fn lose_commits(&self, yes: bool) {
        self.loses.store(yes, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// Carries both ways until either side ends, or the answer to a commit is lost.
async fn carry(mut inside: TcpStream, mut outside: TcpStream, loses: Arc<AtomicBool>, lost: Arc<AtomicUsize>) {
    // A simple query, and the answer to it of a session that is in no transaction any more.
    const ASKED: &[u8] = b"COMMIT\0";
    const DONE: &[u8] = b"Z\0\0\0\x05I";
    let (mut question, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut is_committing = false;
    loop {
        tokio::select! {
            read = inside.read(&mut question) => {
                let Ok(length @ 1..) = read else { return };
                is_committing |= question[..length].ends_with(ASKED) && loses.load(Ordering::SeqCst);
                if outside.write_all(&question[..length]).await.is_err() {
                    return;
                }
            }
            read = outside.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if is_committing {
                    if answer[..length].ends_with(DONE) {
                        lost.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                } else if inside.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
