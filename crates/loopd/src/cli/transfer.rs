//! `loopd export`, `loopd import`

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use loopd_business::engine::Registry;
use loopd_kernel::transfer::{self, Step, Watcher};
use loopd_kernel::{Kernel, audit};
use loopd_store::View;
use loopd_types::CompanyCode;
use serde_json::json;

use super::admin::operator;
use super::{Output, words};
use crate::app::{self, World};
use crate::settings::Settings;

pub async fn export(settings: Settings, code: &str, to: &Path, output: &Output) -> anyhow::Result<()> {
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
    let manifest =
        transfer::export(&kernel.db, company, registry.tables(), to, watcher(output)).await.map_err(words)?;
    let size_bytes = std::fs::metadata(to)?.len();
    let tables = manifest.members.iter().filter(|member| member.table.is_some()).count();
    let rows: u64 = manifest.members.iter().filter_map(|member| member.rows).sum();
    let stayed: Vec<String> =
        manifest.left_out.iter().map(|left| format!("  not in it: {} ({})", left.what, left.why)).collect();
    output.say(
        &format!("Wrote {} ({size_bytes} bytes): {rows} rows of {tables} tables.\n{}", to.display(), stayed.join("\n")),
        &json!({"file": to, "bytes": size_bytes, "company": manifest.company, "rows": rows, "tables": tables, "left_out": manifest.left_out}),
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
        let about = &manifest.company;
        output.say(
            &format!(
                "{} is whole: company {} ({}), by loopd {}.",
                from.display(),
                about.code,
                about.name,
                manifest.loopd
            ),
            &json!({"whole": true, "company": about, "loopd": manifest.loopd, "schema": manifest.schema}),
        );
        return Ok(());
    }
    let (kernel, registry) = open(&settings).await?;
    let came = transfer::import(&kernel, registry.tables(), from, &operator(), watcher(output)).await.map_err(words)?;
    let renumbered =
        if came.code == came.code_before { String::new() } else { format!(", {} before", came.code_before) };
    let mut text = format!("Company {} ({}) is here{renumbered}: {} rows.", came.code, came.name, came.rows);
    text.push_str(&format!("\n{} of its people were known by their email address.", came.people_known));
    if came.people_made > 0 {
        text.push_str(&format!(
            "\n{} were made and cannot sign in before they have set a password (they ask for one, or `loopd user password EMAIL`).",
            came.people_made
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
            let far = if step.of > 0 { format!(", {} of {} tables", step.done, step.of) } else { String::new() };
            eprintln!("{}: {} ({} rows{far})", step.phase, step.at, step.rows);
        }
        Ok(())
    })
}

/// How often the terminal hears.
const EVERY: Duration = Duration::from_secs(1);
