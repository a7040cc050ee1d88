//! The facilitator's door with nothing behind it but the sandbox: what it answers is held against what it promises for every body.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use loopd_kernel::Kernel;
use loopd_pay::{Pay, Settings, facilitator};
use loopd_web::App;
use serde_json::Value;

pub const VERIFY: &str = "/facilitator/verify";
pub const SETTLE: &str = "/facilitator/settle";

pub struct Door {
    app: App,
    /// Calls so far: each comes from an address of its own, so that nobody's budget is used up.
    calls: AtomicU32,
}

impl Door {
    /// A facilitator that asks nobody for a key.
    pub fn new(kernel: Arc<Kernel>) -> Self {
        let settings = Settings { is_facilitator_open: true, ..Settings::default() };
        let pay = Pay::new(settings).expect("the sandbox needs nothing");
        let app = App::new(kernel, loopd_web::Settings::default(), facilitator::operations(&pay));
        Self { app: app.expect("operations do not collide"), calls: AtomicU32::new(1 << 24) }
    }

    /// Sends a body; what it is answered, once that is found to be an answer of this surface.
    ///
    /// # Panics
    /// When it is none: a panic, a status that no body may cause, another surface's words.
    pub async fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let request =
            http::Request::post(path).header("host", "loopd.example").header("content-type", "application/json");
        let request = request.body(Whole(Some(Bytes::copy_from_slice(body)))).expect("a request");
        let peer: IpAddr = Ipv4Addr::from(self.calls.fetch_add(1, Ordering::Relaxed)).into();
        let answer = self.app.handle(request, peer).await;
        let status = answer.status().as_u16();
        let said = answer.body().bytes().expect("an answer that is ready");
        let said: Value = serde_json::from_slice(said).unwrap_or_else(|error| panic!("{status}: {error}"));
        let complaint = judge(path, status, &said);
        assert!(
            complaint.is_none(),
            "{}: {status} {said} for {}",
            complaint.unwrap_or_default(),
            String::from_utf8_lossy(body)
        );
        (status, said)
    }
}

/// What is wrong with an answer; `None` for a good one.
fn judge(path: &str, status: u16, said: &Value) -> Option<&'static str> {
    let is_text = |name: &str| said[name].is_string();
    let has_words = |name: &str| said[name].as_str().is_some_and(|words| !words.is_empty());
    match (status, path) {
        (200, VERIFY) => match said["isValid"].as_bool() {
            None => Some("a verdict says isValid"),
            Some(true) => (!has_words("payer")).then_some("a good payment has a payer"),
            Some(false) => {
                (!has_words("invalidReason") || !has_words("invalidMessage")).then_some("a bad one has a reason")
            }
        },
        (200, SETTLE) => match said["success"].as_bool() {
            _ if !is_text("transaction") || !is_text("network") => Some("clients demand both as text"),
            None => Some("an answer says success"),
            Some(true) => (!has_words("transaction")).then_some("what was settled has a transaction"),
            Some(false) => (!has_words("errorReason")).then_some("what was not has a reason"),
        },
        (400 | 413, _) => {
            let members = said.as_object().map_or(0, serde_json::Map::len);
            (members != 2 || !has_words("error") || !has_words("message"))
                .then_some("a refusal is in the facilitator's words")
        }
        _ => Some("no body may cause this status"),
    }
}

/// A body that is there at once.
struct Whole(Option<Bytes>);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}
