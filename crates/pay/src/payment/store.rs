//! Payments in the database: one row for each settlement of a sale.

use loopd_kernel::Kernel;
use loopd_store::{Reader, Row, StoreError, Tx, Value, params};
use loopd_types::{CompanyId, Problem, Result, Timestamp, Uuid};
use serde_json::Value as Json;

use loopd_web::cursor::Page;

/// A payment that a project received, or is about to.
#[derive(Clone, Debug)]
pub struct Payment {
    pub id: Uuid,
    pub project: Uuid,
    pub endpoint: Option<Endpoint>,
    pub network: String,
    pub payer: String,
    pub recipient: String,
    pub amount_micros: i64,
    pub nonce: String,
    pub tx_hash: Option<String>,
    pub status: Status,
    pub failure_reason: Option<String>,
    pub resource: String,
    pub is_sandbox: bool,
    /// As [`crate::receipt::sign`] made it; from when it is settled.
    pub receipt: Option<Json>,
    pub created_at: Timestamp,
    pub settled_at: Option<Timestamp>,
}

/// What of an endpoint stands in a payment.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: Uuid,
    pub url_pattern: String,
    pub price_micros: i64,
}

/// Where a payment stands, in the words of spec/loomal.md 4.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Good, and on its way; its outcome is not known yet.
    Verified,
    Settled,
    Failed,
}

impl Status {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "verified" => Some(Self::Verified),
            "settled" => Some(Self::Settled),
            "failed" => Some(Self::Failed),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Settled => "settled",
            Self::Failed => "failed",
        }
    }
}

const SELECT: &str = "SELECT p.id, p.project_id, p.network, p.payer, p.recipient, p.amount_micros, p.nonce, p.tx_hash, p.status, \
     p.failure_reason, p.resource, p.is_sandbox, p.receipt, p.created_at, p.settled_at, e.id, e.url_pattern, e.price_micros \
     FROM pay_payments p LEFT JOIN pay_endpoints e ON e.company_id = p.company_id AND e.id = p.endpoint_id";

fn read(row: &Row<'_>) -> Result<Payment, StoreError> {
    let broken = || StoreError::Other("a payment's row holds what no payment is".into());
    let endpoint = match row.opt_uuid(15)? {
        None => None,
        Some(id) => Some(Endpoint { id, url_pattern: row.text(16)?.to_owned(), price_micros: row.i64(17)? }),
    };
    Ok(Payment {
        id: row.uuid(0)?,
        project: row.uuid(1)?,
        endpoint,
        network: row.text(2)?.to_owned(),
        payer: row.text(3)?.to_owned(),
        recipient: row.text(4)?.to_owned(),
        amount_micros: row.i64(5)?,
        nonce: row.text(6)?.to_owned(),
        tx_hash: row.opt_text(7)?.map(str::to_owned),
        status: Status::parse(row.text(8)?).ok_or_else(broken)?,
        failure_reason: row.opt_text(9)?.map(str::to_owned),
        resource: row.text(10)?.to_owned(),
        is_sandbox: row.bool(11)?,
        receipt: row.opt_json(12)?.map(serde_json::from_str).transpose().map_err(|_| broken())?,
        created_at: row.time(13)?,
        settled_at: row.opt_time(14)?,
    })
}

/// A project's payments, newest first; one more than the page has, if there are more.
pub fn list(reader: &mut Reader<'_>, company: CompanyId, project: Uuid, page: &Page) -> Result<Vec<Payment>> {
    let (at, id) = page.before();
    let sql = format!(
        "{SELECT} WHERE p.company_id = $1 AND p.project_id = $2 AND (p.created_at, p.id) < ($3, $4) \
         ORDER BY p.created_at DESC, p.id DESC LIMIT $5"
    );
    Ok(reader.query(&sql, &params![company, project, at, id, page.limit + 1], read)?)
}

/// # Errors
/// 404 `Payment not found`, for other projects' too.
pub fn get(reader: &mut Reader<'_>, company: CompanyId, project: Uuid, id: Uuid) -> Result<Payment> {
    let sql = format!("{SELECT} WHERE p.company_id = $1 AND p.project_id = $2 AND p.id = $3");
    reader.first(&sql, &params![company, project, id], read)?.ok_or_else(not_found)
}

/// The payment that a settlement is for.
pub fn of_settlement(reader: &mut Reader<'_>, company: CompanyId, settlement: Uuid) -> Result<Option<Payment>> {
    let sql = format!("{SELECT} WHERE p.company_id = $1 AND p.settlement_id = $2");
    Ok(reader.first(&sql, &params![company, settlement], read)?)
}

pub fn not_found() -> Problem {
    Problem::new(loopd_types::Kind::NotFound, "not_found", "Payment not found")
}

/// What is written of a payment when its settlement is.
#[derive(Clone, Debug)]
pub struct Written {
    pub id: Uuid,
    pub company: CompanyId,
    pub project: Uuid,
    pub endpoint: Option<Uuid>,
    pub settlement: Uuid,
    pub network: String,
    pub payer: String,
    pub recipient: String,
    pub amount_micros: i64,
    pub nonce: String,
    pub tx_hash: Option<String>,
    pub status: Status,
    pub failure_reason: Option<String>,
    pub resource: String,
    pub description: Option<String>,
    pub is_sandbox: bool,
    pub receipt: Option<Json>,
    pub created_at: Timestamp,
    pub settled_at: Option<Timestamp>,
}

/// Writes a payment, or what became of it: the row of a settlement is one.
pub fn write(tx: &mut Tx<'_>, payment: &Written) -> Result<(), StoreError> {
    let it = payment;
    tx.push(
        "INSERT INTO pay_payments (company_id, id, project_id, endpoint_id, settlement_id, network, payer, recipient, amount_micros, nonce, \
         tx_hash, status, failure_reason, resource, description, is_sandbox, receipt, created_at, settled_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
         ON CONFLICT (company_id, settlement_id) DO UPDATE SET project_id = excluded.project_id, endpoint_id = excluded.endpoint_id, \
         tx_hash = excluded.tx_hash, status = excluded.status, failure_reason = excluded.failure_reason, resource = excluded.resource, \
         description = excluded.description, receipt = excluded.receipt, settled_at = excluded.settled_at",
        params![
            it.company,
            it.id,
            it.project,
            it.endpoint,
            it.settlement,
            it.network.as_str(),
            it.payer.as_str(),
            it.recipient.as_str(),
            it.amount_micros,
            it.nonce.as_str(),
            it.tx_hash.as_deref(),
            it.status.as_str(),
            it.failure_reason.as_deref(),
            it.resource.as_str(),
            it.description.as_deref(),
            it.is_sandbox,
            it.receipt.as_ref().map(|receipt| Value::Json(receipt.to_string())),
            it.created_at,
            it.settled_at
        ],
    )
}

/// The id of the payment that a settlement has already, or a new one.
pub fn id_for(tx: &mut Tx<'_>, kernel: &Kernel, company: CompanyId, settlement: Uuid) -> Result<Uuid, StoreError> {
    let sql = "SELECT id FROM pay_payments WHERE company_id = $1 AND settlement_id = $2";
    Ok(tx.first(sql, &params![company, settlement], |row| row.uuid(0))?.unwrap_or_else(|| kernel.new_id()))
}
