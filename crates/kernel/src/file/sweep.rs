//! The sweep: what no row points to leaves the store, and what had a day to be used goes.

use std::sync::Arc;

use loopd_store::{StoreError, Tx, View, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};

use super::{keep, ledger, upload};
use crate::Kernel;
use crate::job::{self, NewJob};

/// The job that sweeps soon after a file was deleted.
pub const JOB: &str = "files.sweep";
/// What one look takes in.
const AT_ONCE: usize = 200;

/// Has the content of what this transaction deletes removed soon after it.
pub(super) fn soon(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId) -> Result<(), StoreError> {
    let job = NewJob { kind: JOB, company, payload: "{}".to_owned(), run_at: kernel.now(), unique_key: None };
    job::enqueue(tx, kernel, &job)
}

/// Removes all that is due; how many contents went. Safe to run on several nodes at once.
///
/// # Errors
/// 503 when store or database do not answer; what is left is found again.
pub async fn sweep(kernel: &Arc<Kernel>) -> Result<usize> {
    expire(kernel).await?;
    upload::expire(kernel).await?;
    let mut removed = 0;
    loop {
        let now = kernel.now();
        let due = kernel
            .db
            .write(View::System, move |tx| {
                // Whoever still writes for longer than a day finds its entry taken, and makes no row.
                tx.push(
                    "UPDATE file_blobs SET state = 'unwanted' WHERE state = 'writing' AND due_at <= $1",
                    params![now],
                )?;
                let sql = format!(
                    "SELECT company_id, blob_key FROM file_blobs b WHERE state = 'unwanted' AND due_at <= $1 AND NOT EXISTS \
                     (SELECT 1 FROM file_accounts a WHERE a.company_id = b.company_id AND a.held_until > $1) \
                     ORDER BY due_at LIMIT {AT_ONCE}"
                );
                Ok(tx.query(&sql, &params![now], |row| Ok((CompanyId(row.i64(0)?), row.text(1)?.to_owned())))?)
            })
            .await?;
        for (company, key) in &due {
            ledger::clear(kernel, *company, key).await?;
        }
        removed += due.len();
        if due.len() < AT_ONCE {
            return Ok(removed);
        }
    }
}

/// Deletes files that were to last for a while only.
async fn expire(kernel: &Arc<Kernel>) -> Result<()> {
    let now = kernel.now();
    let sql = format!("SELECT company_id, id FROM files WHERE expires_at <= $1 ORDER BY expires_at LIMIT {AT_ONCE}");
    let gone: Vec<(CompanyId, Uuid)> = kernel
        .db
        .read(View::System, move |reader| {
            Ok(reader.query(&sql, &params![now], |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)))?)
        })
        .await?;
    for (company, id) in gone {
        let shared = kernel.clone();
        kernel
            .db
            .write(View::Company(company), move |tx| {
                // Asked again under the lock: it may have been attached meanwhile.
                let sql = "SELECT 1 FROM files WHERE company_id = $1 AND id = $2 AND expires_at <= $3";
                if tx.first(sql, &params![company, id, now], |_| Ok(()))?.is_some() {
                    keep::remove(tx, &shared, company, id)?;
                }
                Ok::<_, Problem>(())
            })
            .await?;
    }
    Ok(())
}
