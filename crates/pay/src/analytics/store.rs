//! The figures in the database.

use std::collections::HashMap;

use alloy_primitives::Address;
use loopd_store::{Reader, StoreError, Tx, params};
use loopd_types::{CompanyId, DAY_US, Timestamp, Uuid};

use super::tally::{Kind, Whose};

/// Adds what was counted. What nobody here is paid for is passed over.
pub fn add(tx: &mut Tx<'_>, counted: &[(Kind, i64)]) -> Result<(), StoreError> {
    let mut known: HashMap<Address, Option<(CompanyId, Uuid)>> = HashMap::new();
    let mut rows = Vec::new();
    for (kind, count) in counted {
        let project = match kind.whose {
            Whose::Project(company, project) => Some((company, project)),
            Whose::Payee(payee) => match known.get(&payee) {
                Some(project) => *project,
                None => {
                    let project = paid_at(tx, payee)?;
                    known.insert(payee, project);
                    project
                }
            },
        };
        rows.extend(project.map(|project| (project, kind, count)));
    }
    // In one order everywhere: two nodes that write the same rows do not wait for one another in a circle.
    rows.sort();
    for ((company, project), kind, count) in rows {
        tx.push(
            "INSERT INTO pay_refusals (company_id, project_id, day, stage, reason, refusals) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (company_id, project_id, day, stage, reason) DO UPDATE SET refusals = pay_refusals.refusals + excluded.refusals",
            params![company, project, kind.day, kind.stage, kind.reason.as_str(), *count],
        )?;
    }
    Ok(())
}

/// The project that is paid at an address; of several, the first that was made.
fn paid_at(reader: &mut Reader<'_>, payee: Address) -> Result<Option<(CompanyId, Uuid)>, StoreError> {
    let sql = "SELECT company_id, id FROM pay_projects WHERE COALESCE(pay_to, wallet_address) = $1 AND deleted_at IS NULL \
         ORDER BY created_at, id LIMIT 1";
    reader.first(sql, &params![payee.to_string()], |row| Ok((CompanyId(row.i64(0)?), row.uuid(1)?)))
}

/// Whose payments of which days.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub company: CompanyId,
    /// `None`: all of the company's.
    pub project: Option<Uuid>,
    /// UTC days, counted from 1970-01-01, both included.
    pub first: i64,
    pub last: i64,
}

impl Range {
    /// From the first moment to the one after the last.
    fn moments(&self) -> (Timestamp, Timestamp) {
        (Timestamp(self.first * DAY_US), Timestamp((self.last + 1) * DAY_US))
    }
}

/// One day of payments with one status.
#[derive(Clone, Debug)]
pub struct Day {
    pub day: i64,
    pub status: String,
    pub calls: i64,
    pub micros: i64,
}

pub fn days(reader: &mut Reader<'_>, range: &Range) -> Result<Vec<Day>, StoreError> {
    let sql = "SELECT created_at / $5, status, count(*), CAST(COALESCE(sum(amount_micros), 0) AS BIGINT) FROM pay_payments \
         WHERE company_id = $1 AND created_at >= $2 AND created_at < $3 AND (CAST($4 AS UUID) IS NULL OR project_id = $4) \
         GROUP BY created_at / $5, status ORDER BY 1";
    let (from, until) = range.moments();
    reader.query(sql, &params![range.company, from, until, range.project, DAY_US], |row| {
        Ok(Day { day: row.i64(0)?, status: row.text(1)?.to_owned(), calls: row.i64(2)?, micros: row.i64(3)? })
    })
}

/// How many different payers there were.
pub fn payers(reader: &mut Reader<'_>, range: &Range) -> Result<i64, StoreError> {
    let sql = "SELECT count(DISTINCT payer) FROM pay_payments WHERE company_id = $1 AND created_at >= $2 AND created_at < $3 \
         AND (CAST($4 AS UUID) IS NULL OR project_id = $4) AND status = 'settled'";
    let (from, until) = range.moments();
    reader.one(sql, &params![range.company, from, until, range.project], |row| row.i64(0))
}

/// Payments that are looked at for the time to settle: the newest.
const SAMPLE: i64 = 10_000;

/// Microseconds from a payment's arrival to its settlement, of the newest payments.
pub fn times(reader: &mut Reader<'_>, range: &Range) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT settled_at - created_at FROM pay_payments WHERE company_id = $1 AND created_at >= $2 AND created_at < $3 \
         AND (CAST($4 AS UUID) IS NULL OR project_id = $4) AND status = 'settled' ORDER BY created_at DESC LIMIT $5";
    let (from, until) = range.moments();
    reader.query(sql, &params![range.company, from, until, range.project, SAMPLE], |row| row.i64(0))
}

/// Refusals of a day by stage and reason.
#[derive(Clone, Debug)]
pub struct Refused {
    pub day: i64,
    pub stage: String,
    pub reason: String,
    pub count: i64,
}

pub fn refusals(reader: &mut Reader<'_>, range: &Range) -> Result<Vec<Refused>, StoreError> {
    let sql = "SELECT day, stage, reason, CAST(sum(refusals) AS BIGINT) FROM pay_refusals WHERE company_id = $1 AND day >= $2 AND day <= $3 \
         AND (CAST($4 AS UUID) IS NULL OR project_id = $4) GROUP BY day, stage, reason ORDER BY day, stage, reason";
    reader.query(sql, &params![range.company, range.first, range.last, range.project], |row| {
        Ok(Refused {
            day: row.i64(0)?,
            stage: row.text(1)?.to_owned(),
            reason: row.text(2)?.to_owned(),
            count: row.i64(3)?,
        })
    })
}
