//! `loopd serve`

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::anyhow;
use loopd_types::CompanyId;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Output, words};
use crate::app::{self, World};
use crate::settings::Settings;

/// The first registration's company, `001`.
const FIRST: CompanyId = CompanyId(1);

pub async fn run(settings: Settings, output: &Output) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.listen).await.map_err(|error| refusal(settings.listen, &error))?;
    let address = listener.local_addr()?;
    let _lock = app::lock_database(&settings)?;
    let server = app::build(settings, World::default()).await?;
    let base_url = match &server.settings().base_url {
        Some(url) => url.clone(),
        None => format!("http://{}", within_reach(address)),
    };
    let is_first = server.kernel.company_access(FIRST).await.map_err(words)?.is_none();
    output.say(
        &greeting(&base_url, &server, is_first),
        &json!({"listening": address.to_string(), "base_url": base_url, "version": crate::VERSION}),
    );
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    server
        .serve(listener, async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: running requests are finished first");
        })
        .await;
    Ok(())
}

/// Says what to do about an address that cannot be listened on.
fn refusal(listen: SocketAddr, error: &io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there, perhaps another loopd; choose a free port",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; 0.0.0.0 is all that it has",
        io::ErrorKind::PermissionDenied => "ports below 1024 are for privileged programs; choose another",
        _ => return anyhow!("LOOP_LISTEN: cannot listen on {listen}: {error}"),
    };
    anyhow!("LOOP_LISTEN: cannot listen on {listen}: {advice}")
}

/// `0.0.0.0` means every address of this machine, but is none that a client can call.
fn within_reach(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// Where to look and what to paste. The indented calls run as they are printed in a POSIX shell, one after another: the token is taken
/// out of the answer, because a line that has to be edited first is a line that fails when it is pasted.
fn greeting(base: &str, server: &app::Server, is_first: bool) -> String {
    let settings = server.settings();
    let shown = settings.database_url.expose();
    // A password in the address is nobody's business on a terminal.
    let database = match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) => format!("{}://***@{}", &shown[..scheme], &shown[at + 1..]),
        _ => shown.clone(),
    };
    let register = if is_first {
        format!(
            r#"Nobody is registered yet. Paste this to register, and company 001 is yours:

  curl -X POST {base}/api/v1/auth/register/ -H 'Content-Type: application/json' \
    -d '{{"email":"dev@example.com","username":"dev","password":"strongpass123","company_name":"Demo Company"}}'

Then sign in and keep the token:
"#
        )
    } else {
        "To sign in, paste this with your own email and password:\n".to_owned()
    };
    let program = std::env::args().next().unwrap_or_else(|| "loopd".to_owned());
    format!(
        r#"loopd {version} is ready, {environment}, on {database}

  Portal      {base}/
  Reference   {base}/api/developers/
  Swagger UI  {base}/api/docs/
  Health      {base}/health/

{register}
  TOKEN=$(curl -s -X POST {base}/api/v1/auth/login/ -H 'Content-Type: application/json' \
    -d '{{"email":"dev@example.com","password":"strongpass123"}}' | sed 's/.*"access":"\([^"]*\)".*/\1/')

The first calls with it:

  curl {base}/api/v1/auth/me/ -H "Authorization: Bearer $TOKEN" -H 'X-Company-ID: 001'
  curl -X POST {base}/api/v1/booking/appointments/ -H "Authorization: Bearer $TOKEN" -H 'X-Company-ID: 001' \
    -H 'Content-Type: application/json' -d '{{"title":"Consultation","description":"First visit"}}'

`{program} demo` fills a company with life; `{program} doctor` says what is wrong. Ctrl-C stops the server.
"#,
        version = crate::VERSION,
        environment = settings.environment.as_str(),
    )
}
