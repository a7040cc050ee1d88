//! Doing an import: a chunk is one transaction, and the next one may be done by anybody.

use std::sync::Arc;

use loopd_kernel::job::{self, Job, NewJob, Runner};
use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::{Tx, View};
use loopd_types::{Kind, Problem, Result, Uuid};
use serde_json::{Map, Value as Json, json};

use super::CHUNK_ROWS;
use super::rules::{File, body};
use super::store::{self, Import, Outcome};
use crate::address::Address;
use crate::contact::store::{self as contacts, Words};
use crate::contact::{LIFECYCLES, input};
use crate::mask::Sight;
use crate::{PRODUCT, Wave, license, preference};

/// The kind of the job.
const JOB: &str = "loopwave.contacts.import";

/// What it takes to import.
pub const CREATE: &str = "loopwave.contacts.create";
pub const UPDATE: &str = "loopwave.contacts.update";

pub fn register(runner: &mut Runner, wave: &Arc<Wave>) {
    let wave = wave.clone();
    let handler: job::Handler = Arc::new(move |kernel, job| {
        let wave = wave.clone();
        Box::pin(async move { work(&wave, &kernel, &job).await })
    });
    runner.register(JOB, handler);
}

/// Keeps a file's rows in this transaction. A file of one chunk is done at once; the rest is left to a job.
///
/// # Errors
/// 503 from the database.
pub fn begin(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, import: &Import, file: &File) -> Result<()> {
    store::insert(tx, tenant.company, import, file, kernel.now())?;
    let (id, label) = (import.id.to_string(), format!("{} rows", import.total));
    // A trial writes nothing, and tells of everybody who is asked for.
    let action = if import.is_dry_run { "try-import" } else { "import" };
    let entry =
        audit::Entry { action, module: PRODUCT, resource: "contacts", target: &id, label: &label, changes: None };
    audit::record(tx, kernel, tenant, entry)?;
    if file.rows.len() <= CHUNK_ROWS {
        return chunk(tx, kernel, tenant, import.id).map(drop);
    }
    let (payload, key) = (json!({"import": id}).to_string(), format!("{JOB}:{id}"));
    let new = NewJob { kind: JOB, company: tenant.company, payload, run_at: kernel.now(), unique_key: Some(&key) };
    Ok(job::enqueue(tx, kernel, &new)?)
}

/// The job: chunk after chunk, with what whoever asked for it may do by now.
async fn work(wave: &Arc<Wave>, kernel: &Arc<Kernel>, job: &Job) -> Result<()> {
    let Some(id) = job.payload["import"].as_str().and_then(|id| Uuid::parse_str(id).ok()) else { return Ok(()) };
    let (company, view) = (job.company, View::Company(job.company));
    let import = kernel.db.read(view.clone(), move |reader| store::get(reader, company, id)).await?;
    loop {
        let outcome = match enter(wave, kernel, &import, job).await {
            Ok(tenant) => {
                let shared = kernel.clone();
                kernel.db.write(view.clone(), move |tx| chunk(tx, &shared, &tenant, id)).await
            }
            Err(problem) => Err(problem),
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // The job is done again later, from this chunk on.
            Err(problem) if matches!(problem.kind(), Kind::Unavailable | Kind::Timeout) => return Err(problem),
            Err(problem) => {
                tracing::warn!(import = %id, cause = problem.cause(), "an import of contacts was given up: {problem}");
                let (words, now) = (problem.message().to_owned(), kernel.now());
                let failed = move |tx: &mut Tx<'_>| Ok(store::finish(tx, company, id, "failed", Some(&words), now)?);
                return kernel.db.write(view, failed).await;
            }
        }
    }
}

/// Asked anew for every chunk: somebody who lost the right meanwhile makes no more contacts, nor does a company that lost the product.
async fn enter(wave: &Arc<Wave>, kernel: &Arc<Kernel>, import: &Import, job: &Job) -> Result<Arc<Tenant>> {
    let tenant = match import.created_by {
        Some(user) => kernel.enter_for(user, job.company, None, "import of contacts").await?,
        None => {
            let access = kernel.company_access(job.company).await?.ok_or_else(Problem::not_found)?;
            Arc::new(Tenant::system(access, "import of contacts"))
        }
    };
    if import.created_by.is_some() {
        tenant.require(CREATE)?;
        tenant.require(UPDATE)?;
    }
    kernel.require_open(&tenant, PRODUCT, true)?;
    license::require_open(wave, kernel, &tenant, None).await?;
    Ok(tenant)
}

/// Does the next chunk; `false` when there is none left.
///
/// # Errors
/// Only what stops everything (503, 500): what is wrong with a row is kept with it.
fn chunk(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, id: Uuid) -> Result<bool> {
    let company = tenant.company;
    // Two workers of the same import, after a lease ran out, take turns.
    let import = store::lock(tx, company, id)?;
    if import.state != "queued" {
        return Ok(false);
    }
    let Some((position, rows)) = store::next_chunk(tx, company, id)? else { return Ok(false) };
    let first = import.done + 1;
    let outcome = if import.is_dry_run {
        let mut tried = None;
        let back = tx.attempt(|tx| -> Result<()> {
            tried = Some(rows_of(tx, kernel, tenant, &import, &rows, first)?);
            // All of it is taken back.
            Err(Problem::invalid("dry_run", "Nothing is written."))
        });
        match (tried, back) {
            (Some(outcome), _) => outcome,
            (None, Err(problem)) => return Err(problem),
            (None, Ok(())) => return Err(Problem::internal("a trial told nothing")),
        }
    } else {
        rows_of(tx, kernel, tenant, &import, &rows, first)?
    };
    store::settle(tx, company, id, position, &outcome)?;
    let is_last = import.done + outcome.rows >= import.total;
    if is_last {
        store::finish(tx, company, id, "done", None, kernel.now())?;
        if !import.is_dry_run {
            let payload = json!({"id": id.to_string(), "rows": import.total});
            let subject = format!("{PRODUCT}/contact-imports/{id}");
            event::emit(tx, kernel, tenant, "loopwave.contact-imports.finished", &subject, payload.to_string())?;
        }
    }
    Ok(!is_last)
}

fn rows_of(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    import: &Import,
    rows: &[Vec<String>],
    first: i64,
) -> Result<Outcome> {
    let mut outcome = Outcome { rows: i64::try_from(rows.len()).unwrap_or(i64::MAX), ..Outcome::default() };
    let sight = Sight::of(tenant, &preference::load(tx, tenant.company)?);
    for (cells, row) in rows.iter().zip(first..) {
        match tx.attempt(|tx| one(tx, kernel, tenant, import, cells, sight)) {
            Ok(Done::Created) => outcome.created += 1,
            Ok(Done::Updated) => outcome.updated += 1,
            Ok(Done::Unchanged) => outcome.unchanged += 1,
            Err(problem) if matches!(problem.kind(), Kind::Unavailable | Kind::Internal | Kind::Timeout) => {
                return Err(problem);
            }
            Err(problem) => outcome.refusals.push(refusal(row, cells, &problem)),
        }
    }
    Ok(outcome)
}

enum Done {
    Created,
    Updated,
    Unchanged,
}

/// Makes the contact of a row, or changes the one that has its telephone number. Who may not see numbers only makes contacts: a change
/// would tell whose number it is, and so would a complaint that is made of new ones alone.
fn one(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    import: &Import,
    cells: &[String],
    sight: Sight,
) -> Result<Done> {
    let mut fields = body(&import.targets, cells);
    let phone = fields.get("phone").and_then(Json::as_str).unwrap_or_default().to_owned();
    let address = Address::phone(&phone).ok_or_else(|| match phone.is_empty() {
        true => Problem::field("phone", "required", "A row needs a telephone number."),
        false => Problem::field("phone", "invalid", "Write the number with its country code: +250 788 123 456."),
    })?;
    match contacts::find_by(tx, tenant.company, &address)? {
        Some(_) if sight.is_masked() => new(tx, tenant, fields, &address).map(|_| Done::Unchanged),
        Some(known) => {
            // They may be known by more numbers than one: this one found them, and the one that they show stays.
            fields.remove("phone");
            let before = contacts::lock(tx, tenant.company, known.id)?;
            let given = input::read(Json::Object(fields), &input::MANAGEMENT, true)?;
            let next = given.apply(tx, tenant, &input::MANAGEMENT, before.words.clone())?;
            if next == before.words {
                return Ok(Done::Unchanged);
            }
            contacts::change(tx, kernel, tenant, &before, &next)?;
            Ok(Done::Updated)
        }
        None => {
            let words = new(tx, tenant, fields, &address)?;
            contacts::create(tx, kernel, tenant, &words)?;
            Ok(Done::Created)
        }
    }
}

/// What a row says of a contact that is new; who has no name is called by their number.
fn new(tx: &mut Tx<'_>, tenant: &Tenant, mut fields: Map<String, Json>, address: &Address) -> Result<Words> {
    if !fields.contains_key("name") {
        let name = address.telephone().unwrap_or_else(|| address.user().to_owned());
        fields.insert("name".to_owned(), name.into());
    }
    let given = input::read(Json::Object(fields), &input::MANAGEMENT, false)?;
    let new = Words { lifecycle: LIFECYCLES[0].to_owned(), ..Words::default() };
    given.apply(tx, tenant, &input::MANAGEMENT, new)
}

fn refusal(row: i64, cells: &[String], problem: &Problem) -> Json {
    let mut errors: Vec<Json> = Vec::new();
    for (field, complaints) in problem.fields() {
        errors.extend(complaints.iter().map(|one| json!({"field": field, "code": one.code, "message": one.message})));
    }
    if errors.is_empty() {
        errors.push(json!({"field": null, "code": problem.code(), "message": problem.message()}));
    }
    json!({"row": row, "cells": cells, "errors": errors})
}
