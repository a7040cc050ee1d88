//! The rows of letters.

use loopd_store::{Reader, Tx, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::json;

use super::letter::Rendered;
use super::mailer::Message;
use super::worker;
use crate::access::Actor;
use crate::listing::{Column, ColumnKind, Listing, column, searched};
use crate::{Kernel, audit};

/// Letters as the API shows them; newest first. What they say is no column.
pub const LISTING: Listing = Listing {
    from: "mail_messages m",
    columns: &COLUMNS,
    company: Some("m.company_id"),
    id: "m.id",
    order: "m.id DESC",
};
const COLUMNS: [Column; 12] = [
    column("id", "m.id", ColumnKind::Uuid),
    column("company", "m.company_id", ColumnKind::Company).nullable(),
    searched("to", "m.recipient"),
    column("template", "m.template", ColumnKind::Text),
    column("language", "m.language", ColumnKind::Text),
    searched("subject", "m.subject"),
    column("via", "m.via", ColumnKind::Text),
    column("state", "m.state", ColumnKind::Text),
    column("attempts", "m.attempts", ColumnKind::Int),
    column("last_error", "m.last_error", ColumnKind::Text).nullable(),
    column("created_at", "m.created_at", ColumnKind::Time),
    column("sent_at", "m.sent_at", ColumnKind::Time).nullable(),
];

/// What a job finds of its letter.
pub(super) struct Pending {
    pub message: Message,
}

fn context(id: Uuid) -> String {
    format!("mail_messages.body {id}")
}

pub(super) fn seal(kernel: &Kernel, id: Uuid, letter: &Rendered) -> Result<Vec<u8>> {
    let plain = json!({"text": letter.text, "html": letter.html}).to_string();
    kernel.vault.seal(kernel.rng.as_ref(), &context(id), plain.as_bytes())
}

fn open(kernel: &Kernel, id: Uuid, sealed: &[u8]) -> Result<(String, String)> {
    let plain = kernel.vault.open(&context(id), sealed)?;
    let read: serde_json::Value = serde_json::from_slice(&plain).map_err(Problem::internal)?;
    let part = |name: &str| read[name].as_str().unwrap_or_default().to_owned();
    Ok((part("text"), part("html")))
}

/// The letter of a job, if it still waits to be sent.
pub(super) fn find_queued(
    reader: &mut Reader<'_>,
    kernel: &Kernel,
    company: CompanyId,
    id: Uuid,
) -> Result<Option<Pending>> {
    let found = reader.first(
        "SELECT recipient, subject, body, created_at FROM mail_messages WHERE company_id = $1 AND id = $2 AND state = 'queued'",
        &params![company, id],
        |row| {
            let body = row.opt_bytes(2)?.map(<[u8]>::to_vec);
            Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), body, row.time(3)?))
        },
    )?;
    let Some((to, subject, Some(sealed), written_at)) = found else { return Ok(None) };
    let (text, html) = open(kernel, id, &sealed)?;
    Ok(Some(Pending { message: Message { id, to, written_at, letter: Rendered { subject, text, html } } }))
}

/// Writes down what became of an attempt; only a queued letter changes.
pub(super) fn settle(
    tx: &mut Tx<'_>,
    company: CompanyId,
    id: Uuid,
    state: &str,
    error: Option<&str>,
    keeps_body: bool,
    now: Timestamp,
) -> Result<()> {
    let body = if keeps_body { "body" } else { "NULL" };
    let sql = format!(
        "UPDATE mail_messages SET state = $3, last_error = $4, attempts = attempts + 1, sent_at = $5, body = {body} \
         WHERE company_id = $1 AND id = $2 AND state = 'queued'"
    );
    tx.execute(&sql, &params![company, id, state, error, (state == "sent").then_some(now)])?;
    Ok(())
}

/// The text and HTML of a letter that the sandbox keeps; `None` for one that left the house.
///
/// # Errors
/// 404.
pub fn read_body(reader: &mut Reader<'_>, kernel: &Kernel, id: Uuid) -> Result<Option<(String, String)>> {
    let sealed = reader
        .first("SELECT body, via FROM mail_messages WHERE id = $1", &params![id], |row| {
            Ok((row.opt_bytes(0)?.map(<[u8]>::to_vec), row.text(1)? == "sandbox"))
        })?
        .ok_or_else(Problem::not_found)?;
    match sealed {
        // What SMTP has not taken yet is nobody's to read.
        (Some(sealed), true) => open(kernel, id, &sealed).map(Some),
        _ => Ok(None),
    }
}

/// Sends a letter again that failed too often. Its body was kept for this.
///
/// # Errors
/// 404; 409 `invalid_transition` when it did not fail.
pub fn retry(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, id: Uuid) -> Result<()> {
    let (company, state, subject) = tx
        .first("SELECT company_id, state, subject FROM mail_messages WHERE id = $1", &params![id], |row| {
            Ok((CompanyId(row.i64(0)?), row.text(1)?.to_owned(), row.text(2)?.to_owned()))
        })?
        .ok_or_else(Problem::not_found)?;
    if state != "failed" {
        return Err(crate::company::invalid_transition(&state, "retry", &[]));
    }
    tx.execute("UPDATE mail_messages SET state = 'queued' WHERE company_id = $1 AND id = $2", &params![company, id])?;
    worker::enqueue(tx, kernel, company, id, kernel.now())?;
    let target = id.to_string();
    let entry = audit::Entry {
        action: "retry",
        module: "core",
        resource: "mail-messages",
        target: &target,
        label: &subject,
        changes: None,
    };
    Ok(kernel.audit_installation(tx, actor, entry)?)
}
