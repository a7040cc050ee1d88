//! [`App`]: the one service around everything. It gives each request its id, limits and dialect, and each answer its headers.
//!
//! Whatever goes wrong from here inward, router 404, 405, unreadable JSON, size, timeout and panic included, leaves as a
//! [`Problem`] and is written in the surface's dialect in one place, [`App::handle`].

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body;
use http_body_util::BodyExt as _;
use loopd_kernel::limit::Decision;
use loopd_kernel::refusal::Refused;
use loopd_kernel::trace::{self, Current};
use loopd_kernel::{Actor, Kernel, audit};
use loopd_types::{Kind, Problem, Result};

use crate::access_log::{AccessLog, Line};
use crate::call::Base;
use crate::operation::Access;
use crate::pipeline::{self, Trail};
use crate::proxy::{self, Client, Peer};
use crate::router::{Params, Route, Routes};
use crate::sending::{Asked, Sending};
use crate::to_its_end::ToItsEnd;
use crate::traced::Traced;
use crate::upload::{self, Progress};
use crate::{
    BoxError, Call, Ending, Lifecycle, Metrics, Operation, Payload, Phase, Query, Reply, Settings, Surface, Upload,
    compress, cors, dialect, negotiate,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const X_RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Longest `X-Request-ID` that is taken over.
const MAX_REQUEST_ID: usize = 128;
/// For pages that bring no policy of their own: everything from this host, nothing inline.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// The whole HTTP application. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) settings: Settings,
    /// [`Settings::base_url`], as calls hand it on.
    base_url: Option<Arc<str>>,
    routes: Routes,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) access_log: Option<AccessLog>,
}

impl App {
    /// Puts the operations of all surfaces behind one edge.
    ///
    /// # Errors
    /// Words for the operator when two operations collide.
    pub fn new(kernel: Arc<Kernel>, settings: Settings, operations: Vec<Operation>) -> Result<Self, String> {
        Self::with_metrics(kernel, settings, operations, Arc::default())
    }

    /// As [`App::new`], with counters that the caller also holds (its `/metrics` operation renders them).
    ///
    /// # Errors
    /// As [`App::new`].
    pub fn with_metrics(
        kernel: Arc<Kernel>,
        settings: Settings,
        operations: Vec<Operation>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let routes = Routes::build(operations)?;
        let lifecycle = Lifecycle::default();
        let access_log = settings.access_log.map(AccessLog::new);
        let base_url = settings.base_url.as_deref().map(|base| base.trim_end_matches('/').into());
        Ok(Self(Arc::new(Inner { kernel, settings, base_url, routes, metrics, lifecycle, access_log })))
    }

    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.0.kernel
    }
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }
    /// Where the server stands between start and end; whoever stops it moves it on.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.0.lifecycle
    }
    /// Writes the access log's last lines; the accept loop calls it when the server has stopped.
    pub(crate) fn flush_access_log(&self) {
        if let Some(log) = &self.0.access_log {
            log.flush();
        }
    }
    /// Every operation that is served, for coverage tests and documents.
    pub fn operations(&self) -> impl Iterator<Item = &Arc<Operation>> {
        self.0.routes.operations()
    }

    /// Answers one request of `peer`, the other end of the connection. Never fails and never panics.
    pub async fn handle<B>(&self, request: Request<B>, peer: impl Into<Peer>) -> Response<Payload>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let started = Instant::now();
        let inner = &*self.0;
        let _in_flight = InFlight::new(&inner.metrics);
        let (parts, body) = request.into_parts();
        let parts = Arc::new(parts);
        let request_id = request_id(inner, &parts);
        let surface = Surface::of(parts.uri.path());
        let client = proxy::client(peer, &parts.headers, &inner.settings.trusted_proxies);
        let mut trail = Trail::default();
        let traced = Traced::begin(inner, &parts, &client);
        let current =
            Current { request_id: request_id.clone(), traced: traced.as_ref().map(|traced| traced.place(inner)) };
        let work = async {
            let answered = AssertUnwindSafe(self.answer(&parts, body, &client, &request_id, &mut trail)).catch_unwind();
            let outcome = answered.await.unwrap_or_else(|panic| {
                inner.metrics.panics.fetch_add(1, Relaxed);
                Err(Problem::internal(format!("panic: {}", panic_words(&*panic))))
            });
            outcome.inspect_err(note)
        };
        let outcome = trace::within(current, work).await;
        let mut reply = outcome.unwrap_or_else(|problem| {
            self.note_refusal(&problem, &trail, || trail.actor(&parts, client.address, &request_id));
            let dress = trail.operation.as_ref().and_then(|operation| operation.dressed);
            let problem = match dress {
                Some(dress) => dress(problem),
                None => problem,
            };
            if surface == Surface::Loop && negotiate::prefers_page(text_header(&parts, &ACCEPT)) {
                dialect::render_for_people(&problem, &request_id)
            } else {
                dialect::render(surface, &problem, &request_id)
            }
        });
        compress::compress(&mut reply, text_header(&parts, &ACCEPT_ENCODING)).await;
        self.dress(&mut reply, surface, &parts, &client, &request_id, &trail);
        let took = started.elapsed();
        let status = reply.status.as_u16();
        inner.metrics.record(surface, status, took);
        if let Some(traced) = traced {
            traced.end(inner, &parts, &client, &request_id, &trail, status);
        }
        let is_events = reply.headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
        if let Payload::Stream(body) = reply.body {
            // Counted and logged when it is over.
            let asked = Asked {
                app: self.0.clone(),
                started,
                method: parts.method.clone(),
                template: trail.template,
                request_id,
                surface,
                status,
                address: client.address,
                company: trail.company,
                user: trail.user,
                app_id: trail.app_id,
            };
            reply.body = Payload::Stream(Sending::new(body, asked, is_events).boxed_unsync());
        } else {
            let bytes = reply.body.len().unwrap_or(0);
            inner.metrics.sent_bytes.fetch_add(bytes, Relaxed);
            if let Some(log) = &inner.access_log {
                log.note(&Line {
                    at: inner.kernel.now(),
                    method: parts.method.as_str(),
                    path: trail.template.as_deref().unwrap_or("(none)"),
                    status,
                    took,
                    bytes,
                    is_cut: false,
                    request_id: &request_id,
                    surface: surface.as_str(),
                    address: client.address,
                    company: trail.company,
                    user: trail.user,
                    app_id: trail.app_id.as_deref(),
                });
            }
        }
        let mut response = Response::new(reply.body);
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        response
    }

    /// Answers a request that one of our own operations makes for its caller: the same checks, limits and records as if it came alone.
    ///
    /// # Errors
    /// Whatever the operation refuses, and the edge before it.
    pub(crate) async fn answer_within(&self, parts: Parts, body: Bytes, outer: &Call) -> Result<Reply> {
        let parts = Arc::new(parts);
        let base = &outer.base;
        let address = outer.caller.origin.address;
        let client = Client { address, is_https: base.is_https, is_proxied: base.is_proxied };
        let mut trail = Trail::default();
        let body = http_body_util::Full::new(body);
        let outcome = self.answer(&parts, body, &client, &outer.request_id, &mut trail).await;
        outcome.inspect_err(|problem| {
            note(problem);
            self.note_refusal(problem, &trail, || trail.actor(&parts, address, &outer.request_id));
        })
    }

    /// Finds the operation, then runs it under its timeout.
    async fn answer<B>(
        &self,
        parts: &Arc<Parts>,
        body: B,
        client: &Client,
        request_id: &Arc<str>,
        trail: &mut Trail,
    ) -> Result<Reply>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (kernel, origin) = (&self.0.kernel, || pipeline::origin(parts, client.address, request_id));
        let (route, params) = match self.0.routes.find(parts.uri.path()) {
            Ok(found) => found,
            Err(problem) => {
                let door = self.0.routes.first_door(parts.uri.path());
                pipeline::count_first(kernel, door, parts, origin, trail).await?;
                return Err(problem);
            }
        };
        trail.template = Some(route.template.clone());
        // Asked by browsers before they ask what they were told to: an operation's own OPTIONS is not meant.
        let is_preflight = cors::is_preflight(&parts.method, &parts.headers);
        let Some(endpoint) = route.endpoint(&parts.method).filter(|_| !is_preflight) else {
            if !is_preflight {
                pipeline::count_first(kernel, route.first_door, parts, origin, trail).await?;
            }
            return without_operation(route, parts);
        };
        let operation = &endpoint.operation;
        trail.operation = Some(operation.clone());
        let limit = operation.timeout.unwrap_or(self.0.settings.request_timeout);
        let progress = Progress::new(operation.streamed.is_some());
        let stalled = progress.clone();
        let work = async {
            if let Err(problem) = pipeline::count_first(kernel, route.first_door, parts, origin, trail).await {
                upload::linger_unless_read(body, parts);
                return Err(problem);
            }
            negotiate::check_accept(text_header(parts, &ACCEPT), &endpoint.produces)?;
            let query = Query::parse(parts.uri.query())?;
            negotiate::check_format(query.get("format"), &endpoint.produces)?;
            self.run(operation, parts, body, progress, client, request_id, params, query, trail).await
        };
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = stalled.stalled(limit) => {
                self.0.metrics.timeouts.fetch_add(1, Relaxed);
                Err(Problem::new(
                    Kind::Timeout,
                    "timeout",
                    "The request took too long. It may still be carried out; repeat it with the same Idempotency-Key to find out.",
                ))
            }
        }
    }

    /// Steps 2 and 4 to 12 of spec/loop.md 5.1 for a known operation.
    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename the arguments")]
    async fn run<B>(
        &self,
        operation: &Arc<Operation>,
        parts: &Arc<Parts>,
        body: B,
        progress: Progress,
        client: &Client,
        request_id: &Arc<str>,
        params: Params,
        query: Query,
        trail: &mut Trail,
    ) -> Result<Reply>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let kernel = &self.0.kernel;
        pipeline::limit_address(kernel, operation, client.address, trail).await?;
        let is_safe = parts.method.is_safe();
        let origin = pipeline::origin(parts, client.address, request_id);
        let mut admission = None;
        if trail.counted.is_some() {
            match pipeline::admit(kernel, operation, parts, origin.clone(), trail).await {
                Ok(admitted) => admission = Some(admitted),
                Err(problem) => {
                    upload::linger_unless_read(body, parts);
                    return Err(problem);
                }
            }
        }
        let (mut upload, mut has_stream) = (None, false);
        let body = if let Some(streamed) = operation.streamed {
            has_stream = !body.is_end_stream();
            upload = Some(Upload::new(body, parts, streamed.max_bytes, streamed.idle, progress)?);
            Bytes::new()
        } else if is_safe && operation.request.is_none() {
            Bytes::new()
        } else {
            read_body(body, operation.max_body_bytes, self.0.settings.body_timeout, upload::may_linger(parts)).await?
        };
        // LOOP complains of a body before it asks who sends it (DRF's order); the surfaces with keys of their own ask first.
        if let (Access::Key(_), None) = (&operation.access, &admission) {
            admission = Some(pipeline::admit(kernel, operation, parts, origin.clone(), trail).await?);
        }
        let json = pipeline::read_json(operation, parts, &body)?;
        let admission = match admission {
            Some(admission) => admission,
            None => pipeline::admit(kernel, operation, parts, origin, trail).await?,
        };
        if has_stream {
            pipeline::check_streamed_type(operation, parts)?;
        }
        let key = pipeline::bind_key(operation, parts, &query, &body, &admission)?;
        let call = Call {
            kernel: kernel.clone(),
            caller: admission.caller,
            operation: operation.clone(),
            body,
            request_id: request_id.clone(),
            parts: parts.clone(),
            base: Base {
                configured: self.0.base_url.clone(),
                is_https: client.is_https,
                is_proxied: client.is_proxied,
            },
            tenants: admission.tenants,
            is_union: admission.is_union,
            params,
            query,
            json,
            key: key.clone(),
            upload: Mutex::new(upload),
            ending: Ending::of(&self.0.lifecycle),
            app: self.clone(),
        };
        let work = (operation.handler)(call);
        let reply = if is_safe { work.await? } else { ToItsEnd::new(work).await? };
        if let Some(key) = key
            && !key.is_honoured()
            && cfg!(debug_assertions)
        {
            // Tests run in debug builds: whoever forgets `commit` learns it there.
            return Err(Problem::internal(format!(
                "{} answered an Idempotency-Key without commit or claim",
                operation.id
            )));
        }
        Ok(reply)
    }

    /// Puts on record why a known caller was refused in a company that is theirs. 404s and complaints about a body are no refusals.
    fn note_refusal(&self, problem: &Problem, trail: &Trail, actor: impl FnOnce() -> Option<Actor>) {
        if !matches!(problem.kind(), Kind::Forbidden | Kind::PaymentRequired | Kind::TooMany) {
            return;
        }
        let (Some(actor), Some(operation)) = (actor(), &trail.operation) else { return };
        let permission = match (problem.kind(), &operation.access) {
            (Kind::Forbidden, Access::Tenant { permission, .. } | Access::Union { permission, .. }) => {
                Some(&**permission)
            }
            _ => None,
        };
        let company = trail.company.or(trail.refused_in).unwrap_or(audit::INSTALLATION);
        let refused = Refused { company, actor: &actor, operation: &operation.id, permission, problem };
        self.0.kernel.refusals.note(refused, self.0.kernel.now());
    }

    /// Adds what every answer carries.
    fn dress(
        &self,
        reply: &mut Reply,
        surface: Surface,
        parts: &Parts,
        client: &Client,
        request_id: &str,
        trail: &Trail,
    ) {
        let headers = &mut reply.headers;
        headers.insert(REQUEST_ID, crate::reply::header_value(request_id));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        if !headers.contains_key(REFERRER_POLICY) {
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        }
        headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
        if client.is_https {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
        let is_page = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        if is_page && !headers.contains_key("content-security-policy") {
            headers.insert("content-security-policy", PAGE_POLICY);
        }
        let is_private = trail.operation.as_ref().is_some_and(|operation| operation.access != Access::Public);
        if !headers.contains_key(CACHE_CONTROL) && (is_private || reply.status.is_client_error()) {
            // One company's rows must not come out of a shared cache for another's caller.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Some(operator) = trail.impersonator {
            headers.insert("x-loop-impersonated-by", crate::reply::header_value(&operator.to_string()));
        }
        // A refusal of another limit than the call's own (a lock after wrong passwords) would be told with figures that do not fit it.
        let fits = |decision: &&Decision| reply.status != 429 || !decision.allowed;
        if let Some(decision) = trail.decision.as_ref().filter(fits)
            && !headers.contains_key(&RATE_LIMIT)
        {
            headers.insert(RATE_LIMIT, decision.limit.into());
            headers.insert(RATE_REMAINING, decision.remaining.into());
            headers.insert(RATE_RESET, decision.reset_s.into());
        }
        if let (Some(decision), Surface::Loomal | Surface::Loopwave) = (&trail.decision, surface) {
            // The names that these two surfaces' pages give them; the reset is a moment (Unix seconds), as their clients' libraries expect.
            let resets_at = self.0.kernel.now().seconds() + i64::from(decision.reset_s);
            headers.insert(X_RATE_REMAINING, decision.remaining.into());
            headers.insert(X_RATE_RESET, resets_at.into());
        }
        if self.0.lifecycle.phase() > Phase::Serving && parts.version < Version::HTTP_2 {
            // The next request of this client belongs on another node.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(warning) = &trail.usage_warning {
            headers.insert("loop-usage-warning", crate::reply::header_value(warning));
        }
        if reply.status == 429 {
            self.0.metrics.throttled.fetch_add(1, Relaxed);
        }
        if headers.contains_key(crate::idempotent::REPLAYED) {
            self.0.metrics.replayed.fetch_add(1, Relaxed);
        }
        match &trail.operation {
            Some(operation) if operation.any_origin => cors::open(headers),
            _ => cors::dress(headers, &parts.headers, &self.0.settings.allowed_origins),
        }
        if parts.method == Method::HEAD {
            if let Some(length) = reply.body.len() {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            reply.body = Payload::empty();
        }
    }
}

/// Counts a request as long as it is being answered, also when its client goes away and hyper drops the work.
struct InFlight<'m>(&'m Metrics);

impl<'m> InFlight<'m> {
    fn new(metrics: &'m Metrics) -> Self {
        metrics.in_flight.fetch_add(1, Relaxed);
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// OPTIONS and wrong methods on a path that exists.
fn without_operation(route: &Route, parts: &Parts) -> Result<Reply> {
    if cors::is_preflight(&parts.method, &parts.headers) {
        let mut reply = cors::preflight(&route.allow);
        if route.endpoints.iter().any(|(_, endpoint)| endpoint.operation.any_origin) {
            cors::open(&mut reply.headers);
        }
        return Ok(reply);
    }
    let allow = route.allow.to_str().unwrap_or_default();
    if parts.method == Method::OPTIONS {
        return Ok(metadata(route)?.with_header(ALLOW, allow));
    }
    let words = format!("Method \"{}\" not allowed.", parts.method);
    Err(Problem::new(Kind::MethodNotAllowed, "method_not_allowed", words).with_header("Allow", allow))
}

/// What OPTIONS tells (spec/loop.md 4.2): only what the OpenAPI document says too.
fn metadata(route: &Route) -> Result<Reply> {
    let documented = || route.endpoints.iter().map(|(_, endpoint)| endpoint).filter(|e| e.operation.documented);
    let first = documented().next();
    let mut renders: Vec<&str> = documented().flat_map(|e| e.produces.iter().map(String::as_str)).collect();
    renders.sort_unstable();
    renders.dedup();
    let requests = documented().filter_map(|e| e.operation.request.as_ref());
    let mut parses: Vec<&str> = requests.flat_map(|r| r.content.iter().map(|c| c.content_type.as_str())).collect();
    parses.sort_unstable();
    parses.dedup();
    let actions: serde_json::Map<String, serde_json::Value> = documented()
        .map(|e| {
            let told = serde_json::json!({"operation_id": e.operation.id, "summary": e.operation.summary});
            (e.operation.method.to_string(), told)
        })
        .collect();
    Reply::json(
        200,
        &serde_json::json!({
            "name": first.map_or("", |e| e.operation.tag.as_str()),
            "description": first.map_or("", |e| e.operation.description.as_str()),
            "renders": renders,
            "parses": parses,
            "actions": actions,
        }),
    )
}

/// Reads a body of at most `limit` bytes within `wait`.
async fn read_body<B>(mut body: B, limit: usize, wait: Duration, may_linger: bool) -> Result<Bytes>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limit as u64 {
        if may_linger {
            upload::linger(body);
        }
        return Err(upload::too_large(limit as u64));
    }
    let read = async {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| upload::incomplete().with_cause(error.into()))?;
            let Ok(data) = frame.into_data() else { continue };
            if first.len() + rest.len() + data.len() > limit {
                return Err(upload::too_large(limit as u64));
            }
            // Nearly every body is one frame: it is kept as it is, without a copy.
            if first.is_empty() {
                first = data;
            } else {
                rest.extend_from_slice(&data);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len() + rest.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    };
    match tokio::time::timeout(wait, read).await {
        Ok(outcome) => outcome,
        // The client's slowness is the client's matter, so this is no 504.
        Err(_) => Err(Problem::invalid("body_timeout", "The request body did not arrive in time.")),
    }
}

/// `X-Request-ID` when it is short and harmless, else a new one.
fn request_id(inner: &Inner, parts: &Parts) -> Arc<str> {
    let is_sane = |text: &&str| {
        !text.is_empty()
            && text.len() <= MAX_REQUEST_ID
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte))
    };
    match text_header(parts, &REQUEST_ID).filter(is_sane) {
        Some(text) => text.into(),
        None => {
            let mut buffer = loopd_types::Uuid::encode_buffer();
            let text: &str = inner.kernel.new_id().hyphenated().encode_lower(&mut buffer);
            text.into()
        }
    }
}

fn text_header<'p>(parts: &'p Parts, name: &HeaderName) -> Option<&'p str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

fn panic_words(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}

/// Our own faults go to the log with their cause; refusals are the access log's matter.
fn note(problem: &Problem) {
    let (status, code, cause) = (problem.status(), problem.code(), problem.cause().unwrap_or(""));
    if status >= 500 {
        tracing::error!(status, code, cause, "{}", problem.message());
    } else if !cause.is_empty() {
        tracing::debug!(status, code, cause, "{}", problem.message());
    }
}
