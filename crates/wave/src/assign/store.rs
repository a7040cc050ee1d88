//! The clocks of chats, and who could get one, in the database.

use std::sync::Arc;

use loopd_kernel::Kernel;
use loopd_store::{Reader, StoreError, Tx, View, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};

use super::rules::Candidate;
use crate::presence;

/// What a clock is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nobody has the chat: look for somebody.
    Assign,
    /// Whoever has it did not answer.
    Reassign,
    /// The target of the first answer.
    Response,
    /// The target of resolving.
    Resolution,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Assign, Self::Reassign, Self::Response, Self::Resolution];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Assign => "assign",
            Self::Reassign => "reassign",
            Self::Response => "first_response",
            Self::Resolution => "resolution",
        }
    }
}

/// A clock that is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub company: CompanyId,
    pub chat: Uuid,
    pub kind: Kind,
    /// When the waiting began that it is for.
    pub since: Timestamp,
    pub due_at: Timestamp,
}

/// Sets a chat's clock, in place of the one of this kind that it has.
pub fn set(
    tx: &mut Tx<'_>,
    company: CompanyId,
    chat: Uuid,
    kind: Kind,
    since: Timestamp,
    due_at: Timestamp,
) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO wave_timers (company_id, chat_id, kind, since, due_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (company_id, chat_id, kind) DO UPDATE SET since = excluded.since, due_at = excluded.due_at",
        params![company, chat, kind.as_str(), since, due_at],
    )
}

pub fn clear(tx: &mut Tx<'_>, due: &Due) -> Result<(), StoreError> {
    let sql = "DELETE FROM wave_timers WHERE company_id = $1 AND chat_id = $2 AND kind = $3";
    tx.push(sql, params![due.company, due.chat, due.kind.as_str()])
}

/// Whether a clock is still set as it was seen. To be asked by whoever holds the chat.
pub fn still(reader: &mut Reader<'_>, due: &Due) -> Result<bool, StoreError> {
    let sql =
        "SELECT 1 FROM wave_timers WHERE company_id = $1 AND chat_id = $2 AND kind = $3 AND since = $4 AND due_at = $5";
    let key = params![due.company, due.chat, due.kind.as_str(), due.since, due.due_at];
    Ok(reader.first(sql, &key, |row| row.i64(0))?.is_some())
}

/// Nobody can take a chat of this company now: none of those that wait for somebody is looked at before.
pub fn postpone(tx: &mut Tx<'_>, company: CompanyId, now: Timestamp, until: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE wave_timers SET due_at = $3 WHERE company_id = $1 AND kind = 'assign' AND due_at <= $2";
    tx.push(sql, params![company, now, until])
}

/// The clocks of all companies that are due, the oldest first.
///
/// # Errors
/// The database's.
pub async fn due(kernel: &Arc<Kernel>, most: i64) -> Result<Vec<Due>> {
    let now = kernel.now();
    let sql = "SELECT company_id, chat_id, kind, since, due_at FROM wave_timers WHERE due_at <= $1 ORDER BY due_at, company_id, chat_id LIMIT $2";
    let read = move |reader: &mut Reader<'_>| {
        Ok(reader.query(sql, &params![now, most], |row| {
            let word = row.text(2)?;
            let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
            Ok(Due {
                company: CompanyId(row.i64(0)?),
                chat: row.uuid(1)?,
                kind: kind.ok_or_else(|| StoreError::Other(format!("{word} is no clock")))?,
                since: row.time(3)?,
                due_at: row.time(4)?,
            })
        })?)
    };
    kernel.db.read(View::System, read).await
}

/// Who is online, with how many chats they have and when it was their turn.
pub fn candidates(reader: &mut Reader<'_>, company: CompanyId, now: Timestamp) -> Result<Vec<Candidate>, StoreError> {
    let online = presence::store::online(reader, company, now)?.into_iter();
    Ok(online.map(|one| Candidate { user: one.user, name: one.name(), turn: one.turn, open: one.open }).collect())
}

/// The tickets of a chat that somebody still has to see to.
pub fn open_tickets(reader: &mut Reader<'_>, company: CompanyId, chat: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let sql = "SELECT id FROM wave_tickets WHERE company_id = $1 AND chat_id = $2 AND deleted_at IS NULL \
         AND status NOT IN ('resolved', 'closed') ORDER BY id";
    reader.query(sql, &params![company, chat], |row| row.uuid(0))
}
