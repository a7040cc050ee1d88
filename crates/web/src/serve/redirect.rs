//! The listener for clear text beside TLS: it answers nothing but "over there, encrypted".

use std::future::Future;
use std::sync::Arc;

use http::header::{CONNECTION, HOST, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::{Hub, accept};
use crate::call::is_host;
use crate::proxy::Peer;
use crate::{App, Payload};

/// Sends every request of `listener` to the same address under `https`, until `shutdown` resolves. The host is the base URL's, else
/// the one that the client named, with `port` unless that is 443.
pub async fn redirect(app: App, listener: TcpListener, port: u16, shutdown: impl Future<Output = ()>) {
    let hub = Hub {
        settings: Arc::new(app.settings().clone()),
        metrics: app.metrics().clone(),
        lifecycle: app.lifecycle().clone(),
        tls: None,
    };
    let base: Option<Arc<str>> =
        hub.settings.base_url.as_deref().filter(|url| url.starts_with("https://")).map(Into::into);
    let answer = move |request: hyper::Request<Incoming>, _: Peer| {
        let base = base.clone();
        async move { response(&request, base.as_deref(), port) }
    };
    accept(hub, listener, answer, shutdown).await;
}

/// 308, which keeps method and body. A credential that was sent in clear text is lost already, but the client is not shown to get
/// away with it: nothing is answered here but the way.
fn response<B>(request: &hyper::Request<B>, base: Option<&str>, port: u16) -> Response<Payload> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let target = match (base, host.map(str::trim).filter(|host| is_host(host))) {
        (Some(base), _) => Some(format!("{}{path}", base.trim_end_matches('/'))),
        (None, Some(host)) => {
            let name = without_port(host);
            Some(if port == 443 { format!("https://{name}{path}") } else { format!("https://{name}:{port}{path}") })
        }
        (None, None) => None,
    };
    let mut response = Response::new(Payload::empty());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    match target.and_then(|target| HeaderValue::from_str(&target).ok()) {
        Some(target) => {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(LOCATION, target);
        }
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    if request.version() == http::Version::HTTP_2 {
        response.headers_mut().remove(CONNECTION);
    }
    response
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        // [::1] has colons of its own
        Some(at) if !host[at..].contains(']') => &host[..at],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_to(host: &str, path: &str, base: Option<&str>, port: u16) -> (u16, String) {
        let request = hyper::Request::builder().uri(path).header(HOST, host).body(()).unwrap();
        let response = response(&request, base, port);
        let location = response.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), location.unwrap_or_default())
    }

    #[test]
    fn the_same_address_encrypted_and_no_other_place() {
        for (host, path, base, port, location) in [
            ("shop.example.com", "/a/?b=c", None, 443, "https://shop.example.com/a/?b=c"),
            ("shop.example.com:80", "/", None, 8443, "https://shop.example.com:8443/"),
            ("[::1]:8000", "/x", None, 443, "https://[::1]/x"),
            ("[::1]", "/x", None, 443, "https://[::1]/x"),
            ("evil.example", "/x", Some("https://shop.example.com"), 443, "https://shop.example.com/x"),
        ] {
            assert_eq!(sent_to(host, path, base, port), (308, location.to_owned()), "{host}{path}");
        }
        for host in ["", "a b", "a/b", "a@b", "x\\y"] {
            assert_eq!(sent_to(host, "/", None, 443).0, 400, "{host}");
        }
    }
}
