//! What the public form remembers, in the database.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, Timestamp, Uuid};

/// The reference of the ticket that the same words opened since this moment, if they did and it is still there.
pub fn opened_since(
    reader: &mut Reader<'_>,
    company: CompanyId,
    digest: &str,
    since: Timestamp,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT t.ref FROM wave_form_entries e JOIN wave_tickets t ON t.company_id = e.company_id AND t.id = e.ticket_id \
         WHERE e.company_id = $1 AND e.digest = $2 AND e.created_at > $3 AND t.deleted_at IS NULL";
    reader.first(sql, &params![company, digest, since], |row| Ok(row.text(0)?.to_owned()))
}

/// Remembers which ticket these words opened.
///
/// # Errors
/// The database's.
pub fn remember(
    tx: &mut Tx<'_>,
    company: CompanyId,
    digest: &str,
    ticket: Uuid,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO wave_form_entries (company_id, digest, ticket_id, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (company_id, digest) DO UPDATE SET ticket_id = excluded.ticket_id, created_at = excluded.created_at",
        params![company, digest, ticket, at],
    )
}
