//! Seals over the audit log: once a day each company's rows of the days that are over are counted and digested, and the digest is signed
//! under the installation's secret and tied to the one before. Whoever removes, adds or alters a row of a sealed day behind loopd's
//! back is found out by `loopd audit verify`, unless they have the secret, too; a copy of the seals elsewhere (each is a line of the
//! log) holds even then.
//!
//! It costs no write of a business anything: nothing is chained while rows are written, which would make a queue of a company's
//! writes. The digest covers what happened to which row and when, not the words about people, which an erasure may take away.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use loopd_store::{Reader, Tx, Value, View, params};
use loopd_types::{CompanyId, DAY_US, HOUR_US, Ids, Problem, Result, Timestamp, Uuid, hex};
use sha2::{Digest as _, Sha256};

use crate::job::{self, Runner};
use crate::schedule::Schedule;
use crate::{Kernel, audit, company, vault};

/// Daily, at two in the morning UTC.
pub const SCHEDULE: Schedule = Schedule::daily("audit-seals", 2 * HOUR_US);
/// A day is sealed when it has been over for so long: a row gets its id a moment before it is committed.
const QUIET_US: i64 = HOUR_US;
/// Rows that are read at once.
const PIECE: usize = 2_000;

/// One sealed day of one company.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seal {
    day: i64,
    rows: i64,
    digest: String,
    previous: String,
    seal: String,
}

/// What a look at a company's seals found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Days whose rows are all there as they were.
    pub whole: usize,
    /// Days of which retention has removed rows; only their seals were looked at.
    pub expired: usize,
    /// The end of the last sealed day.
    pub sealed_until: Option<Timestamp>,
    /// What is not as it was sealed, in words.
    pub broken: Vec<String>,
}

/// Registers the daily work.
pub fn register(runner: &mut Runner) {
    let work: job::Handler = Arc::new(|kernel, _| Box::pin(async move { seal_all(&kernel).await.map(drop) }));
    runner.schedule(SCHEDULE, work);
}

/// Seals every day that is over, of every company and of the installation; returns how many.
///
/// # Errors
/// The database's.
pub async fn seal_all(kernel: &Arc<Kernel>) -> Result<u64> {
    let mut sealed = 0;
    for company in every_log(kernel).await? {
        while let Some(seal) = seal_next(kernel, company).await? {
            let (day, seal) = (Timestamp(seal.day * DAY_US).to_string(), seal.seal);
            tracing::info!(company = company.0, day, seal, "audit log sealed");
            sealed += 1;
        }
    }
    Ok(sealed)
}

/// The installation's own log, and those of the companies.
async fn every_log(kernel: &Arc<Kernel>) -> Result<Vec<CompanyId>> {
    let mut all = company::all_ids(kernel).await?;
    all.insert(0, audit::INSTALLATION);
    Ok(all)
}

/// Seals the first day that has rows, is over and is not sealed.
async fn seal_next(kernel: &Arc<Kernel>, company: CompanyId) -> Result<Option<Seal>> {
    let last = kernel.db.read_long(View::System, move |reader| last_seal(reader, company)).await?;
    let from = last.as_ref().map_or(0, |seal| seal.day + 1);
    let Some(day) = kernel.db.read_long(View::System, move |reader| first_day(reader, company, from)).await? else {
        return Ok(None);
    };
    if (day + 1) * DAY_US + QUIET_US > kernel.now().micros() {
        return Ok(None);
    }
    let (rows, digest) = digest(kernel, company, day).await?;
    let previous = last.map_or_else(String::new, |seal| seal.seal);
    let made = Seal { seal: sign(kernel, company, day, rows, &digest, &previous), day, rows, digest, previous };
    let (kept, now) = (made.clone(), kernel.now());
    let work = move |tx: &mut Tx<'_>| {
        // Another node may have been faster.
        let sql = "INSERT INTO audit_seals (company_id, day, rows_sealed, digest, previous, seal, sealed_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (company_id, day) DO NOTHING";
        let Seal { day, rows, digest, previous, seal } = &kept;
        Ok(tx.execute(sql, &params![company, *day, *rows, digest.as_str(), previous.as_str(), seal.as_str(), now])?)
    };
    kernel.db.write(View::System, work).await?;
    Ok(Some(made))
}

/// Looks whether what was sealed is as it was.
///
/// # Errors
/// The database's.
pub async fn verify(kernel: &Arc<Kernel>, company: CompanyId) -> Result<Report> {
    let seals = kernel.db.read_long(View::System, move |reader| all_seals(reader, company)).await?;
    let kept_from = crate::retention::audit_end(kernel, company).await?;
    let mut report = Report { whole: 0, expired: 0, sealed_until: None, broken: Vec::new() };
    let mut previous: Option<&str> = None;
    for seal in &seals {
        let day = Timestamp(seal.day * DAY_US);
        let mut broken = |what: &str| report.broken.push(format!("{}: {what}", &day.to_string()[..10]));
        if seal.seal != sign(kernel, company, seal.day, seal.rows, &seal.digest, &seal.previous) {
            broken("the seal is not ours");
        } else if previous.is_some_and(|previous| previous != seal.previous) {
            broken("a sealed day before it is gone");
        } else if kept_from.is_some_and(|from| day < from) {
            report.expired += 1;
        } else {
            let (rows, found) = digest(kernel, company, seal.day).await?;
            if found == seal.digest {
                report.whole += 1;
            } else {
                broken(&format!("{} rows were sealed and {rows} are there, or some were altered", seal.rows));
            }
        }
        previous = Some(&seal.seal);
        report.sealed_until = Some(Timestamp((seal.day + 1) * DAY_US));
    }
    Ok(report)
}

fn last_seal(reader: &mut Reader<'_>, company: CompanyId) -> Result<Option<Seal>> {
    let sql = format!("SELECT {COLUMNS} FROM audit_seals WHERE company_id = $1 ORDER BY day DESC LIMIT 1");
    Ok(reader.first(&sql, &params![company], read)?)
}

fn all_seals(reader: &mut Reader<'_>, company: CompanyId) -> Result<Vec<Seal>> {
    let sql = format!("SELECT {COLUMNS} FROM audit_seals WHERE company_id = $1 ORDER BY day");
    Ok(reader.query(&sql, &params![company], read)?)
}

const COLUMNS: &str = "day, rows_sealed, digest, previous, seal";

fn read(row: &loopd_store::Row<'_>) -> Result<Seal, loopd_store::StoreError> {
    Ok(Seal {
        day: row.i64(0)?,
        rows: row.i64(1)?,
        digest: row.text(2)?.to_owned(),
        previous: row.text(3)?.to_owned(),
        seal: row.text(4)?.to_owned(),
    })
}

/// The day of the first row that was made on this day or later; by its id, as all days here.
fn first_day(reader: &mut Reader<'_>, company: CompanyId, from: i64) -> Result<Option<i64>> {
    let sql = "SELECT id FROM audit_logs WHERE company_id = $1 AND id >= $2 ORDER BY id LIMIT 1";
    let floor = Value::Uuid(Ids::floor(Timestamp(from * DAY_US)));
    Ok(reader.first(sql, &params![company, floor], |row| Ok(day_of(row.uuid(0)?)))?)
}

fn day_of(id: Uuid) -> i64 {
    let millis = id.as_bytes()[..6].iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
    millis * 1_000 / DAY_US
}

/// How many rows a day has, and the digest of them.
async fn digest(kernel: &Arc<Kernel>, company: CompanyId, day: i64) -> Result<(i64, String)> {
    let (mut hasher, mut rows) = (Sha256::new(), 0);
    let (mut after, end) = (Ids::floor(Timestamp(day * DAY_US)), Ids::floor(Timestamp((day + 1) * DAY_US)));
    let mut is_first = true;
    loop {
        let comparison = if is_first { ">=" } else { ">" };
        let piece = kernel
            .db
            .read_long(View::System, move |reader| {
                let sql = format!(
                    "SELECT id, at, action, module, resource, target_id FROM audit_logs \
                     WHERE company_id = $1 AND id {comparison} $2 AND id < $3 ORDER BY id LIMIT {PIECE}"
                );
                let row = |row: &loopd_store::Row<'_>| {
                    let words = [row.text(2)?, row.text(3)?, row.text(4)?, row.text(5)?];
                    // Every text by its length, so that no two rows are written alike.
                    let texts: String = words.iter().map(|word| format!("{}:{word}", word.len())).collect();
                    Ok((row.uuid(0)?, format!("{} {} {texts}\n", row.uuid(0)?, row.i64(1)?)))
                };
                Ok(reader.query(&sql, &params![company, Value::Uuid(after), Value::Uuid(end)], row)?)
            })
            .await?;
        for (_, line) in &piece {
            hasher.update(line.as_bytes());
        }
        rows += i64::try_from(piece.len()).map_err(Problem::internal)?;
        match piece.last() {
            Some((last, _)) if piece.len() == PIECE => (after, is_first) = (*last, false),
            _ => return Ok((rows, hex(&hasher.finalize()))),
        }
    }
}

fn sign(kernel: &Kernel, company: CompanyId, day: i64, rows: i64, digest: &str, previous: &str) -> String {
    let key = vault::derive(&kernel.settings.secret_key, b"loopd audit seal v1");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(format!("{} {day} {rows} {digest} {previous}", company.0).as_bytes());
    hex(&mac.finalize().into_bytes())
}
