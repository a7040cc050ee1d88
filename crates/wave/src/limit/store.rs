//! What lines sent lately, in the database.

use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, Timestamp, Uuid};

use super::{Limits, PAIR_LIMITED, PEOPLE_WINDOW_US, THROTTLED, TIER_LIMITED, Wait};
use crate::address::Address;

/// The row of the whole line among those of the people it writes to.
const LINE: &str = "";

/// Takes a turn for a message, all of what it needs or nothing. `is_first`: the other side did not write within the window.
///
/// # Errors
/// The database's. Inside: when it may be asked again, and why not now.
pub fn take(
    tx: &mut Tx<'_>,
    company: CompanyId,
    number: Uuid,
    limits: &Limits,
    to: &Address,
    is_first: bool,
    now: Timestamp,
) -> Result<Result<(), Wait>, StoreError> {
    let jid = to.to_string();
    let people = limits.people.filter(|_| is_first);
    if let Some(most) = people {
        tx.lock(&format!("wave_first_contacts:{}:{}", company.0, limits.account))?;
        if let Some(until) = full_until(tx, company, &limits.account, &jid, most, now)? {
            return Ok(Err(Wait { until, why: TIER_LIMITED }));
        }
    }
    tx.lock(&format!("wave_paces:{}:{number}", company.0))?;
    let pair = limits.pair.pass(pace(tx, company, number, &jid)?, now);
    let line = limits.line.pass(pace(tx, company, number, LINE)?, now);
    let (pair, line) = match (pair, line) {
        (Err(until), _) => return Ok(Err(Wait { until, why: PAIR_LIMITED })),
        (_, Err(until)) => return Ok(Err(Wait { until, why: THROTTLED })),
        (Ok(pair), Ok(line)) => (pair, line),
    };
    set_pace(tx, company, number, &jid, pair)?;
    set_pace(tx, company, number, LINE, line)?;
    if is_first {
        tx.push(
            "INSERT INTO wave_first_contacts (company_id, account, jid, first_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (company_id, account, jid) DO UPDATE SET first_at = excluded.first_at WHERE wave_first_contacts.first_at <= $5",
            params![company, limits.account.as_str(), jid, now, now.plus(-PEOPLE_WINDOW_US)],
        )?;
    }
    Ok(Ok(()))
}

/// WhatsApp itself said that it is too much: nothing goes on the line, or to one person, before `opens`.
///
/// # Errors
/// The database's.
pub fn hold(
    tx: &mut Tx<'_>,
    company: CompanyId,
    number: Uuid,
    limits: &Limits,
    to: Option<&Address>,
    opens: Timestamp,
) -> Result<(), StoreError> {
    tx.lock(&format!("wave_paces:{}:{number}", company.0))?;
    let (about, gate) = match to {
        Some(to) => (to.to_string(), limits.pair),
        None => (LINE.to_owned(), limits.line),
    };
    let until = gate.closed_until(opens).max(pace(tx, company, number, &about)?);
    set_pace(tx, company, number, &about, until)
}

fn pace(reader: &mut Reader<'_>, company: CompanyId, number: Uuid, about: &str) -> Result<Timestamp, StoreError> {
    let sql = "SELECT paced_until FROM wave_paces WHERE company_id = $1 AND number_id = $2 AND about = $3";
    let found = reader.first(sql, &params![company, number, about], |row| row.time(0))?;
    Ok(found.unwrap_or(Timestamp(0)))
}

fn set_pace(
    tx: &mut Tx<'_>,
    company: CompanyId,
    number: Uuid,
    about: &str,
    until: Timestamp,
) -> Result<(), StoreError> {
    tx.push(
        "INSERT INTO wave_paces (company_id, number_id, about, paced_until) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (company_id, number_id, about) DO UPDATE SET paced_until = excluded.paced_until",
        params![company, number, about, until],
    )
}

/// People of an account who were written to first, within the window.
///
/// # Errors
/// The database's.
pub fn people(reader: &mut Reader<'_>, company: CompanyId, account: &str, now: Timestamp) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM wave_first_contacts WHERE company_id = $1 AND account = $2 AND first_at > $3";
    reader.one(sql, &params![company, account, now.plus(-PEOPLE_WINDOW_US)], |row| row.i64(0))
}

/// When there is room for somebody: `None` now, because it is there or they count already.
fn full_until(
    reader: &mut Reader<'_>,
    company: CompanyId,
    account: &str,
    jid: &str,
    most: i64,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let since = now.plus(-PEOPLE_WINDOW_US);
    let known =
        "SELECT 1 FROM wave_first_contacts WHERE company_id = $1 AND account = $2 AND jid = $3 AND first_at > $4";
    if reader.first(known, &params![company, account, jid, since], |row| row.i64(0))?.is_some() {
        return Ok(None);
    }
    let counted = people(reader, company, account, now)?;
    if counted < most {
        return Ok(None);
    }
    // Room comes when so many of them are over that one place is free.
    let sql = "SELECT first_at FROM wave_first_contacts WHERE company_id = $1 AND account = $2 AND first_at > $3 ORDER BY first_at LIMIT 1 OFFSET $4";
    let frees = reader.first(sql, &params![company, account, since, counted - most], |row| row.time(0))?;
    Ok(frees.map(|at| at.plus(PEOPLE_WINDOW_US)))
}
