//! The span of one request, with the names of OpenTelemetry's conventions for HTTP servers. Never a query, a header or a body: credentials
//! travel in them.

use http::request::Parts;
use loopd_kernel::trace::{Attribute, Parent, Span, SpanKind, Tracer};
use loopd_types::Timestamp;

use crate::edge::Inner;
use crate::pipeline::Trail;
use crate::proxy::Client;

/// A request that is traced.
pub(crate) struct Traced {
    pub at: Parent,
    parent: Option<[u8; 8]>,
    began_at: Timestamp,
}

impl Traced {
    /// `None` where no collector is configured. A proxy of ours may say what is recorded; others may only go on with their trace.
    pub fn begin(inner: &Inner, parts: &Parts, client: &Client) -> Option<Self> {
        if !inner.kernel.tracer.is_on() {
            return None;
        }
        let header = parts.headers.get("traceparent").and_then(|value| value.to_str().ok());
        let (at, parent) = inner.kernel.tracer.begin(header, client.is_proxied)?;
        Some(Self { at, parent, began_at: inner.kernel.now() })
    }

    /// Where its span stands.
    pub fn place(&self, inner: &Inner) -> (Tracer, Parent) {
        (inner.kernel.tracer.clone(), self.at)
    }

    pub fn end(self, inner: &Inner, parts: &Parts, client: &Client, request_id: &str, trail: &Trail, status: u16) {
        if !self.at.is_sampled {
            return;
        }
        let method = parts.method.as_str();
        let route = trail.template.as_deref();
        let mut attributes: Vec<(&'static str, Attribute)> = vec![
            ("http.request.method", method.into()),
            ("http.response.status_code", i64::from(status).into()),
            ("url.scheme", if client.is_https { "https" } else { "http" }.into()),
            ("network.protocol.version", if parts.version == http::Version::HTTP_2 { "2" } else { "1.1" }.into()),
            ("loopd.request_id", request_id.into()),
        ];
        attributes.extend(route.map(|route| ("http.route", route.into())));
        attributes.extend(trail.operation.as_ref().map(|operation| ("loopd.operation", operation.id.as_str().into())));
        attributes.extend(trail.company.map(|company| ("loopd.company", company.code().to_string().as_str().into())));
        inner.kernel.tracer.record(Span {
            at: self.at,
            parent: self.parent,
            name: route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")),
            kind: SpanKind::Server,
            began_at: self.began_at,
            ended_at: inner.kernel.now(),
            attributes,
            failed: status >= 500,
        });
    }
}
