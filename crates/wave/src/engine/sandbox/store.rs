//! What the simulated WhatsApp knows.

use std::sync::Arc;

use loopd_kernel::Kernel;
use loopd_store::{Reader, Row, StoreError, Tx, Value, View, dialect, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::{Value as Json, json};

use super::behaviour::{Behaviour, Fall, How};
use crate::address::Address;
use crate::engine::{Content, Outgoing, Received, Stage};
use crate::number::Number;

/// What it calls a message of ours.
pub fn wa_id(message: Uuid) -> String {
    format!("sandbox.{}", message.simple())
}

const LINE: &str = "SELECT deliver_after, read_after, fail_next, fail_percent, fail_how, banned_until, ban_reason FROM wave_sandbox_lines \
     WHERE company_id = $1 AND number_id = $2";

fn read_line(row: &Row<'_>) -> Result<Behaviour, StoreError> {
    Ok(Behaviour {
        deliver_after_ms: row.i64(0)?,
        read_after_ms: row.opt_i64(1)?,
        fail_next: row.i64(2)?,
        fail_percent: row.i64(3)?,
        fail_how: How::parse(row.text(4)?).unwrap_or(How::Refused),
        banned_until: row.opt_time(5)?,
        ban_reason: row.opt_text(6)?.map(str::to_owned),
    })
}

/// How a line behaves.
pub fn behaviour(reader: &mut Reader<'_>, company: CompanyId, number: Uuid) -> Result<Behaviour, StoreError> {
    Ok(reader.first(LINE, &params![company, number], read_line)?.unwrap_or_default())
}

/// As [`behaviour`], held until the transaction ends, where somebody told the line how.
///
/// # Errors
/// The database's.
pub fn lock_behaviour(tx: &mut Tx<'_>, company: CompanyId, number: Uuid) -> Result<Behaviour, StoreError> {
    let sql = format!("{LINE}{}", dialect::for_update(tx.engine()));
    Ok(tx.first(&sql, &params![company, number], read_line)?.unwrap_or_default())
}

/// Tells a line how to behave.
///
/// # Errors
/// The database's.
pub fn behave(
    tx: &mut Tx<'_>,
    company: CompanyId,
    number: Uuid,
    line: &Behaviour,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO wave_sandbox_lines (company_id, number_id, deliver_after, read_after, fail_next, fail_percent, fail_how, banned_until, \
         ban_reason, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (company_id, number_id) DO UPDATE SET deliver_after = excluded.deliver_after, read_after = excluded.read_after, \
         fail_next = excluded.fail_next, fail_percent = excluded.fail_percent, fail_how = excluded.fail_how, \
         banned_until = excluded.banned_until, ban_reason = excluded.ban_reason, updated_at = excluded.updated_at",
        params![
            company,
            number,
            line.deliver_after_ms,
            line.read_after_ms,
            line.fail_next,
            line.fail_percent,
            line.fail_how.as_str(),
            line.banned_until,
            line.ban_reason.as_deref(),
            now
        ],
    )
}

/// Takes a message, once, unless the line was told to fail. `chance` is from 0 to 99.
pub async fn take(kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing, chance: i64) -> Result<Fall> {
    let (id, now, company, number) = (kernel.new_id(), kernel.now(), number.company, number.id);
    let content = serde_json::to_string(&outgoing.content).map_err(Problem::internal)?;
    let (message, jid) = (outgoing.message, outgoing.to.to_string());
    kernel
        .db
        .write(View::Company(company), move |tx| {
            // One that failed underway is tried again as a new one; what else is there already is not judged again.
            tx.execute(
                "DELETE FROM wave_sandbox_messages WHERE company_id = $1 AND message_id = $2 AND stage = 'failed'",
                &params![company, message],
            )?;
            if has_in(tx, company, message)? {
                return Ok(Fall::Taken);
            }
            let mut line = lock_behaviour(tx, company, number)?;
            let before = line.fail_next;
            let fall = line.next(now, chance);
            if line.fail_next != before {
                behave(tx, company, number, &line, now)?;
            }
            if !fall.arrives() {
                return Ok(fall);
            }
            tx.execute(
                "INSERT INTO wave_sandbox_messages (company_id, id, number_id, message_id, jid, content, stage, next_at, read_after, is_doomed, \
                 created_at) VALUES ($1, $2, $3, $4, $5, $6, 'sent', $7, $8, $9, $10) ON CONFLICT (company_id, message_id) DO NOTHING",
                &params![
                    company,
                    id,
                    number,
                    message,
                    jid.as_str(),
                    Value::Json(content.clone()),
                    now.plus(line.deliver_after_ms * 1_000),
                    line.read_after_ms,
                    fall == Fall::Failed(How::Undelivered),
                    now
                ],
            )?;
            Ok(fall)
        })
        .await
}

fn has_in(reader: &mut Reader<'_>, company: CompanyId, message: Uuid) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM wave_sandbox_messages WHERE company_id = $1 AND message_id = $2";
    Ok(reader.first(sql, &params![company, message], |row| row.i64(0))?.is_some())
}

/// Whether it took a message.
pub async fn has(kernel: &Arc<Kernel>, company: CompanyId, message: Uuid) -> Result<bool> {
    kernel.db.read(View::Company(company), move |reader| Ok(has_in(reader, company, message)?)).await
}

/// What a simulated telephone was sent by a line, newest first.
pub fn inbox(
    reader: &mut Reader<'_>,
    company: CompanyId,
    number: Uuid,
    jid: &str,
    most: i64,
) -> Result<Vec<Json>, StoreError> {
    let sql = "SELECT message_id, content, stage, created_at FROM wave_sandbox_messages \
         WHERE company_id = $1 AND number_id = $2 AND jid = $3 ORDER BY created_at DESC, id DESC LIMIT $4";
    reader.query(sql, &params![company, number, jid, most], |row| {
        let content: Content = serde_json::from_str(row.json(1)?).unwrap_or_default();
        Ok(json!({
            "message": row.uuid(0)?.to_string(),
            "type": content.kind,
            "text": content.text,
            "file": content.media.and_then(|media| media.file).map(|file| file.to_string()),
            "reply_to": content.reply_to,
            "stage": row.text(2)?,
            "taken_at": row.time(3)?.to_string(),
        }))
    })
}

/// Keeps a message of a telephone's past until it is asked for.
///
/// # Errors
/// The database's.
pub fn keep_past(tx: &mut Tx<'_>, company: CompanyId, number: Uuid, id: Uuid, received: &Received) -> Result<()> {
    let content = serde_json::to_string(&received.content).map_err(Problem::internal)?;
    tx.push(
        "INSERT INTO wave_sandbox_past (company_id, id, number_id, wa_id, jid, name, author, from_me, content, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            company,
            id,
            number,
            received.wa_id.as_str(),
            received.chat.to_string(),
            received.push_name.as_deref(),
            received.author.as_deref(),
            received.from_me,
            Value::Json(content),
            received.at
        ],
    )?;
    Ok(())
}

/// Takes the newest messages of a telephone's past out of it, the oldest first.
///
/// # Errors
/// The database's.
pub fn take_past(tx: &mut Tx<'_>, company: CompanyId, number: Uuid, most: i64) -> Result<Vec<Received>> {
    let sql = "SELECT id, wa_id, jid, name, author, from_me, content, at FROM wave_sandbox_past \
         WHERE company_id = $1 AND number_id = $2 ORDER BY at DESC, id DESC LIMIT $3";
    let found = tx.query(sql, &params![company, number, most], |row| Ok((row.uuid(0)?, read_past(row)?)))?;
    for (id, _) in &found {
        let sql = "DELETE FROM wave_sandbox_past WHERE company_id = $1 AND id = $2";
        tx.push(sql, params![company, *id])?;
    }
    Ok(found.into_iter().rev().filter_map(|(_, received)| received).collect())
}

/// `None` for a message of somebody who was erased.
fn read_past(row: &Row<'_>) -> Result<Option<Received>, StoreError> {
    let (Some(wa_id), Some(chat)) = (row.opt_text(1)?, Address::parse(row.text(2)?)) else { return Ok(None) };
    Ok(Some(Received {
        wa_id: wa_id.to_owned(),
        identities: if chat.is_group() { Vec::new() } else { vec![chat.clone()] },
        chat,
        push_name: row.opt_text(3)?.map(str::to_owned),
        author: row.opt_text(4)?.map(str::to_owned),
        from_me: row.bool(5)?,
        content: serde_json::from_str(row.json(6)?).unwrap_or_default(),
        at: row.time(7)?,
        is_history: true,
    }))
}

/// Whether a telephone has more of its past to tell.
///
/// # Errors
/// The database's.
pub fn has_past(reader: &mut Reader<'_>, company: CompanyId, number: Uuid) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM wave_sandbox_past WHERE company_id = $1 AND number_id = $2 LIMIT 1";
    Ok(reader.first(sql, &params![company, number], |row| row.i64(0))?.is_some())
}

/// The telephone is another one, or gone.
///
/// # Errors
/// The database's.
pub fn forget_past(tx: &mut Tx<'_>, company: CompanyId, number: Uuid) -> Result<()> {
    tx.execute("DELETE FROM wave_sandbox_past WHERE company_id = $1 AND number_id = $2", &params![company, number])?;
    Ok(())
}

/// A message that comes one step further.
pub struct Step {
    pub company: CompanyId,
    pub number: Uuid,
    pub message: Uuid,
    pub stage: Stage,
}

/// Walks the messages along whose time has come.
pub async fn walk(kernel: &Arc<Kernel>, most: usize) -> Result<Vec<Step>> {
    let now = kernel.now();
    let some = "SELECT 1 FROM wave_sandbox_messages WHERE next_at <= $1 LIMIT 1";
    let is_due =
        kernel.db.read(View::System, move |reader| Ok(reader.first(some, &params![now], |row| row.i64(0))?.is_some()));
    if !is_due.await? {
        return Ok(Vec::new());
    }
    kernel
        .db
        .write(View::System, move |tx| {
            let sql = format!(
                "SELECT company_id, id, number_id, message_id, stage, read_after, is_doomed FROM wave_sandbox_messages WHERE next_at <= $1 \
                 ORDER BY next_at LIMIT {most}{}",
                dialect::for_update_skip_locked(tx.engine())
            );
            let due = tx.query(&sql, &params![now], |row| {
                let (is_sent, is_doomed) = (row.text(4)? == "sent", row.bool(6)?);
                let stage = match (is_sent, is_doomed) {
                    (true, true) => Stage::Failed,
                    (true, false) => Stage::Delivered,
                    _ => Stage::Read,
                };
                let step = Step { company: CompanyId(row.i64(0)?), number: row.uuid(2)?, message: row.uuid(3)?, stage };
                Ok((row.uuid(1)?, row.opt_i64(5)?, step))
            })?;
            for (id, read_after, step) in &due {
                let next = read_after.filter(|_| step.stage == Stage::Delivered);
                tx.push(
                    "UPDATE wave_sandbox_messages SET stage = $3, next_at = $4 WHERE company_id = $1 AND id = $2",
                    params![step.company, *id, step.stage.as_str(), next.map(|ms| now.plus(ms * 1_000))],
                )?;
            }
            Ok(due.into_iter().map(|(.., step)| step).collect())
        })
        .await
}
