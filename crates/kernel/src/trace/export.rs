//! Spans to the collector: OTLP over HTTP in its JSON form (opentelemetry.io, OTLP 1.x, "JSON Protobuf Encoding"), in batches.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use loopd_types::{Timestamp, hex};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Attribute, Settings, Span, Spans, Tracer};
use crate::egress::{Egress, Outbound};

/// Spans of one request to the collector.
const BATCH: usize = 512;
/// How long a batch is gathered.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the collector may take.
const WAIT: Duration = Duration::from_secs(10);
/// How often a refusal of the collector is logged at most.
const QUIET: Duration = Duration::from_secs(60);

/// Sends what `tracer` records until the server stops, and then what is left.
pub async fn run(
    tracer: Tracer,
    mut spans: Spans,
    settings: Settings,
    version: &'static str,
    mut stop: watch::Receiver<bool>,
) {
    let client = match Egress::new(WAIT) {
        Ok(client) => client,
        Err(words) => return tracing::error!(words, "traces are not exported"),
    };
    let mut complained: Option<tokio::time::Instant> = None;
    let mut is_last = false;
    while !is_last {
        let mut batch = Vec::new();
        let gathered = async {
            while batch.len() < BATCH {
                match spans.0.recv().await {
                    Some(span) => batch.push(span),
                    None => break,
                }
            }
        };
        tokio::select! {
            () = gathered => {}
            () = tokio::time::sleep(PAUSE) => {}
            _ = stop.wait_for(|stopped| *stopped) => is_last = true,
        }
        while is_last && let Ok(span) = spans.0.try_recv() {
            batch.push(span);
        }
        if batch.is_empty() {
            continue;
        }
        let outcome = send(&client, &settings, version, &batch).await;
        let Some(counts) = tracer.counts() else { return };
        match outcome {
            Ok(()) => {
                counts.sent.fetch_add(batch.len() as u64, Relaxed);
            }
            Err(words) => {
                counts.lost.fetch_add(batch.len() as u64, Relaxed);
                if complained.is_none_or(|at| at.elapsed() > QUIET) {
                    complained = Some(tokio::time::Instant::now());
                    tracing::warn!(words, spans = batch.len(), "LOOP_OTLP_ENDPOINT took no spans; they are lost");
                }
            }
        }
    }
}

async fn send(client: &Egress, settings: &Settings, version: &str, batch: &[Span]) -> Result<(), String> {
    let body = serde_json::to_vec(&document(version, batch)).map_err(|error| error.to_string())?;
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(settings.headers.iter().map(|(name, value)| (*name, value.expose().clone())));
    let request = || Outbound {
        method: "POST",
        url: format!("{}/v1/traces", settings.endpoint.trim_end_matches('/')),
        headers: headers.clone(),
        body: body.clone(),
    };
    for last in [false, true] {
        let words = match client.send(request()).await {
            Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
            // Those that OTLP calls worth another try.
            Ok(answer) if matches!(answer.status, 429 | 502 | 503 | 504) => format!("status {}", answer.status),
            Ok(answer) => return Err(format!("status {}", answer.status)),
            Err(error) => error.to_string(),
        };
        if last {
            return Err(words);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// One batch as the collector reads it.
fn document(version: &str, batch: &[Span]) -> Value {
    let spans: Vec<Value> = batch.iter().map(span).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", "loopd"), text("service.version", version)]},
        "scopeSpans": [{"scope": {"name": "loopd", "version": version}, "spans": spans}],
    }]})
}

fn span(span: &Span) -> Value {
    let attributes: Vec<Value> = span
        .attributes
        .iter()
        .map(|(name, value)| match value {
            Attribute::Text(value) => text(name, value),
            // 64-bit numbers are strings in the JSON of protocol buffers.
            Attribute::Int(value) => json!({"key": name, "value": {"intValue": value.to_string()}}),
        })
        .collect();
    let mut out = json!({
        "traceId": hex(&span.at.trace),
        "spanId": hex(&span.at.span),
        "name": span.name,
        "kind": span.kind as i32,
        "startTimeUnixNano": nanos(span.began_at),
        "endTimeUnixNano": nanos(span.ended_at),
        "attributes": attributes,
        "status": if span.failed { json!({"code": 2}) } else { json!({}) },
    });
    if let Some(parent) = span.parent {
        out["parentSpanId"] = hex(&parent).into();
    }
    out
}

fn text(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn nanos(at: Timestamp) -> String {
    format!("{}000", at.micros())
}
