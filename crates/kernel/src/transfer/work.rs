//! Making the archive that was asked for: the job, what it tells on the way, and the end of what is kept no more.

use std::sync::Arc;

use loopd_store::ddl::TableDef;
use loopd_store::{View, params};
use loopd_types::{CompanyId, DAY_US, HOUR_US, Kind, Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::course::{Course, Figures};
use super::ordered::{self, Ordered, PERMISSION, job_key, noted};
use super::{To, export, pipe};
use crate::Kernel;
use crate::access::{Actor, Tenant};
use crate::file::{self, NewFile, Purpose, Received, Wanted};
use crate::job::{Job, MOST_ATTEMPTS};
use crate::mail::{self, Letter, Template};

/// What one sweep takes in.
pub(super) const AT_ONCE: usize = 100;

pub async fn work(kernel: &Arc<Kernel>, tables: &[TableDef], job: &Job) -> Result<()> {
    let Some(id) = job.payload["export"].as_str().and_then(|id| Uuid::parse_str(id).ok()) else { return Ok(()) };
    let Some(found) = start(kernel, job.company, id).await? else { return Ok(()) };
    let made = match enter(kernel, &found).await {
        Ok(tenant) => match make(kernel, tables, &found).await {
            Ok(received) => finish(kernel, &tenant, &found, &received).await,
            Err(problem) => Err(problem),
        },
        Err(problem) => Err(problem),
    };
    let Err(problem) = made else { return Ok(()) };
    let may_pass = matches!(problem.kind(), Kind::Unavailable | Kind::Timeout | Kind::InsufficientStorage);
    if may_pass && job.attempt < MOST_ATTEMPTS {
        // Done again from the beginning: an archive is one snapshot.
        return Err(problem);
    }
    fail(kernel, &found, &problem).await
}

/// Takes the export; `None` when it is over. Whoever had it before, before a crash perhaps, has it no more.
async fn start(kernel: &Arc<Kernel>, company: CompanyId, id: Uuid) -> Result<Option<Ordered>> {
    let now = kernel.now();
    let started = kernel.db.write(View::Company(company), move |tx| {
        let found = ordered::locked(tx, company, id)?;
        let found = found.filter(|found| ["queued", "running"].contains(&found.state.as_str()));
        let Some(mut found) = found else { return Ok(None) };
        found.attempt += 1;
        tx.push(
            "UPDATE company_exports SET state = 'running', attempt = $3, rows_done = 0, bytes_done = 0, started_at = $4, updated_at = $4 \
             WHERE company_id = $1 AND id = $2",
            params![company, id, found.attempt, now],
        )?;
        Ok(Some(found))
    });
    started.await
}

/// As whoever asked: somebody who lost the right meanwhile gets no archive.
async fn enter(kernel: &Arc<Kernel>, found: &Ordered) -> Result<Arc<Tenant>> {
    let tenant = kernel.enter_for(found.created_by, found.company, None, "company export").await?;
    tenant.require(PERMISSION)?;
    Ok(tenant)
}

/// Writes down how far it is; whether the export is still this worker's.
async fn tell_course(kernel: &Kernel, found: &Ordered, course: &Course) -> Result<bool> {
    let Figures { rows, of_rows, bytes, of_bytes, .. } = course.figures();
    let (company, id, attempt, now) = (found.company, found.id, found.attempt, kernel.now());
    let told = kernel.db.write(View::Company(company), move |tx| {
        Ok(tx.execute(
            "UPDATE company_exports SET rows_done = $4, rows_total = $5, bytes_done = $6, bytes_total = $7, updated_at = $8 \
             WHERE company_id = $1 AND id = $2 AND attempt = $3 AND state = 'running'",
            &params![company, id, attempt, rows, of_rows, bytes, of_bytes, now],
        )?)
    });
    Ok(told.await? == 1)
}

fn over() -> Problem {
    Problem::conflict("export_over", "This export was cancelled, or another worker makes it.")
}

/// Streams the archive into the store.
async fn make(kernel: &Arc<Kernel>, tables: &[TableDef], found: &Ordered) -> Result<Received> {
    let course = Arc::new(Course::default());
    let watcher = course.watcher(over);
    let (sink, chunks) = pipe();
    let wanted = Wanted { content_type: "application/gzip".into(), ..Wanted::up_to(u64::MAX) };
    let stored = file::receive(kernel, found.company, chunks, &wanted);
    let exported = export::export(kernel, found.company, tables.to_vec(), To::Stream(sink), found.lost, watcher);
    let both = async { tokio::join!(stored, exported) };
    let (stored, exported) = course.told_meanwhile(both, || tell_course(kernel, found, &course)).await;
    match (stored, exported) {
        (Ok(received), Ok(_)) => {
            let _ = tell_course(kernel, found, &course).await;
            Ok(received)
        }
        (Ok(received), Err(problem)) => {
            file::discard(kernel, &received).await;
            Err(problem)
        }
        // Whoever gave up first knows why.
        (Err(problem), Err(why)) if problem.code() == pipe::GIVEN_UP => Err(why),
        (Err(problem), _) => Err(problem),
    }
}

async fn finish(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, found: &Ordered, received: &Received) -> Result<()> {
    let (shared, tenant, found, content) = (kernel.clone(), tenant.clone(), found.clone(), received.clone());
    let kept = kernel.db.write(View::Company(found.company), move |tx| {
        let kernel = shared.as_ref();
        let now = kernel.now();
        let is_mine = ordered::locked(tx, found.company, found.id)?
            .is_some_and(|it| it.state == "running" && it.attempt == found.attempt);
        if !is_mine {
            return Err(over());
        }
        let expires_at = now.plus(kernel.settings.retention.export_days * DAY_US);
        let name = format!("{}-{}.tar.gz", tenant.code(), now.to_string().get(..10).unwrap_or("export"));
        let new = NewFile { id: kernel.new_id(), name, purpose: Purpose::Export, expires_at: None };
        file::keep(tx, kernel, &tenant, &new, &content)?;
        let size = i64::try_from(content.size_bytes).map_err(Problem::internal)?;
        tx.push(
            "UPDATE company_exports SET state = 'ready', file_id = $3, size_bytes = $4, sha256 = $5, rows_done = COALESCE(rows_total, 0), \
             bytes_done = COALESCE(bytes_total, 0), finished_at = $6, updated_at = $6, expires_at = $7 WHERE company_id = $1 AND id = $2",
            params![found.company, found.id, new.id, size, content.sha256.as_str(), now, expires_at],
        )?;
        let payload = json!({"size_bytes": size, "sha256": content.sha256, "expires_at": expires_at.to_string()});
        noted(tx, kernel, found.company, &tenant.actor, ("finish", "ready"), found.id, payload)?;
        tell(tx, kernel, &tenant, &found, expires_at)
    });
    let outcome = kept.await;
    if outcome.is_err() {
        file::discard(kernel, received).await;
    }
    outcome
}

/// The letter. Its link asks who is there: a letter may be read by others, and this is all that the company has.
fn tell(
    tx: &mut loopd_store::Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    found: &Ordered,
    expires_at: Timestamp,
) -> Result<()> {
    let sql = "SELECT email, language FROM users WHERE id = $1";
    let words = |row: &loopd_store::Row<'_>| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
    let Some((to, language)) = tx.first(sql, &params![found.created_by], words)? else { return Ok(()) };
    let link = format!("{}/api/v1/company-exports/{}/content/", kernel.settings.public_url, found.id);
    let template = Template::ExportReady { company: tenant.company_name(), link: &link, expires_at };
    mail::queue(tx, kernel, &Letter { company: found.company, to: &to, language: &language, template })?;
    Ok(())
}

async fn fail(kernel: &Arc<Kernel>, found: &Ordered, problem: &Problem) -> Result<()> {
    tracing::warn!(export = %found.id, cause = problem.cause(), "an export was given up: {problem}");
    let (shared, found) = (kernel.clone(), found.clone());
    let (code, words) = (problem.code().to_owned(), problem.message().to_owned());
    let failed = kernel.db.write(View::Company(found.company), move |tx| give_up(tx, &shared, &found, &code, &words));
    failed.await
}

/// Nothing when it is over, or another worker's.
fn give_up(tx: &mut loopd_store::Tx<'_>, kernel: &Kernel, found: &Ordered, code: &str, words: &str) -> Result<()> {
    let changed = tx.execute(
        "UPDATE company_exports SET state = 'failed', error_code = $4, error_message = $5, finished_at = $6, updated_at = $6 \
         WHERE company_id = $1 AND id = $2 AND attempt = $3 AND state IN ('queued', 'running')",
        &params![found.company, found.id, found.attempt, code, words, kernel.now()],
    )?;
    if changed == 0 {
        return Ok(());
    }
    noted(tx, kernel, found.company, &ourselves(), ("fail", "failed"), found.id, json!({"error_code": code}))
}

fn ourselves() -> Actor {
    Actor { user: None, credential: None, origin: None, reason: Some("company export") }
}

/// Removes archives that were kept long enough, and gives up exports whose job is no more; how many.
///
/// # Errors
/// 503; what is left is found again.
pub(super) async fn sweep(kernel: &Arc<Kernel>) -> Result<u64> {
    let now = kernel.now();
    let (kept, gone) = (
        format!(
            "SELECT company_id, id FROM company_exports WHERE state = 'ready' AND expires_at <= $1 ORDER BY expires_at LIMIT {AT_ONCE}"
        ),
        format!(
            "SELECT company_id, id FROM company_exports WHERE state IN ('queued', 'running') AND created_at <= $1 ORDER BY id LIMIT {AT_ONCE}"
        ),
    );
    let due = kernel.db.read(View::System, move |reader| {
        let id = |row: &loopd_store::Row<'_>| Ok((CompanyId(row.i64(0)?), row.uuid(1)?));
        let mut due = reader.query(&kept, &params![now], id)?;
        due.extend(reader.query(&gone, &params![now.plus(-HOUR_US)], id)?);
        Ok(due)
    });
    let mut swept = 0;
    for (company, id) in due.await? {
        let shared = kernel.clone();
        // A job belongs to no company's view alone.
        let done = kernel.db.write(View::System, move |tx| end(tx, &shared, company, id));
        swept += u64::from(done.await?);
    }
    Ok(swept)
}

fn end(tx: &mut loopd_store::Tx<'_>, kernel: &Kernel, company: CompanyId, id: Uuid) -> Result<bool> {
    let Some(found) = ordered::locked(tx, company, id)? else { return Ok(false) };
    let now = kernel.now();
    if found.state != "ready" {
        let sql = "SELECT 1 FROM jobs WHERE unique_key = $1 AND state IN ('queued', 'running')";
        let is_worked = tx.first(sql, &params![job_key(id)], |_| Ok(()))?.is_some();
        if is_worked || !["queued", "running"].contains(&found.state.as_str()) {
            return Ok(false);
        }
        give_up(
            tx,
            kernel,
            &found,
            "export_given_up",
            "The export failed too often. Ask for a new one, or the operator for help.",
        )?;
        return Ok(true);
    }
    if found.expires_at.is_none_or(|expires_at| expires_at > now) {
        return Ok(false);
    }
    if let Some(file) = found.file {
        file::remove(tx, kernel, company, file)?;
    }
    tx.push(
        "UPDATE company_exports SET state = 'expired', file_id = NULL, updated_at = $3 WHERE company_id = $1 AND id = $2",
        params![company, id, now],
    )?;
    noted(tx, kernel, company, &ourselves(), ("expire", "expired"), id, json!({}))?;
    Ok(true)
}
