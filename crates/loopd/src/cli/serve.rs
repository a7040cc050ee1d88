//! `loopd serve`

use anyhow::Context as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Output;
use crate::app::{self, World};
use crate::settings::Settings;

pub async fn run(settings: Settings, output: &Output) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("LOOP_LISTEN: cannot listen on {}; is another loopd running?", settings.listen))?;
    let address = listener.local_addr()?;
    let _lock = app::lock_database(&settings)?;
    let server = app::build(settings, World::default()).await?;
    let base_url = match &server.settings().base_url {
        Some(url) => url.clone(),
        None => format!("http://{address}"),
    };
    output.say(
        &greeting(&base_url, &server),
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

fn greeting(base: &str, server: &app::Server) -> String {
    let settings = server.settings();
    let shown = settings.database_url.expose();
    // A password in the address is nobody's business on a terminal.
    let database = match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) => format!("{}://***@{}", &shown[..scheme], &shown[at + 1..]),
        _ => shown.clone(),
    };
    let register =
        r#"'{"email":"dev@example.com","username":"dev","password":"strongpass123","company_name":"Demo Company"}'"#;
    format!(
        "loopd {version} is ready, {environment}, on {database}

  Portal      {base}/
  API docs    {base}/api/docs/
  Health      {base}/health/

First calls to paste:

  curl -X POST {base}/api/v1/auth/register/ -H 'Content-Type: application/json' -d {register}
  TOKEN=the \"access\" of the answer
  curl {base}/api/v1/auth/me/ -H \"Authorization: Bearer $TOKEN\" -H 'X-Company-ID: 001'
  curl -X POST {base}/api/v1/booking/appointments/ -H \"Authorization: Bearer $TOKEN\" -H 'X-Company-ID: 001' \\
    -H 'Content-Type: application/json' -d '{{\"title\":\"Consultation\",\"description\":\"First visit\"}}'

The first registration owns company 001. `loopd demo` fills a company with life; `loopd doctor` says what is wrong.
",
        version = crate::VERSION,
        environment = settings.environment.as_str(),
    )
}
