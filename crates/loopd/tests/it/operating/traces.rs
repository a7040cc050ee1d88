//! Traces reach a collector that the test plays, with the caller's trace taken over and handed on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use loopd_testkit::json;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::{Program, eventually};

/// What a server of the test's was asked: path, headers by name, body.
type Asked = Arc<Mutex<Vec<(String, http::HeaderMap, Value)>>>;

/// Answers everything with `{}` and remembers it.
async fn listen() -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Asked::default();
    let known = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let known = known.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let known = known.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    let body = serde_json::from_slice(&body).unwrap_or_default();
                    known.lock().expect("a lock").push((parts.uri.path().to_owned(), parts.headers, body));
                    let answer = json!({"choices": [{"message": {"content": "{}"}}]}).to_string();
                    Ok::<_, std::convert::Infallible>(http::Response::new(answer))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, asked)
}

/// Every span that has arrived.
fn spans(asked: &Asked) -> Vec<Value> {
    let asked = asked.lock().expect("a lock");
    let documents = asked.iter().filter(|(path, ..)| path == "/v1/traces");
    documents
        .flat_map(|(.., body)| {
            body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned().unwrap_or_default()
        })
        .collect()
}

fn attribute<'v>(span: &'v Value, name: &str) -> &'v Value {
    let all = span["attributes"].as_array().expect("attributes");
    all.iter().find(|one| one["key"] == name).map_or(&Value::Null, |one| &one["value"])
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_what_it_asks_elsewhere_are_one_trace_of_the_caller_s() {
    let (collector, traces) = listen().await;
    let (model, asked) = listen().await;
    let program = Program::fresh()
        .with("LOOP_OTLP_ENDPOINT", &collector)
        .with("LOOP_OTLP_HEADERS", "x-tenant=one")
        .with("LOOP_AI_BASE_URL", &format!("{model}/v1"))
        .with("LOOP_AI_MODEL", "test");
    let server = program.serve();
    let body =
        json!({"email": "dev@example.com", "username": "dev", "password": "strongpass123", "company_name": "Demo"});
    let answer = server.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201);
    let owner =
        server.client().with_token(&answer.text_at("/access")).company("001").with_header("traceparent", PARENT);
    owner.get("/api/v1/booking/appointments/?search=secret").await.expect_status(200);
    owner.post("/api/v1/ai/business-advice/").json(&json!({"prompt": "How are we doing?"})).await;
    owner.get("/api/v1/nowhere/").await.expect_status(404);
    eventually("the spans arrive", async || spans(&traces).len() >= 4).await;
    let all = spans(&traces);
    let of = |name: &str| all.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name} in {all:?}"));
    let list = of("GET /api/v1/booking/appointments/");
    assert_eq!(
        (&list["traceId"], &list["parentSpanId"]),
        (&json!("4bf92f3577b34da6a3ce929d0e0e4736"), &json!("00f067aa0ba902b7"))
    );
    assert_eq!((&list["kind"], attribute(list, "http.response.status_code")), (&json!(2), &json!({"intValue": "200"})));
    assert_eq!(attribute(list, "loopd.company"), &json!({"stringValue": "001"}));
    assert!(list["startTimeUnixNano"].as_str() <= list["endTimeUnixNano"].as_str());
    let own = of("POST /api/v1/auth/register/");
    assert!(
        own["traceId"] != list["traceId"] && own.get("parentSpanId").is_none(),
        "without a caller's a trace of its own"
    );
    assert!(!serde_json::to_string(&all).expect("JSON").contains("secret"), "no query is told");
    let headers = traces.lock().expect("a lock")[0].1.clone();
    assert_eq!(headers.get("x-tenant").and_then(|value| value.to_str().ok()), Some("one"));
    // Whatever was asked of the model was told where it stands.
    let asked = asked.lock().expect("a lock").clone();
    let (_, headers, _) = asked.first().expect("the model is asked");
    let told = headers.get("traceparent").and_then(|value| value.to_str().ok()).expect("a traceparent").to_owned();
    assert!(told.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{told}");
    let call = all.iter().find(|span| told.contains(span["spanId"].as_str().expect("an id"))).expect("its span");
    assert_eq!(call["kind"], json!(3));
    let metrics = server.client().get("/metrics").await.expect_status(200);
    assert!(metrics.text().contains("loopd_trace_spans_sent_total"), "{}", metrics.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_spans_and_no_request() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let program = Program::fresh().with("LOOP_OTLP_ENDPOINT", &format!("http://{free}"));
    let server = program.serve();
    let client = server.client();
    for _ in 0..20 {
        client.get("/health/").await.expect_status(200);
    }
    eventually("lost spans are counted", async || {
        let metrics = client.get("/metrics").await.expect_status(200).text().to_owned();
        let lost = metrics.lines().find_map(|line| line.strip_prefix("loopd_trace_spans_lost_total "));
        lost.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count >= 20)
    })
    .await;
    let log = tokio::time::timeout(Duration::from_secs(60), tokio::task::spawn_blocking(move || server.log())).await;
    let log = log.expect("the server stops").expect("the log is read");
    assert_eq!(log.matches("LOOP_OTLP_ENDPOINT took no spans").count(), 1, "{log}");
}
