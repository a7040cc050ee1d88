//! `loopd check`, `loopd doctor`, `loopd openapi`, `loopd modules check`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Subcommand;
use loopd_business::engine::Registry;
use loopd_business::modules::Ports;
use loopd_kernel::file::{Blobs, Place};
use loopd_kernel::{mail, retention};
use loopd_store::{Db, Engine, ddl, migrate, security};
use loopd_types::{Clock as _, DAY_US, SystemClock};
use serde_json::{Value, json};

use super::{Output, open_db, print};
use crate::settings::{DEFAULTS, Settings, TlsSettings};
use crate::{app, service};

#[derive(Subcommand)]
pub enum Modules {
    /// Check the modules of a folder (LOOP_MODULES_DIR if none is named) together with those that are compiled in.
    Check { folder: Option<PathBuf> },
}

pub fn run(settings: &Settings, output: &Output) -> anyhow::Result<()> {
    let registry = app::registry(settings, &Ports::default())?;
    app::pay(settings)?;
    app::wave(settings)?;
    let (modules, resources) = (registry.modules().len(), registry.resources().len());
    output.say(
        &format!("The settings are good. {modules} modules with {resources} resources."),
        &json!({"ok": true, "modules": modules, "resources": resources}),
    );
    Ok(())
}

/// The annotated defaults, or for scripts each setting with its default.
pub fn defaults(output: &Output) -> anyhow::Result<()> {
    let values: Value = toml::from_str(DEFAULTS)?;
    // The text ends with a line of its own.
    output.say(DEFAULTS.trim_end(), &values);
    Ok(())
}

pub fn modules(settings: &Settings, command: &Modules, output: &Output) -> anyhow::Result<()> {
    let Modules::Check { folder } = command;
    let mut settings = settings.clone();
    settings.modules_dir = folder.clone().or(settings.modules_dir);
    run(&settings, output)
}

pub fn openapi(settings: &Settings, yaml: bool) -> anyhow::Result<()> {
    let registry = Arc::new(app::registry(settings, &Ports::default())?);
    let operations = app::documented(settings, &registry, &app::pay(settings)?, &app::wave(settings)?);
    let document = service::openapi_document(&settings.public_url(), &registry, &operations, None);
    if yaml {
        print(&loopd_web::yaml::render(&document));
    } else {
        print(&format!("{}\n", serde_json::to_string_pretty(&document).map_err(|error| anyhow!(error))?));
    }
    Ok(())
}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    level: &'static str,
    words: String,
}

/// What the next start would do to the database: numbered migrations, and the tables of resources and modules.
async fn schema(db: &Db, registry: Option<&Registry>) -> (&'static str, String) {
    let pending = match migrate::plan(db).await {
        Ok(pending) => pending.len(),
        Err(error) => return ("bad", error.to_string()),
    };
    let tables = match registry {
        Some(registry) => app::plan_tables(db, registry.tables()).await,
        None => Ok(ddl::Plan::default()),
    };
    match tables {
        Err(error) => ("bad", error.to_string()),
        Ok(tables) if !tables.refusals.is_empty() => ("bad", tables.refusals.join("; ")),
        Ok(tables) if pending == 0 && tables.statements.is_empty() => ("ok", "up to date".to_owned()),
        Ok(tables) => {
            let statements = tables.statements.len();
            let words = format!(
                "{pending} migrations and {statements} changes of tables are pending; they are made at the next start (loopd migrate --plan)"
            );
            ("note", words)
        }
    }
}

/// How long what is over is kept, and how much of it is still there.
async fn retained(db: &Db, settings: &Settings) -> String {
    let kept = settings.retention;
    let overdue = match retention::overdue(db, &loopd_business::engine::RETENTION, kept, SystemClock.now()).await {
        Ok(found) => {
            let rows = found.iter().filter(|one| one.rows > 0).map(|one| format!("{} {}", one.rows, one.what));
            rows.collect::<Vec<_>>().join(", ")
        }
        Err(problem) => problem.cause().unwrap_or("not known").to_owned(),
    };
    let is_older = migrate::plan(db).await.is_ok_and(|pending| !pending.is_empty());
    let overdue = match overdue.as_str() {
        _ if is_older => "what is overdue is looked up after the next start".to_owned(),
        "" => "nothing is overdue".to_owned(),
        rows => format!("to be removed: {rows}"),
    };
    format!(
        "audit {} days or the plan's more, sessions {}, jobs {}, failed jobs {}, exports {}, imports {}; {overdue}",
        kept.audit_days, kept.session_days, kept.job_days, kept.failed_job_days, kept.export_days, kept.import_days
    )
}

/// Whether the Redis that the settings name answers.
async fn redis(settings: &Settings) -> Option<(&'static str, &'static str, String)> {
    let limiter = match loopd_kernel::limit::Limiter::new(true, settings.redis_url.as_ref()) {
        Ok(limiter) => limiter,
        Err(problem) => {
            return Some(("Redis", "bad", format!("LOOP_REDIS_URL: {}", problem.cause().unwrap_or_default())));
        }
    };
    Some(match limiter.ping().await? {
        Ok(()) => ("Redis", "ok", "answers".to_owned()),
        Err(words) => {
            ("Redis", "warn", format!("LOOP_REDIS_URL does not answer ({words}); each node counts rate limits alone"))
        }
    })
}

/// Days before its end at which a certificate is worth a warning: authorities renew thirty days before.
const SOON: i64 = 14;

/// Whether the certificate can be used, and for how long.
fn certificate(settings: &Settings) -> Option<(&'static str, &'static str, String)> {
    let what = "certificate";
    let files = match settings.tls.as_ref()? {
        TlsSettings::Files(files) => files,
        TlsSettings::Acme(wanted) => {
            let names = wanted.domains.join(", ");
            return Some((what, "note", format!("ordered and renewed for {names} at {}", wanted.directory)));
        }
    };
    Some(match files.check() {
        Err(words) => (what, "bad", format!("LOOP_TLS_CERT: {words}")),
        Ok(summary) => {
            let days = (summary.ends_at.micros() - SystemClock.now().micros()) / DAY_US;
            let names = summary.names.join(", ");
            match days {
                ..0 => (what, "bad", format!("for {names} has ended on {}", summary.ends_at)),
                0..SOON => (what, "warn", format!("for {names} ends in {days} days, on {}", summary.ends_at)),
                _ => (what, "ok", format!("for {names}, until {}", summary.ends_at)),
            }
        }
    })
}

/// Looks at everything that usually goes wrong; exit code 1 when something must be done.
pub async fn doctor(settings: Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut note =
        |what: &'static str, level: &'static str, words: String| findings.push(Finding { what, level, words });
    match std::fs::create_dir_all(&settings.data_dir).and_then(|()| {
        let probe = settings.data_dir.join(".doctor");
        std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe))
    }) {
        Ok(()) => note("data folder", "ok", settings.data_dir.display().to_string()),
        Err(error) => note(
            "data folder",
            "bad",
            format!("{} cannot be written: {error}. Set LOOP_DATA_DIR.", settings.data_dir.display()),
        ),
    }
    match &settings.files {
        // to look is not to make
        Place::Folder(folder) if !folder.exists() => {
            note("files", "note", format!("{} is made at the first start", folder.display()));
        }
        place => {
            let probed = match Blobs::open(place) {
                Ok(blobs) => blobs.probe().await,
                Err(words) => Err(words),
            };
            let where_ = match place {
                Place::Folder(folder) => folder.display().to_string(),
                Place::S3(bucket) => format!("the bucket {}", bucket.bucket),
                Place::Memory => "memory".to_owned(),
            };
            match probed {
                Ok(()) => note("files", "ok", format!("{where_} can be written and read")),
                Err(words) => note("files", "bad", format!("{where_}: {words}. Is LOOP_FILES_URL right?")),
            }
        }
    }
    let registry = app::registry(&settings, &Ports::default());
    match &registry {
        Ok(registry) => note(
            "modules",
            "ok",
            format!("{} modules, {} resources", registry.modules().len(), registry.resources().len()),
        ),
        Err(error) => note("modules", "bad", format!("{error}")),
    }
    let missing = settings.store().sqlite_path().filter(|file| !file.exists());
    let opened = match &missing {
        // to look is not to make
        Some(file) => {
            note("database", "note", format!("{} is made at the first start", file.display()));
            None
        }
        None => Some(open_db(&settings).await),
    };
    match opened.unwrap_or_else(|| Err(anyhow!("none yet"))) {
        Err(_) if missing.is_some() => {}
        Err(error) if settings.store().sqlite_path().is_some() => {
            note("database", "bad", format!("{error}. Is the file a database, and may it be read?"));
        }
        Err(error) => note("database", "bad", format!("{error}. Is it running, and is LOOP_DATABASE_URL right?")),
        Ok(db) => match db.ping().await {
            Err(error) => note("database", "bad", format!("does not answer: {error}")),
            Ok(()) => {
                let engine = if db.engine() == Engine::Sqlite { "SQLite" } else { "PostgreSQL" };
                note("database", "ok", format!("{engine} answers"));
                let (level, words) = schema(&db, registry.as_ref().ok()).await;
                note("schema", level, words);
                note("retention", "note", retained(&db, &settings).await);
                for warning in security::warnings(&db).await.unwrap_or_default() {
                    note("row security", "warn", warning);
                }
            }
        },
    }
    if settings.secret_key.is_none() {
        note("secret key", "note", "made and kept in the data folder; production needs LOOP_SECRET_KEY".to_owned());
    } else {
        note("secret key", "ok", "set".to_owned());
    }
    if settings.environment.is_production() {
        match &settings.base_url {
            Some(url) if url.starts_with("https://") => note("base URL", "ok", url.clone()),
            Some(url) => note("base URL", "warn", format!("{url} is not https; links in answers will not be either")),
            None => note("base URL", "warn", "not set: links follow the Host header. Set LOOP_BASE_URL.".to_owned()),
        }
        if settings.trusted_proxies.is_empty() {
            note(
                "proxies",
                "note",
                "none trusted: behind a balancer every client looks like the balancer. Set LOOP_TRUSTED_PROXIES."
                    .to_owned(),
            );
        }
    }
    match tokio::net::TcpListener::bind(settings.listen).await {
        Ok(_) => note("listen", "ok", format!("{} is free", settings.listen)),
        Err(error) => note("listen", "note", format!("{}: {error} (fine if loopd is running)", settings.listen)),
    }
    match settings.mail() {
        mail::Delivery::Smtp => note("mail", "ok", "by SMTP".to_owned()),
        mail::Delivery::Sandbox => {
            note(
                "mail",
                "note",
                "sandbox: letters stay here, read them at /sandbox/mail/. Set LOOP_SMTP_URL.".to_owned(),
            );
        }
        mail::Delivery::Off => note(
            "mail",
            "warn",
            "off: nobody can be invited or set a forgotten password. Set LOOP_SMTP_URL and LOOP_MAIL_FROM.".to_owned(),
        ),
    }
    for (what, level, words) in [redis(&settings).await, certificate(&settings)].into_iter().flatten() {
        note(what, level, words);
    }
    if settings.ai.is_none() {
        note(
            "AI",
            "note",
            "offline advisor: computes from the company's own rows; set LOOP_AI_BASE_URL for a model".to_owned(),
        );
    }
    let is_bad = findings.iter().any(|finding| finding.level == "bad");
    let words =
        findings.iter().map(|f| format!("{:<5} {:<13} {}", f.level, f.what, f.words)).collect::<Vec<_>>().join("\n");
    let value: Vec<Value> =
        findings.iter().map(|f| json!({"what": f.what, "level": f.level, "words": f.words})).collect();
    output.say(&words, &json!({"ok": !is_bad, "findings": value}));
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
