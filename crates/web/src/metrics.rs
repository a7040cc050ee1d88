//! Counters of the edge, rendered as Prometheus text. Atomics only; labels are surfaces and status classes, never tenants.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Surface;

/// Upper bounds of the latency buckets in microseconds.
const BOUNDS_US: [u64; 14] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const SURFACES: usize = Surface::ALL.len();

/// What the edge counts.
#[derive(Default)]
pub struct Metrics {
    by_surface: [PerSurface; SURFACES],
    pub(crate) in_flight: AtomicI64,
    /// Answers that are being sent as they come.
    pub(crate) streams: AtomicI64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) replayed: AtomicU64,
    pub(crate) connections: AtomicI64,
    pub(crate) connections_total: AtomicU64,
    pub(crate) connections_dropped: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
}

#[derive(Default)]
struct PerSurface {
    classes: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BOUNDS_US.len()],
    sum_us: AtomicU64,
    count: AtomicU64,
}

impl Metrics {
    pub(crate) fn record(&self, surface: Surface, status: u16, took: Duration) {
        let per = &self.by_surface[surface as usize];
        per.classes[usize::from(status / 100).clamp(1, 5) - 1].fetch_add(1, Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = BOUNDS_US.iter().position(|bound| us <= *bound) {
            per.buckets[at].fetch_add(1, Relaxed);
        }
        per.sum_us.fetch_add(us, Relaxed);
        per.count.fetch_add(1, Relaxed);
    }

    /// Requests answered so far.
    pub fn requests(&self) -> u64 {
        self.by_surface.iter().map(|per| per.count.load(Relaxed)).sum()
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> i64 {
        self.connections.load(Relaxed)
    }

    /// Appends the metrics in the Prometheus text format, version 0.0.4.
    pub fn render(&self, out: &mut String) {
        head(out, "loopd_http_requests_total", "counter", "Requests answered, by surface and status class.");
        for surface in Surface::ALL {
            let per = &self.by_surface[surface as usize];
            for (class, count) in CLASSES.iter().zip(&per.classes) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let surface = surface.as_str();
                    let _ =
                        writeln!(out, "loopd_http_requests_total{{surface=\"{surface}\",class=\"{class}\"}} {count}");
                }
            }
        }
        let name = "loopd_http_request_duration_seconds";
        head(out, name, "histogram", "Time from the request's head to the answer's head.");
        for surface in Surface::ALL {
            let (per, surface) = (&self.by_surface[surface as usize], surface.as_str());
            let count = per.count.load(Relaxed);
            if count == 0 {
                continue;
            }
            let mut below = 0;
            for (bound, bucket) in BOUNDS_US.iter().zip(&per.buckets) {
                below += bucket.load(Relaxed);
                let le = *bound as f64 / 1e6;
                let _ = writeln!(out, "{name}_bucket{{surface=\"{surface}\",le=\"{le}\"}} {below}");
            }
            let _ = writeln!(out, "{name}_bucket{{surface=\"{surface}\",le=\"+Inf\"}} {count}");
            let seconds = per.sum_us.load(Relaxed) as f64 / 1e6;
            let _ = writeln!(out, "{name}_sum{{surface=\"{surface}\"}} {seconds}");
            let _ = writeln!(out, "{name}_count{{surface=\"{surface}\"}} {count}");
        }
        for (name, help, value) in [
            ("loopd_http_panics_total", "Handlers that panicked.", self.panics.load(Relaxed)),
            ("loopd_http_timeouts_total", "Requests that took too long.", self.timeouts.load(Relaxed)),
            ("loopd_http_throttled_total", "Requests refused by a rate limit.", self.throttled.load(Relaxed)),
            ("loopd_http_replayed_total", "Answers given again for an Idempotency-Key.", self.replayed.load(Relaxed)),
            ("loopd_http_sent_bytes_total", "Bytes of answers' bodies.", self.sent_bytes.load(Relaxed)),
            ("loopd_connections_total", "Connections accepted.", self.connections_total.load(Relaxed)),
            (
                "loopd_connections_dropped_total",
                "Connections closed for slowness or for their number.",
                self.connections_dropped.load(Relaxed),
            ),
            ("loopd_tls_handshakes_failed_total", "TLS handshakes that failed.", self.handshakes_failed.load(Relaxed)),
        ] {
            head(out, name, "counter", help);
            let _ = writeln!(out, "{name} {value}");
        }
        for (name, help, value) in [
            ("loopd_http_in_flight", "Requests being answered now.", self.in_flight.load(Relaxed)),
            ("loopd_http_streams", "Answers being sent as they come.", self.streams.load(Relaxed)),
            ("loopd_connections", "Open connections.", self.connections.load(Relaxed)),
        ] {
            head(out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative_and_end_in_the_count() {
        let metrics = Metrics::default();
        metrics.record(Surface::Loop, 200, Duration::from_micros(90));
        metrics.record(Surface::Loop, 404, Duration::from_micros(600));
        metrics.record(Surface::Loop, 500, Duration::from_secs(60));
        let mut text = String::new();
        metrics.render(&mut text);
        for line in [
            "loopd_http_requests_total{surface=\"loop\",class=\"4xx\"} 1",
            "loopd_http_request_duration_seconds_bucket{surface=\"loop\",le=\"0.0001\"} 1",
            "loopd_http_request_duration_seconds_bucket{surface=\"loop\",le=\"0.001\"} 2",
            "loopd_http_request_duration_seconds_bucket{surface=\"loop\",le=\"30\"} 2",
            "loopd_http_request_duration_seconds_bucket{surface=\"loop\",le=\"+Inf\"} 3",
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
    }
}
