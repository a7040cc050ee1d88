//! The sums of reports, and the conversations that are open, in the database.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, MINUTE_US, Timestamp, Uuid};

use super::rules::{What, span};

/// The hours of every time zone begin with one of these.
pub const SLOT_US: i64 = 15 * MINUTE_US;

/// Adds one to what is counted, and how long it took.
pub fn add(
    tx: &mut Tx<'_>,
    company: CompanyId,
    at: Timestamp,
    what: What,
    number: Option<Uuid>,
    agent: Option<Uuid>,
    took_us: Option<i64>,
) -> Result<(), StoreError> {
    let slot = at.0 - at.0.rem_euclid(SLOT_US);
    // No number and nobody are the nil id: a key has no NULLs.
    tx.push(
        "INSERT INTO wave_report_sums (company_id, slot, what, number_id, agent_id, span, many, total_us) VALUES ($1, $2, $3, $4, $5, $6, 1, $7) \
         ON CONFLICT (company_id, slot, what, number_id, agent_id, span) DO UPDATE SET \
         many = wave_report_sums.many + 1, total_us = wave_report_sums.total_us + excluded.total_us",
        params![
            company,
            slot,
            what.as_str(),
            number.unwrap_or_default(),
            agent.unwrap_or_default(),
            took_us.map_or(0, span),
            took_us.unwrap_or_default().max(0)
        ],
    )
}

/// A sum of one slot.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    pub slot: i64,
    pub what: What,
    pub number: Uuid,
    pub agent: Uuid,
    pub span: i64,
    pub many: i64,
    pub total_us: i64,
}

/// Which sums: from a slot on and before another, of one number, of one agent.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub from: i64,
    pub until: i64,
    pub number: Option<Uuid>,
    pub agent: Option<Uuid>,
}

/// Every sum of a range; with `by_slot` each slot's own, else those of all slots together (`slot` is then the range's beginning).
pub fn sums(reader: &mut Reader<'_>, company: CompanyId, range: &Range, by_slot: bool) -> Result<Vec<Sum>, StoreError> {
    let mut values = params![company, range.from, range.until].to_vec();
    let mut narrowed = String::new();
    for (column, value) in [("number_id", range.number), ("agent_id", range.agent)] {
        if let Some(value) = value {
            values.push(value.into());
            narrowed.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    let (slot, grouped) = if by_slot { ("slot", "slot, ") } else { ("MIN(slot)", "") };
    let sql = format!(
        "SELECT {slot}, what, number_id, agent_id, span, SUM(many), SUM(total_us) FROM wave_report_sums \
         WHERE company_id = $1 AND slot >= $2 AND slot < $3{narrowed} GROUP BY {grouped}what, number_id, agent_id, span"
    );
    reader.query(&sql, &values, |row| {
        let word = row.text(1)?;
        let what = What::parse(word).ok_or_else(|| StoreError::Other(format!("{word} is not counted")))?;
        Ok(Sum {
            slot: row.i64(0)?,
            what,
            number: row.uuid(2)?,
            agent: row.uuid(3)?,
            span: row.i64(4)?,
            many: row.i64(5)?,
            total_us: row.i64(6)?,
        })
    })
}

/// A conversation of a chat begins.
pub fn begin(tx: &mut Tx<'_>, company: CompanyId, chat: Uuid, at: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO wave_conversations (company_id, chat_id, began_at) VALUES ($1, $2, $3) \
         ON CONFLICT (company_id, chat_id) DO UPDATE SET began_at = excluded.began_at, answered_at = NULL",
        params![company, chat, at],
    )
}

/// Since when the conversation was open that is answered now for the first time; `None` when it was before.
pub fn answer(
    tx: &mut Tx<'_>,
    company: CompanyId,
    chat: Uuid,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "UPDATE wave_conversations SET answered_at = $3 WHERE company_id = $1 AND chat_id = $2 AND answered_at IS NULL RETURNING began_at";
    tx.first(sql, &params![company, chat, now], |row| row.time(0))
}

/// Since when the conversation was open that ends now.
pub fn end(tx: &mut Tx<'_>, company: CompanyId, chat: Uuid) -> Result<Option<Timestamp>, StoreError> {
    let sql = "DELETE FROM wave_conversations WHERE company_id = $1 AND chat_id = $2 RETURNING began_at";
    tx.first(sql, &params![company, chat], |row| row.time(0))
}

/// What numbers are called, those that are unlinked too.
pub fn labels(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<(Uuid, String, String)>, StoreError> {
    let sql = "SELECT id, public_id, label FROM wave_numbers WHERE company_id = $1";
    reader.query(sql, &params![company], |row| Ok((row.uuid(0)?, row.text(1)?.to_owned(), row.text(2)?.to_owned())))
}
