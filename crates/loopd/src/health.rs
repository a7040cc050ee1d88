//! `/health/` for people and clients, `/health/live` and `/health/ready` for whoever starts, restarts and balances servers.
//!
//! Live says that the process answers, and touches nothing: a restart cures no database. Ready says whether requests belong here:
//! the database answers, its schema is this version's, and nobody told the server to stop.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loopd_kernel::Kernel;
use loopd_store::migrate;
use loopd_types::Result;
use loopd_web::operation::RateClass;
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::json;

use crate::VERSION;
use crate::settings::Settings;

pub fn operations(settings: &Settings) -> Vec<Operation> {
    let environment = settings.environment.as_str();
    let keys = ["app", "database", "environment", "version", "timestamp"];
    let health = schema::object(keys.map(|key| (key, schema::string()))).required(keys);
    let known = Arc::new(Known::default());
    vec![
        Operation::get("health", "/health/", move |call: Call| async move { report(&call, environment).await })
            .tag("service")
            .summary("Health")
            .rate(RateClass::Unlimited)
            .responds(200, "All is well.", health.clone())
            .responds(
                503,
                "The database does not answer (`error`), or keeps nothing that is written (`read-only`).",
                health,
            ),
        Operation::get("health_live", "/health/live/", |_| async { Ok(Reply::text(200, "live\n")) })
            .rate(RateClass::Unlimited)
            .undocumented(),
        Operation::get("health_ready", "/health/ready/", move |call: Call| {
            let known = known.clone();
            async move { Ok(known.ask(&call).await) }
        })
        .rate(RateClass::Unlimited)
        .undocumented(),
    ]
}

async fn report(call: &Call, environment: &'static str) -> Result<Reply> {
    let db = &call.kernel.db;
    let database = match db.ping().await {
        Err(_) => "error",
        Ok(()) if !db.keeps_writes().await => "read-only",
        Ok(()) => "ok",
    };
    let now = call.kernel.now().to_string();
    // Seconds are enough here: 2026-06-22T10:00:00Z (spec/loop.md 3.1).
    let timestamp = format!("{}Z", &now[..19]);
    Reply::json(
        if database == "ok" { 200 } else { 503 },
        &json!({"app": "ok", "database": database, "environment": environment, "version": VERSION, "timestamp": timestamp}),
    )
}

/// How long an answer of `/health/ready` is good for. Everybody may ask, as often as they like: the database is asked once.
const LIFE: Duration = Duration::from_millis(500);

/// What was found last.
#[derive(Default)]
struct Known(Mutex<Option<(Instant, Found)>>);

#[derive(Clone)]
struct Found {
    is_ready: bool,
    words: String,
}

impl Known {
    async fn ask(&self, call: &Call) -> Reply {
        if call.is_stopping() {
            return Reply::text(503, "stopping\n");
        }
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = lock().as_ref().filter(|(at, _)| at.elapsed() < LIFE).map(|(_, found)| found.clone());
        let found = match fresh {
            Some(found) => found,
            None => {
                let found = look(&call.kernel).await;
                *lock() = Some((Instant::now(), found.clone()));
                found
            }
        };
        let (status, word) = if found.is_ready { (200, "ready") } else { (503, "not ready") };
        Reply::text(status, format!("{word}\n{}", found.words))
    }
}

async fn answers(kernel: &Kernel) -> bool {
    let answer = kernel.db.ping().await;
    if let Err(error) = &answer {
        tracing::warn!(%error, "not ready: the database does not answer");
    }
    answer.is_ok()
}

async fn look(kernel: &Kernel) -> Found {
    let mut words = String::new();
    let is_up = answers(kernel).await;
    let _ = writeln!(words, "database: {}", if is_up { "ok" } else { "does not answer" });
    // What can still be read is worth reading, so this is no reason to leave.
    if is_up && !kernel.db.keeps_writes().await {
        words.push_str("writes: refused, the disk of the database is full or broken\n");
    }
    // A schema that is newer than this version is no reason to leave: while nodes are upgraded one by one, the old ones go on.
    let pending = if is_up { migrate::plan(&kernel.db).await.map_or(0, |steps| steps.len()) } else { 0 };
    let _ = match pending {
        0 if is_up => writeln!(words, "migrations: current"),
        0 => writeln!(words, "migrations: unknown"),
        pending => writeln!(words, "migrations: {pending} pending"),
    };
    // Limits are counted on each node while Redis is away, so that a shop is not shut for want of a counter.
    match kernel.limits.ping().await {
        None => {}
        Some(Ok(())) => words.push_str("redis: ok\n"),
        Some(Err(_)) => words.push_str("redis: does not answer; each node counts rate limits alone\n"),
    }
    Found { is_ready: is_up && pending == 0, words }
}
