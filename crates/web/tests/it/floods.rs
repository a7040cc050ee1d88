//! Clients that are too hasty, each by what it floods the server with. Beside each limit stands what was seen without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use loopd_testkit::{Boot as _, Database, Engine};
use tokio::io::AsyncWriteExt as _;

use crate::raw::{
    ACK, CONTINUATION, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, connect, frame, get,
    request, reset,
};
use crate::world::Edge;

/// RFC 9113, 7: "The endpoint detected that its peer is exhibiting a behavior that might be generating excessive load".
const ENHANCE_YOUR_CALM: u32 = 11;
const REFUSED_STREAM: u32 = 7;
/// Far more than any limit needs, so that only a missing one fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that closes nothing because it is idle.
async fn edge() -> Edge {
    let database = Database::prepared::<Edge>(Engine::Sqlite).await.expect("SQLite is always there");
    Edge::with(database, |settings| {
        settings.idle_timeout = Duration::from_secs(60);
        settings.write_timeout = Duration::from_millis(400);
    })
    .await
}

/// How a flood ended.
struct Ending {
    /// The reason that the server gave before it closed the connection, if it gave one.
    reason: Option<u32>,
    /// Pieces that were written until then.
    sent: usize,
}

/// Writes `piece(1)`, `piece(3)`, … until the server has closed the connection, which it must.
async fn flood(edge: &Edge, pieces: usize, piece: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Ending {
    let (reader, mut writer) = connect(edge, 65_535).await.into_split();
    let (mut frames, sent) = (Frames(reader), Arc::new(AtomicUsize::new(0)));
    let counted = sent.clone();
    let attack = tokio::spawn(async move {
        for number in 0..u32::try_from(pieces).unwrap() {
            if writer.write_all(&piece(1 + 2 * number)).await.is_err() {
                return;
            }
            counted.fetch_add(1, Relaxed);
        }
        std::future::pending::<()>().await;
    });
    let watch = async {
        let mut reason = None;
        while let Some(frame) = frames.next().await {
            if frame.kind == GOAWAY {
                reason = Some(frame.reason());
            }
        }
        reason
    };
    let reason = tokio::time::timeout(PATIENCE, watch).await;
    attack.abort();
    let sent = sent.load(Relaxed);
    Ending { reason: reason.unwrap_or_else(|_| panic!("{sent} pieces were taken and nobody minds")), sent }
}

/// Those who behave are answered.
async fn serves_others(edge: &Edge) {
    edge.client().get("/api/v1/open/").await.expect_status(200);
}

/// CVE-2023-44487, in one packet: the streams are gone before anybody looked at them.
///
/// Without `MOST_PENDING_RESETS` all 20,000 are taken before `MOST_TAKEN_BACK` closes the connection, without a reason.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_at_once_end_their_connection() {
    let edge = edge().await;
    let ending = flood(&edge, 20_000, |id| [request(id, "/api/v1/patient/"), reset(id)].concat()).await;
    assert_eq!(ending.reason, Some(ENHANCE_YOUR_CALM), "after {} streams", ending.sent);
    serves_others(&edge).await;
    edge.close().await;
}

/// CVE-2023-44487 by somebody patient: each request is being worked on when it is taken back, and none is ever answered.
///
/// Without `MOST_TAKEN_BACK` it goes on for as long as the test waits.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_taken_back_while_they_are_worked_on_end_their_connection() {
    let edge = edge().await;
    let (reader, mut writer) = connect(&edge, 65_535).await.into_split();
    let mut frames = Frames(reader);
    let attack = async {
        let mut taken_back = 0;
        for round in 0.. {
            let ids = (0..50).map(|number| 1 + 2 * (50 * round + number));
            let ask: Vec<u8> = ids.clone().flat_map(|id| request(id, "/api/v1/patient/")).collect();
            // The answer to a ping says that what was written before it was read; a moment later it is worked on.
            let ping = frame(PING, 0, 0, &[7; 8]);
            if writer.write_all(&[ask, ping].concat()).await.is_err() {
                return taken_back;
            }
            loop {
                match frames.next().await {
                    None => return taken_back,
                    Some(frame) if frame.kind == PING && frame.flags & ACK != 0 => break,
                    Some(frame) => assert_ne!(frame.kind, GOAWAY, "reason {}", frame.reason()),
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            if writer.write_all(&ids.flat_map(reset).collect::<Vec<u8>>()).await.is_err() {
                return taken_back;
            }
            taken_back += 50;
        }
        taken_back
    };
    let taken_back = tokio::time::timeout(PATIENCE, attack).await.expect("requests are taken back for ever");
    assert!(taken_back >= 200, "a browser that leaves a page takes back a few: {taken_back}");
    serves_others(&edge).await;
    edge.close().await;
}

/// CVE-2025-8671: it is the server that is made to reset, by a window that nobody can have (RFC 9113, 6.9.1).
///
/// Without `MOST_PROTOCOL_RESETS` all 20,000 are taken before `MOST_TAKEN_BACK` closes the connection, without a reason.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_the_server_is_made_to_reset_end_their_connection() {
    let edge = edge().await;
    let broken =
        |id| [request(id, "/api/v1/patient/"), frame(WINDOW_UPDATE, 0, id, &0x7fff_ffff_u32.to_be_bytes())].concat();
    let ending = flood(&edge, 20_000, broken).await;
    assert_eq!(ending.reason, Some(ENHANCE_YOUR_CALM), "after {} streams", ending.sent);
    serves_others(&edge).await;
    edge.close().await;
}

/// Without `MOST_STREAMS` nothing is announced and none of the 150 is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_so_many_streams_and_the_next_is_refused() {
    let edge = edge().await;
    let (reader, mut writer) = connect(&edge, 65_535).await.into_split();
    let mut frames = Frames(reader);
    let all: Vec<u8> = (0..150).flat_map(|number| request(1 + 2 * number, "/api/v1/patient/")).collect();
    let ping = frame(PING, 0, 0, &[7; 8]);
    writer.write_all(&[all, ping].concat()).await.unwrap();
    let (mut announced, mut refused, mut is_answered) = (None, 0, false);
    let watch = async {
        while refused < 22 || !is_answered {
            let frame = frames.next().await.expect("the connection stays");
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => {
                    let each = frame.payload.chunks(6).find(|setting| setting[..2] == [0, 3]);
                    announced = each.map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()));
                }
                RST_STREAM => {
                    assert_eq!(frame.reason(), REFUSED_STREAM);
                    refused += 1;
                }
                PING => is_answered = true,
                _ => {}
            }
        }
    };
    let seen = tokio::time::timeout(PATIENCE, watch).await;
    assert_eq!((seen.is_ok(), announced, refused), (true, Some(128), 22));
    serves_others(&edge).await;
    edge.close().await;
}

/// CVE-2024-27983: a head that never ends.
///
/// Without `max_header_list_size` 1,064 parts, 5 MB, were taken, and the connection ended without a reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_ends_its_connection() {
    let edge = edge().await;
    let part = [0x00, 1, b'a', 1, b'b'].repeat(1_000);
    let ending = flood(&edge, 20_000, move |id| {
        let begin = if id == 1 { frame(HEADERS, 0, 1, &get("/api/v1/open/")) } else { Vec::new() };
        [begin, frame(CONTINUATION, 0, 1, &part)].concat()
    })
    .await;
    assert_eq!(ending.reason, Some(ENHANCE_YOUR_CALM), "after {} frames", ending.sent);
    serves_others(&edge).await;
    edge.close().await;
}

/// Each of these frames asks for an answer, and the answers are never read: what the server gathers for us must be bounded, and so
/// must be how long it waits.
///
/// h2 reads no further while it cannot answer, which bounds the first. Without `write_timeout` the connection stays as it is for as long as
/// the test waits.
#[tokio::test(flavor = "multi_thread")]
async fn frames_whose_answers_nobody_reads_are_not_answered_for_ever() {
    const MOST: usize = 256 * 1024 * 1024;
    let edge = edge().await;
    for asking in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[1; 8])] {
        let (_unread, mut writer) = connect(&edge, 65_535).await.into_split();
        // Whoever has asked for nothing yet is closed for that.
        writer.write_all(&request(1, "/api/v1/open/")).await.unwrap();
        let many = asking.repeat(1_000);
        let attack = async {
            let mut sent = 0;
            while sent < MOST && writer.write_all(&many).await.is_ok() {
                sent += many.len();
            }
            sent
        };
        let sent =
            tokio::time::timeout(PATIENCE, attack).await.expect("a client that never reads keeps its connection");
        assert!(sent < MOST, "a flood of {} was taken without end", asking[3]);
        serves_others(&edge).await;
    }
    edge.close().await;
}
