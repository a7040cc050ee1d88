//! What is on its way out, in the database.

use std::sync::Arc;

use loopd_kernel::{Kernel, Tenant};
use loopd_store::{Reader, Row, StoreError, Tx, Value, View, dialect, params};
use loopd_types::{CompanyId, Problem, Result, SECOND_US, Timestamp, Uuid};

use super::{LEASE_US, ring};
use crate::address::Address;
use crate::chat;
use crate::engine::{Change, Content, Failure, Outgoing, Sent, Signal};
use crate::message::{self, Message, Origin, Status};
use crate::number::{self, Rest, State, store::Counted};

/// A message that this worker holds.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub company: CompanyId,
    pub number: Uuid,
    pub chat: Uuid,
    pub outgoing: Outgoing,
    pub expires_at: Option<Timestamp>,
    /// Why it waited, the last time that it did.
    pub waits_for: Option<String>,
    /// Somebody else began to send it and is gone.
    pub is_orphan: bool,
}

/// A message that shall go out.
pub struct New<'a> {
    pub message: Uuid,
    pub number: Uuid,
    pub chat: Uuid,
    pub to: &'a Address,
    pub rank: i64,
    pub content: &'a Content,
    pub due_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Writes a message down to be carried.
///
/// # Errors
/// The database's.
pub fn insert(tx: &mut Tx<'_>, company: CompanyId, new: &New<'_>, now: Timestamp) -> Result<()> {
    let content = serde_json::to_string(new.content).map_err(Problem::internal)?;
    tx.push(
        "INSERT INTO wave_outgoing (company_id, message_id, number_id, chat_id, jid, step, rank, content, due_at, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7, $8, $9, $10)",
        params![
            company,
            new.message,
            new.number,
            new.chat,
            new.to.to_string(),
            new.rank,
            Value::Json(content),
            new.due_at,
            new.expires_at,
            now
        ],
    )?;
    Ok(())
}

const COLUMNS: &str = "o.company_id, o.message_id, o.number_id, o.jid, o.content, o.attempts, o.expires_at, o.step, o.chat_id, o.waits_for";

fn read(row: &Row<'_>) -> Result<Claimed, StoreError> {
    let broken = || StoreError::Other("a row of wave_outgoing holds what no message is".into());
    let is_orphan = row.text(7)? == "sending";
    Ok(Claimed {
        company: CompanyId(row.i64(0)?),
        number: row.uuid(2)?,
        chat: row.uuid(8)?,
        outgoing: Outgoing {
            message: row.uuid(1)?,
            to: Address::parse(row.text(3)?).ok_or_else(broken)?,
            content: serde_json::from_str(row.json(4)?).map_err(|_| broken())?,
            attempt: row.i64(5)? + i64::from(!is_orphan),
        },
        expires_at: row.opt_time(6)?,
        waits_for: row.opt_text(9)?.map(str::to_owned),
        is_orphan,
    })
}

/// What became of a chat since a message for it was written down.
#[derive(Clone, Copy, Debug)]
pub struct Meanwhile {
    /// Who caused the message.
    pub origin: Origin,
    /// Somebody of the shop wrote there, here or on its own telephone.
    pub is_answered: bool,
    /// The customer asked not to be written to.
    pub is_opted_out: bool,
}

/// How much earlier a message may say that it was written that came later: telephones count whole seconds, by clocks of their own. What is
/// older was brought by the telephone's history.
const APART_US: i64 = 5 * SECOND_US;

/// `None` for a message that is gone, and for what people and programs write: they know what they do.
///
/// # Errors
/// The database's.
pub fn meanwhile(reader: &mut Reader<'_>, company: CompanyId, message: Uuid) -> Result<Option<Meanwhile>, StoreError> {
    let sql = "SELECT m.origin, p.opted_out_at, CASE WHEN EXISTS (SELECT 1 FROM wave_messages a WHERE a.company_id = m.company_id \
         AND a.chat_id = m.chat_id AND a.sent_at > m.sent_at - $3 AND a.created_at >= m.created_at AND a.id <> m.id AND a.from_me \
         AND a.origin IN ('agent', 'phone')) \
         THEN 1 ELSE 0 END FROM wave_messages m JOIN wave_chats c ON c.company_id = m.company_id AND c.id = m.chat_id \
         LEFT JOIN wave_contacts p ON p.company_id = c.company_id AND p.id = c.contact_id \
         WHERE m.company_id = $1 AND m.id = $2 AND m.origin IN ('automation', 'broadcast', 'system')";
    let found = reader.first(sql, &params![company, message, APART_US], |row| {
        Ok((Origin::parse(row.text(0)?), row.opt_time(1)?.is_some(), row.i64(2)? == 1))
    })?;
    Ok(found
        .and_then(|(origin, is_opted_out, is_answered)| Some(Meanwhile { origin: origin?, is_answered, is_opted_out })))
}

/// Takes what is due, and what others left: each row is one worker's until its lease runs out. What was written first in a chat goes
/// first; the next one of its rank waits for it.
///
/// # Errors
/// The database's.
pub async fn claim(kernel: &Arc<Kernel>, owner: &str, most: usize) -> Result<Vec<Claimed>> {
    let (now, owner) = (kernel.now(), owner.to_owned());
    let is_due = {
        let now = params![now];
        move |reader: &mut loopd_store::Reader<'_>| {
            let waiting = "SELECT 1 FROM wave_outgoing WHERE step = 'waiting' AND due_at <= $1 LIMIT 1";
            let held = "SELECT 1 FROM wave_outgoing WHERE step = 'sending' AND lease_until <= $1 LIMIT 1";
            let waiting = reader.first(waiting, &now, |row| row.i64(0))?;
            Ok(waiting.is_some() || reader.first(held, &now, |row| row.i64(0))?.is_some())
        }
    };
    // A look costs a read; only what is there costs a write.
    if !kernel.db.read(View::System, is_due).await? {
        return Ok(Vec::new());
    }
    kernel
        .db
        .write(View::System, move |tx| {
            let locked = dialect::for_update_of_skip_locked(tx.engine(), "o");
            let held = format!(
                "SELECT {COLUMNS} FROM wave_outgoing o WHERE o.step = 'sending' AND o.lease_until <= $1 ORDER BY o.lease_until LIMIT {most}{locked}"
            );
            let mut claimed = tx.query(&held, &params![now], read)?;
            let waiting = format!(
                "SELECT {COLUMNS} FROM wave_outgoing o WHERE o.step = 'waiting' AND o.due_at <= $1 AND NOT EXISTS \
                 (SELECT 1 FROM wave_outgoing e WHERE e.company_id = o.company_id AND e.chat_id = o.chat_id AND e.rank = o.rank \
                 AND e.step IN ('waiting', 'sending') AND (e.created_at, e.message_id) < (o.created_at, o.message_id)) \
                 ORDER BY o.due_at, o.rank, o.message_id LIMIT {}{locked}",
                most - claimed.len()
            );
            claimed.extend(tx.query(&waiting, &params![now], read)?);
            for it in &claimed {
                tx.push(
                    "UPDATE wave_outgoing SET step = 'sending', attempts = $3, lease_owner = $4, lease_until = $5 \
                     WHERE company_id = $1 AND message_id = $2",
                    params![it.company, it.outgoing.message, it.outgoing.attempt, owner.as_str(), now.plus(LEASE_US)],
                )?;
            }
            Ok(claimed)
        })
        .await
}

/// Whatever was being sent when the last process of this database ended is nobody's now.
///
/// # Errors
/// The database's.
pub async fn orphan_all(kernel: &Arc<Kernel>) -> Result<()> {
    let now = kernel.now();
    kernel
        .db
        .write(View::System, move |tx| {
            tx.push("UPDATE wave_outgoing SET lease_until = $1 WHERE step = 'sending'", params![now])?;
            Ok(())
        })
        .await
}

/// Says that a message is still being handed over.
///
/// # Errors
/// The database's.
pub async fn renew(kernel: &Arc<Kernel>, company: CompanyId, message: Uuid, owner: &str) -> Result<()> {
    let (until, owner) = (kernel.now().plus(LEASE_US), owner.to_owned());
    kernel
        .db
        .write(View::Company(company), move |tx| {
            tx.push(
                "UPDATE wave_outgoing SET lease_until = $4 WHERE company_id = $1 AND message_id = $2 AND lease_owner = $3 AND step = 'sending'",
                params![company, message, owner.as_str(), until],
            )?;
            Ok(())
        })
        .await
}

/// Puts a message back to wait until `due_at` or its end, and says for what: it certainly did not go. `was_handed`: its engine was asked,
/// which counts as an attempt.
///
/// # Errors
/// The database's.
pub async fn again(
    kernel: &Arc<Kernel>,
    claimed: &Claimed,
    due_at: Timestamp,
    why: &str,
    was_handed: bool,
) -> Result<()> {
    let (company, message) = (claimed.company, claimed.outgoing.message);
    let due_at = claimed.expires_at.map_or(due_at, |end| due_at.min(end));
    let (attempts, why) = (claimed.outgoing.attempt - i64::from(!was_handed), why.to_owned());
    kernel
        .db
        .write(View::Company(company), move |tx| {
            tx.push(
                "UPDATE wave_outgoing SET step = 'waiting', due_at = $3, attempts = $4, waits_for = $5, lease_owner = NULL, lease_until = NULL \
                 WHERE company_id = $1 AND message_id = $2 AND step = 'sending'",
                params![company, message, due_at, attempts, why.as_str()],
            )?;
            ring(tx);
            Ok(())
        })
        .await
}

/// It was taken over.
///
/// # Errors
/// The database's.
pub async fn sent(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, claimed: &Claimed, sent: &Sent) -> Result<()> {
    let wa_id = sent.wa_id.clone();
    conclude(kernel, tenant, claimed, move |tx, kernel, tenant, known| {
        // News of it may have come before the answer.
        if !matches!(known.status, Status::Queued | Status::Unknown) {
            return Ok(known);
        }
        let now = kernel.now();
        message::store::set_status(tx, tenant.company, known.id, Status::Sent, Some(&wa_id), None, now)?;
        number::store::count(tx, tenant.company, known.number_id, Counted::Sent, now)?;
        Ok(Message { status: Status::Sent, status_at: now, wa_id: Some(wa_id.clone()), ..known })
    })
    .await
}

/// It will not go.
///
/// # Errors
/// The database's.
pub async fn refused(
    kernel: &Arc<Kernel>,
    tenant: &Arc<Tenant>,
    claimed: &Claimed,
    failure: &Failure,
    signal: Signal,
) -> Result<()> {
    let failure = failure.clone();
    conclude(kernel, tenant, claimed, move |tx, kernel, tenant, known| {
        let now = kernel.now();
        heard(tx, kernel, tenant, known.number_id, &failure, signal)?;
        if !matches!(known.status, Status::Queued | Status::Unknown) {
            return Ok(known);
        }
        message::store::set_status(tx, tenant.company, known.id, Status::Failed, None, Some(&failure), now)?;
        number::store::count(tx, tenant.company, known.number_id, Counted::Failed, now)?;
        Ok(Message { status: Status::Failed, status_at: now, failure: Some(failure.clone()), ..known })
    })
    .await
}

/// What a refusal says about its line, where the message itself is not at its end.
///
/// # Errors
/// The database's.
pub async fn signalled(
    kernel: &Arc<Kernel>,
    tenant: &Arc<Tenant>,
    number: Uuid,
    failure: &Failure,
    signal: Signal,
) -> Result<()> {
    let (view, shared, tenant, failure) = (tenant.view(), kernel.clone(), tenant.clone(), failure.clone());
    kernel.db.write(view, move |tx| heard(tx, &shared, &tenant, number, &failure, signal)).await
}

/// Takes up what a refusal says about its line: a restricted one rests, one that was unlinked says so.
///
/// # Errors
/// 404 for a line that is gone; the database's.
pub fn heard(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    number: Uuid,
    failure: &Failure,
    signal: Signal,
) -> Result<()> {
    match signal {
        Signal::None => Ok(()),
        Signal::Restricted(until) => {
            let known = number::get(tx, tenant.company, number)?;
            // Every message that is refused says the same again.
            let is_news = match until {
                Some(until) => !known.is_pause_told || known.paused_until.is_none_or(|known| known < until),
                None => !known.is_paused(kernel.now()),
            };
            if !is_news {
                return Ok(());
            }
            let rest =
                Rest { until: until.unwrap_or_else(|| kernel.now().plus(RESTRICTED_US)), is_told: until.is_some() };
            number::store::pause(tx, kernel, tenant, number, Some(rest), &failure.words)
        }
        Signal::LoggedOut => {
            let change = Change { state: State::LoggedOut, reason: Some(failure.words.clone()), qr: None, phone: None };
            number::change(tx, kernel, tenant, number, &change).map(drop)
        }
    }
}

/// How long a line that is restricted rests when nobody says until when.
const RESTRICTED_US: i64 = loopd_types::DAY_US;

/// Nobody knows: the message says so, and is not sent again.
///
/// # Errors
/// The database's.
pub async fn unknown(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, claimed: &Claimed) -> Result<()> {
    conclude(kernel, tenant, claimed, |tx, kernel, tenant, known| {
        if known.status != Status::Queued {
            return Ok(known);
        }
        let now = kernel.now();
        message::store::set_status(tx, tenant.company, known.id, Status::Unknown, None, None, now)?;
        Ok(Message { status: Status::Unknown, status_at: now, ..known })
    })
    .await
}

/// Ends a row, with what `work` makes of its message, and tells of it.
async fn conclude<F>(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, claimed: &Claimed, work: F) -> Result<()>
where
    F: Fn(&mut Tx<'_>, &Kernel, &Tenant, Message) -> Result<Message> + Send + 'static,
{
    let (shared, tenant, id) = (kernel.clone(), tenant.clone(), claimed.outgoing.message);
    kernel
        .db
        .write(tenant.view(), move |tx| {
            let known = message::store::lock(tx, tenant.company, id)?
                .ok_or_else(|| Problem::internal("a message on its way is not there"))?;
            let before = known.status;
            let after = work(tx, &shared, &tenant, known)?;
            forget(tx, tenant.company, id)?;
            crate::broadcast::settled(tx, &shared, &tenant, &after)?;
            if after.status != before
                && let Some(chat) = chat::find(tx, tenant.company, after.chat_id)?
            {
                message::wire::told(tx, &shared, &tenant, &after, &chat, "updated")?;
            }
            ring(tx);
            Ok(())
        })
        .await
}

/// A customer wrote: what waited in their chat only because they had not need wait no longer.
///
/// # Errors
/// The database's.
pub fn hurry(tx: &mut Tx<'_>, company: CompanyId, chat: Uuid, now: Timestamp) -> Result<(), StoreError> {
    let hurried = tx.execute(
        "UPDATE wave_outgoing SET due_at = $3 WHERE company_id = $1 AND chat_id = $2 AND step = 'waiting' AND waits_for = $4 AND due_at > $3",
        &params![company, chat, now, crate::limit::TIER_LIMITED],
    )?;
    // Customers write all the time, and nearly never does anything wait for it.
    if hurried > 0 {
        ring(tx);
    }
    Ok(())
}

/// Nothing more is on its way for this message.
///
/// # Errors
/// The database's.
pub fn forget(tx: &mut Tx<'_>, company: CompanyId, message: Uuid) -> Result<(), StoreError> {
    tx.push("DELETE FROM wave_outgoing WHERE company_id = $1 AND message_id = $2", params![company, message])
}

/// Until when the first of a line's messages waits that wait for this; `None` when none does.
///
/// # Errors
/// The database's.
pub fn waits_until(
    reader: &mut loopd_store::Reader<'_>,
    company: CompanyId,
    number: Uuid,
    why: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT due_at FROM wave_outgoing WHERE company_id = $1 AND number_id = $2 AND step = 'waiting' AND waits_for = $3 \
         ORDER BY due_at LIMIT 1";
    reader.first(sql, &params![company, number, why], |row| row.time(0))
}

/// Messages of a line that wait to go out.
///
/// # Errors
/// The database's.
pub fn queue_depth(reader: &mut loopd_store::Reader<'_>, company: CompanyId, number: Uuid) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM wave_outgoing WHERE company_id = $1 AND number_id = $2";
    reader.one(sql, &params![company, number], |row| row.i64(0))
}
