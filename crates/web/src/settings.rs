//! What the edge needs to know from the operator; read and checked by the binary.

use std::time::Duration;

use crate::access_log::AccessFormat;
use loopd_types::Network;

/// Settings of the edge and of the accept loop.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `LOOP_BASE_URL` without a final slash; `None` uses the host that the client called.
    pub base_url: Option<String>,
    /// `LOOP_TRUSTED_PROXIES`
    pub trusted_proxies: Vec<Network>,
    /// `LOOP_ALLOWED_ORIGINS`: exact origins (`https://app.example.com`), or `*`.
    pub allowed_origins: Vec<String>,
    /// From the request's head to the answer's head; 504 after it.
    pub request_timeout: Duration,
    /// For the whole body of a request.
    pub body_timeout: Duration,
    /// For the first byte of a connection, and of each request's head after that.
    pub header_timeout: Duration,
    /// How long a kept-alive connection may be silent between two requests.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer that is being sent; the connection is cut after it.
    pub write_timeout: Duration,
    /// Open connections; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Open connections of one address (an IPv6 /64); more are closed at once. Trusted proxies speak for many and have no limit.
    pub max_connections_per_address: usize,
    /// After the signal to stop, how long running requests may take.
    pub shutdown_timeout: Duration,
    /// How each request is logged on stderr; `None` logs none.
    pub access_log: Option<AccessFormat>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: None,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            request_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            shutdown_timeout: Duration::from_secs(20),
            access_log: None,
        }
    }
}
