//! What happens when an invitation's time is over: it is `expired`, its seat is free, and the log says so. A job does it at that moment;
//! whoever looks before the job has come does it first, so that nobody is shown a dead invitation as one that waits.

use std::sync::Arc;

use loopd_store::{Tx, View, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};
use serde_json::json;

use super::note;
use crate::Kernel;
use crate::access::Actor;
use crate::job::{self, Handler, NewJob, Runner};

const JOB: &str = "invitations.expire";

/// Registers the job.
pub fn register(runner: &mut Runner) {
    let handler: Handler = Arc::new(|kernel, job| Box::pin(async move { settle(&kernel, &[job.company]).await }));
    runner.register(JOB, handler);
}

/// Looks again when an invitation's time is over.
pub(super) fn later(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, at: Timestamp) -> Result<()> {
    let job = NewJob { kind: JOB, company, payload: "{}".to_owned(), run_at: at, unique_key: None };
    Ok(job::enqueue(tx, kernel, &job)?)
}

/// Ends what is overdue in these companies. Writes nothing when nothing is.
///
/// # Errors
/// The database's.
pub async fn settle(kernel: &Arc<Kernel>, companies: &[CompanyId]) -> Result<()> {
    for company in companies.iter().copied() {
        let now = kernel.now();
        let overdue = kernel.db.read(View::Company(company), move |reader| {
            let sql =
                "SELECT 1 FROM invitations WHERE company_id = $1 AND status = 'pending' AND expires_at <= $2 LIMIT 1";
            Ok(reader.first(sql, &params![company, now], |_| Ok(()))?.is_some())
        });
        if overdue.await? {
            let shared = kernel.clone();
            kernel.db.write(View::Company(company), move |tx| end_overdue(tx, &shared, company)).await?;
        }
    }
    Ok(())
}

/// Ends what is overdue in a company, each once whoever looks.
pub(super) fn end_overdue(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId) -> Result<()> {
    let ended: Vec<(Uuid, String)> = tx.query(
        "UPDATE invitations SET status = 'expired', token_hash = NULL, updated_at = $2, version = version + 1 \
         WHERE company_id = $1 AND status = 'pending' AND expires_at <= $2 RETURNING id, email",
        &params![company, kernel.now()],
        |row| Ok((row.uuid(0)?, row.text(1)?.to_owned())),
    )?;
    let actor = Actor { user: None, credential: None, origin: None, reason: Some("an invitation's time is over") };
    for (id, email) in ended {
        let changes = json!({"status": ["pending", "expired"]});
        note(tx, kernel, company, &actor, "expire", "core.invitation.expired", (id, &email), changes)?;
    }
    Ok(())
}

/// Open invitations of a company, which hold a seat each. Those of members hold none: they have one.
///
/// # Errors
/// The database's.
pub(crate) fn open(tx: &mut Tx<'_>, company: CompanyId, now: Timestamp) -> Result<i64> {
    let sql = "SELECT count(*) FROM invitations WHERE company_id = $1 AND status = 'pending' AND expires_at > $2";
    Ok(tx.one(sql, &params![company, now], |row| row.i64(0))?)
}

/// Whether a seat is reserved for this person by an open invitation.
///
/// # Errors
/// The database's.
pub(crate) fn has_seat(tx: &mut Tx<'_>, company: CompanyId, person: Uuid, now: Timestamp) -> Result<bool> {
    let sql = "SELECT 1 FROM invitations i JOIN users u ON u.email = i.email \
               WHERE i.company_id = $1 AND u.id = $2 AND i.status = 'pending' AND i.expires_at > $3";
    Ok(tx.first(sql, &params![company, person, now], |_| Ok(()))?.is_some())
}
