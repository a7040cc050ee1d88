//! The job that carries a letter out of the house. Its pauses grow as every job's do; a refusal for good ends it at once.

use std::sync::Arc;

use loopd_store::{StoreError, Tx, View};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::mailer::{Mailer, Undelivered};
use super::{MOST_ATTEMPTS, store};
use crate::Kernel;
use crate::job::{self, Job, NewJob, Runner};

const KIND: &str = "mail.send";

pub(super) fn enqueue(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    id: Uuid,
    run_at: Timestamp,
) -> Result<(), StoreError> {
    let payload = json!({"id": id.to_string()}).to_string();
    job::enqueue(tx, kernel, &NewJob { kind: KIND, company, payload, run_at, unique_key: None })
}

/// Lets this process send letters through `mailer`.
pub fn register_jobs(runner: &mut Runner, mailer: Arc<dyn Mailer>) {
    let handler: job::Handler = Arc::new(move |kernel, job| {
        let mailer = mailer.clone();
        Box::pin(async move { send(&kernel, mailer.as_ref(), job).await })
    });
    runner.register(KIND, handler);
}

async fn send(kernel: &Arc<Kernel>, mailer: &dyn Mailer, job: Job) -> Result<()> {
    let id = job.payload["id"].as_str().and_then(|text| Uuid::parse_str(text).ok());
    let id = id.ok_or_else(|| Problem::internal("a letter's job names no letter"))?;
    let (company, shared) = (job.company, kernel.clone());
    let found = kernel.db.read(View::System, move |reader| store::find_queued(reader, &shared, company, id)).await?;
    // Sent before, or forgotten meanwhile.
    let Some(pending) = found else { return Ok(()) };
    let outcome = mailer.send(&pending.message).await;
    let is_last = job.attempt >= MOST_ATTEMPTS;
    let (state, words) = match &outcome {
        Ok(()) => ("sent", None),
        Err(Undelivered::Never(words)) => ("refused", Some(words.clone())),
        Err(Undelivered::Later(words)) if is_last => ("failed", Some(words.clone())),
        Err(Undelivered::Later(words)) => ("queued", Some(words.clone())),
    };
    // A failed letter can be tried again by a person; a refused one cannot.
    let keeps_body = matches!(state, "queued" | "failed") || (state == "sent" && mailer.is_sandbox());
    let (now, error) = (kernel.now(), words.clone());
    kernel
        .db
        .write(View::System, move |tx| store::settle(tx, company, id, state, error.as_deref(), keeps_body, now))
        .await?;
    match (state, words) {
        ("queued" | "failed", Some(words)) => Err(Problem::unavailable(words)),
        ("refused", Some(words)) => {
            tracing::warn!(letter = %id, words, "a letter was refused for good");
            Ok(())
        }
        _ => Ok(()),
    }
}
