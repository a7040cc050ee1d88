//! Spends: what a project's wallet signed. On record before anybody sees it; what became of it is looked up on the chain when its time is
//! over, whatever the seller said.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use loopd_kernel::access::Actor;
use loopd_kernel::job::{self, Handler, Job, NewJob, Runner};
use loopd_kernel::{Kernel, event};
use loopd_store::{Tx, View};
use loopd_types::{CompanyId, Problem, Result, SECOND_US, Timestamp, Uuid};
use serde_json::json;

use super::store::{self, spends};
use crate::Pay;
use crate::payment::store::Status;
use crate::project::{PRODUCT, store as projects};
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

/// Puts on record what was signed, and who looks after it.
pub fn insert(tx: &mut Tx<'_>, kernel: &Kernel, spend: &Spend) -> Result<()> {
    spends::insert(tx, spend)?;
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
    if !spends::conclude(tx, spend, status, tx_hash, reason, kernel.now())? {
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
    let found = kernel.db.read(View::Company(company), move |reader| spends::under_way(reader, company, id)).await?;
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
    let wallet =
        kernel.db.read(View::Company(company), move |reader| projects::wallet_of(reader, company, project)).await?;
    let wallet: Address = wallet.parse().map_err(Problem::internal)?;
    chain.is_authorization_used(asset, wallet, nonce).await.map_err(Problem::unavailable)
}
