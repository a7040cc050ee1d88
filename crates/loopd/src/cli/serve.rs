//! `loopd serve`

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::anyhow;
use loopd_types::CompanyId;
use loopd_web::{Lifecycle, Phase};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Output, words};
use crate::app::{self, Doors, World};
use crate::secure::Secure;
use crate::settings::Settings;

/// The first registration's company, `001`.
const FIRST: CompanyId = CompanyId(1);

pub async fn run(settings: Settings, output: &Output) -> anyhow::Result<()> {
    let main =
        TcpListener::bind(settings.listen).await.map_err(|error| refusal("LOOP_LISTEN", settings.listen, &error))?;
    let address = main.local_addr()?;
    let redirect = match settings.redirect_listen {
        None => None,
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.map_err(|error| refusal("LOOP_REDIRECT_LISTEN", address, &error))?)
        }
    };
    let secure = Secure::open(&settings)?;
    let _lock = app::lock_database(&settings)?;
    let server = app::build(settings, World::default()).await?;
    let base_url = match &server.settings().base_url {
        Some(url) => url.clone(),
        None => format!("{}://{}", if secure.is_some() { "https" } else { "http" }, within_reach(address)),
    };
    let is_first = server.kernel.company_access(FIRST).await.map_err(words)?.is_none();
    // Before anybody is told that the server is ready: whoever reads that may stop it.
    let signals = Signals::listen(&server)?;
    output.say(
        &greeting(&base_url, &server, is_first),
        &json!({"listening": address.to_string(), "base_url": base_url, "version": crate::VERSION}),
    );
    let shutdown = stopping(&server);
    tokio::spawn(signals.obey());
    server.serve_with(Doors { main, secure, redirect }, shutdown).await;
    Ok(())
}

/// Resolves when new connections are to be refused: some time after the first signal, so that balancers notice.
fn stopping(server: &app::Server) -> impl Future<Output = ()> + use<> {
    let (lifecycle, delay) = (server.app.lifecycle().clone(), server.settings().shutdown_delay);
    async move {
        lifecycle.reached(Phase::Draining).await;
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = lifecycle.reached(Phase::Cut) => {}
        }
    }
}

/// SIGTERM and SIGINT: the first stops politely, the second at once.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    lifecycle: Lifecycle,
    /// For a polite stop, everything included.
    patience: Duration,
}

/// How long a stop that was forced, or that has outrun its patience, may still take; a database is as whole after a kill.
const HARD: Duration = Duration::from_secs(10);

impl Signals {
    fn listen(server: &app::Server) -> io::Result<Self> {
        let settings = server.settings();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            lifecycle: server.app.lifecycle().clone(),
            patience: settings.shutdown_delay + settings.shutdown_timeout + HARD,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn obey(mut self) {
        self.next().await;
        self.lifecycle.advance(Phase::Draining);
        exit_after(self.patience, "the server did not stop in time");
        tracing::info!("stopping: running requests are finished first; a second signal cuts them");
        self.next().await;
        self.lifecycle.advance(Phase::Cut);
        exit_after(HARD, "the server did not stop at once");
        tracing::warn!("stopping at once");
    }
}

/// Ends the process after `wait`, whatever it is doing. A thread of its own: the runtime may be what hangs.
fn exit_after(wait: Duration, words: &'static str) {
    std::thread::spawn(move || {
        std::thread::sleep(wait);
        // Not eprintln!, which panics where nobody reads any more.
        let _ = writeln!(io::stderr(), "loopd: {words} and is ended");
        std::process::exit(1);
    });
}

/// Says what to do about an address that cannot be listened on.
fn refusal(setting: &str, listen: SocketAddr, error: &io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there, perhaps another loopd; choose a free port",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; 0.0.0.0 is all that it has",
        io::ErrorKind::PermissionDenied => "ports below 1024 are for privileged programs; choose another",
        _ => return anyhow!("{setting}: cannot listen on {listen}: {error}"),
    };
    anyhow!("{setting}: cannot listen on {listen}: {advice}")
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
