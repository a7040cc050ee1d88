//! Bringing in what was asked for: the job, what it tells on the way, and the end of what nobody works at any more.
//!
//! The row says that it is finished in the transaction that brings the company in. So a server that is killed has done all of it or
//! nothing, and a job that is done again finds out which.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use loopd_store::ddl::TableDef;
use loopd_store::{Tx, View, params};
use loopd_types::{HOUR_US, Kind, Problem, Result, Uuid};
use serde_json::json;

use super::{Incoming, job_key, locked, noted};
use crate::access::Actor;
use crate::job::{Job, MOST_ATTEMPTS};
use crate::transfer::course::{Course, Figures};
use crate::transfer::work::AT_ONCE;
use crate::transfer::{Imported, Settle, Source, import, rehearse};
use crate::{Kernel, file};

pub async fn work(kernel: &Arc<Kernel>, tables: &[TableDef], job: &Job) -> Result<()> {
    let Some(id) = job.payload["import"].as_str().and_then(|id| Uuid::parse_str(id).ok()) else { return Ok(()) };
    let Some(found) = start(kernel, id).await? else { return Ok(()) };
    let problem = match bring(kernel, tables, &found).await {
        Err(problem) if problem.code() != OVER => problem,
        _ => return Ok(()),
    };
    let may_pass = matches!(problem.kind(), Kind::Unavailable | Kind::Timeout | Kind::InsufficientStorage);
    if may_pass && job.attempt < MOST_ATTEMPTS {
        // Done again from the beginning, if it was not done: of what was tried nothing is left.
        return Err(problem);
    }
    fail(kernel, &found, &problem).await
}

/// Takes the import; `None` when it is over. Whoever had it before, before a crash perhaps, has it no more.
async fn start(kernel: &Arc<Kernel>, id: Uuid) -> Result<Option<Incoming>> {
    let now = kernel.now();
    let started = kernel.db.write(View::System, move |tx| {
        let Some(mut found) = locked(tx, id)?.filter(Incoming::is_under_way) else { return Ok(None) };
        found.attempt += 1;
        tx.push(
            "UPDATE company_imports SET state = 'running', attempt = $2, phase = '', rows_done = 0, bytes_done = 0, started_at = $3, \
             updated_at = $3 WHERE id = $1",
            params![id, found.attempt, now],
        )?;
        Ok(Some(found))
    });
    started.await
}

async fn bring(kernel: &Arc<Kernel>, tables: &[TableDef], found: &Incoming) -> Result<()> {
    let source = fetch(kernel, found).await?;
    let course = Arc::new(Course::default());
    let (watcher, actor, tables) = (course.watcher(over), by(found), tables.to_vec());
    let tell = || tell(kernel, found, &course);
    if found.is_dry_run {
        let tried = rehearse(kernel, tables, source, &actor, watcher);
        let came = course.told_meanwhile(tried, tell).await?;
        let (shared, found) = (kernel.clone(), found.clone());
        return kernel.db.write(View::System, move |tx| finish(tx, &shared, &found, &came)).await;
    }
    let (shared, done) = (kernel.clone(), found.clone());
    let settle: Settle = Arc::new(move |tx, came| finish(tx, &shared, &done, came));
    let brought = import(kernel, tables, source, &actor, watcher, Some(settle));
    course.told_meanwhile(brought, tell).await.map(drop)
}

/// The archive beside the store, in a file without a name; somebody who lost the right meanwhile brings nothing in.
async fn fetch(kernel: &Arc<Kernel>, found: &Incoming) -> Result<Source> {
    let (user, (company, id)) = (found.created_by, found.file);
    let read = kernel.db.read(View::System, move |reader| {
        let sql = "SELECT is_active AND is_superuser FROM users WHERE id = $1";
        let may = reader.first(sql, &params![user], |row| row.bool(0))?.unwrap_or(false);
        Ok((may, file::find(reader, company, id)?))
    });
    let (may, archive) = read.await?;
    if !may {
        return Err(Problem::permission_denied());
    }
    let gone = || Problem::conflict("file_gone", "The archive is no file here any more. Upload it again.");
    let archive = archive.ok_or_else(gone)?;
    let length = archive.size_bytes;
    let chunks = match file::read(kernel, &archive, 0..length).await {
        Ok(chunks) => chunks,
        Err(problem) if problem.kind() == Kind::Unavailable => return Err(problem),
        Err(problem) => return Err(gone().with_cause(problem)),
    };
    let beside = file::lay_aside(chunks.map_err(Problem::unavailable)).await?;
    if beside.size_bytes != length {
        return Err(Problem::unavailable("the archive's content ended early in the file store"));
    }
    Ok(Source::Open(Arc::new(beside.file)))
}

const OVER: &str = "import_over";

fn over() -> Problem {
    Problem::conflict(OVER, "This import was cancelled, or another worker does it.")
}

fn by(found: &Incoming) -> Actor {
    Actor { user: Some(found.created_by), ..ourselves() }
}

fn ourselves() -> Actor {
    Actor { user: None, credential: None, origin: None, reason: Some("company import") }
}

/// Writes down how far it is; whether the import is still this worker's.
async fn tell(kernel: &Kernel, found: &Incoming, course: &Course) -> Result<bool> {
    let Figures { phase, rows, of_rows, bytes, of_bytes } = course.figures();
    // Before the manifest is read nobody knows how much there is.
    let of = |total: i64| (phase != "check" && total > 0).then_some(total);
    let (of_rows, of_bytes, bytes) = (of(of_rows), of(of_bytes), if phase == "check" { 0 } else { bytes });
    let (id, attempt, now) = (found.id, found.attempt, kernel.now());
    let told = kernel.db.write(View::System, move |tx| {
        Ok(tx.execute(
            "UPDATE company_imports SET phase = $3, rows_done = $4, rows_total = $5, bytes_done = $6, bytes_total = $7, updated_at = $8 \
             WHERE id = $1 AND attempt = $2 AND state = 'running'",
            &params![id, attempt, phase, rows, of_rows, bytes, of_bytes, now],
        )?)
    });
    Ok(told.await? == 1)
}

/// In the transaction that brought the company in: says so, or takes it back when nobody wants it any more. What a dry run found is true
/// whoever took over meanwhile: on SQLite nobody can renew a lease while rows are tried.
fn finish(tx: &mut Tx<'_>, kernel: &Kernel, found: &Incoming, came: &Imported) -> Result<()> {
    let count = |number: u64| i64::try_from(number).map_err(Problem::internal);
    let (rows, bytes) = (count(came.rows)?, count(came.bytes)?);
    let (known, made) = (count(came.people_known)?, count(came.people_made)?);
    let done = tx.execute(
        "UPDATE company_imports SET state = 'finished', phase = '', rows_done = $3, rows_total = $3, bytes_done = $4, bytes_total = $4, \
         number = $5, code_before = $6, name = $7, people_known = $8, people_made = $9, finished_at = $10, updated_at = $10 \
         WHERE id = $1 AND (attempt = $2 OR is_dry_run) AND state = 'running'",
        &params![
            found.id,
            found.attempt,
            rows,
            bytes,
            came.company,
            came.code_before.as_str(),
            came.name.as_str(),
            known,
            made,
            kernel.now()
        ],
    )?;
    if done == 0 {
        return Err(over());
    }
    noted(tx, kernel, &by(found), "finish", found.id, json!({"company": came.code, "dry_run": found.is_dry_run}))
}

async fn fail(kernel: &Arc<Kernel>, found: &Incoming, problem: &Problem) -> Result<()> {
    tracing::warn!(import = %found.id, cause = problem.cause(), "an import was given up: {problem}");
    let (shared, found) = (kernel.clone(), found.clone());
    let (code, words) = (problem.code().to_owned(), problem.message().to_owned());
    kernel.db.write(View::System, move |tx| give_up(tx, &shared, &found, &code, &words)).await
}

/// Nothing when it is over, or another worker's.
fn give_up(tx: &mut Tx<'_>, kernel: &Kernel, found: &Incoming, code: &str, words: &str) -> Result<()> {
    let changed = tx.execute(
        "UPDATE company_imports SET state = 'failed', phase = '', error_code = $3, error_message = $4, finished_at = $5, updated_at = $5 \
         WHERE id = $1 AND attempt = $2 AND state IN ('queued', 'running')",
        &params![found.id, found.attempt, code, words, kernel.now()],
    )?;
    if changed == 0 {
        return Ok(());
    }
    noted(tx, kernel, &ourselves(), "fail", found.id, json!({"error_code": code}))
}

/// Gives up imports whose job is no more; how many.
pub async fn sweep(kernel: &Arc<Kernel>) -> Result<u64> {
    let before = kernel.now().plus(-HOUR_US);
    let sql = format!(
        "SELECT id FROM company_imports WHERE state IN ('queued', 'running') AND created_at <= $1 ORDER BY id LIMIT {AT_ONCE}"
    );
    let due = kernel.db.read(View::System, move |reader| Ok(reader.query(&sql, &params![before], |row| row.uuid(0))?));
    let mut swept = 0;
    for id in due.await? {
        let shared = kernel.clone();
        let ended = kernel.db.write(View::System, move |tx| {
            let Some(found) = locked(tx, id)?.filter(Incoming::is_under_way) else { return Ok(false) };
            let sql = "SELECT 1 FROM jobs WHERE unique_key = $1 AND state IN ('queued', 'running')";
            if tx.first(sql, &params![job_key(id)], |_| Ok(()))?.is_some() {
                return Ok(false);
            }
            give_up(
                tx,
                &shared,
                &found,
                "import_given_up",
                "The import failed too often. Look into the log, and ask for it anew.",
            )?;
            Ok(true)
        });
        swept += u64::from(ended.await?);
    }
    Ok(swept)
}
