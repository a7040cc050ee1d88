//! The access log: one line for each request. Every request pays for it, so its lines are written by hand into a buffer, and a
//! thread of its own carries the buffer to stderr a few times a second; a kill loses at most the last of them.
//!
//! Never a query, a header or a body: credentials travel in them.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use loopd_types::{CompanyId, Timestamp, Uuid};

/// How long lines are gathered before they are written.
const PAUSE: Duration = Duration::from_millis(100);
/// When stderr takes nothing, lines past this many bytes are counted instead of kept.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How a line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessFormat {
    /// One JSON object, with the names that the rest of the log has.
    Json,
    /// For people.
    Text,
}

/// What is told of one request.
pub(crate) struct Line<'a> {
    pub at: Timestamp,
    pub method: &'a str,
    /// The route's template, not the address.
    pub path: &'a str,
    pub status: u16,
    pub took: Duration,
    /// Of the body; of a stream, those that were taken.
    pub bytes: u64,
    /// The answer broke, or the client went away before its end.
    pub is_cut: bool,
    pub request_id: &'a str,
    pub surface: &'static str,
    pub address: IpAddr,
    pub company: Option<CompanyId>,
    pub user: Option<Uuid>,
    pub app_id: Option<&'a str>,
}

/// Gathers lines and writes them; ends its thread, and writes what is left, when dropped.
pub(crate) struct AccessLog {
    format: AccessFormat,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    lost: u64,
    ended: bool,
}

impl AccessLog {
    pub fn new(format: AccessFormat) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = shared.clone();
        let started = thread::Builder::new().name("access-log".into()).spawn(move || write(&writer));
        if let Err(error) = started {
            tracing::error!(%error, "requests are not logged: no thread for it");
        }
        Self { format, shared }
    }

    pub fn note(&self, line: &Line<'_>) {
        let mut pending = self.shared.lock();
        if pending.lines.len() > MAX_BYTES {
            pending.lost += 1;
            return;
        }
        let was_empty = pending.lines.is_empty();
        match self.format {
            AccessFormat::Json => line.json(&mut pending.lines),
            AccessFormat::Text => line.text(&mut pending.lines),
        }
        drop(pending);
        if was_empty {
            self.shared.changed.notify_one();
        }
    }

    /// Writes what was gathered, now: before the process ends.
    pub fn flush(&self) {
        self.shared.flush();
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self) {
        let (lines, lost) = {
            let mut pending = self.lock();
            (std::mem::take(&mut pending.lines), std::mem::take(&mut pending.lost))
        };
        // Nobody is left to be told that the log cannot be written.
        let _ = std::io::stderr().write_all(&lines);
        if lost > 0 {
            tracing::warn!(lines = lost, "stderr was too slow: requests went unlogged");
        }
    }
}

fn write(shared: &Shared) {
    loop {
        let ended = {
            let pending = shared.lock();
            let pending = shared
                .changed
                .wait_while(pending, |pending| pending.lines.is_empty() && !pending.ended)
                .unwrap_or_else(PoisonError::into_inner);
            pending.ended
        };
        if !ended {
            thread::sleep(PAUSE);
        }
        shared.flush();
        if ended {
            return;
        }
    }
}

impl Line<'_> {
    fn json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"timestamp\":\"");
        self.at.write_to(out);
        // Writing into a Vec cannot fail.
        let _ = write!(
            out,
            "\",\"level\":\"INFO\",\"message\":\"answered\",\"method\":\"{}\",\"path\":\"{}\",\"status\":{},\"ms\":{},\"bytes\":{},\
             \"request_id\":\"{}\",\"surface\":\"{}\",\"address\":\"{}\"",
            self.method,
            self.path,
            self.status,
            self.ms(),
            self.bytes,
            self.request_id,
            self.surface,
            self.address
        );
        if self.is_cut {
            out.extend_from_slice(b",\"cut\":true");
        }
        if let Some(company) = self.company {
            let _ = write!(out, ",\"company\":\"{}\"", company.code());
        }
        if let Some(user) = self.user {
            let _ = write!(out, ",\"user\":\"{user}\"");
        }
        if let Some(app_id) = self.app_id {
            out.extend_from_slice(b",\"app\":");
            quoted(out, app_id);
        }
        out.extend_from_slice(b",\"target\":\"loopd::access\"}\n");
    }

    fn text(&self, out: &mut Vec<u8>) {
        self.at.write_to(out);
        let _ = write!(
            out,
            "  INFO {} {} {} ms={} bytes={} request_id={} surface={} address={}",
            self.status,
            self.method,
            self.path,
            self.ms(),
            self.bytes,
            self.request_id,
            self.surface,
            self.address
        );
        if self.is_cut {
            out.extend_from_slice(b" cut");
        }
        if let Some(company) = self.company {
            let _ = write!(out, " company={}", company.code());
        }
        if let Some(user) = self.user {
            let _ = write!(out, " user={user}");
        }
        if let Some(app_id) = self.app_id {
            out.extend_from_slice(b" app=");
            quoted(out, app_id);
        }
        out.push(b'\n');
    }

    fn ms(&self) -> f64 {
        self.took.as_micros() as f64 / 1e3
    }
}

/// A client's own words: as a JSON string, so that they cannot begin a line of their own.
fn quoted(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        Line {
            at: Timestamp(1_795_333_465_022_938),
            method: "GET",
            path: "/api/v1/booking/appointments/{id}/",
            status: 200,
            took: Duration::from_micros(1_250),
            bytes: 321,
            is_cut: true,
            request_id: "r-1",
            surface: "loop",
            address: IpAddr::from([127, 0, 0, 1]),
            company: Some(CompanyId(7)),
            user: Some(Uuid::from_u128(1)),
            app_id: Some("a\"b\n2026 forged"),
        }
    }

    #[test]
    fn a_line_of_json_is_json_whatever_the_client_calls_itself() {
        let mut out = Vec::new();
        line().json(&mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["app"], "a\"b\n2026 forged");
        assert_eq!(read["ms"], 1.25);
        assert_eq!((&read["bytes"], &read["cut"]), (&321.into(), &true.into()));
        assert_eq!(read["company"], "007");
    }

    #[test]
    fn a_line_of_text_is_one_line() {
        let mut out = Vec::new();
        line().text(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with(" app=\"a\\\"b\\n2026 forged\"\n"), "{text}");
        assert!(
            text.contains("  INFO 200 GET /api/v1/booking/appointments/{id}/ ms=1.25 bytes=321 request_id=r-1"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
}
