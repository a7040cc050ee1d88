//! Spends: what a project's wallet signed. On record before anybody sees it; what became of it is looked up on the chain when its time is
//! over, whatever the seller said.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use loopd_kernel::access::Actor;
use loopd_kernel::job::{self, Handler, Job, NewJob, Runner};
use loopd_kernel::{Kernel, event};
use loopd_store::{Reader, Row, StoreError, Tx, View, params};
use loopd_types::{CompanyId, Problem, Result, SECOND_US, Timestamp, Uuid};
use serde_json::json;

use super::store;
use crate::Pay;
use crate::page::Page;
use crate::payment::store::Status;
use crate::project::PRODUCT;
use crate::wire::public_id;
use crate::x402::Version;

pub const PREFIX: &str = "po_";
const KIND: &str = "loomal.spend";
/// How long after an authorization's end it is looked up: blocks are older than clocks.
const AFTERWARDS_US: i64 = 60 * SECOND_US;

/// One authorization that was signed.
#[derive(Clone, Debug)]
pub struct Spend {
    pub company: CompanyId,
    pub id: Uuid,
    pub project: Uuid,
    pub mandate: Uuid,
    pub day: i64,
    pub chain: u64,
    pub network: String,
    pub asset: String,
    pub recipient: String,
    pub amount_micros: i64,
    pub nonce: String,
    /// The signed payment as it is sent.
    pub header: String,
    pub version: Version,
    pub resource: String,
    pub status: Status,
    pub failure_reason: Option<String>,
    pub tx_hash: Option<String>,
    pub repeat_key: Option<String>,
    pub valid_before: Timestamp,
    pub created_at: Timestamp,
}

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

/// Puts on record what was signed, and who looks after it.
pub fn insert(tx: &mut Tx<'_>, kernel: &Kernel, spend: &Spend) -> Result<()> {
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
    )?;
    let new = NewJob {
        kind: KIND,
        company: spend.company,
        payload: json!({"spend": spend.id.to_string()}).to_string(),
        run_at: spend.valid_before.plus(AFTERWARDS_US),
        unique_key: None,
    };
    Ok(job::enqueue(tx, kernel, &new)?)
}

/// Writes what became of a spend, once; `true` when this call did. A failed one gives its mandate back what it reserved.
pub fn conclude(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    spend: &Spend,
    status: Status,
    tx_hash: Option<&str>,
    reason: Option<&str>,
) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE pay_spends SET status = $3, tx_hash = $4, failure_reason = $5, concluded_at = $6 \
         WHERE company_id = $1 AND id = $2 AND status = 'verified'",
        &params![spend.company, spend.id, status.as_str(), tx_hash, reason, kernel.now()],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    if status == Status::Failed {
        store::give_back(tx, spend.company, spend.mandate, spend.amount_micros, spend.day)?;
    }
    let id = public_id(PREFIX, spend.id);
    let word = if status == Status::Failed { "failed" } else { "settled" };
    let payload = json!({
        "id": id, "resource": spend.resource, "amountUsdcRaw": spend.amount_micros.to_string(), "network": spend.network,
        "recipient": spend.recipient, "txHash": tx_hash, "failureReason": reason,
    });
    let actor = Actor { user: None, credential: None, origin: None, reason: Some("buying") };
    let (kind, subject) = (format!("{PRODUCT}.spends.{word}"), format!("{PRODUCT}/spends/{id}"));
    event::emit_by(tx, kernel, spend.company, &actor, &kind, &subject, payload.to_string())?;
    Ok(true)
}

/// Registers the job that looks up what became of spends.
pub fn register_jobs(runner: &mut Runner, pay: Arc<Pay>) {
    let handler: Handler = Arc::new(move |kernel, job| Box::pin(look_up(pay.clone(), kernel, job)));
    runner.register(KIND, handler);
}

/// Its time is over: the chain says whether the seller took it, and cannot say otherwise any more.
async fn look_up(pay: Arc<Pay>, kernel: Arc<Kernel>, job: Job) -> Result<()> {
    let id = job.payload["spend"].as_str().and_then(|text| Uuid::parse_str(text).ok());
    let id = id.ok_or_else(|| Problem::internal("a spend's job names no spend"))?;
    let company = job.company;
    let found = kernel
        .db
        .read(View::Company(company), move |reader| {
            let sql = format!("{SELECT} WHERE company_id = $1 AND id = $2 AND status = 'verified'");
            Ok(reader.first(&sql, &params![company, id], read)?)
        })
        .await?;
    let Some(spend) = found else { return Ok(()) };
    let was_taken = is_taken(&pay, &kernel, &spend).await?;
    let shared = kernel.clone();
    let (status, reason) = match was_taken {
        true => (Status::Settled, None),
        false => (Status::Failed, Some("the seller did not take the payment in time")),
    };
    kernel
        .db
        .write(View::Company(company), move |tx| {
            conclude(tx, &shared, &spend, status, spend.tx_hash.as_deref(), reason)
        })
        .await
        .map(drop)
}

/// Whether the chain has used the spend's authorization.
///
/// # Errors
/// 503 when the chain does not answer.
pub async fn is_taken(pay: &Pay, kernel: &Arc<Kernel>, spend: &Spend) -> Result<bool> {
    let chain = pay.chain(kernel, spend.chain).ok_or_else(|| Problem::unavailable("payments on this chain are off"))?;
    let asset: Address = spend.asset.parse().map_err(Problem::internal)?;
    let nonce: B256 = spend.nonce.parse().map_err(Problem::internal)?;
    let project = spend.project;
    let company = spend.company;
    let wallet = kernel
        .db
        .read(View::Company(company), move |reader| {
            let sql = "SELECT wallet_address FROM pay_projects WHERE company_id = $1 AND id = $2";
            Ok(reader.one(sql, &params![company, project], |row| Ok(row.text(0)?.to_owned()))?)
        })
        .await?;
    let wallet: Address = wallet.parse().map_err(Problem::internal)?;
    chain.is_authorization_used(asset, wallet, nonce).await.map_err(Problem::unavailable)
}
