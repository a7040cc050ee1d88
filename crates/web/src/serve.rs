//! The accept loop. `axum::serve` (0.8) installs no timer, so hyper's header timeout is inert there, and its graceful shutdown waits
//! for idle connections and event streams for ever; this loop bounds every wait.
//!
//! - A connection must finish its first request's head within `header_timeout`. The clock runs from the accept, so that silence,
//!   a first byte that never comes and hyper's untimed look for HTTP/2 (hyper#3756) are all covered by one deadline.
//! - Later requests on it: `idle_timeout` from the end of one to the end of the next one's head (hyper's own timer).
//! - At most `max_connections` are open; the rest wait in the listener's queue. One address has at most
//!   `max_connections_per_address` of them, so that nobody alone can shut the others out.
//! - On shutdown: no new connections, event streams end, running requests get `shutdown_timeout`, then everything is cut.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use loopd_kernel::access::network;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::App;

/// Pause after a failed accept: out of file descriptors, mostly, which a busy loop would not cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` on `listener` until `shutdown` resolves, then drains. Returns when every connection is closed or cut.
pub async fn run(app: App, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let settings = app.settings();
    let builder = Arc::new(connection_builder(settings.idle_timeout));
    let slots = Arc::new(Semaphore::new(settings.max_connections));
    let addresses = Addresses::new(settings.max_connections_per_address);
    let graceful = GracefulShutdown::new();
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
            app.metrics().connections_dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let watcher = graceful.watcher();
        let (app, builder) = (app.clone(), builder.clone());
        connections.spawn(async move {
            serve_connection(app, stream, peer, &builder, watcher).await;
            drop((slot, place));
        });
    }
    drop(listener);
    app.end_streams();
    let drained = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if tokio::time::timeout(settings.shutdown_timeout, drained).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut");
    }
    app.flush_access_log();
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

fn connection_builder(idle: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle).pipeline_flush(true).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(idle)
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(128)
        .max_header_list_size(64 * 1024);
    builder
}

async fn serve_connection(
    app: App,
    stream: TcpStream,
    peer: SocketAddr,
    builder: &auto::Builder<TokioExecutor>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let metrics = app.metrics().clone();
    metrics.connections.fetch_add(1, Ordering::Relaxed);
    metrics.connections_total.fetch_add(1, Ordering::Relaxed);
    let deadline = app.settings().header_timeout;
    let has_asked = Arc::new(AtomicBool::new(false));
    let service = {
        let has_asked = has_asked.clone();
        service_fn(move |request: hyper::Request<Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            let app = app.clone();
            async move { Ok::<_, Infallible>(app.handle(request, peer.ip()).await) }
        })
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(watcher.watch(connection.into_owned()));
    let ended = tokio::select! {
        biased;
        ended = &mut connection => Some(ended),
        () = tokio::time::sleep(deadline) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None if has_asked.load(Ordering::Relaxed) => connection.await,
        None => {
            metrics.connections_dropped.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
    metrics.connections.fetch_sub(1, Ordering::Relaxed);
}

fn is_connection_error(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
