//! Broadcasts in the database.

use std::sync::Arc;

use loopd_kernel::Kernel;
use loopd_kernel::audit::Told;
use loopd_kernel::listing::{Column, ColumnKind, Listing, column, searched};
use loopd_store::{Reader, Row, StoreError, Tx, Value, View, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};

use super::Status;
use crate::address::Address;
use crate::template::Asked;

/// Broadcasts as people see them; whom they go to is a list of its own.
pub const LISTING: Listing = Listing {
    from: "wave_broadcasts b",
    columns: &COLUMNS,
    company: Some("b.company_id"),
    id: "b.id",
    order: "b.company_id, b.id DESC",
};
const COLUMNS: [Column; 22] = [
    column("id", "b.id", ColumnKind::Uuid),
    column("company", "b.company_id", ColumnKind::Company),
    searched("name", "b.name"),
    searched("message", "b.message"),
    column("template", "b.template", ColumnKind::Json).nullable(),
    column("number", "b.number_id", ColumnKind::Uuid).nullable(),
    column("status", "b.status", ColumnKind::Text),
    column("pause_reason", "b.pause_reason", ColumnKind::Text).nullable(),
    column("resumes_at", "b.resumes_at", ColumnKind::Time).nullable(),
    column("scheduled_at", "b.scheduled_at", ColumnKind::Time).nullable(),
    column("next_at", "b.next_at", ColumnKind::Time).nullable(),
    column("total", "b.total", ColumnKind::Int),
    column("sent_count", "b.sent_count", ColumnKind::Int),
    column("failed_count", "b.failed_count", ColumnKind::Int),
    column("skipped_count", "b.skipped_count", ColumnKind::Int),
    column("outside_window_count", "b.outside_window_count", ColumnKind::Int).nullable(),
    column("created_by", "b.created_by", ColumnKind::Uuid).nullable(),
    column("created_at", "b.created_at", ColumnKind::Time),
    column("updated_at", "b.updated_at", ColumnKind::Time),
    column("started_at", "b.started_at", ColumnKind::Time).nullable(),
    column("finished_at", "b.finished_at", ColumnKind::Time).nullable(),
    column("version", "b.version", ColumnKind::Int),
];

/// Recipients, for who may see numbers.
pub const RECIPIENTS: Listing = Listing {
    from: "wave_broadcast_recipients r",
    columns: &RECIPIENT,
    company: Some("r.company_id"),
    id: "r.broadcast_id",
    order: "r.place",
};
const RECIPIENT: [Column; 7] = [
    column("place", "r.place", ColumnKind::Int),
    searched("chat_id", "r.jid"),
    searched("name", "r.name").nullable(),
    column("status", "r.status", ColumnKind::Text),
    column("reason", "r.reason", ColumnKind::Text).nullable(),
    column("message", "r.message_id", ColumnKind::Uuid).nullable(),
    column("settled_at", "r.settled_at", ColumnKind::Time).nullable(),
];

/// What the log tells of a change. Of whom it goes to, only how many.
pub const TOLD: Told = Told {
    listing: &LISTING,
    fields: &["name", "message", "template", "number", "status", "scheduled_at"],
    label: "name",
};

/// A broadcast.
#[derive(Clone, PartialEq, Debug)]
pub struct Broadcast {
    pub id: Uuid,
    pub name: String,
    /// What it says; of a template, what that says before each person's words are filled in.
    pub message: String,
    pub template: Option<Asked>,
    pub number: Option<Uuid>,
    pub status: Status,
    pub pause_reason: Option<String>,
    /// When it goes on by itself, after a ban.
    pub resumes_at: Option<Timestamp>,
    /// When it did: after another ban a person decides.
    pub resumed_at: Option<Timestamp>,
    pub scheduled_at: Option<Timestamp>,
    pub next_at: Option<Timestamp>,
    pub total: i64,
    pub sent: i64,
    pub failed: i64,
    pub skipped: i64,
    /// How many of its recipients had not written within a day when it was made or started; `None` where that does not matter.
    pub outside_window: Option<i64>,
    pub failed_in_row: i64,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl Broadcast {
    /// Whether a turn of it was taken: what it says and whom it goes to stays as it is.
    pub fn has_begun(&self) -> bool {
        self.started_at.is_some() || matches!(self.status, Status::Sending | Status::Completed)
    }

    /// Whether its turn has come.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_at.is_some_and(|at| at <= now)
    }

    /// Whether nobody is left to write to, and everybody's message is settled.
    pub fn is_done(&self) -> bool {
        self.sent + self.failed + self.skipped >= self.total
    }
}

const SELECT: &str = "SELECT id, name, message, number_id, status, pause_reason, scheduled_at, next_at, total, sent_count, failed_count, \
     skipped_count, failed_in_row, started_at, finished_at, template, outside_window_count, resumes_at, resumed_at FROM wave_broadcasts";

fn read(row: &Row<'_>) -> Result<Broadcast, StoreError> {
    let broken = || StoreError::Other("a broadcast's row holds what no broadcast is".into());
    Ok(Broadcast {
        id: row.uuid(0)?,
        name: row.text(1)?.to_owned(),
        message: row.text(2)?.to_owned(),
        number: row.opt_uuid(3)?,
        status: Status::parse(row.text(4)?).ok_or_else(broken)?,
        pause_reason: row.opt_text(5)?.map(str::to_owned),
        scheduled_at: row.opt_time(6)?,
        next_at: row.opt_time(7)?,
        total: row.i64(8)?,
        sent: row.i64(9)?,
        failed: row.i64(10)?,
        skipped: row.i64(11)?,
        failed_in_row: row.i64(12)?,
        started_at: row.opt_time(13)?,
        finished_at: row.opt_time(14)?,
        template: row.opt_json(15)?.map(serde_json::from_str).transpose().map_err(|_| broken())?,
        outside_window: row.opt_i64(16)?,
        resumes_at: row.opt_time(17)?,
        resumed_at: row.opt_time(18)?,
    })
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Broadcast> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2");
    reader.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// As [`get`], held until the transaction ends.
///
/// # Errors
/// 404.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<Broadcast> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2{}", dialect::for_update(tx.engine()));
    tx.first(&sql, &params![company, id], read)?.ok_or_else(Problem::not_found)
}

/// What a new broadcast shall be.
#[derive(Clone, Debug)]
pub struct New {
    pub name: String,
    pub message: String,
    /// In place of the message, which is then what the template says.
    pub template: Option<Asked>,
    pub number: Option<Uuid>,
    /// Each once.
    pub recipients: Vec<(Address, Option<String>)>,
}

/// Writes a draft.
///
/// # Errors
/// The database's.
pub fn insert(
    tx: &mut Tx<'_>,
    company: CompanyId,
    id: Uuid,
    new: &New,
    by: Option<Uuid>,
    now: Timestamp,
) -> Result<()> {
    let template = written(new.template.as_ref())?;
    let total = i64::try_from(new.recipients.len()).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO wave_broadcasts (company_id, id, name, message, number_id, status, total, created_by, created_at, updated_at, template) \
         VALUES ($1, $2, $3, $4, $5, 'draft', $6, $7, $8, $8, $9)",
        &params![
            company,
            id,
            new.name.as_str(),
            new.message.as_str(),
            new.number,
            total,
            by,
            now,
            template
        ],
    )?;
    address(tx, company, id, &new.recipients)
}

fn written(template: Option<&Asked>) -> Result<Value> {
    let text = template.map(serde_json::to_string).transpose().map_err(Problem::internal)?;
    Ok(text.map_or(Value::Null, Value::Json))
}

fn address(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, recipients: &[(Address, Option<String>)]) -> Result<()> {
    for (place, (address, name)) in (0_i64..).zip(recipients) {
        tx.push(
            "INSERT INTO wave_broadcast_recipients (company_id, broadcast_id, place, jid, name, status) VALUES ($1, $2, $3, $4, $5, 'pending')",
            params![company, id, place, address.to_string(), name.as_deref()],
        )?;
    }
    Ok(())
}

/// Writes what a broadcast says and to how many, from a row that this transaction holds; [`keep`] writes the rest.
///
/// # Errors
/// The database's.
pub fn rewrite(tx: &mut Tx<'_>, company: CompanyId, broadcast: &Broadcast) -> Result<()> {
    let template = written(broadcast.template.as_ref())?;
    tx.push(
        "UPDATE wave_broadcasts SET name = $3, message = $4, template = $5, number_id = $6, total = $7 WHERE company_id = $1 AND id = $2",
        params![
            company,
            broadcast.id,
            broadcast.name.as_str(),
            broadcast.message.as_str(),
            template,
            broadcast.number,
            broadcast.total
        ],
    )?;
    Ok(())
}

/// Has a broadcast that has not begun go to others.
///
/// # Errors
/// The database's.
pub fn readdress(
    tx: &mut Tx<'_>,
    company: CompanyId,
    id: Uuid,
    recipients: &[(Address, Option<String>)],
) -> Result<()> {
    forget_recipients(tx, company, id)?;
    address(tx, company, id, recipients)
}

fn forget_recipients(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<()> {
    let sql = "DELETE FROM wave_broadcast_recipients WHERE company_id = $1 AND broadcast_id = $2";
    tx.execute(sql, &params![company, id])?;
    Ok(())
}

/// # Errors
/// The database's.
pub fn delete(tx: &mut Tx<'_>, company: CompanyId, id: Uuid) -> Result<()> {
    forget_recipients(tx, company, id)?;
    tx.execute("DELETE FROM wave_broadcasts WHERE company_id = $1 AND id = $2", &params![company, id])?;
    Ok(())
}

/// Writes everything of a broadcast that changes as it goes, from a row that this transaction holds.
///
/// # Errors
/// The database's.
pub fn keep(tx: &mut Tx<'_>, company: CompanyId, broadcast: &Broadcast, now: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_broadcasts SET status = $3, pause_reason = $4, scheduled_at = $5, next_at = $6, sent_count = $7, failed_count = $8, \
         skipped_count = $9, failed_in_row = $10, started_at = $11, finished_at = $12, updated_at = $13, outside_window_count = $14, \
         resumes_at = $15, resumed_at = $16, version = version + 1 \
         WHERE company_id = $1 AND id = $2",
        params![
            company,
            broadcast.id,
            broadcast.status.as_str(),
            broadcast.pause_reason.as_deref(),
            broadcast.scheduled_at,
            broadcast.next_at,
            broadcast.sent,
            broadcast.failed,
            broadcast.skipped,
            broadcast.failed_in_row,
            broadcast.started_at,
            broadcast.finished_at,
            now,
            broadcast.outside_window,
            broadcast.resumes_at,
            broadcast.resumed_at
        ],
    )
}

/// A number rests no more: what waited for the end of its ban goes on now.
///
/// # Errors
/// The database's.
pub fn lifted(tx: &mut Tx<'_>, company: CompanyId, number: Uuid, now: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_broadcasts SET resumes_at = $3, next_at = $3 WHERE company_id = $1 AND resumes_at > $3 \
         AND (number_id = $2 OR number_id IS NULL)",
        params![company, number, now],
    )
}

/// What held broadcasts back (quiet hours, a cap) has changed: each looks again now.
///
/// # Errors
/// The database's.
pub fn look_again(tx: &mut Tx<'_>, company: CompanyId, now: Timestamp) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_broadcasts SET next_at = $2 WHERE company_id = $1 AND status = 'sending' AND next_at > $2",
        params![company, now],
    )
}

/// How many of those whom a broadcast still goes to have not written to a number since then.
///
/// # Errors
/// The database's.
pub fn silent_since(
    reader: &mut Reader<'_>,
    company: CompanyId,
    broadcast: Uuid,
    number: Uuid,
    since: Timestamp,
) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM wave_broadcast_recipients r WHERE r.company_id = $1 AND r.broadcast_id = $2 AND r.status = 'pending' \
         AND NOT EXISTS (SELECT 1 FROM wave_chats c WHERE c.company_id = r.company_id AND c.number_id = $3 AND c.jid = r.jid \
         AND c.last_inbound_at > $4)";
    reader.one(sql, &params![company, broadcast, number, since], |row| row.i64(0))
}

/// Somebody a broadcast goes to.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub broadcast: Uuid,
    pub place: i64,
    pub jid: String,
    pub name: Option<String>,
    pub status: String,
    /// Why it is at this status.
    pub reason: Option<String>,
}

fn read_recipient(row: &Row<'_>) -> Result<Recipient, StoreError> {
    Ok(Recipient {
        broadcast: row.uuid(0)?,
        place: row.i64(1)?,
        jid: row.text(2)?.to_owned(),
        name: row.opt_text(3)?.map(str::to_owned),
        status: row.text(4)?.to_owned(),
        reason: row.opt_text(5)?.map(str::to_owned),
    })
}

/// Who is next.
pub fn next_pending(
    reader: &mut Reader<'_>,
    company: CompanyId,
    broadcast: Uuid,
) -> Result<Option<Recipient>, StoreError> {
    let sql = "SELECT broadcast_id, place, jid, name, status, reason FROM wave_broadcast_recipients \
         WHERE company_id = $1 AND broadcast_id = $2 AND status = 'pending' ORDER BY place LIMIT 1";
    reader.first(sql, &params![company, broadcast], read_recipient)
}

/// Whose message it is.
pub fn of_message(reader: &mut Reader<'_>, company: CompanyId, message: Uuid) -> Result<Option<Recipient>, StoreError> {
    let sql = "SELECT broadcast_id, place, jid, name, status, reason FROM wave_broadcast_recipients WHERE company_id = $1 AND message_id = $2";
    reader.first(sql, &params![company, message], read_recipient)
}

/// What became of a recipient.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    pub status: &'a str,
    pub reason: Option<&'a str>,
    pub message: Option<Uuid>,
}

/// # Errors
/// The database's.
pub fn mark(
    tx: &mut Tx<'_>,
    company: CompanyId,
    recipient: &Recipient,
    outcome: Outcome<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let settled = (outcome.status != "sending").then_some(now);
    tx.push(
        "UPDATE wave_broadcast_recipients SET status = $4, reason = $5, message_id = COALESCE($6, message_id), settled_at = $7 \
         WHERE company_id = $1 AND broadcast_id = $2 AND place = $3",
        params![company, recipient.broadcast, recipient.place, outcome.status, outcome.reason, outcome.message, settled],
    )
}

/// Has everybody written to again whose message failed; how many.
///
/// # Errors
/// The database's.
pub fn retry_failed(tx: &mut Tx<'_>, company: CompanyId, broadcast: Uuid) -> Result<i64, StoreError> {
    let count = tx.execute(
        "UPDATE wave_broadcast_recipients SET status = 'pending', reason = NULL, message_id = NULL, settled_at = NULL \
         WHERE company_id = $1 AND broadcast_id = $2 AND status = 'failed' AND (reason IS NULL OR reason <> 'unknown')",
        &params![company, broadcast],
    )?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The pace of a line.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub day: i64,
    pub sent: i64,
    pub next_at: Timestamp,
}

/// The pace of a line, held until the transaction ends: two broadcasts of one number share it.
///
/// # Errors
/// The database's.
pub fn lock_pace(tx: &mut Tx<'_>, company: CompanyId, number: Uuid, day: i64) -> Result<Pace, StoreError> {
    tx.execute(
        "INSERT INTO wave_broadcast_lines (company_id, number_id, day, sent, next_at) VALUES ($1, $2, $3, 0, 0) \
         ON CONFLICT (company_id, number_id) DO UPDATE SET number_id = excluded.number_id",
        &params![company, number, day],
    )?;
    let sql = "SELECT day, sent, next_at FROM wave_broadcast_lines WHERE company_id = $1 AND number_id = $2";
    let pace = tx.one(sql, &params![company, number], |row| {
        Ok(Pace { day: row.i64(0)?, sent: row.i64(1)?, next_at: row.time(2)? })
    })?;
    Ok(if pace.day == day { pace } else { Pace { day, sent: 0, ..pace } })
}

/// # Errors
/// The database's.
pub fn keep_pace(tx: &mut Tx<'_>, company: CompanyId, number: Uuid, pace: Pace) -> Result<(), StoreError> {
    tx.push(
        "UPDATE wave_broadcast_lines SET day = $3, sent = $4, next_at = $5 WHERE company_id = $1 AND number_id = $2",
        params![company, number, pace.day, pace.sent, pace.next_at],
    )
}

/// Broadcasts of every company whose turn it is.
///
/// # Errors
/// The database's.
pub async fn due(kernel: &Arc<Kernel>, most: i64) -> Result<Vec<(CompanyId, Uuid)>> {
    let now = kernel.now();
    kernel
        .db
        .read(View::System, move |reader| {
            let sql = "SELECT company_id, id FROM wave_broadcasts WHERE next_at <= $1 ORDER BY next_at LIMIT $2";
            Ok(reader.query(sql, &params![now, most], |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)))?)
        })
        .await
}
