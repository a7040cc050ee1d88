//! The ledger of content without a row: being written, or no longer wanted. Every content passes through it twice, so whatever
//! happens in between (a crash, a refused transaction) leaves an entry that the sweep finds.

use loopd_store::{StoreError, Tx, View, params};
use loopd_types::{CompanyId, DAY_US, Problem, Result, Timestamp};

use super::receive::Received;
use crate::Kernel;

/// How long an upload may be under way.
const WRITING_US: i64 = DAY_US;

/// Notes that content is about to be written. Durable before the first byte is.
pub(super) async fn begin(kernel: &Kernel, company: CompanyId) -> Result<String> {
    let key = format!("{}/{}", company.code(), kernel.new_id());
    let (noted, due) = (key.clone(), kernel.now().plus(WRITING_US));
    kernel
        .db
        .write(View::Company(company), move |tx| {
            tx.push(
                "INSERT INTO file_blobs (company_id, blob_key, state, due_at) VALUES ($1, $2, 'writing', $3)",
                params![company, noted.as_str(), due],
            )?;
            Ok(())
        })
        .await?;
    Ok(key)
}

/// In the transaction that makes the row: the content is somebody's from here on.
///
/// # Errors
/// 503 when the sweep has given it up already.
pub(super) fn settle(tx: &mut Tx<'_>, company: CompanyId, key: &str) -> Result<()> {
    let sql = "DELETE FROM file_blobs WHERE company_id = $1 AND blob_key = $2 AND state = 'writing'";
    match tx.execute(sql, &params![company, key])? {
        1 => Ok(()),
        _ => Err(Problem::unavailable(format!("the content {key} took too long and was given up"))),
    }
}

/// In the transaction that deletes the row: the content goes when that is durable.
pub(super) fn abandon(tx: &mut Tx<'_>, company: CompanyId, key: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO file_blobs (company_id, blob_key, state, due_at) VALUES ($1, $2, 'unwanted', $3)",
        params![company, key, now],
    )
}

/// Keeps the content of the company's files for a while even if they are deleted: somebody reads all of it.
pub(crate) async fn hold(kernel: &Kernel, company: CompanyId, until: Timestamp) -> Result<()> {
    let sql = "INSERT INTO file_accounts (company_id, held_until) VALUES ($1, $2) \
         ON CONFLICT (company_id) DO UPDATE SET held_until = $2";
    kernel.db.write(View::Company(company), move |tx| Ok(tx.push(sql, params![company, until])?)).await
}

/// Content that no row was made for: gone as soon as may be. A failure is left to the sweep.
pub async fn discard(kernel: &Kernel, received: &Received) {
    if let Err(problem) = give_up(kernel, received.company, &received.blob_key).await {
        tracing::warn!(cause = problem.cause(), "content without a file is left to the sweep");
    }
}

pub(super) async fn give_up(kernel: &Kernel, company: CompanyId, key: &str) -> Result<()> {
    let (given_up, now) = (key.to_owned(), kernel.now());
    let sql = "UPDATE file_blobs SET state = 'unwanted', due_at = $3 WHERE company_id = $1 AND blob_key = $2 AND state = 'writing'";
    let is_mine = kernel
        .db
        .write(View::Company(company), move |tx| Ok(tx.execute(sql, &params![company, given_up.as_str(), now])?))
        .await?;
    // A row may have been made all the same: an answer that was lost is no transaction that was.
    if is_mine == 1 { clear(kernel, company, key).await } else { Ok(()) }
}

/// Removes unwanted content and its entry, in this order.
pub(super) async fn clear(kernel: &Kernel, company: CompanyId, key: &str) -> Result<()> {
    kernel.blobs.remove(key).await?;
    let cleared = key.to_owned();
    let sql = "DELETE FROM file_blobs WHERE company_id = $1 AND blob_key = $2 AND state = 'unwanted'";
    kernel.db.write(View::Company(company), move |tx| Ok(tx.push(sql, params![company, cleared.as_str()])?)).await
}
