//! Mandates in the database; what was signed under them is in `spends.rs`.

pub mod spends;

use loopd_kernel::{Kernel, Tenant, audit, event};
use loopd_store::{Reader, Row, StoreError, Tx, dialect, params};
use loopd_types::{CompanyId, Kind, Problem, Result, Timestamp, Uuid};

use crate::mandate::wire;
use crate::project::PRODUCT;
use crate::wire::public_id;

/// How much a project may spend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mandate {
    pub id: Uuid,
    pub chain: u64,
    pub network: String,
    pub per_call_micros: i64,
    pub daily_micros: i64,
    pub valid_until: Timestamp,
    /// The last day on which something was spent, and how much on it.
    pub spent_day: i64,
    pub spent_micros: i64,
    pub total_micros: i64,
    pub call_count: i64,
    pub revoked_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Mandate {
    pub fn spent_on(&self, day: i64) -> i64 {
        if self.spent_day == day { self.spent_micros } else { 0 }
    }

    pub fn left_on(&self, day: i64) -> i64 {
        (self.daily_micros - self.spent_on(day)).max(0)
    }
}

/// What a new mandate shall allow.
#[derive(Clone, Debug)]
pub struct New {
    pub chain: u64,
    pub network: String,
    pub per_call_micros: i64,
    pub daily_micros: i64,
    pub valid_until: Timestamp,
}

const SELECT: &str = "SELECT id, chain, network, per_call_micros, daily_micros, valid_until, spent_day, spent_micros, total_micros, \
     call_count, revoked_at, created_at FROM pay_mandates";

fn read(row: &Row<'_>) -> Result<Mandate, StoreError> {
    Ok(Mandate {
        id: row.uuid(0)?,
        chain: row.i64(1)?.unsigned_abs(),
        network: row.text(2)?.to_owned(),
        per_call_micros: row.i64(3)?,
        daily_micros: row.i64(4)?,
        valid_until: row.time(5)?,
        spent_day: row.i64(6)?,
        spent_micros: row.i64(7)?,
        total_micros: row.i64(8)?,
        call_count: row.i64(9)?,
        revoked_at: row.opt_time(10)?,
        created_at: row.time(11)?,
    })
}

/// Most mandates that are shown of a project, and that are looked at to find one that pays.
const MOST: i64 = 500;

/// A project's mandates, newest first, whatever became of them.
pub fn list(reader: &mut Reader<'_>, company: CompanyId, project: Uuid) -> Result<Vec<Mandate>> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND project_id = $2 ORDER BY created_at DESC, id DESC LIMIT $3");
    Ok(reader.query(&sql, &params![company, project, MOST], read)?)
}

/// # Errors
/// 404.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, project: Uuid, id: Uuid) -> Result<Mandate> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND project_id = $2 AND id = $3");
    reader.first(&sql, &params![company, project, id], read)?.ok_or_else(not_found)
}

/// As [`get`], held until the transaction ends: two calls at once see one another's spending.
///
/// # Errors
/// 404.
pub fn lock(tx: &mut Tx<'_>, company: CompanyId, project: Uuid, id: Uuid) -> Result<Mandate> {
    let locked = dialect::for_update(tx.engine());
    let sql = format!("{SELECT} WHERE company_id = $1 AND project_id = $2 AND id = $3{locked}");
    tx.first(&sql, &params![company, project, id], read)?.ok_or_else(not_found)
}

/// Whose mandate it is.
pub fn project_of(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<Uuid>, StoreError> {
    let sql = "SELECT project_id FROM pay_mandates WHERE company_id = $1 AND id = $2";
    reader.first(sql, &params![company, id], |row| row.uuid(0))
}

pub fn not_found() -> Problem {
    Problem::new(Kind::NotFound, "not_found", "Mandate not found")
}

/// Makes a mandate.
///
/// # Errors
/// 503 from the database.
pub fn create(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, project: Uuid, new: &New) -> Result<Mandate> {
    let id = kernel.new_id();
    tx.execute(
        "INSERT INTO pay_mandates (company_id, id, project_id, chain, network, per_call_micros, daily_micros, valid_until, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &params![
            tenant.company,
            id,
            project,
            new.chain as i64,
            new.network.as_str(),
            new.per_call_micros,
            new.daily_micros,
            new.valid_until,
            kernel.now()
        ],
    )?;
    let made = get(tx, tenant.company, project, id)?;
    written(tx, kernel, tenant, &made, "create", "created")?;
    Ok(made)
}

/// Takes a mandate back; nothing is signed under it any more. Repeating it changes nothing.
///
/// # Errors
/// 404.
pub fn revoke(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, project: Uuid, id: Uuid) -> Result<Mandate> {
    let known = lock(tx, tenant.company, project, id)?;
    if known.revoked_at.is_some() {
        return Ok(known);
    }
    tx.execute(
        "UPDATE pay_mandates SET revoked_at = $3 WHERE company_id = $1 AND id = $2",
        &params![tenant.company, id, kernel.now()],
    )?;
    let revoked = get(tx, tenant.company, project, id)?;
    written(tx, kernel, tenant, &revoked, "revoke", "revoked")?;
    Ok(revoked)
}

/// Counts what is about to be signed. Whoever calls holds the row ([`lock`]) and has asked [`super::rules::fits`].
pub fn reserve(
    tx: &mut Tx<'_>,
    company: CompanyId,
    mandate: &Mandate,
    micros: i64,
    day: i64,
) -> Result<(), StoreError> {
    tx.push(
        "UPDATE pay_mandates SET spent_day = $3, spent_micros = $4, total_micros = total_micros + $5, call_count = call_count + 1 \
         WHERE company_id = $1 AND id = $2",
        params![company, mandate.id, day, mandate.spent_on(day) + micros, micros],
    )
}

/// Gives back what nobody took.
pub fn give_back(tx: &mut Tx<'_>, company: CompanyId, id: Uuid, micros: i64, day: i64) -> Result<(), StoreError> {
    tx.push(
        "UPDATE pay_mandates SET spent_micros = CASE WHEN spent_day = $4 THEN spent_micros - $3 ELSE spent_micros END, \
         total_micros = total_micros - $3, call_count = call_count - 1 WHERE company_id = $1 AND id = $2",
        params![company, id, micros, day],
    )
}

fn written(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    mandate: &Mandate,
    action: &str,
    past: &str,
) -> Result<()> {
    let id = public_id(wire::PREFIX, mandate.id);
    let entry = audit::Entry { action, module: PRODUCT, resource: "mandates", target: &id, label: &id, changes: None };
    audit::record(tx, kernel, tenant, entry)?;
    let payload = serde_json::json!({
        "id": id, "network": mandate.network, "maxPerCallUsdc": crate::usdc::format(mandate.per_call_micros),
        "dailyCapUsdc": crate::usdc::format(mandate.daily_micros), "validUntil": crate::wire::iso(mandate.valid_until),
    });
    let (kind, subject) = (format!("{PRODUCT}.mandates.{past}"), format!("{PRODUCT}/mandates/{id}"));
    event::emit(tx, kernel, tenant, &kind, &subject, payload.to_string())
}
