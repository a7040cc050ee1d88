//! `loopd export`, `loopd import`

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use loopd_business::engine::Registry;
use loopd_kernel::transfer::{self, Lost, Source, Step, To, Watcher};
use loopd_kernel::{Kernel, audit};
use loopd_store::View;
use loopd_types::CompanyCode;
use serde_json::json;

use super::admin::operator;
use super::{Output, words};
use crate::app::{self, World};
use crate::settings::Settings;

pub async fn export(settings: Settings, code: &str, to: &Path, lost: Lost, output: &Output) -> anyhow::Result<()> {
    let company = CompanyCode::parse(code).ok_or_else(|| anyhow!("`{code}` is no company code, such as 001"))?.0;
    if to.exists() {
        bail!("{} exists; an export never overwrites", to.display());
    }
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        bail!("there is no folder {}", folder.display());
    }
    let (kernel, registry) = open(&settings).await?;
    if kernel.company_access(company).await.map_err(words)?.is_none() {
        bail!("there is no company {code}");
    }
    // On record before anything leaves, and in the installation's log: the same company twice is the same archive twice.
    record(&kernel, code).await?;
    let place = To::File(to.to_owned());
    let exported = transfer::export(&kernel, company, registry.tables(), place, lost, watcher(output)).await;
    let manifest = exported.map_err(|problem| {
        let hint = if problem.code() == "file_content_lost" {
            " Bring it back from a backup, or go on without such files: --leave-out-lost."
        } else {
            ""
        };
        anyhow!("{}{hint}", words(problem))
    })?;
    let size_bytes = std::fs::metadata(to)?.len();
    let sum = manifest.sum();
    let (rows, tables, contents) = (sum.rows, sum.tables, sum.contents);
    let stayed: Vec<String> =
        manifest.left_out.iter().map(|left| format!("  not in it: {} ({})", left.what, left.why)).collect();
    output.say(
        &format!(
            "Wrote {} ({size_bytes} bytes): {rows} rows of {tables} tables, and what {contents} files hold.\n{}",
            to.display(),
            stayed.join("\n")
        ),
        &json!({"file": to, "bytes": size_bytes, "company": manifest.company, "rows": rows, "tables": tables,
            "contents": contents, "content_bytes": sum.content_bytes, "left_out": manifest.left_out}),
    );
    kernel.db.close().await;
    Ok(())
}

async fn record(kernel: &Arc<Kernel>, code: &str) -> anyhow::Result<()> {
    let (shared, code) = (kernel.clone(), code.to_owned());
    let recorded = kernel.db.write(View::System, move |tx| {
        let entry = audit::Entry {
            action: "export",
            module: "core",
            resource: "companies",
            target: &code,
            label: &code,
            changes: None,
        };
        Ok(shared.audit_installation(tx, &operator(), entry)?)
    });
    recorded.await.map_err(words)
}

pub async fn import(settings: Settings, from: &Path, check: bool, output: &Output) -> anyhow::Result<()> {
    if check {
        let registry = app::registry(&settings, &loopd_business::modules::Ports::default())?;
        let manifest = transfer::check(from, registry.tables(), &watcher(output)).map_err(words)?;
        let (about, sum) = (&manifest.company, manifest.sum());
        output.say(
            &format!(
                "{} is whole: company {} ({}), by loopd {}, {} rows and what {} files hold ({} bytes).",
                from.display(),
                about.code,
                about.name,
                manifest.loopd,
                sum.rows,
                sum.contents,
                sum.content_bytes
            ),
            &json!({"whole": true, "company": about, "loopd": manifest.loopd, "schema": manifest.schema, "rows": sum.rows,
                "contents": sum.contents, "content_bytes": sum.content_bytes}),
        );
        return Ok(());
    }
    let (kernel, registry) = open(&settings).await?;
    let (source, tables) = (Source::Path(from.to_owned()), registry.tables());
    let came = transfer::import(&kernel, tables, source, &operator(), watcher(output), None).await.map_err(words)?;
    let renumbered =
        if came.code == came.code_before { String::new() } else { format!(", {} before", came.code_before) };
    let mut text = format!(
        "Company {} ({}) is here{renumbered}: {} rows and {} files ({} bytes).",
        came.code, came.name, came.rows, came.files, came.bytes
    );
    text.push_str(&format!("\n{} of its people were known by their email address.", came.people_known));
    if came.people_made > 0 {
        text.push_str(&format!(
            "\n{} were made and cannot sign in before they have set a password (they ask for one, or `loopd user password EMAIL`).",
            came.people_made
        ));
    }
    if came.people_unproved > 0 {
        text.push_str(&format!(
            "\n{} have never proved that they read their address: their memberships are suspended until somebody who knows them reactivates them.",
            came.people_unproved
        ));
    }
    output.say(&text, &serde_json::to_value(&came)?);
    kernel.db.close().await;
    Ok(())
}

/// The database brought up to date, without what a server has beside it. A whole company may take its time.
async fn open(settings: &Settings) -> anyhow::Result<(Arc<Kernel>, Arc<Registry>)> {
    let server = app::build(settings.clone(), World::default()).await?;
    Ok((server.kernel.clone(), server.engine.registry.clone()))
}

/// Tells people on standard error how far it is: every table, and long ones now and then.
fn watcher(output: &Output) -> Watcher {
    let is_quiet = output.is_json();
    let told = std::sync::Mutex::new((String::new(), std::time::Instant::now()));
    Arc::new(move |step: &Step| {
        if is_quiet {
            return Ok(());
        }
        let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.0 != step.phase || told.1.elapsed() > EVERY {
            *told = (step.phase.to_owned(), std::time::Instant::now());
            eprintln!("{}: {} ({})", step.phase, step.at, how_far(step));
        }
        Ok(())
    })
}

fn how_far(step: &Step) -> String {
    if step.bytes > 0 {
        return format!("{} of {} bytes", step.bytes, step.of_bytes);
    }
    let tables = if step.of > 0 { format!(", {} of {} tables", step.done, step.of) } else { String::new() };
    format!("{} rows{tables}", step.rows)
}

/// How often the terminal hears.
const EVERY: Duration = Duration::from_secs(1);
