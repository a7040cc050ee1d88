//! Notices in the database.

use loopd_store::{Reader, StoreError, Tx, dialect, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};

use crate::address::Address;
use crate::number::{self, Number};

/// Takes a notice's name; `false` when it was given before.
///
/// # Errors
/// The database's.
pub fn claim(tx: &mut Tx<'_>, company: CompanyId, reference: &str, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "INSERT INTO wave_notices (company_id, reference, created_at) VALUES ($1, $2, $3) ON CONFLICT (company_id, reference) DO NOTHING";
    Ok(tx.execute(sql, &params![company, reference, now])? == 1)
}

/// Gives the name back.
///
/// # Errors
/// The database's.
pub fn release(tx: &mut Tx<'_>, company: CompanyId, reference: &str) -> Result<(), StoreError> {
    tx.push("DELETE FROM wave_notices WHERE company_id = $1 AND reference = $2", params![company, reference])
}

/// Keeps which message it became.
///
/// # Errors
/// The database's.
pub fn keep(tx: &mut Tx<'_>, company: CompanyId, reference: &str, message: Uuid) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_notices SET message_id = $3 WHERE company_id = $1 AND reference = $2",
        params![company, reference, message],
    )
}

/// The number that writes to somebody: the one they talked with last if it is linked, else the first that is ready, else one whose
/// connection comes back by itself.
pub fn line(
    reader: &mut Reader<'_>,
    company: CompanyId,
    to: &Address,
    now: Timestamp,
) -> Result<Option<Number>, StoreError> {
    let talked = "SELECT n.id FROM wave_chats c JOIN wave_numbers n ON n.company_id = c.company_id AND n.id = c.number_id \
         WHERE c.company_id = $1 AND c.jid = $2 AND n.deleted_at IS NULL AND n.state IN ('ready', 'connecting', 'disconnected') \
         AND n.warm_since IS NOT NULL ORDER BY CASE WHEN n.state = 'ready' THEN 0 ELSE 1 END, c.last_message_at DESC LIMIT 1";
    if let Some(id) = reader.first(talked, &params![company, to.to_string()], |row| row.uuid(0))? {
        return number::find(reader, company, id);
    }
    if let Some(ready) = number::first_free(reader, company, now)? {
        return Ok(Some(ready));
    }
    let other = "SELECT id FROM wave_numbers WHERE company_id = $1 AND deleted_at IS NULL AND state IN ('connecting', 'disconnected') \
         AND warm_since IS NOT NULL ORDER BY id LIMIT 1";
    match reader.first(other, &params![company], |row| row.uuid(0))? {
        Some(id) => number::find(reader, company, id),
        None => Ok(None),
    }
}

/// When somebody last wrote to a number; held, so that the answer stays true until the transaction ends.
///
/// # Errors
/// The database's.
pub fn last_inbound(tx: &mut Tx<'_>, number: &Number, to: &Address) -> Result<Option<Timestamp>, StoreError> {
    let sql = format!(
        "SELECT last_inbound_at FROM wave_chats WHERE company_id = $1 AND number_id = $2 AND jid = $3{}",
        dialect::for_update(tx.engine())
    );
    Ok(tx.first(&sql, &params![number.company, number.id, to.to_string()], |row| row.opt_time(0))?.flatten())
}
