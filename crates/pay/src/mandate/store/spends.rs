//! Spends in the database.

use loopd_store::{Reader, Row, StoreError, Tx, params};
use loopd_types::{CompanyId, Result, Timestamp, Uuid};

use crate::mandate::spend::Spend;
use crate::payment::store::Status;
use crate::x402::Version;
use loopd_web::cursor::Page;

const SELECT: &str = "SELECT company_id, id, project_id, mandate_id, day, chain, network, asset, recipient, amount_micros, nonce, header, \
     version, resource, status, failure_reason, tx_hash, repeat_key, valid_before, created_at FROM pay_spends";

fn read(row: &Row<'_>) -> Result<Spend, StoreError> {
    let text = |at| -> Result<Option<String>, StoreError> { Ok(row.opt_text(at)?.map(str::to_owned)) };
    let broken = || StoreError::Other("a spend's row holds what no spend is".into());
    Ok(Spend {
        company: CompanyId(row.i64(0)?),
        id: row.uuid(1)?,
        project: row.uuid(2)?,
        mandate: row.uuid(3)?,
        day: row.i64(4)?,
        chain: row.i64(5)?.unsigned_abs(),
        network: row.text(6)?.to_owned(),
        asset: row.text(7)?.to_owned(),
        recipient: row.text(8)?.to_owned(),
        amount_micros: row.i64(9)?,
        nonce: row.text(10)?.to_owned(),
        header: row.text(11)?.to_owned(),
        version: if row.i64(12)? == 2 { Version::V2 } else { Version::V1 },
        resource: row.text(13)?.to_owned(),
        status: Status::parse(row.text(14)?).ok_or_else(broken)?,
        failure_reason: text(15)?,
        tx_hash: text(16)?,
        repeat_key: text(17)?,
        valid_before: row.time(18)?,
        created_at: row.time(19)?,
    })
}

/// A project's spends, newest first.
pub fn list(reader: &mut Reader<'_>, company: CompanyId, project: Uuid, page: &Page) -> Result<Vec<Spend>> {
    let (at, id) = page.before();
    let sql = format!(
        "{SELECT} WHERE company_id = $1 AND project_id = $2 AND (created_at, id) < ($3, $4) ORDER BY created_at DESC, id DESC LIMIT $5"
    );
    Ok(reader.query(&sql, &params![company, project, at, id, page.limit + 1], read)?)
}

/// What an earlier call with the same `Idempotency-Key` signed.
pub fn repeated(reader: &mut Reader<'_>, company: CompanyId, project: Uuid, key: &str) -> Result<Option<Spend>> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND project_id = $2 AND repeat_key = $3");
    Ok(reader.first(&sql, &params![company, project, key], read)?)
}

/// One whose outcome is not known yet.
pub fn under_way(reader: &mut Reader<'_>, company: CompanyId, id: Uuid) -> Result<Option<Spend>> {
    let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND status = 'verified'");
    Ok(reader.first(&sql, &params![company, id], read)?)
}

pub fn insert(tx: &mut Tx<'_>, spend: &Spend) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO pay_spends (company_id, id, project_id, mandate_id, day, chain, network, asset, recipient, amount_micros, nonce, header, \
         version, resource, status, repeat_key, valid_before, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        &params![
            spend.company,
            spend.id,
            spend.project,
            spend.mandate,
            spend.day,
            spend.chain as i64,
            spend.network.as_str(),
            spend.asset.as_str(),
            spend.recipient.as_str(),
            spend.amount_micros,
            spend.nonce.as_str(),
            spend.header.as_str(),
            i64::from(spend.version.number()),
            spend.resource.as_str(),
            spend.status.as_str(),
            spend.repeat_key.as_deref(),
            spend.valid_before,
            spend.created_at
        ],
    ).map(drop)
}

/// Writes what became of a spend; `false` when that is written already.
pub fn conclude(
    tx: &mut Tx<'_>,
    spend: &Spend,
    status: Status,
    tx_hash: Option<&str>,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = tx.execute(
        "UPDATE pay_spends SET status = $3, tx_hash = $4, failure_reason = $5, concluded_at = $6 \
         WHERE company_id = $1 AND id = $2 AND status = 'verified'",
        &params![spend.company, spend.id, status.as_str(), tx_hash, reason, now],
    )?;
    Ok(changed > 0)
}
