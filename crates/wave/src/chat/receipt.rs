//! Telling WhatsApp that a customer's messages were read: after the commit and as well as it goes, because nothing here waits for it.

use std::sync::Arc;

use loopd_kernel::job::{self, Job, NewJob, Runner};
use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Tx, View};
use loopd_types::{Problem, Result, Uuid};
use serde_json::json;

use super::Chat;
use crate::{Wave, number};

const JOB: &str = "loopwave.mark-read";

/// Writes the job down.
///
/// # Errors
/// The database's.
pub fn enqueue(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: &Chat, wa_id: &str) -> Result<()> {
    let payload = json!({"number": chat.number_id, "wa_id": wa_id}).to_string();
    let new = NewJob { kind: JOB, company: tenant.company, payload, run_at: kernel.now(), unique_key: None };
    Ok(job::enqueue(tx, kernel, &new)?)
}

pub fn register(runner: &mut Runner, wave: Arc<Wave>) {
    runner.register(JOB, Arc::new(move |kernel, job| Box::pin(tell(wave.clone(), kernel, job))));
}

async fn tell(wave: Arc<Wave>, kernel: Arc<Kernel>, job: Job) -> Result<()> {
    let broken = || Problem::internal("a job that tells of reading names no message");
    let id = job.payload["number"].as_str().and_then(|text| Uuid::parse_str(text).ok()).ok_or_else(broken)?;
    let wa_id = job.payload["wa_id"].as_str().ok_or_else(broken)?;
    let company = job.company;
    let found = kernel.db.read(View::Company(company), move |reader| Ok(number::find(reader, company, id)?)).await?;
    let Some(number) = found.filter(number::Number::is_ready) else { return Ok(()) };
    let Some(engine) = wave.engine(&number.engine) else { return Ok(()) };
    if let Err(problem) = engine.mark_read(&kernel, &number, wa_id).await {
        // Late ticks help nobody: it is not tried again.
        tracing::debug!(
            number = number.public_id,
            cause = problem.cause(),
            "WhatsApp was not told that messages were read"
        );
    }
    Ok(())
}
