//! The accept loop. `axum::serve` (0.8) installs no timer, so hyper's header timeout is inert there, and its graceful shutdown waits
//! for idle connections and event streams for ever; this loop bounds every wait.
//!
//! - A connection must finish its TLS handshake and its first request's head within `header_timeout`. The clock runs from the accept,
//!   so that silence, a first byte that never comes and hyper's untimed look for HTTP/2 (hyper#3756) are covered by one deadline.
//! - What comes after that is bounded in `connection`: idleness, clients that do not read, streams that are opened to be reset.
//! - At most `max_connections` are open; the rest wait in the listener's queue. One address has at most
//!   `max_connections_per_address` of them, so that nobody alone can shut the others out.
//! - On shutdown: no new connections, event streams end, running requests get `shutdown_timeout`, then everything is cut; at once
//!   when the [`Lifecycle`](crate::Lifecycle) says so.

mod connection;
mod redirect;
mod stall;

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use loopd_kernel::access::network;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use redirect::redirect;

use crate::proxy::Peer;
use crate::tls::Tls;
use crate::{App, Lifecycle, Metrics, Payload, Phase, Settings};

/// Pause after a failed accept: out of file descriptors, mostly, which a busy loop would not cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` on `listener` until `shutdown` resolves, then drains. Returns when every connection is closed or cut.
pub async fn run(app: App, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    run_with(app, listener, None, shutdown).await;
}

/// As [`run`], with TLS on every connection when there is one.
pub async fn run_with(app: App, listener: TcpListener, tls: Option<Tls>, shutdown: impl Future<Output = ()>) {
    let hub = Hub {
        settings: Arc::new(app.settings().clone()),
        metrics: app.metrics().clone(),
        lifecycle: app.lifecycle().clone(),
        tls,
    };
    let answered = app.clone();
    let answer = move |request: hyper::Request<Incoming>, peer: Peer| {
        let app = answered.clone();
        async move { app.handle(request, peer).await }
    };
    accept(hub, listener, answer, shutdown).await;
    app.flush_access_log();
}

/// What the connections of one listener have in common.
#[derive(Clone)]
struct Hub {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
    tls: Option<Tls>,
}

async fn accept<A, F>(hub: Hub, listener: TcpListener, answer: A, shutdown: impl Future<Output = ()>)
where
    A: Fn(hyper::Request<Incoming>, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = hyper::Response<Payload>> + Send + 'static,
{
    let settings = hub.settings.clone();
    let builder = Arc::new(connection::builder(settings.idle_timeout));
    let slots = Arc::new(Semaphore::new(settings.max_connections));
    let addresses = Addresses::new(settings.max_connections_per_address);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // A client that left before it was accepted is its own matter; anything else is worth a line.
                if !is_connection_error(&error) {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let is_proxy = settings.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
        let place = if is_proxy { None } else { Some(addresses.enter(peer.ip())) };
        if let Some(None) = place {
            hub.metrics.connections_dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let (hub, builder, answer) = (hub.clone(), builder.clone(), answer.clone());
        connections.spawn(async move {
            connection::serve(&hub, stream, peer.ip(), &builder, answer).await;
            drop((slot, place));
        });
    }
    drop(listener);
    hub.lifecycle.advance(Phase::Ending);
    let drained = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = drained => {}
        () = tokio::time::sleep(settings.shutdown_timeout) => tracing::warn!("some requests did not end in time and were cut"),
        () = hub.lifecycle.reached(Phase::Cut) => tracing::warn!("told again to stop: running requests were cut"),
    }
}

/// How many connections each address has open.
#[derive(Clone)]
struct Addresses {
    open: Arc<Mutex<HashMap<String, usize>>>,
    most: usize,
}

/// A connection's place among those of its address; given back when dropped.
struct Place {
    addresses: Addresses,
    network: String,
}

impl Addresses {
    fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    /// `None` when the address has as many as it may.
    fn enter(&self, address: IpAddr) -> Option<Place> {
        let network = network(address.to_canonical());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { addresses: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

fn is_connection_error(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
