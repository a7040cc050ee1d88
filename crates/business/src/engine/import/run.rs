//! Doing an import: a chunk is one transaction, and the next one may be done by anybody.

use std::sync::Arc;

use loopd_kernel::job::{self, Job, NewJob, Runner};
use loopd_kernel::subscription::rules::Openness;
use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::Tx;
use loopd_types::{Kind, Problem, Result, Uuid};
use serde_json::{Value as Json, json};

use super::cell::{self, Known};
use super::columns::targets;
use super::file::File;
use super::store::{self, Import, Outcome};
use super::{Way, Wish};
use crate::engine::cx::{Cx, runtime};
use crate::engine::runtime::ResourceRuntime;
use crate::engine::{Engine, create, update};

/// The kind of the job.
pub const JOB: &str = "records.import";

pub fn register(runner: &mut Runner, engine: &Engine) {
    let registry = engine.registry.clone();
    runner.register(
        JOB,
        Arc::new(move |kernel, job| {
            let engine = Engine::new(kernel, registry.clone());
            Box::pin(async move { work(&engine, &job).await })
        }),
    );
}

/// Keeps a file's rows in this transaction and gives the import's id. A file of one chunk is done at once; the rest is left to a job.
///
/// # Errors
/// 400 for columns that go nowhere and files without rows; 403 when an upsert would need a permission that the caller lacks; 405 for
/// resources that nobody writes to.
pub fn begin(cx: &mut Cx<'_, '_>, resource: &Arc<ResourceRuntime>, file: &File, wish: &Wish) -> Result<Uuid> {
    let created_by = cx.user().ok_or_else(Problem::permission_denied)?;
    if wish.way == Way::Upsert {
        update::require_changeable(resource)?;
        cx.tenant.require(&resource.permissions.update)?;
    }
    if file.rows == 0 {
        return Err(Problem::field("rows", "required", "The file has no rows."));
    }
    let import = Import {
        id: cx.new_id(),
        path: resource.path.clone(),
        state: "queued".into(),
        way: wish.way,
        is_dry_run: wish.is_dry_run,
        columns: file.columns.clone(),
        targets: targets(resource, &file.columns, wish)?,
        total: file.rows as i64,
        done: 0,
        workspace: cx.tenant.workspace,
        created_by,
    };
    store::insert(cx.tx, cx.company(), &import, file, cx.now())?;
    if !import.is_dry_run {
        let id = import.id.to_string();
        let entry = audit::Entry {
            action: "import",
            module: &resource.module,
            resource: &resource.resource.slug,
            target: &id,
            label: &format!("{} rows", import.total),
            changes: None,
        };
        audit::record(cx.tx, cx.kernel(), cx.tenant, entry)?;
    }
    if file.pieces == 1 {
        run(cx.tx, cx.engine, cx.tenant, import.id)?;
    } else {
        let (payload, key) = (json!({"import": import.id.to_string()}).to_string(), format!("import:{}", import.id));
        let job = NewJob { kind: JOB, company: cx.company(), payload, run_at: cx.now(), unique_key: Some(&key) };
        job::enqueue(cx.tx, cx.kernel(), &job)?;
    }
    Ok(import.id)
}

/// The job: chunk after chunk, with what whoever asked for it may do by now.
async fn work(engine: &Engine, job: &Job) -> Result<()> {
    let Some(id) = job.payload["import"].as_str().and_then(|id| Uuid::parse_str(id).ok()) else { return Ok(()) };
    let company = job.company;
    let view = loopd_store::View::Company(company);
    let found = engine.kernel.db.read(view.clone(), move |reader| store::find(reader, company, id)).await?;
    let Some(import) = found else { return Ok(()) };
    loop {
        // Asked anew for every chunk: somebody who lost the right meanwhile makes no more records.
        let outcome = match enter(engine, &import, company).await {
            Ok(tenant) => {
                let shared = engine.clone();
                engine.kernel.db.write(view.clone(), move |tx| run(tx, &shared, &tenant, id)).await
            }
            Err(problem) => Err(problem),
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // The job is done again later, from this chunk on.
            Err(problem) if matches!(problem.kind(), Kind::Unavailable | Kind::Timeout) => return Err(problem),
            Err(problem) => {
                tracing::warn!(import = %id, cause = problem.cause(), "an import was given up: {problem}");
                let (words, now) = (problem.message().to_owned(), engine.kernel.now());
                let failed = move |tx: &mut Tx<'_>| store::finish(tx, company, id, "failed", Some(&words), now);
                return engine.kernel.db.write(view, failed).await;
            }
        }
    }
}

async fn enter(engine: &Engine, import: &Import, company: loopd_types::CompanyId) -> Result<Arc<Tenant>> {
    let resource = runtime(engine, &import.path)?;
    let kernel: &Arc<Kernel> = &engine.kernel;
    let tenant = kernel.enter_for(import.created_by, company, import.workspace, "import").await?;
    let now = kernel.now();
    if tenant.openness(&resource.module, now) != Openness::Open {
        return Err(Problem::forbidden(
            "product_not_subscribed",
            "The company has no subscription to this product any more that lets records be made.",
        ));
    }
    if !tenant.is_superuser() && tenant.passed_meters(&resource.permissions.create, now).any(|meter| meter.is_hard) {
        return Err(Problem::new(
            Kind::PaymentRequired,
            "usage_limit_reached",
            "The plan's limit of this month is reached.",
        ));
    }
    tenant.require(&resource.permissions.create)?;
    if import.way == Way::Upsert {
        tenant.require(&resource.permissions.update)?;
    }
    Ok(tenant)
}

/// Does the next chunk; `false` when there is none left.
///
/// # Errors
/// Only what stops everything (503, 500): what is wrong with a row is kept with it.
pub fn run(tx: &mut Tx<'_>, engine: &Engine, tenant: &Arc<Tenant>, id: Uuid) -> Result<bool> {
    let company = tenant.company;
    // Two workers of the same import, after a lease ran out, take turns.
    tx.lock(&format!("import:{id}"))?;
    let Some(import) = store::find(tx, company, id)? else { return Ok(false) };
    if import.state == "done" || import.state == "failed" {
        return Ok(false);
    }
    let Some((position, rows)) = store::next_chunk(tx, company, id)? else { return Ok(false) };
    let resource = runtime(engine, &import.path)?.clone();
    // Chunks are done in their order.
    let first = import.done + 1;
    let outcome = if import.is_dry_run {
        let mut tried = None;
        let back = tx.attempt(|tx| -> Result<()> {
            tried = Some(rows_of(tx, engine, tenant, &import, &resource, &rows, first)?);
            // all of it is taken back
            Err(Problem::invalid("dry_run", "Nothing is written."))
        });
        match (tried, back) {
            (Some(outcome), _) => outcome,
            (None, Err(problem)) => return Err(problem),
            (None, Ok(())) => return Err(Problem::internal("a trial told nothing")),
        }
    } else {
        rows_of(tx, engine, tenant, &import, &resource, &rows, first)?
    };
    store::settle(tx, company, id, position, &outcome)?;
    let is_last = import.done + outcome.rows >= import.total;
    if is_last {
        store::finish(tx, company, id, "done", None, engine.kernel.now())?;
        if !import.is_dry_run {
            let payload = json!({"id": id.to_string(), "resource": import.path, "rows": import.total});
            let subject = format!("core/imports/{id}");
            event::emit(tx, &engine.kernel, tenant, "core.import.finished", &subject, payload.to_string())?;
        }
    }
    Ok(!is_last)
}

fn rows_of(
    tx: &mut Tx<'_>,
    engine: &Engine,
    tenant: &Arc<Tenant>,
    import: &Import,
    resource: &Arc<ResourceRuntime>,
    rows: &[Vec<Json>],
    first: i64,
) -> Result<Outcome> {
    let mut outcome = Outcome { rows: rows.len() as i64, ..Outcome::default() };
    let mut known = Known::new();
    for (cells, row) in rows.iter().zip(first..) {
        let done = tx.attempt(|tx| one(&mut Cx::new(tx, engine, tenant), import, resource, cells, &mut known));
        match done {
            Ok(true) => outcome.created += 1,
            Ok(false) => outcome.updated += 1,
            Err(problem) if matches!(problem.kind(), Kind::Unavailable | Kind::Internal | Kind::Timeout) => {
                return Err(problem);
            }
            Err(problem) => outcome.refusals.push(refusal(row, cells, &problem)),
        }
    }
    Ok(outcome)
}

/// Makes or changes the record of a row; whether it was made.
fn one(
    cx: &mut Cx<'_, '_>,
    import: &Import,
    resource: &Arc<ResourceRuntime>,
    cells: &[Json],
    known: &mut Known,
) -> Result<bool> {
    let body = cell::body(cx, resource, import, cells, known)?;
    match (import.way, body.get("external_id").and_then(Json::as_str)) {
        (Way::Upsert, Some(external_id)) => {
            let external_id = external_id.to_owned();
            update::upsert(cx, resource, &external_id, &body, None).map(|(_, is_new)| is_new)
        }
        (Way::Upsert, None) => {
            Err(Problem::field("external_id", "required", "A row without external_id changes no record."))
        }
        (Way::Create, _) => create::create(cx, resource, &body).map(|_| true),
    }
}

fn refusal(row: i64, cells: &[Json], problem: &Problem) -> Json {
    let mut errors: Vec<Json> = Vec::new();
    for (field, complaints) in problem.fields() {
        errors.extend(complaints.iter().map(|one| json!({"field": field, "code": one.code, "message": one.message})));
    }
    if errors.is_empty() {
        errors.push(json!({"field": null, "code": problem.code(), "message": problem.message()}));
    }
    json!({"row": row, "cells": cells, "errors": errors})
}
